defmodule Left.MixProject do
  use Mix.Project

  def project do
    [app: :left, version: "1.0.0", deps: [{:bottom, "~> 1.0"}]]
  end

  def application, do: []
end
