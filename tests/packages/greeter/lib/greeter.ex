defmodule Greeter do
  @external_resource "priv/greeting.txt"
  @greeting File.read!("priv/greeting.txt")

  def compiled, do: String.trim(@greeting)
  def read, do: :greeter |> Application.app_dir("priv/greeting.txt") |> File.read!() |> String.trim()
end
