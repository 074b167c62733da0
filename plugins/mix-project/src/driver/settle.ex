defmodule Exflow.Settle do
  @moduledoc false

  @fixed_time 315_532_800
  @kept ~w(compile.fetch compile.elixir_scm exflow.reads)

  @doc "What is left of a package is the same each time."
  def package(app, package, reads) do
    build = Path.join(Mix.Project.build_path(), "lib/#{app}")
    File.mkdir_p!(Path.join(build, ".mix"))
    known = [:logger, :elixir | package[:config]]

    case Enum.reject(reads, &(&1 in known)) do
      [] -> :ok
      more -> File.write!(Path.join(build, ".mix/exflow.reads"), Enum.map(more, &"#{&1}\n"))
    end

    for path <- Path.wildcard(Path.join(build, ".mix/*"), match_dot: true) do
      name = Path.basename(path)

      cond do
        # Mix dumps a table there, in another order each time, and makes it anew where it is missing.
        name in ["compile.app_tracer", "compile.lock"] -> File.rm_rf!(path)
        package[:local] -> settle_manifest(path)
        # Of what is fetched, Mix reads nothing else again.
        name not in @kept -> File.rm_rf!(path)
        true -> :ok
      end
    end

    for path <- Path.wildcard(Path.join(build, "ebin/*.beam")), do: Exflow.Beam.settle(path)

    # Folders that Mix makes for what is linked there are only there where something is.
    File.rm_rf!(Path.join(build, "consolidated"))
  end

  # Manifests hold the time at which they were written, and tables in no order.
  defp settle_manifest(path) do
    with {:ok, <<131, _::binary>> = bytes} <- File.read(path) do
      try do
        term = :erlang.binary_to_term(bytes)
        File.write!(path, Exflow.Beam.term_to_binary(timeless(term, System.os_time(:second))))
      rescue
        ArgumentError -> :ok
      end
    end
  end

  defp timeless(now, now), do: @fixed_time
  defp timeless(time, now) when is_integer(time) and time <= now and time > now - 86_400, do: @fixed_time
  defp timeless([head | tail], now), do: [timeless(head, now) | timeless(tail, now)]

  defp timeless(tuple, now) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> timeless(now) |> List.to_tuple()

  defp timeless(%{} = map, now),
    do: :maps.from_list(for {key, value} <- :maps.to_list(map), do: {key, timeless(value, now)})

  defp timeless(term, _now), do: term
end
