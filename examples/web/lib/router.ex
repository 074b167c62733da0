defmodule Web.Router do
  @moduledoc "Greets."
  use Plug.Router

  plug :match
  plug :dispatch

  get "/" do
    send_resp(conn, 200, "hello\n")
  end

  get "/greet/:name" do
    conn
    |> put_resp_content_type("application/json")
    |> send_resp(200, Jason.encode!(%{hello: name}))
  end

  match _ do
    send_resp(conn, 404, "nothing here\n")
  end
end
