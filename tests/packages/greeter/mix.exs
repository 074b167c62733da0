defmodule Greeter.MixProject do
  use Mix.Project

  def project do
    [app: :greeter, version: "1.0.0", deps: []]
  end

  def application, do: []
end
