~w(rel plugins *.exs)
|> Path.join()
|> Path.wildcard()
|> Enum.map(&Code.eval_file(&1))

use Distillery.Releases.Config,
  default_release: :default,
  default_environment: Mix.env()

environment :prod do
  set include_erts: true
  set include_src: false
  set vm_args: "rel/vm.args"
end

release :teller do
  set version: current_version(:teller)
  set strip_debug_info: true
  set commands: [shout: "rel/commands/shout.sh"]
  set overlays: [{:copy, "rel/motd.txt", "etc/motd.txt"}]
end
