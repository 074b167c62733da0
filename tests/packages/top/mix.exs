defmodule Top.MixProject do
  use Mix.Project

  def project do
    [app: :top, version: "1.0.0", deps: [{:left, "~> 1.0"}, {:right, "~> 1.0"}]]
  end

  def application, do: []
end
