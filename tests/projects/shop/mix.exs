defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [
      app: :shop,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: deps()
    ]
  end

  def application, do: [extra_applications: [:logger]]

  defp deps do
    [
      {:top, "~> 1.0"},
      {:greeter, "~> 1.0"},
      {:settings, "~> 1.0"},
      {:gossip, "~> 1.0"},
      {:perhaps, "~> 1.0"},
      {:hedgehog, "~> 1.0"},
      {:stone, "~> 1.0"},
      {:spark, ">= 0.9.0 and < 2.0.0"},
      {:never, "~> 1.0", only: [:dev, :test]}
    ]
  end
end
