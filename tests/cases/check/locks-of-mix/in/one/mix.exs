defmodule One.MixProject do
  use Mix.Project

  def project, do: [app: :one, version: "1.0.0", deps: [{:a, "~> 1.0"}]]
end
