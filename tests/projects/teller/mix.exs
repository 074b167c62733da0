defmodule Teller.MixProject do
  use Mix.Project

  def project do
    [app: :teller, version: "0.3.0", elixir: "~> 1.6", deps: [{:distillery, "~> 2.1"}]]
  end

  def application do
    [extra_applications: [:logger], mod: {Teller.Application, []}]
  end
end
