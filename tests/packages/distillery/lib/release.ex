defmodule Distillery.Releases.Config do
  @moduledoc "Made up: of what Distillery's own module of this name has, what the test's rel/config.exs says."

  defmacro __using__(_), do: quote(do: import(Distillery.Releases.Config))
  defmacro environment(_, do: _), do: nil
  defmacro release(_, do: block), do: block
  defmacro set(output_dir: folder), do: quote(do: Process.put(:output_dir, unquote(folder)))
  defmacro set(_), do: nil
end

defmodule Mix.Tasks.Distillery.Release do
  @moduledoc "Made up: makes a release of Mix's own where Distillery would make its, with what else is in one of its."
  use Mix.Task

  def run(arguments) do
    {options, []} = OptionParser.parse!(arguments, strict: [no_tar: :boolean, name: :string, env: :string])
    true = options[:no_tar]
    name = options[:name] || "teller"
    Mix.Task.run("compile")
    Code.eval_file("rel/config.exs")
    folder = Process.get(:output_dir) || Path.join(Mix.Project.build_path(), "rel/#{name}")
    version = Mix.Project.config()[:version]
    put(folder, "releases/COOKIE", "the same each time")
    Mix.Task.run("release", ["--path", folder, "--overwrite", "--quiet"])
    File.rename!(Path.join(folder, "bin/#{name}"), Path.join(folder, "bin/#{name}_rc_exec.sh"))

    put(folder, "bin/#{name}", """
    #!/bin/sh
    if ! command -v bash >/dev/null ; then exit 1; fi
    mkdir -p "$RELEASE_MUTABLE_DIR"
    RELEASE_NAME=#{name} RELEASE_COOKIE="$COOKIE" RELEASE_DISTRIBUTION=none exec "${0}_rc_exec.sh" start
    """)

    File.chmod!(Path.join(folder, "bin/#{name}"), 0o755)
    put(folder, "bin/#{name}.bat", "rem for Windows\n")
    put(folder, "releases/#{version}/#{name}.ps1", "# for Windows\n")
    put(folder, "releases/#{version}/libexec/win/erts.ps1", "# for Windows\n")
    put(folder, "releases/#{version}/#{name}.tar.gz", "the same again\n")
    put(folder, "releases/#{version}/other.script", "%% script generated at {#{System.os_time()}}\n{script, []}.\n")
  end

  defp put(folder, path, text) do
    path = Path.join(folder, path)
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, text)
  end
end
