//! The release: which one, what it reads, and its image.

use crate::graph::{Graph, Part, Role};
use crate::project::{Paths, Releases};
use crate::{Reader, join, pattern};
use exflow_plugin_sdk::{Image, Layer, Place, pair};

/// The start script of a release whose name only Mix knows.
pub(crate) const START: &str = "exflow-start";
/// Where the release is in an image.
const AT: &str = "app";
/// The applications that come with Erlang/OTP and Elixir, which change less than any other.
const OTP: &[&str] = &[
    "asn1",
    "common_test",
    "compiler",
    "crypto",
    "debugger",
    "dialyzer",
    "diameter",
    "edoc",
    "eldap",
    "erl_docgen",
    "erl_interface",
    "erts",
    "et",
    "eunit",
    "ftp",
    "inets",
    "jinterface",
    "kernel",
    "megaco",
    "mnesia",
    "observer",
    "odbc",
    "os_mon",
    "parsetools",
    "public_key",
    "reltool",
    "runtime_tools",
    "sasl",
    "snmp",
    "ssh",
    "ssl",
    "stdlib",
    "syntax_tools",
    "tftp",
    "tools",
    "wx",
    "xmerl",
    "eex",
    "elixir",
    "ex_unit",
    "iex",
    "logger",
    "mix",
];

/// How a release is asked for, and started.
#[derive(Default)]
pub(crate) struct Name {
    /// What Mix is told; empty where it is told nothing.
    pub(crate) argument: String,
    /// The name of its start script; none where only Mix knows.
    pub(crate) program: Option<String>,
}

impl Name {
    fn given(name: &str) -> Self {
        Self { argument: name.to_owned(), program: Some(name.to_owned()) }
    }
}

impl Reader<'_> {
    /// The applications of an umbrella that are in the release, if the project says it.
    pub(crate) fn applications<'a>(&mut self, root: &'a Part) -> Option<&'a [String]> {
        let name = self.release_name(root)?.program?;
        let Releases::Named(releases) = &root.mix.releases else { return None };
        releases.iter().find(|release| release.name == name)?.applications.as_deref()
    }

    /// The release's name; none where that is a problem.
    pub(crate) fn release_name(&mut self, root: &Part) -> Option<Name> {
        let wanted = self.settings.release.clone();
        let wanted = wanted.as_deref();
        let path = join(&root.folder, "mix.exs").unwrap_or_default();
        let place = root.mix.place_in(&path);
        let unknown = |reader: &mut Self, wanted: &str, known: &str| {
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
                let names: Vec<&str> =
                    releases.iter().map(|release| release.name.as_str()).collect();
                let listed = names.join("`, `");
                match (wanted, names.as_slice(), &root.mix.default_release) {
                    (Some(wanted), ..) if !names.contains(&wanted) => {
                        unknown(self, wanted, &listed)
                    }
                    (Some(wanted), ..) => Some(Name::given(wanted)),
                    (None, [only], _) => Some(Name::given(only)),
                    (None, _, Some(default)) => Some(Name::given(default)),
                    (None, ..) => {
                        self.refuse(
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
                self.refuse(
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
                (Some(app), Some(wanted)) if app != wanted => unknown(self, wanted, app),
                (app, _) => Some(Name { argument: String::new(), program: app.clone() }),
            },
            (Releases::Computed, Some(wanted)) => Some(Name::given(wanted)),
            (Releases::Computed, None) => Some(Name { argument: String::new(), program: None }),
        }
    }

    /// Patterns of the files that the releases name.
    pub(crate) fn release_files(&mut self, root: &Part) -> Vec<String> {
        let Releases::Named(releases) = &root.mix.releases else { return Vec::new() };
        if let Some(computed) = releases.iter().find(|release| release.is_computed) {
            self.warn(
                "computed-release",
                format!("the options of release `{}` are computed", computed.name),
                "if it has templates, overlays or a runtime configuration in unusual places, name \
                 them with `inputs` in stage `release`",
            );
        }
        let files = releases.iter().flat_map(|release| &release.files);
        files.filter_map(|file| pattern(&root.folder, file)).collect()
    }

    /// The image of the release that step `step` makes.
    pub(crate) fn image(&self, graph: &Graph, name: &Name, step: u32, output: String) -> Image {
        let program = name.program.as_deref().unwrap_or(START);
        Image {
            step,
            output,
            at: AT.to_owned(),
            layers: layers(graph),
            env: vec![
                pair("ELIXIR_ERL_OPTIONS", "+fnu"),
                pair("LANG", "C.UTF-8"),
                pair("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                pair("RELEASE_TMP", "/tmp"),
            ],
            workdir: AT.to_owned(),
            entrypoint: vec![format!("/{AT}/bin/{program}")],
            command: vec!["start".to_owned()],
            labels: vec![pair("org.opencontainers.image.title", &self.request.project)],
        }
    }
}

impl Part {
    /// Patterns of what Mix reads of it, its configuration among it where Mix reads that.
    pub(crate) fn sources(&self) -> Vec<String> {
        let mut sources = self.code();
        if self.role != Role::Dep {
            sources.extend(self.config());
        }
        sources
    }

    /// Patterns of what is compiled and laid beside it.
    pub(crate) fn code(&self) -> Vec<String> {
        let mut names = vec!["mix.exs".to_owned(), "priv".to_owned()];
        if self.role != Role::Root {
            // Of what other tools build.
            names.extend(["Makefile", "c_src", "rebar.config", "rebar.lock"].map(str::to_owned));
        }
        names.extend(match &self.mix.elixirc_paths {
            Paths::These(paths) => paths.clone(),
            Paths::Default | Paths::Computed => vec!["lib".to_owned()],
        });
        names.extend(match &self.mix.erlc_paths {
            Paths::These(paths) => paths.clone(),
            Paths::Default | Paths::Computed => vec!["src".to_owned()],
        });
        names.push(self.mix.erlc_include_path.clone().unwrap_or_else(|| "include".to_owned()));
        if self.role == Role::Root {
            names.extend(["mix.lock", "rel"].map(str::to_owned));
        }
        names.iter().filter_map(|name| pattern(&self.folder, name)).collect()
    }

    /// Patterns of its configuration, and of a lock that stands elsewhere.
    pub(crate) fn config(&self) -> Vec<String> {
        let mut names = vec!["config".to_owned()];
        if self.role == Role::Root {
            // Configuration is a folder's: one file imports the others.
            let folder = |path: &String| match path.rsplit_once('/') {
                Some((folder, _)) => folder.to_owned(),
                None => path.clone(),
            };
            names.extend(self.mix.config_path.iter().map(folder));
            names.extend(self.mix.lockfile.clone());
        }
        let mut found: Vec<String> =
            names.iter().filter_map(|name| pattern(&self.folder, name)).collect();
        // The root of the workspace is no pattern.
        found.retain(|path| !path.is_empty());
        found.dedup();
        found
    }
}

/// From what changes least to what changes most; the last is what is left: the start scripts and
/// the release's configuration.
fn layers(graph: &Graph) -> Vec<Layer> {
    let mut otp = vec!["erts-*".to_owned()];
    otp.extend(OTP.iter().map(|app| format!("lib/{app}-*")));
    let own: Vec<&String> = graph
        .parts
        .values()
        .filter(|part| part.role != Role::Dep)
        .filter_map(|part| part.mix.app.as_ref())
        .collect();
    let mut deps = vec!["lib".to_owned()];
    deps.extend(own.iter().map(|app| format!("!lib/{app}-*")));
    let mut layers = vec![layer("otp", otp)];
    if !own.is_empty() {
        layers.push(layer("deps", deps));
    }
    layers.push(layer("app", vec!["lib".to_owned()]));
    layers
}

fn layer(name: &str, files: Vec<String>) -> Layer {
    Layer { name: name.to_owned(), files }
}
