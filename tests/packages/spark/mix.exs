defmodule Mix.Tasks.Compile.SparkMake do
  use Mix.Task

  def run(_) do
    erts = Path.join([:code.root_dir(), "usr/include"])
    {_, 0} = System.cmd("make", [], into: IO.stream(:stdio, :line), env: [{"ERL_INCLUDE", erts}])
    Mix.Project.build_structure()
    :ok
  end
end

defmodule Spark.MixProject do
  use Mix.Project

  def project do
    [app: :spark, version: "1.0.0", compilers: [:spark_make] ++ Mix.compilers()]
  end

  def application, do: []
end
