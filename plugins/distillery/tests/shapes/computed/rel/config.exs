use Distillery.Releases.Config,
  default_release: String.to_atom(System.get_env("RELEASE") || "shop"),
  default_environment: Mix.env()

cookie = System.get_env("ERLANG_COOKIE") || "not-a-secret"

environment :prod do
  set include_erts: System.get_env("ERTS") || true
  set cookie: :crypto.hash(:sha256, cookie) |> Base.encode16() |> String.to_atom()
  set vm_args: Path.join("rel", "vm.args")

  if System.get_env("DEBUG") do
    set dev_mode: true
  end
end

for name <- [:shop, :admin] do
  release name do
    set version: current_version(:shop)
  end
end
