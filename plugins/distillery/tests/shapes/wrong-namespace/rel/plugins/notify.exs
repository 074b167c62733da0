defmodule Shop.Notify do
  use Mix.Releases.Plugin
  def before_assembly(release, _opts), do: release
end
