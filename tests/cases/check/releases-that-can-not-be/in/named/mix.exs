defmodule Named.MixProject do
  use Mix.Project

  def project, do: [app: :named, version: "1.0.0", deps: []]
end
