defmodule Web.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    port = Application.get_env(:web, :port, 4000)
    server = {Plug.Cowboy, scheme: :http, plug: Web.Router, options: [port: port]}
    Supervisor.start_link([server], strategy: :one_for_one)
  end
end
