defmodule Storefront.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    port = Application.fetch_env!(:storefront, :port)
    Supervisor.start_link([{Storefront.Server, port}], strategy: :one_for_one)
  end
end
