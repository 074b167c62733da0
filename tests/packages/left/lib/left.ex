defmodule Left do
  require Bottom

  def value, do: Bottom.twice(1)
end
