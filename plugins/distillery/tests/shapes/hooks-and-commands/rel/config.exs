use Distillery.Releases.Config, default_release: :shop, default_environment: :staging

environment :staging do
  set(
    include_erts: true,
    cookie: "text",
    vm_args: "rel/vm.args",
    sys_config: "etc/sys.config"
  )
  plugin Shop.ReleasePlugin, notify: "ops"
end

release :shop do
  set version: "#{Mix.Project.config()[:version]}"
  set pre_start_hooks: "rel/hooks/pre_start"
  set post_stop_hooks: "rel/hooks/post_stop"

  set commands: [
    migrate: "rel/commands/migrate.sh",
    seed: "rel/commands/seed.sh"
  ]

  set strip_debug_info: true
  set overlays: [{:copy, "rel/commands", "etc/commands"}, {:link, "../../secrets.json", "etc/secrets.json"}]
  set overlay_vars: [motd: """
  end
  release :not_one do
  """]
end
