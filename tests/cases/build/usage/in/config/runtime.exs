import Config

if config_env() == :prod do
  config :hello,
    port: String.to_integer(System.get_env("PORT", "4001")),
    greeting: System.get_env("GREETING", "Hello")
else
  config :hello, port: 4001
end
