# Import all plugins from `rel/plugins`
# They can then be used by adding `plugin MyPlugin` to
# either an environment, or release definition, where
# `MyPlugin` is the name of the plugin module.
~w(rel plugins *.exs)
|> Path.join()
|> Path.wildcard()
|> Enum.map(&Code.eval_file(&1))

use Mix.Releases.Config,
    # This sets the default release built by `mix distillery.release`
    default_release: :default,
    # This sets the default environment used by `mix distillery.release`
    default_environment: Mix.env()

environment :dev do
  set dev_mode: true
  set include_erts: false
  set cookie: :"b:3<,[s&!Itebrv,|sM;n3MvkmG4a0uF`R@4Zh7~VSv&*$5xh_=h~KBg/bq*k`*~"
end

environment :prod do
  set include_erts: true
  set include_src: false
  set cookie: :"UMSq<$cWFWDtMB*yl?o;7$ote.$Xcmh:z|!:]@U81}1RsDJzcC<1g8F3/g!gjom="
  set vm_args: "rel/vm.args"
end

# You may define one or more releases in this file.
release :shop do
  set version: current_version(:shop)
  set applications: [
    :runtime_tools
  ]
end
