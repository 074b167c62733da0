defmodule Perhaps.MixProject do
  use Mix.Project

  def project do
    [app: :perhaps, version: "1.0.0", deps: [{:extra, "~> 1.0", optional: true}]]
  end

  def application, do: []
end
