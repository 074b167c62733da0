defmodule Catalog do
  @moduledoc "What is sold."

  @currency Application.compile_env!(:catalog, :currency)

  @doc "The goods, with what they cost."
  def goods, do: [{"tea", 4}, {"biscuits", 3}]

  @doc "A price as customers see it."
  def price(amount), do: "#{amount} #{@currency}"
end
