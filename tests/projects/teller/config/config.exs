import Config

config :teller, greeting: "${GREETING}"
