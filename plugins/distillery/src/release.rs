//! How the release is made.

use crate::checks::{self, Checked};
use crate::chosen::{Wanted, applications};
use crate::config::{self, Config};
use crate::version;
use exflow_plugin_sdk::{Place, pair};
use mix_project::graph::{Graph, Part};
use mix_project::project::Releases;
use mix_project::release::Start;
use mix_project::{Reader, Release, ReleaseTool, join};

/// From 1.15 on, Mix hides applications of OTP that a project doesn't name, and Distillery adds some that hardly any
/// does. As `prune_code_paths: false` in mix.exs.
const KEEP_CODE_PATHS: &str = "Mix.ProjectStack.post_config(prune_code_paths: false)";

#[derive(Default)]
pub(crate) struct Distillery {
    /// What rel/config.exs says, once it was read.
    config: Option<Config>,
}

impl Distillery {
    fn config(&mut self, text: &str) -> &Config {
        self.config.get_or_insert_with(|| config::parse(text))
    }
}

impl ReleaseTool for Distillery {
    fn name(&self) -> &'static str {
        "distillery"
    }

    fn applications(&mut self, reader: &mut Reader<'_>, root: &Part) -> Option<Vec<String>> {
        let path = join(&root.folder, "rel/config.exs")?;
        let config = self.config(reader.text(&path)??);
        let wanted = Wanted::read(reader);
        let release = config.chosen_release(wanted.release.as_deref())?;
        // Applications of others may be among them, which is no matter here.
        applications(config, release)
    }

    fn release(&mut self, reader: &mut Reader<'_>, graph: &Graph, root: &Part) -> Option<Release> {
        let path = join(&root.folder, "rel/config.exs")?;
        let wanted = Wanted::read(reader);
        let Some(version) = version::of(graph) else {
            if !reader.is_waiting() {
                reader.refuse(
                    "no-distillery",
                    "this project doesn't depend on Distillery".to_owned(),
                    Place::Nowhere,
                    "",
                    "add `{:distillery, \"~> 2.1\"}` to the `deps` of mix.exs, and lock it with `mix deps.get`; \
                     for the releases of Mix itself, write `release-tool \"mix-release\"`",
                );
            }
            return None;
        };
        let Some(text) = reader.text(&path)? else {
            reader.refuse(
                "no-release-config",
                format!("there is no `{path}`"),
                Place::Nowhere,
                "",
                "`mix distillery.init` writes one",
            );
            return None;
        };
        if let Some(version) = version.filter(|version| version::is_old(version)) {
            refuse_old(reader, graph, &version);
            return None;
        }
        match &root.mix.releases {
            Releases::None => {}
            Releases::Named(_) | Releases::Computed => reader.warn_at(
                "two-release-tools",
                "the `releases` of mix.exs are those of `mix release`, and are not made".to_owned(),
                root.mix.place_in(&join(&root.folder, "mix.exs")?),
                "declared here",
                "Distillery makes what rel/config.exs says, because the manifest has `release-tool \"distillery\"`; for \
                 `mix release`, write `release-tool \"mix-release\"`",
            ),
        }
        let checked = checks::run(reader, graph, root, &path, self.config(text), &wanted);
        let Checked { release, files, replaces_variables } = checked;
        let mut arguments = Vec::new();
        for (flag, value) in
            [("--name", &wanted.release.or(release.clone())), ("--env", &wanted.environment)]
        {
            if let Some(value) = value {
                arguments.extend([flag.to_owned(), value.clone()]);
            }
        }
        let mut env = vec![
            // Names of files are UTF-8, whatever the base has for a locale.
            pair("ELIXIR_ERL_OPTIONS", "+fnu"),
            pair("ERL_ZFLAGS", "+fnu"),
            // It writes its configuration when it starts, and the release itself may be read-only.
            pair("RELEASE_MUTABLE_DIR", "/tmp/release"),
        ];
        if replaces_variables {
            env.push(pair("REPLACE_OS_VARS", "true"));
        }
        Some(Release {
            script: include_str!("release.sh").to_owned(),
            before: KEEP_CODE_PATHS,
            arguments,
            sources: files,
            own: release.iter().cloned().collect(),
            start: Start::Script { program: release, command: "foreground" },
            env,
        })
    }
}

/// From Elixir 1.9 on, `mix release` is Mix's own: two modules of one name. What compiles packages needs Elixir 1.12.
fn refuse_old(reader: &mut Reader<'_>, graph: &Graph, version: &str) {
    let place = graph.packages.get("distillery").map_or(Place::Nowhere, |it| it.place.clone());
    reader.refuse(
        "old-distillery",
        format!("Distillery {version} works with Elixir 1.8 and older only"),
        place,
        "asked for here",
        "ask for `{:distillery, \"~> 2.1\"}`, lock it with `mix deps.update distillery`, and in `rel` write \
         `Distillery.Releases` for `Mix.Releases`",
    );
}
