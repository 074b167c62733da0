import Config

config :hello,
  greeting: "Hello",
  serve: config_env() != :test

config :logger, level: :info
