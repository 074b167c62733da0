use Distillery.Releases.Config, default_environment: :prod

environment :prod do
  set include_erts: "/opt/erlang"
end

release :shop do
  set version: "1.0.0"
  set cookie: nil
end
