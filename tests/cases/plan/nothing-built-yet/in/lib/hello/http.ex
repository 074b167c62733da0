defmodule Hello.HTTP do
  @moduledoc """
  A small HTTP/1.1 server on `:gen_tcp`, from OTP alone.

  It answers `GET /` and `GET /NAME` with a greeting, and everything else with an error.
  """
  use GenServer
  require Logger

  @request_timeout 5_000

  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: __MODULE__)

  @impl true
  def init(options) do
    port = Keyword.fetch!(options, :port)

    listening =
      :gen_tcp.listen(port, [:binary, packet: :http_bin, active: false, reuseaddr: true])

    case listening do
      {:ok, socket} ->
        {:ok, port} = :inet.port(socket)
        Logger.info("listening on port #{port}")
        {:ok, socket, {:continue, :accept}}

      {:error, reason} ->
        {:stop, "can't listen on port #{port}: #{:inet.format_error(reason)}"}
    end
  end

  @impl true
  def handle_continue(:accept, socket) do
    parent = self()
    {:ok, _pid} = Task.start_link(fn -> accept(socket, parent) end)
    {:noreply, socket}
  end

  defp accept(socket, parent) do
    {:ok, connection} = :gen_tcp.accept(socket)

    {:ok, pid} =
      Task.Supervisor.start_child(Hello.Connections, fn ->
        receive do
          :go -> serve(connection)
        end
      end)

    :ok = :gen_tcp.controlling_process(connection, pid)
    send(pid, :go)
    accept(socket, parent)
  end

  defp serve(connection) do
    with {:ok, {:http_request, method, {:abs_path, path}, _version}} <-
           :gen_tcp.recv(connection, 0, @request_timeout),
         :ok <- skip_headers(connection) do
      answer(connection, method, path)
    end

    :gen_tcp.close(connection)
  end

  defp skip_headers(connection) do
    case :gen_tcp.recv(connection, 0, @request_timeout) do
      {:ok, :http_eoh} -> :ok
      {:ok, {:http_header, _, _, _, _}} -> skip_headers(connection)
      other -> other
    end
  end

  defp answer(connection, :GET, "/" <> name) do
    name = if name == "", do: "world", else: URI.decode(name)
    respond(connection, "200 OK", Hello.greet(name))
  end

  defp answer(connection, _method, _path) do
    respond(connection, "405 Method Not Allowed", "only GET is served here")
  end

  defp respond(connection, status, body) do
    :gen_tcp.send(connection, [
      "HTTP/1.1 #{status}\r\n",
      "content-type: text/plain; charset=utf-8\r\n",
      "content-length: #{byte_size(body) + 1}\r\n",
      "connection: close\r\n\r\n",
      body,
      "\n"
    ])
  end
end
