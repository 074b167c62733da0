defmodule All.MixProject do
  use Mix.Project

  def project, do: Shared.project(:all)
end
