defmodule Broken.MixProject do
  use Mix.Project

  def project do
    [app: :broken, version: "1.0.0", deps: []]
  end

  def application, do: []
end
