~w(rel plugins *.exs) |> Path.join() |> Path.wildcard() |> Enum.map(&Code.eval_file(&1))

use Distillery.Releases.Config,
  default_release: :shop,
  default_environment: :prod

environment :prod do
  set include_erts: true
  set vm_args: "rel/vm.args"
end

release :shop do
  set version: "0.1.0"
  set applications: [
    :runtime_tools,
    web: :permanent,
    store: :permanent
  ]

  set config_providers: [
    {Distillery.Releases.Config.Providers.Elixir, ["${RELEASE_ROOT_DIR}/etc/config.exs"]}
  ]
  set overlays: [
    {:copy, "rel/config/config.exs", "etc/config.exs"},
    {:mkdir, "releases/<%= release_version %>/data"},
    {:template, "rel/<%= release_name %>.eex", "etc/made"}
  ]
end

release :workers do
  set version: current_version(:jobs)
  set applications: [jobs: :permanent]
end
