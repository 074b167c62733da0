defmodule Some.MixProject do
  use Mix.Project

  def project do
    [
      app: :some,
      version: "1.0.0",
      elixirc_paths: Shared.paths(),
      deps: [],
      releases: [some: Shared.release()]
    ]
  end
end
