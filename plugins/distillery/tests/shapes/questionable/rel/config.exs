use Distillery.Releases.Config, default_environment: :prod

environment :prod do
  set include_erts: false
  set include_src: true
  set executable: true
  set erl_opts: "+K true"
  set include_system_libs: false
  set appup_transforms: [MyTransform]
  set vm_args: "rel/vm.args"
end

release :shop do
  set version: "1.0.0"
  set strip_debug_info: true
end
