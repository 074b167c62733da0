defmodule Bottom do
  @moduledoc "What both sides of a diamond stand on."

  defmacro twice(value), do: quote(do: unquote(value) * 2)
end
