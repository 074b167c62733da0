import Config

# To change it compiles `catalog`, and what depends on it.
config :catalog, currency: "EUR"

# To change it compiles `storefront`, and nothing else.
config :storefront, port: 4000
