# Runs in the builder, never on the host: what stands between Mix and the dependencies that exflow
# has laid out. Written for Elixir 1.12 and newer; what differs between versions is looked up.

defmodule Exflow do
  @moduledoc """
  Compiles packages one by one, so that each has an output of its own.

  Below `_exflow` of the workspace: `deps/APP` holds the sources of what is fetched, `build/lib/APP`
  what is compiled, `packages/APP` what is to be compiled with what, `config/APP` the part of the
  configuration that it may read. `plugins/APP` holds the sources of rebar3's plugins, and `rebar3` rebar3
  itself, if it is fetched.
  """

  @doc "Starts Mix, with the places that dependencies come from known to it."
  def start do
    # Mix takes out of the code path what it doesn't know.
    modules = [Exflow.Beam, Exflow.Git, Exflow.Package, Exflow.Project, Exflow.Reads, Exflow.Rebar3, Exflow.Settle]
    for module <- [Hex.RemoteConverger | modules], do: {:module, _} = Code.ensure_loaded(module)

    Mix.start()
    Mix.SCM.prepend(Exflow.Git)
    Hex.start()
    System.put_env("HEX_OFFLINE", "1")

    fetched = Path.join(root(), "rebar3/rebar3")
    fetched = if File.exists?(fetched), do: fetched

    if rebar = System.get_env("MIX_REBAR3") || fetched || System.find_executable("rebar3") do
      System.put_env("MIX_REBAR3", rebar)
    end

    Mix.env(String.to_atom(System.get_env("MIX_ENV") || "prod"))
  end

  @doc """
  Compiles the packages that are named. More than one are compiled side by side, in an order that
  fits; what came of each is written to the folder `EXFLOW_BATCH`.
  """
  def compile(apps) do
    case {apps, System.get_env("EXFLOW_BATCH")} do
      {[app], nil} ->
        start()
        unless Exflow.Package.compile(app), do: System.halt(1)

      {apps, folder} when is_binary(folder) ->
        Exflow.Batch.compile(apps, folder, String.to_integer(System.get_env("EXFLOW_JOBS") || "1"))
    end
  end

  @doc "The folder in which everything is laid out."
  def root, do: System.fetch_env!("EXFLOW_ROOT")

  @doc "What an earlier step has left as a term."
  def term(path), do: root() |> Path.join(path) |> File.read!() |> :erlang.binary_to_term()
end
