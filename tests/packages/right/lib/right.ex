defmodule Right do
  require Bottom

  def value, do: Bottom.twice(2)
end
