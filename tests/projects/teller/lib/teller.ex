defmodule Teller do
  @moduledoc "Says one line to each who connects, and what it is configured to say."

  def line, do: "#{Application.fetch_env!(:teller, :greeting)}, #{Path.basename("été.txt", ".txt")}\n"

  def loop(socket) do
    {:ok, client} = :gen_tcp.accept(socket)
    :gen_tcp.send(client, line())
    :gen_tcp.close(client)
    loop(socket)
  end
end

defmodule Teller.Application do
  @moduledoc false
  use Application

  def start(_type, _args) do
    port = String.to_integer(System.get_env("PORT") || "4000")
    {:ok, socket} = :gen_tcp.listen(port, [:binary, active: false, reuseaddr: true])
    Supervisor.start_link([{Task, fn -> Teller.loop(socket) end}], strategy: :one_for_one)
  end
end
