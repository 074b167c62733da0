defmodule Bottom.MixProject do
  use Mix.Project

  def project do
    [app: :bottom, version: "1.0.0", deps: []]
  end

  def application, do: []
end
