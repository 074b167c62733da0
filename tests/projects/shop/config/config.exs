import Config

config :settings, mode: :fast
config :shop, title: "a shop"

import_config "#{config_env()}.exs"
