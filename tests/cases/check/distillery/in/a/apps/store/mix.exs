defmodule store.MixProject do
  use Mix.Project
  def project, do: [app: :store, version: "0.1.0", deps: []]
end
