defprotocol Top.Show do
  def show(value)
end

defimpl Top.Show, for: Integer do
  def show(value), do: "top #{value}"
end

defmodule Top do
  defstruct [:name, values: %{}, more: nil, other: []]

  def sum, do: Left.value() + Right.value()
end
