defmodule Greeting do
  @moduledoc "A dependency, as small as one can be."

  def of(name), do: "Hello, " <> name
end
