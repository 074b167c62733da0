defmodule Exflow.Facts do
  @moduledoc "What Mix itself says of the dependencies."

  @doc """
  Writes what the `mix.exs` of a folder comes to, or a `rebar.config`, to the file `to`: an Elixir literal,
  where functions and structs stand as `:computed`.
  """
  def write([folder, to]) do
    Exflow.start()

    config =
      File.cd!(folder, fn ->
        if File.regular?("mix.exs") do
          Code.compile_file("mix.exs")
          Mix.Project.config()
        else
          [deps: "." |> Mix.Rebar.load_config() |> Mix.Rebar.deps()]
        end
      end)

    known = ~w(app apps_path elixirc_paths erlc_paths erlc_include_path config_path lockfile releases
      default_release deps)a

    # Where it is built is a matter of the environment, unless it is said.
    facts = config |> Keyword.take(known) |> Enum.map(&literal/1)
    File.mkdir_p!(Path.dirname(to))
    File.write!(to, inspect(facts, limit: :infinity, printable_limit: :infinity, width: 100, charlists: :as_lists) <> "\n")
  end

  defp literal(value) when is_function(value), do: :computed
  defp literal(%{__struct__: _}), do: :computed
  defp literal(value) when is_list(value), do: Enum.map(value, &literal/1)
  defp literal(value) when is_tuple(value), do: value |> Tuple.to_list() |> Enum.map(&literal/1) |> List.to_tuple()
  defp literal(value), do: value
end
