defmodule Exflow.Rebar3 do
  @moduledoc "What rebar3 would fetch by itself: its plugins."

  @doc """
  Calls what compiles `app`; where that is rebar3, with the sources of plugins where it looks before it
  fetches them: in `_checkouts` beside the package's own. Nothing that rebar3 makes there is left.
  """
  def run(app, plugins, compile) do
    case Mix.Dep.filter_by_name([app], Mix.Dep.load_and_cache()) do
      [%{manager: :rebar3} = dep] -> with_plugins(dep, plugins, compile)
      _ -> compile.()
    end
  end

  defp with_plugins(dep, plugins, compile) do
    checkouts = Path.join(dep.opts[:dest], "_checkouts")
    built = Path.join(dep.opts[:dest], "_build")
    {had_checkouts, had_built} = {File.exists?(checkouts), File.exists?(built)}
    links = for {name, folder} <- plugins, link = link(checkouts, name, folder), do: link

    try do
      compile.()
    rescue
      error ->
        explain(dep, Enum.map(plugins, &elem(&1, 0)))
        reraise error, __STACKTRACE__
    after
      Enum.each(links, &File.rm!/1)
      unless had_checkouts, do: File.rm_rf!(checkouts)
      unless had_built, do: File.rm_rf!(built)
    end
  end

  # A package that brings a plugin along keeps its own.
  defp link(checkouts, name, folder) do
    path = Path.join(checkouts, name)

    unless File.exists?(path) do
      File.mkdir_p!(checkouts)
      File.ln_s!(Path.join([Exflow.root(), "plugins", folder]), path)
      path
    end
  end

  # rebar3 only says that it can't fetch them.
  defp explain(%{app: app, extra: config}, supplied) when is_list(config) do
    plugins = config |> Keyword.get(:plugins, []) |> List.wrap() |> Enum.map(&name/1)

    case Enum.uniq(plugins) -- supplied do
      [] ->
        :ok

      missing ->
        IO.puts(:stderr, """
        #{app} has plugins of rebar3 that nothing is known of: #{Enum.join(missing, ", ")}. If they are needed, \
        add them to the deps of mix.exs, as in {:#{hd(missing)}, ">= 0.0.0", runtime: false}, lock them with \
        mix deps.get, and declare them where release-tool is: \
        rebar3-plugins="#{app}: #{Enum.join(missing ++ supplied, " ")}"\
        """)
    end
  end

  defp explain(_dep, _supplied), do: :ok

  defp name(plugin) when is_tuple(plugin), do: name(elem(plugin, 0))
  defp name(plugin), do: to_string(plugin)
end
