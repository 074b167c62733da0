use Distillery.Releases.Config, default_release: :shop, default_environment: :prod

environment :prod do
  set include_ert: true
  set include_src: true
  set executable: true
  set erl_opts: "+K true"
  set include_system_libs: false
  set appup_transforms: [MyTransform]
  set output_dir: "/opt/shop"
  set vm_args: "rel/vm.args"
end

release :shop do
  set version: "1.0.0"
end
