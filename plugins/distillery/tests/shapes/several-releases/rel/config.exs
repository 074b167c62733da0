use Distillery.Releases.Config, default_environment: :prod

environment :prod do
  set include_erts: true, cookie: :"a cookie"
end

release :zed do
  set version: "1.0.0"
end

release :alpha do
  set version: "2.0.0"
end
