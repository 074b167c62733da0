# Runs in the builder, never on the host: evaluates the configuration of a project, and writes what each of
# the packages that are named may read of it, which is that of the applications that `slices/PACKAGE` lists.
# For `+`, the names of all applications that are configured are written.
#
# A script, because it is run beside the step that compiles the driver. Where several are named, what came of
# each is written to the folder `EXFLOW_BATCH`.

defmodule Exflow.Config do
  def run(packages) do
    Mix.start()
    Mix.env(String.to_atom(System.get_env("MIX_ENV") || "prod"))
    config = project_config()

    for package <- packages do
      if package == "+" do
        configured = for {app, env} <- config, env != [], do: app
        put_term("configured/apps.etf", Enum.sort(configured))
      else
        apps = root() |> Path.join("slices/#{package}") |> File.read!() |> String.split()
        put_term("config/#{package}/config.etf", slice(config, Enum.map(apps, &String.to_atom/1)))
      end

      if folder = System.get_env("EXFLOW_BATCH") do
        File.mkdir_p!(folder)
        File.write!(Path.join(folder, package), "")
      end
    end
  end

  defp put_term(path, term) do
    path = Path.join(root(), path)
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, term_to_binary(term))
  end

  defp term_to_binary(term) do
    try do
      :erlang.term_to_binary(term, [:deterministic, minor_version: 2])
    rescue
      ArgumentError -> :erlang.term_to_binary(term, minor_version: 2)
    end
  end

  # Elixir's own, and what the macros of its logger read, is every package's.
  defp slice(config, apps) do
    logger = ~w(compile_time_purge_matching compile_time_purge_level compile_time_application always_evaluate_messages)a
    all = Enum.sort(Keyword.take(config, [:elixir | apps]))

    case Enum.sort(Keyword.take(config[:logger] || [], logger)) do
      [] -> all
      kept -> if :logger in apps, do: all, else: Enum.sort([{:logger, kept} | all])
    end
    |> Enum.map(fn {app, env} -> {app, Enum.sort(env)} end)
  end

  # What `mix` itself does before it loads the configuration.
  defp project_config do
    if File.regular?("mix.exs"), do: Code.compile_file("mix.exs")
    path = Mix.Project.config()[:config_path]

    if File.regular?(path) do
      {config, _} = Config.Reader.read_imports!(path, env: Mix.env(), target: Mix.target())
      config
    else
      []
    end
  end

  defp root, do: System.fetch_env!("EXFLOW_ROOT")
end

Exflow.Config.run(System.argv())
