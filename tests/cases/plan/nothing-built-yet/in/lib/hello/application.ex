defmodule Hello.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    children =
      if Application.fetch_env!(:hello, :serve) do
        [
          {Task.Supervisor, name: Hello.Connections},
          {Hello.HTTP, port: Application.fetch_env!(:hello, :port)}
        ]
      else
        []
      end

    Supervisor.start_link(children, strategy: :rest_for_one, name: Hello.Supervisor)
  end
end
