//! The release: which one, and what it reads.

use exflow_plugin_sdk::{Place, pair};
use mix_project::graph::{Graph, Part};
use mix_project::project::Releases;
use mix_project::release::{AT, Start};
use mix_project::{Reader, Release, ReleaseTool, join, pattern};

/// What the release's script does, done by the image itself: it starts `erlexec`, with what the script gives it.
fn without_shell(reader: &mut Reader<'_>, root: &Part, argument: String) -> Release {
    let env_sh = join(&root.folder, "rel/env.sh.eex").unwrap_or_default();
    if let Some(Some(_)) = reader.text(&env_sh) {
        reader.warn(
            "no-shell",
            format!("`{env_sh}` is a script, and the image has none to run"),
            "take `shell=#false` away; or set its variables with `env` in stage `runtime`, and take it away",
        );
    }
    let at = |path: &str| format!("/{AT}/{path}");
    let (root_folder, version) = (format!("/{AT}"), "releases/current");
    let arguments = [
        at("erts/bin/erlexec"),
        "-boot".to_owned(),
        at(&format!("{version}/start")),
        "-boot_var".to_owned(),
        "RELEASE_LIB".to_owned(),
        at("lib"),
        "-config".to_owned(),
        at(&format!("{version}/sys")),
        "-args_file".to_owned(),
        at(&format!("{version}/vm.args")),
    ];
    let more = ["-mode", "embedded", "-noshell", "-s", "elixir", "start_cli", "-extra"];
    let entrypoint = arguments.into_iter().chain(more.map(str::to_owned)).collect();
    Release {
        script: [include_str!("release.sh"), include_str!("no_shell.sh")].concat(),
        before: "",
        arguments: vec![argument],
        sources: release_files(reader, root),
        start: Start::Program { entrypoint, command: vec!["--no-halt".to_owned()] },
        env: vec![
            pair("BINDIR", &at("erts/bin")),
            pair("EMU", "beam"),
            pair("ERL_ZFLAGS", "+fnu"),
            pair("PROGNAME", "erl"),
            pair("RELEASE_DISTRIBUTION", "none"),
            pair("RELEASE_ROOT", &root_folder),
            pair("RELEASE_SYS_CONFIG", &at(&format!("{version}/sys"))),
            pair("RELEASE_TMP", "/tmp"),
            pair("ROOTDIR", &root_folder),
        ],
        own: Vec::new(),
    }
}

/// How a release is asked for, and started.
struct Name {
    /// What Mix is told; empty where it is told nothing.
    argument: String,
    /// The name of its start script; none where only Mix knows.
    program: Option<String>,
}

impl Name {
    fn given(name: &str) -> Self {
        Self { argument: name.to_owned(), program: Some(name.to_owned()) }
    }
}

pub(crate) struct MixRelease;

impl ReleaseTool for MixRelease {
    fn name(&self) -> &'static str {
        "mix-release"
    }

    fn applications(&mut self, reader: &mut Reader<'_>, root: &Part) -> Option<Vec<String>> {
        let name = release_name(reader, root)?.program?;
        let Releases::Named(releases) = &root.mix.releases else { return None };
        releases.iter().find(|release| release.name == name)?.applications.clone()
    }

    fn release(&mut self, reader: &mut Reader<'_>, graph: &Graph, root: &Part) -> Option<Release> {
        let Name { argument, program } = release_name(reader, root)?;
        // Only where there is a second tool there is a question which is meant.
        if graph.packages.contains_key("distillery")
            && let Some(Some(_)) = reader.text(&join(&root.folder, "rel/config.exs")?)
        {
            reader.warn(
                "two-release-tools",
                "`rel/config.exs` is Distillery's, and is not read".to_owned(),
                "`mix release` makes what mix.exs says, because the manifest has `release-tool \"mix-release\"`; for \
                 Distillery, write `release-tool \"distillery\"`",
            );
        }
        if reader.flag_of("shell") == Some(false) {
            return Some(without_shell(reader, root, argument));
        }
        Some(Release {
            script: include_str!("release.sh").to_owned(),
            before: "",
            arguments: vec![argument],
            sources: release_files(reader, root),
            start: Start::Script { program, command: "start" },
            env: vec![pair("ELIXIR_ERL_OPTIONS", "+fnu"), pair("RELEASE_TMP", "/tmp")],
            own: Vec::new(),
        })
    }
}

/// The release's name; none where that is a problem.
fn release_name(reader: &mut Reader<'_>, root: &Part) -> Option<Name> {
    let wanted = reader.name_of("release");
    let wanted = wanted.as_deref();
    let path = join(&root.folder, "mix.exs").unwrap_or_default();
    let place = root.mix.place_in(&path);
    let unknown = |reader: &mut Reader<'_>, wanted: &str, known: &str| {
        reader.refuse(
            "unknown-release",
            format!("there is no release `{wanted}`"),
            Place::InSetting("release".to_owned()),
            "not in mix.exs",
            &format!("the releases in mix.exs: `{known}`"),
        );
        None
    };
    match (&root.mix.releases, wanted) {
        (Releases::Named(releases), wanted) => {
            let names: Vec<&str> = releases.iter().map(|release| release.name.as_str()).collect();
            let listed = names.join("`, `");
            match (wanted, names.as_slice(), &root.mix.default_release) {
                (Some(wanted), ..) if !names.contains(&wanted) => unknown(reader, wanted, &listed),
                (Some(wanted), ..) => Some(Name::given(wanted)),
                (None, [only], _) => Some(Name::given(only)),
                (None, _, Some(default)) => Some(Name::given(default)),
                (None, ..) => {
                    reader.refuse(
                        "which-release",
                        format!("mix.exs has {} releases, and no default", names.len()),
                        place,
                        "declared here",
                        &format!(
                            "say which: `release-tool \"mix-release\" release=\"…\"`, one of \
                             `{listed}`"
                        ),
                    );
                    None
                }
            }
        }
        (Releases::None, _) if root.mix.apps_path.is_some() => {
            reader.refuse(
                "umbrella-release",
                "this umbrella declares no release".to_owned(),
                place,
                "no `releases` here",
                "Mix wants an umbrella to say which applications are in a release: \
                 `releases: [shop: [applications: [shop_web: :permanent]]]`",
            );
            None
        }
        // Mix makes one that is named as the application, if no name is given.
        (Releases::None, wanted) => match (&root.mix.app, wanted) {
            (Some(app), Some(wanted)) if app != wanted => unknown(reader, wanted, app),
            (app, _) => Some(Name { argument: String::new(), program: app.clone() }),
        },
        (Releases::Computed, Some(wanted)) => Some(Name::given(wanted)),
        (Releases::Computed, None) => Some(Name { argument: String::new(), program: None }),
    }
}

/// Patterns of the files that the releases name.
fn release_files(reader: &mut Reader<'_>, root: &Part) -> Vec<String> {
    let Releases::Named(releases) = &root.mix.releases else { return Vec::new() };
    if let Some(computed) = releases.iter().find(|release| release.is_computed) {
        reader.warn(
            "computed-release",
            format!("the options of release `{}` are computed", computed.name),
            "if it has templates, overlays or a runtime configuration in unusual places, name \
             them with `inputs` in stage `release`",
        );
    }
    let files = releases.iter().flat_map(|release| &release.files);
    files.filter_map(|file| pattern(&root.folder, file)).collect()
}
