defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [app: :shop, version: "1.2.3", elixir: "~> 1.6", deps: deps()]
  end

  defp deps do
    [{:distillery, "~> 2.1"}]
  end
end
