defmodule ThreeStage do
  @moduledoc "Greets, with the help of a dependency."

  def hello(name), do: Greeting.of(name) <> "!"
end
