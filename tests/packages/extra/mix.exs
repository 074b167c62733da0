defmodule Extra.MixProject do
  use Mix.Project

  def project do
    [app: :extra, version: "1.0.0", deps: []]
  end

  def application, do: []
end
