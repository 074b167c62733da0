defmodule Web.MixProject do
  use Mix.Project

  def project, do: [app: :web, version: "1.0.0", deps: []]
end
