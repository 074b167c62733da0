defmodule Full.MixProject do
  use Mix.Project

  def project do
    [
      app: :full,
      version: "0.2.0",
      releases: [
        full: [
          overlays: "extra",
          rel_templates_path: "templates",
          runtime_config_path: "config/late.exs",
          cookie: "given in mix.exs",
          strip_beams: [keep: ["Docs"]],
          include_executables_for: [:unix, :windows],
          steps: [:assemble, &mark/1, :tar]
        ],
        other: [include_erts: false]
      ],
      default_release: :full
    ]
  end

  def application, do: [extra_applications: [:logger]]

  defp mark(release) do
    File.write!(Path.join(release.path, "marked"), "by a step of the project's own")
    release
  end
end
