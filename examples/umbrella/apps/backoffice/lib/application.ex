defmodule Backoffice.Application do
  @moduledoc false
  use Application
  require Logger

  @impl true
  def start(_type, _arguments) do
    Logger.info("worth of one of each: #{worth()}")
    Supervisor.start_link([], strategy: :one_for_one)
  end

  @doc "What one of each costs."
  def worth, do: Catalog.goods() |> Enum.map(&elem(&1, 1)) |> Enum.sum() |> Catalog.price()
end
