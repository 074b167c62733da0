defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [
      app: :shop,
      version: "1.0.0",
      deps: deps(),
      releases: [shop: [], admin: []]
    ]
  end

  defp deps do
    [
      {:jason, "~> 1.4"},
      {:shared, path: "../shared"},
      {:"no/name", path: "libs/no"},
      {:credo, "~> 1.7", only: [:dev, :test], runtime: false}
    ]
  end
end
