defmodule Gossip.MixProject do
  use Mix.Project

  def project do
    [app: :gossip, version: "1.0.0", deps: []]
  end

  def application, do: []
end
