defmodule Exflow.Release do
  @moduledoc false

  @doc """
  Starts Mix for a release, which the plugin `tool` makes. Refuses a project whose packages have read
  configuration that they were not shown.
  """
  def start(tool) do
    Exflow.start()
    Exflow.Beam.settle_at_exit()
    renew()
    configured = Exflow.term("configured/apps.etf")
    build = Path.join(Mix.Project.build_path([]), "lib")

    wrong =
      for path <- Enum.sort(Path.wildcard(Path.join(build, "*/.mix/exflow.reads"), match_dot: true)),
          package = path |> Path.dirname() |> Path.dirname() |> Path.basename(),
          app <- path |> File.read!() |> String.split(),
          String.to_atom(app) in configured,
          do: {package, app}

    if wrong != [] do
      declared = wrong |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Enum.sort()

      for {package, apps} <- declared do
        IO.puts(:stderr, "** The package #{package} reads the configuration of #{Enum.join(apps, ", ")} while it is compiled.")
      end

      IO.puts(:stderr, """

      exflow compiles a package with nothing but its own configuration, unless more is declared. Declare it
      in exflow.kdl, as a property of the project's release-tool:

          release-tool "#{tool}" compile-config="#{Enum.map_join(declared, ", ", fn {package, apps} -> "#{package}: #{Enum.join(apps, " ")}" end)}"
      """)

      System.halt(1)
    end
  end

  # Mix takes what is older than this for stale, whatever it is compared with, and all files in a step are
  # older. Only of what is of the workspace it ever compiles anything again.
  @newer 946_684_800 + 86_400

  defp renew do
    build = Path.join(Mix.Project.build_path([]), "lib")

    for path <- Path.wildcard(Path.join(build, "*/.mix/compile.{elixir,erlang}"), match_dot: true),
        folder = path |> Path.dirname() |> Path.dirname(),
        file <- Path.wildcard(Path.join(folder, "{.mix,ebin}/*"), match_dot: true),
        do: File.touch!(file, @newer)
  end
end
