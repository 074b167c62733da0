use Distillery.Releases.Config, default_release: :shopp

environment :prod do
  set cookie: :a
end

release :shop do
end
