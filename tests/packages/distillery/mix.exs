defmodule Distillery.MixProject do
  use Mix.Project
  def project, do: [app: :distillery, version: "2.1.1", deps: []]
end
