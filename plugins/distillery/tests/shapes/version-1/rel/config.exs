Path.join(["rel", "plugins", "*.exs"])
|> Path.wildcard()
|> Enum.map(&Code.eval_file(&1))

use Mix.Releases.Config,
    default_release: :default,
    default_environment: Mix.env()

environment :prod do
  set include_erts: true
  set include_src: false
  set cookie: :"of old"
  set pre_start_hook: "rel/hooks/pre_start.sh"
end

release :shop do
  set version: current_version(:shop)
  set applications: [:runtime_tools]
end
