defmodule Exflow.Reads do
  @moduledoc false

  @doc "Begins to watch whose configuration is read."
  def start do
    parent = self()
    reader = spawn(fn -> reading(parent, MapSet.new()) end)
    :erlang.trace(:all, false, [:call])
    :erlang.trace(:all, true, [:call, {:tracer, reader}])
    for name <- [:get_env, :get_all_env, :get_key], do: :erlang.trace_pattern({:application, name, :_}, true, [])
    reader
  end

  defp reading(parent, apps) do
    receive do
      {:trace, _, :call, {:application, _, [app | _]}} -> reading(parent, MapSet.put(apps, app))
      :stop -> send(parent, {:reads, self(), apps})
      _ -> reading(parent, apps)
    end
  end

  @doc "Whose it was, of other packages only: what comes with Erlang and Elixir is the same for all."
  def stop(reader) do
    :erlang.trace(:all, false, [:call])
    ref = :erlang.trace_delivered(:all)
    receive do: ({:trace_delivered, :all, ^ref} -> :ok)
    send(reader, :stop)
    apps = receive do: ({:reads, ^reader, apps} -> apps)
    own = [:code.lib_dir(), :code.lib_dir(:elixir) |> Path.dirname() |> String.to_charlist()]

    apps
    |> Enum.filter(&is_atom/1)
    |> Enum.reject(fn app ->
      app in [:exflow, :hex, :mix] or
        case :code.lib_dir(app) do
          dir when is_list(dir) -> Enum.any?(own, &:lists.prefix(&1, dir))
          _ -> false
        end
    end)
    |> Enum.sort()
  end
end
