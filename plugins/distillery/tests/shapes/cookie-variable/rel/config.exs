use Distillery.Releases.Config, default_environment: :prod

environment :prod do
  set cookie: :"${COOKIE}"
  set vm_args: "rel/vm.args"
end

release :shop do
  set version: "1.0.0"
  set applications: [:runtime_tools]
  set applications: [:crypto]
  set overlays: [
    {:copy, "priv/made_later", "etc/made"},
    {:link, "shop", "bin/server"}
  ]
end
