defmodule jobs.MixProject do
  use Mix.Project
  def project, do: [app: :jobs, version: "0.1.0", deps: []]
end
