defmodule Storefront.Server do
  @moduledoc "Tells everyone who connects what there is to buy."
  use Task, restart: :permanent

  def start_link(port), do: Task.start_link(__MODULE__, :listen, [port])

  def listen(port) do
    {:ok, socket} = :gen_tcp.listen(port, [:binary, active: false, reuseaddr: true])
    accept(socket)
  end

  defp accept(socket) do
    {:ok, client} = :gen_tcp.accept(socket)
    body = page()
    :gen_tcp.send(client, "HTTP/1.0 200 OK\r\ncontent-length: #{byte_size(body)}\r\n\r\n#{body}")
    :gen_tcp.close(client)
    accept(socket)
  end

  @doc "What is sent."
  def page do
    Enum.map_join(Catalog.goods(), fn {name, amount} -> "#{name}: #{Catalog.price(amount)}\n" end)
  end
end
