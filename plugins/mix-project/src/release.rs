//! The step that makes the release, what it reads, and its image.

use crate::driver::{BEAM, ROOT, environment, index, tools, tools_step, used};
use crate::graph::{Graph, Package, Part, Role};
use crate::packages::{Builder, CONFIGURED};
use crate::project::Paths;
use crate::{Reader, join, pattern};
use exflow_plugin_sdk::{
    Diagnostic, Image, Layer, Pair, Place, Proposal, Step, WrittenFile, escaped, pair,
};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Where the release step puts the release, below the project's folder.
const RELEASE: &str = "_exflow/release";
/// The start script of a release whose name only the tool knows.
const START: &str = "exflow-start";
/// Where what makes modules the same stands, if there is no driver.
const BEAM_AT: &str = "_exflow/beam.ex";
/// Where the release is in an image, from its root.
pub const AT: &str = "app";
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

/// How a tool makes a release.
pub struct Release {
    /// What `sh` runs in the project's folder, with `set -eu`. It makes the release in the folder `$release`, which
    /// is there and empty, and `mix` runs Mix with the packages that were compiled.
    pub script: String,
    /// Elixir that is run before Mix reads the project; empty where there is none.
    pub before: &'static str,
    /// What the script is given as `$1` and so on.
    pub arguments: Vec<String>,
    /// Patterns of what it reads besides the project's sources, `rel` and its configuration.
    pub sources: Vec<String>,
    /// What the image starts with.
    pub start: Start,
    /// Variables of the image, besides those that all have.
    pub env: Vec<Pair>,
    /// Names in `lib` that change with the project's own code, besides those of its applications.
    pub own: Vec<String>,
}

/// What an image starts with.
pub enum Start {
    /// A script of the release's.
    Script {
        /// Its name in `bin`; none where only the tool knows.
        program: Option<String>,
        /// Which of its commands starts the release.
        command: &'static str,
    },
    /// A program itself, with absolute paths: the release is in [`AT`].
    Program {
        /// It, and what it is always given.
        entrypoint: Vec<String>,
        /// What it is given where nobody says anything else.
        command: Vec<String>,
    },
}

impl Reader<'_> {
    /// Plugins of rebar3's have to be packages that are locked.
    pub(crate) fn check_plugins(&mut self, graph: &Graph) {
        let named: BTreeSet<String> =
            self.settings.rebar3_plugins.values().flatten().cloned().collect();
        for plugin in named {
            if graph.packages.get(&plugin).is_some_and(Package::is_remote) {
                continue;
            }
            self.refuse(
                "unknown-rebar3-plugin",
                format!("the plugin `{plugin}` of rebar3 is no package from Hex or git that is built here"),
                Place::InSetting("rebar3-plugins".to_owned()),
                "it is named here",
                &format!(
                    "add `{{:{plugin}, \"~> …\", runtime: false}}` to the `deps` of mix.exs, and lock it \
                     with `mix deps.get`"
                ),
            );
        }
    }

    /// What is to be done; what is wrong where that can't be said.
    pub(crate) fn steps(
        mut self,
        graph: &Graph,
        made: &Release,
    ) -> Result<Proposal, Vec<Diagnostic>> {
        let order = match graph.order() {
            Ok(order) => order,
            Err(wrong) => {
                self.wrong(wrong);
                return Err(self.problems);
            }
        };
        let Some(root) = graph.root() else { return Err(self.problems) };
        let mut builder =
            Builder { graph, settings: &self.settings, fetches: Vec::new(), steps: Vec::new() };
        let mut uses = Vec::new();
        if !order.is_empty() {
            builder.steps.push(tools_step());
            let closures = Graph::closures(&order);
            let configured = builder.configure(root, &order, &closures);
            uses = builder.packages(&order, &closures, configured);
            uses.push(tools());
            uses.push(used(configured, CONFIGURED));
        }
        let mut sources: Vec<String> = graph.parts.values().flat_map(Part::sources).collect();
        sources.extend(builder.unread(root));
        sources.extend(made.sources.iter().cloned());
        let release = index(builder.steps.len());
        let output = join(&root.folder, RELEASE).unwrap_or_default();
        let env = if order.is_empty() {
            vec![pair("MIX_ENV", &self.settings.mix_env)]
        } else {
            environment(&self.settings.mix_env)
        };
        let beam = WrittenFile { path: BEAM_AT.to_owned(), contents: BEAM.to_owned() };
        let files = if order.is_empty() { vec![beam] } else { Vec::new() };
        let script = self.script(made, root, order.is_empty());
        let mut argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), script, "release".to_owned()];
        argv.extend(made.arguments.iter().cloned());
        builder.steps.push(Step {
            name: "release".to_owned(),
            stage: "release".to_owned(),
            argv,
            env,
            workdir: root.folder.clone(),
            sources,
            files,
            uses,
            outputs: vec![output.clone()],
            together: false,
            place: Place::Nowhere,
        });
        let Builder { fetches, steps, .. } = builder;
        let image = Some(self.image(graph, made, release, output));
        Ok(Proposal { fetches, steps, image, warnings: self.warnings })
    }

    /// The tool's script, between what all have in common.
    fn script(&self, made: &Release, root: &Part, is_alone: bool) -> String {
        let mut script = format!(
            "set -eu\numask 022\nrelease=$PWD/{RELEASE}\nrm -rf \"$release\"\nmkdir -p \"$release\"\n"
        );
        // What starts Mix. Where there are no packages, there is no driver either.
        let start = if is_alone {
            format!("-r /src/{BEAM_AT} -e 'Exflow.Beam.settle_at_exit()'")
        } else {
            format!("-pa /src/{ROOT}/tools -e 'Exflow.Release.start(\"{}\")'", self.tool)
        };
        let before = match made.before {
            "" => String::new(),
            before => format!(" -e '{before}'"),
        };
        let _ = writeln!(
            script,
            "mix() {{ EXFLOW_RELEASE=$release elixir {start}{before} -S mix \"$@\"; }}"
        );
        // An application of an umbrella that is built alone says that it is built elsewhere; its outputs are taken from
        // here all the same.
        if is_alone && root.mix.has_build_path {
            script.push_str("export MIX_BUILD_PATH=$PWD/_build/$MIX_ENV\n");
        }
        script.push_str(&made.script);
        if matches!(made.start, Start::Script { program: None, .. }) {
            script.push_str(include_str!("start.sh"));
        }
        script
    }

    /// The image of the release that step `step` makes.
    fn image(&self, graph: &Graph, made: &Release, step: u32, output: String) -> Image {
        let (entrypoint, command) = match &made.start {
            Start::Script { program, command } => {
                let program = program.as_deref().unwrap_or(START);
                (vec![format!("/{AT}/bin/{program}")], vec![(*command).to_owned()])
            }
            Start::Program { entrypoint, command } => (entrypoint.clone(), command.clone()),
        };
        let mut env = vec![
            pair("LANG", "C.UTF-8"),
            pair("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ];
        env.extend(made.env.iter().cloned());
        env.sort_by(|one, other| one.name.cmp(&other.name));
        Image {
            step,
            output,
            at: AT.to_owned(),
            layers: layers(graph, &made.own),
            env,
            workdir: AT.to_owned(),
            entrypoint,
            command,
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
            names.extend(self.mix.lockfile.clone());
        }
        let mut found: Vec<String> =
            names.iter().filter_map(|name| pattern(&self.folder, name)).collect();
        if let Some(path) = self.mix.config_path.as_deref().filter(|_| self.role == Role::Root) {
            // Configuration is a folder's: one file imports the others.
            let whole = join(&self.folder, path);
            found.extend(whole.and_then(|path| match path.rsplit_once('/') {
                Some((folder, _)) if folder != self.folder => pattern("", folder),
                // The project's own folder has much besides.
                Some((folder, _)) => Some(format!("{}/*.exs", escaped(folder))),
                None => Some("*.exs".to_owned()),
            }));
        }
        found.dedup();
        found
    }
}

/// From what changes least to what changes most; the last is what is left: the start scripts and
/// the release's configuration.
fn layers(graph: &Graph, more: &[String]) -> Vec<Layer> {
    let mut otp = vec!["erts-*".to_owned()];
    otp.extend(OTP.iter().map(|app| format!("lib/{app}-*")));
    let own: BTreeSet<&String> = graph
        .parts
        .values()
        .filter(|part| part.role != Role::Dep)
        .filter_map(|part| part.mix.app.as_ref())
        .chain(more)
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
