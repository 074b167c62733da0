defmodule Exflow.Git do
  @moduledoc "Git, without git: the revision that is locked is laid out already."
  @behaviour Mix.SCM

  @keys ~w(branch ref tag sparse subdir submodules depth)a

  defdelegate format(opts), to: Mix.SCM.Git
  defdelegate equal?(one, other), to: Mix.SCM.Git
  defdelegate accepts_options(app, opts), to: Mix.SCM.Git
  def fetchable?, do: true
  def checked_out?(opts), do: File.dir?(opts[:dest])
  def managers(_opts), do: []

  def format_lock(opts) do
    with {:git, _, revision, _} <- opts[:lock], do: String.slice(revision, 0, 7)
  end

  def lock_status(opts) do
    case opts[:lock] do
      {:git, url, _revision, locked} ->
        if url == opts[:git] and asked(locked) == asked(opts), do: :ok, else: :outdated

      _ ->
        :mismatch
    end
  end

  def checkout(_opts), do: Mix.raise("exflow lays out what mix.lock says; nothing is fetched here")
  def update(opts), do: checkout(opts)

  defp asked(opts), do: opts |> Keyword.take(@keys) |> Enum.filter(&elem(&1, 1)) |> Enum.sort()
end

defmodule Hex do
  @moduledoc "What Mix needs of Hex where packages are laid out already."

  def start do
    unless Hex.SCM in Mix.SCM.available(), do: Mix.SCM.append(Hex.SCM)
    Mix.RemoteConverger.register(Hex.RemoteConverger)
    :ok
  end

  def version, do: "2.1.1"
end

defmodule Hex.SCM do
  @moduledoc false
  @behaviour Mix.SCM

  def fetchable?, do: true
  def format(_opts), do: "Hex package"

  def format_lock(opts) do
    with {:hex, name, version, inner, _} <- lock(opts[:lock]),
         do: "#{version} (#{name}) #{String.slice(inner || "", 0, 8)}"
  end

  def accepts_options(name, opts) do
    opts = if opts[:organization], do: Keyword.put(opts, :repo, "hexpm:#{opts[:organization]}"), else: opts
    opts |> Keyword.put_new(:hex, name) |> Keyword.update!(:hex, &to_string/1) |> Keyword.put_new(:repo, "hexpm")
  end

  def checked_out?(opts), do: File.dir?(opts[:dest])

  def lock_status(opts) do
    case {lock(opts[:lock]), manifest(opts[:dest])} do
      {{:hex, name, version, inner, _}, %{name: name, version: version} = manifest} ->
        if inner == nil or manifest.inner_checksum in [inner, nil], do: :ok, else: :mismatch

      _ ->
        :mismatch
    end
  end

  def equal?(one, other), do: one[:hex] == other[:hex] and one[:repo] == other[:repo]

  def managers(opts) do
    case {lock(opts[:lock]), manifest(opts[:dest])} do
      {{:hex, _, _, _, [_ | _] = managers}, _} -> managers
      {_, %{managers: managers}} -> managers
      _ -> []
    end
  end

  def checkout(_opts), do: Mix.raise("exflow lays out what mix.lock says; nothing is fetched here")
  def update(opts), do: checkout(opts)

  defp lock(tuple) when is_tuple(tuple) and elem(tuple, 0) == :hex do
    [_, name, version, inner, managers] = tuple |> Tuple.to_list() |> Enum.concat([nil, nil]) |> Enum.take(5)
    {:hex, to_string(name), version, inner, managers}
  end

  defp lock(_), do: nil

  # As Hex itself writes it.
  defp manifest(dest) do
    with {:ok, bytes} <- File.read(Path.join(dest, ".hex")) do
      {{:hex, 2, _}, manifest} = :erlang.binary_to_term(bytes)
      manifest
    else
      _ -> nil
    end
  end
end

defmodule Hex.RemoteConverger do
  @moduledoc false
  @behaviour Mix.RemoteConverger

  def remote?(dep), do: dep.scm == Hex.SCM
  def converge(_deps, lock), do: lock
  def post_converge, do: :ok

  # What the lock says of it, as Hex does.
  def deps(%{app: app}, lock) do
    case lock[app] do
      lock when is_tuple(lock) and tuple_size(lock) > 5 -> elem(lock, 5) || []
      _ -> []
    end
  end
end
