defmodule ThreeStage.MixProject do
  use Mix.Project

  def project do
    [
      app: :three_stage,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:greeting, path: "greeting"}],
      releases: [three_stage: [include_executables_for: [:unix]]]
    ]
  end

  def application do
    [extra_applications: [:logger], mod: {ThreeStage.Application, []}]
  end
end
