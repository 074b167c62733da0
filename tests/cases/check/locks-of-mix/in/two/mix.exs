defmodule Two.MixProject do
  use Mix.Project

  def project, do: [app: :two, version: "1.0.0", deps: [{:a, git: "https://example.org/a.git"}]]
end
