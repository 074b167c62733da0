defmodule Exflow.Beam do
  @moduledoc """
  Modules as they would be if the compiler wrote the same bytes for the same code each time.
  """

  @doc """
  Settles the modules of the project's own applications in a release, once it is made: in the folder `EXFLOW_RELEASE`,
  below the build, or else wherever it is below the project. Those of packages were settled when they were compiled.
  """
  def settle_at_exit do
    System.at_exit(fn _status ->
      if Mix.Project.get() do
        apps = Mix.Project.apps_paths() || %{Mix.Project.config()[:app] => "."}
        places = [System.fetch_env!("EXFLOW_RELEASE"), Path.join(Mix.Project.build_path(), "rel/*")]

        for folder <- made(places) || made(["**"]) || [],
            places = for({app, _} <- apps, do: "lib/#{app}-*/ebin") ++ ["{lib,releases}/*/consolidated"],
            place <- places,
            path <- Path.wildcard("#{folder}/#{place}/*.beam"),
            do: settle(path)
      end
    end)
  end

  # The folders of releases among these, if there are any.
  defp made(patterns) do
    found = Enum.flat_map(patterns, &Path.wildcard(Path.join(&1, "releases/start_erl.data")))
    if found != [], do: Enum.map(found, &(&1 |> Path.dirname() |> Path.dirname()))
  end

  @doc "Settles the module in a file."
  def settle(path) do
    bytes = File.read!(path)

    with {:ok, _, chunks} <- :beam_lib.all_chunks(bytes),
         settled = chunks |> Enum.map(&settle_chunk/1) |> settle_regexes(),
         true <- settled != chunks,
         {:ok, settled} <- :beam_lib.build_module(settled) do
      # What is stripped is compressed.
      settled = if match?(<<"FOR1", _::binary>>, bytes), do: settled, else: :zlib.gzip(settled)
      File.write!(path, settled)
    end
  end

  # From OTP 26 on, small maps have no order that is the same in all VMs. What tells of a module, besides its
  # code, is written in one here. (Of what a macro makes of a map, the order stays what it was.)
  defp settle_chunk({name, <<131, _::binary>> = bytes} = chunk) when name in [~c"Dbgi", ~c"ExCk"] do
    if otp() >= 26, do: {name, bytes |> :erlang.binary_to_term() |> term_to_binary()}, else: chunk
  end

  defp settle_chunk(chunk), do: chunk

  # Up to OTP 27, a regular expression in a module is what PCRE has compiled. In its table of names, what is behind a
  # name is what was in memory before.
  defp settle_regexes(chunks) do
    with {name, <<size::32, compressed::binary>>} when size > 0 <- List.keyfind(chunks, ~c"LitT", 0),
         literals = :zlib.uncompress(compressed),
         [_ | _] = found <- :binary.matches(literals, "ERCP") do
      settled = found |> Enum.reduce(literals, &settle_regex/2) |> :zlib.compress()
      chunks |> List.keyreplace(name, 0, {name, <<size::32, settled::binary>>}) |> rehash()
    else
      _ -> chunks
    end
  end

  # The header is `real_pcre` of pcre_internal.h, PCRE 8. It stands in a binary of its own: 109, and its size.
  defp settle_regex({at, _}, literals) when at >= 5 do
    before = at - 5

    with <<_::binary-size(before), 109, size::32, "ERCP", size::little-32, _::binary-size(26), offset::little-16,
           entry::little-16, count::little-16, _::binary>> <- literals,
         true <- entry >= 3 and offset + entry * count <= size,
         start = at + offset,
         length = entry * count,
         <<head::binary-size(start), names::binary-size(length), rest::binary>> <- literals do
      head <> for(<<name::binary-size(entry) <- names>>, into: <<>>, do: settle_name(name)) <> rest
    else
      _ -> literals
    end
  end

  defp settle_regex(_, literals), do: literals

  # Which group it is, and its name, which ends with a zero.
  defp settle_name(<<number::16, rest::binary>>) do
    [name | _] = :binary.split(rest, <<0>>)
    <<number::16, name::binary, 0::unit(8)-size(byte_size(rest) - byte_size(name))>>
  end

  # The compiler puts a digest of the code and its literals into the module: as its version, unless it has one, and into
  # the table of its functions. Where there are regular expressions, it is of what was in memory, too, even where that
  # were zeros.
  defp rehash(chunks) do
    essential = for {name, bytes} <- chunks, name in ~w(Atom AtU8 Code StrT ImpT ExpT LitT)c, do: bytes
    <<number::27, _::101>> = digest = :erlang.md5(essential)

    Enum.map(chunks, fn
      {~c"FunT", <<count::32, functions::binary>>} ->
        {~c"FunT", <<count::32, for(<<function::binary-size(20), _::32 <- functions>>, into: <<>>, do: <<function::binary, number::32>>)::binary>>}

      {~c"Attr", bytes} ->
        {~c"Attr", bytes |> :erlang.binary_to_term() |> Enum.map(&version(&1, digest)) |> term_to_binary()}

      chunk ->
        chunk
    end)
  end

  # What a user says is short.
  defp version({:vsn, [version]}, <<digest::128>>) when is_integer(version) and version > 0xFFFFFFFFFFFF,
    do: {:vsn, [digest]}

  defp version(attribute, _), do: attribute

  defp otp, do: String.to_integer(System.otp_release())

  @doc "The same bytes for the same term, as far as this version of OTP can do it."
  def term_to_binary(term) do
    try do
      :erlang.term_to_binary(term, [:deterministic, minor_version: 2])
    rescue
      ArgumentError -> :erlang.term_to_binary(term, minor_version: 2)
    end
  end
end
