//! How the release is made.

use crate::checks::{self, Chosen};
use crate::config;
use crate::version::{self, Generation};
use exflow_plugin_sdk::{Place, pair};
use mix_project::graph::{Graph, Part};
use mix_project::project::Releases;
use mix_project::release::Start;
use mix_project::{Reader, Release, ReleaseTool, is_name, join};

/// From 1.15 on, Mix hides applications of OTP that a project doesn't name, and Distillery adds some that hardly any
/// does. As `prune_code_paths: false` in mix.exs.
const KEEP_CODE_PATHS: &str = "Mix.ProjectStack.post_config(prune_code_paths: false)";

pub(crate) struct Distillery;

impl ReleaseTool for Distillery {
    fn name(&self) -> &'static str {
        "distillery"
    }

    fn applications(&mut self, reader: &mut Reader<'_>, root: &Part) -> Option<Vec<String>> {
        let path = join(&root.folder, "rel/config.exs")?;
        let config = config::parse(reader.text(&path)??);
        let wanted = Wanted::read(reader);
        let release = config.chosen_release(wanted.release.as_deref())?;
        // Applications of others may be among them, which is no matter here.
        checks::applications(&config, release)
    }

    fn release(&mut self, reader: &mut Reader<'_>, graph: &Graph, root: &Part) -> Option<Release> {
        let path = join(&root.folder, "rel/config.exs")?;
        let wanted = Wanted::read(reader);
        let Some((generation, version)) = version::of(graph) else {
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
        let config = config::parse(text);
        if generation == Generation::First {
            refuse_old(reader, graph, version.as_deref().unwrap_or_default());
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
        let checked = checks::run(reader, graph, root, &path, &config, generation, &wanted);
        let Chosen { release, files, replaces_variables } = checked;
        let mut arguments = vec![generation.task().to_owned()];
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

/// What the manifest says of which release it is.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    /// The settings that say it.
    pub(crate) says_release: &'static str,
    pub(crate) says_environment: &'static str,
}

impl Wanted {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut wanted = Self {
            release: reader.name_of("release"),
            environment: reader.name_of("environment"),
            says_release: "release",
            says_environment: "environment",
        };
        let Some(profile) = reader.text_of("profile") else { return wanted };
        match profile.split_once(':') {
            Some((release, environment)) if is_name(release) && is_name(environment) => {
                for (setting, has) in [
                    ("release", wanted.release.is_some()),
                    ("environment", wanted.environment.is_some()),
                ] {
                    if has {
                        reader.refuse(
                            "wrong-setting",
                            format!("`profile` says what `{setting}` says"),
                            Place::InSetting(setting.to_owned()),
                            "said twice",
                            "leave one of them out",
                        );
                    }
                }
                wanted.release = Some(release.to_owned());
                wanted.environment = Some(environment.to_owned());
                (wanted.says_release, wanted.says_environment) = ("profile", "profile");
            }
            _ => reader.refuse(
                "wrong-setting",
                "the value of `profile` is not valid".to_owned(),
                Place::InSetting("profile".to_owned()),
                "expected the names of a release and of an environment",
                "for example `profile=\"shop:prod\"`",
            ),
        }
        wanted
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
