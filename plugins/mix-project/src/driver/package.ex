defmodule Exflow.Package do
  @moduledoc false

  @doc "Compiles a package in this process: whether that went well. Nothing else is left of it in this VM."
  def compile(app) do
    folder = Path.join(Exflow.root(), "packages/#{app}")
    {package, _} = Code.eval_file(Path.join(folder, "package.exs"))
    forget_all_but(Keyword.keys(package[:deps]))
    before = state()
    config = Exflow.term("config/#{app}/config.etf")
    reads = Exflow.Reads.start()

    compiled =
      try_to(fn ->
        File.cd!(folder, fn ->
          Application.put_all_env(config, persistent: true)
          Mix.Project.push(project(package), Path.join(folder, "mix.exs"))
          compile_package(String.to_atom(app), package)
        end)
      end)

    apps = Exflow.Reads.stop(reads)
    settled = compiled and try_to(fn -> Exflow.Settle.package(app, package, apps) end)
    restore(before, config)
    settled
  end

  defp try_to(what) do
    what.()
    true
  catch
    kind, reason ->
      report(kind, reason, __STACKTRACE__)
      false
  end

  defp compile_package(app, package) do
    unless package[:compile] == false do
      # What must be there, or Mix would go on without it.
      for dep <- Mix.Dep.load_and_cache(), not Mix.Dep.available?(dep) do
        Mix.raise("the dependency #{dep.app} is not there: #{Mix.Dep.format_status(dep)}")
      end

      Exflow.Rebar3.run(app, package[:rebar3_plugins] || [], fn ->
        Mix.Task.run("deps.compile", [Atom.to_string(app), "--no-archives-check"])
      end)

      Mix.Dep.clear_cached()
      [dep] = Mix.Dep.filter_by_name([app], Mix.Dep.load_and_cache())
      dep = Mix.Dep.check_lock(dep)

      unless Mix.Dep.ok?(dep) do
        Mix.raise("#{app} was compiled, but #{Mix.Dep.format_status(dep)}")
      end
    end
  end

  # The project that has nothing but the package and what it depends on.
  defp project(package) do
    Process.put(Exflow.Project,
      app: :exflow,
      version: "0.0.0",
      deps: package[:deps],
      lockfile: "mix.lock",
      consolidate_protocols: false
    )

    Exflow.Project
  end

  defp report(kind, reason, stack) do
    text =
      case reason do
        %Mix.Error{message: message} -> "** (Mix) " <> message
        _ -> Exception.format(kind, reason, stack)
      end

    IO.puts(:stderr, text)
  end

  ## What packages see of each other, where several are compiled in one VM

  defp state do
    {:code.get_path(), envs()}
  end

  defp restore({paths, envs}, config) do
    Mix.Task.clear()
    Mix.Project.pop()
    Mix.State.clear_cache()
    Mix.env(String.to_atom(System.get_env("MIX_ENV") || "prod"))

    for {app, _, _} <- Application.loaded_applications(), not is_map_key(envs, app) do
      Application.stop(app)
      Application.unload(app)
    end

    :code.set_path(paths)

    for {app, env} <- envs() do
      old = envs[app] || []
      for {key, _} <- env, not List.keymember?(old, key, 0), do: Application.delete_env(app, key, persistent: true)
      for {key, value} <- old, do: Application.put_env(app, key, value)
    end

    # What is configured for applications that aren't loaded stays where it is.
    for {app, env} <- config, not is_map_key(envs, app), {key, _} <- env,
        do: Application.delete_env(app, key, persistent: true)
  end

  # What earlier packages have loaded of what the next one doesn't depend on. The rest it would load anew.
  defp forget_all_but(apps) do
    build = Path.join(Mix.Project.build_path([]), "lib") <> "/"

    for {module, file} <- :code.all_loaded(), is_list(file) do
      path = List.to_string(file)

      if String.starts_with?(path, build) do
        [app | _] = path |> String.replace_prefix(build, "") |> String.split("/", parts: 2)
        unless Enum.any?(apps, &(Atom.to_string(&1) == app)), do: unload(module)
      end
    end
  end

  # What is deleted can't be called any more. To purge it takes much longer, and is done when it is loaded again.
  defp unload(module) do
    if :erlang.check_old_code(module), do: :code.purge(module)
    :code.delete(module)
  end

  defp envs do
    for {app, _, _} <- Application.loaded_applications(), into: %{}, do: {app, Application.get_all_env(app)}
  end
end

defmodule Exflow.Project do
  @moduledoc "The project in which a package is compiled: one at a time."
  def project, do: Process.get(__MODULE__)
end
