import Config
config :full, late: "read when it starts"
