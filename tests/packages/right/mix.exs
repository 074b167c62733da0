defmodule Right.MixProject do
  use Mix.Project

  def project do
    [app: :right, version: "1.0.0", deps: [{:bottom, "~> 1.0"}]]
  end

  def application, do: []
end
