//! The steps of a project: one for each package, and the release.

use crate::discover::FACTS;
use crate::elixir::{atom_source, quote};
use crate::graph::{Graph, Package, Part, Role, What};
use crate::release::START;
use crate::settings::Settings;
use crate::{Reader, join, pattern};
use exflow_plugin_sdk::{
    Diagnostic, Fetch, GitRevision, HexPackage, Origin, Pair, Place, Proposal, RemoteFile, Step,
    StepOutput, Used, UsedThing, WrittenFile, pair,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The folder of the workspace in which packages are laid out, for all of its projects alike.
pub(crate) const ROOT: &str = "_exflow";
/// The same as steps see it.
const SEEN: &str = "/src/_exflow";
/// Where the release step puts the release, below the project's folder.
const RELEASE: &str = "_exflow/release";
/// Where the compiled driver is.
const TOOLS: &str = "_exflow/tools";
/// Where rebar3 is, if it is fetched.
const REBAR3: &str = "_exflow/rebar3";
/// Where rebar3's plugins are.
const PLUGINS: &str = "_exflow/plugins";
/// The names of all applications that the configuration has something for.
const CONFIGURED: &str = "_exflow/configured";

/// The driver: what stands between Mix and the packages that are laid out.
const DRIVER: [(&str, &str); 9] = [
    ("batch.ex", include_str!("elixir/driver/batch.ex")),
    ("exflow.ex", include_str!("elixir/driver/exflow.ex")),
    ("facts.ex", include_str!("elixir/driver/facts.ex")),
    ("package.ex", include_str!("elixir/driver/package.ex")),
    ("rebar3.ex", include_str!("elixir/driver/rebar3.ex")),
    ("reads.ex", include_str!("elixir/driver/reads.ex")),
    ("release.ex", include_str!("elixir/driver/release.ex")),
    ("scm.ex", include_str!("elixir/driver/scm.ex")),
    ("settle.ex", include_str!("elixir/driver/settle.ex")),
];

/// Compiles the driver.
pub(crate) fn tools_step() -> Step {
    let path = |name: &str| format!("driver/{name}");
    let mut argv = texts(&["elixirc", "--ignore-module-conflict", "-o", "tools"]);
    argv.extend(DRIVER.map(|(name, _)| path(name)));
    let files = DRIVER.map(|(name, contents)| WrittenFile {
        path: format!("{ROOT}/{}", path(name)),
        contents: contents.to_owned(),
    });
    Step {
        name: "tools".to_owned(),
        stage: "deps".to_owned(),
        argv,
        env: Vec::new(),
        workdir: ROOT.to_owned(),
        sources: Vec::new(),
        files: files.to_vec(),
        uses: Vec::new(),
        outputs: vec![TOOLS.to_owned()],
        together: false,
        place: Place::Nowhere,
    }
}

/// Asks Mix what a `mix.exs` comes to. The first step of the proposal has to be the driver's.
pub(crate) fn facts_step(
    folder: &str,
    env: &str,
    mut uses: Vec<Used>,
    sources: Vec<String>,
    place: Place,
) -> Step {
    let name = match folder {
        "" => "facts".to_owned(),
        folder => lasting_name("facts", folder, '/'),
    };
    let output = format!("{ROOT}/facts/{name}");
    uses.push(tools());
    let to = format!("/src/{output}/{FACTS}");
    let from = format!("/src/{folder}");
    Step {
        argv: driver("Exflow.Facts.write(System.argv())", &[&from, &to]),
        name,
        stage: "deps".to_owned(),
        env: environment(env),
        workdir: ROOT.to_owned(),
        sources,
        files: Vec::new(),
        uses,
        outputs: vec![output],
        together: false,
        place,
    }
}

/// How a package comes from elsewhere, if it does.
pub(crate) fn fetch(package: &Package) -> Option<Fetch> {
    let (kind, origin) = match &package.what {
        What::Hex(hex) => (
            "hex",
            Origin::Hex(HexPackage {
                repo: hex.repo.clone(),
                name: hex.name.clone(),
                version: hex.version.clone(),
                inner_checksum: hex.inner.as_deref().map(str::to_ascii_lowercase),
                outer_checksum: hex.outer.as_deref().map(str::to_ascii_lowercase),
                managers: hex.managers.clone(),
            }),
        ),
        What::Git(git, locked) => (
            "git",
            Origin::Git(GitRevision {
                url: locked.url.clone(),
                revision: locked.revision.clone(),
                submodules: git.submodules,
                sparse: git.sparse.clone(),
            }),
        ),
        What::Local { .. } => return None,
    };
    let name = lasting_name(kind, &package.app, '_');
    Some(Fetch { name, origin, place: package.place.clone() })
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A call of the driver.
fn driver(call: &str, arguments: &[&str]) -> Vec<String> {
    let tools = format!("/src/{TOOLS}");
    let mut argv = texts(&["elixir", "-pa", &tools, "-e", call, "--"]);
    argv.extend(texts(arguments));
    argv
}

/// What Mix is told by its environment.
fn environment(mix_env: &str) -> Vec<Pair> {
    vec![
        pair("EXFLOW_ROOT", SEEN),
        pair("MIX_ARCHIVES", "/nowhere"),
        pair("MIX_BUILD_PATH", &format!("{SEEN}/build")),
        pair("MIX_DEPS_PATH", &format!("{SEEN}/deps")),
        pair("MIX_ENV", mix_env),
        // From 1.18 on, Mix lets nobody else compile below the same folder. Here, several do, and each in a
        // folder of its own.
        pair("MIX_OS_CONCURRENCY_LOCK", "0"),
    ]
}

/// The driver, which the first step of each proposal makes.
fn tools() -> Used {
    used(0, TOOLS)
}

/// An output of a step, at the place where it was made.
fn used(step: u32, output: &str) -> Used {
    let what = UsedThing::Output(StepOutput { step, output: output.to_owned() });
    Used { what, at: output.to_owned() }
}

/// A name as the contract wants it that is the same in every round of questions, and that nothing else of its
/// kind has: what it can't say of `what` in letters, digits and `-` for `dash`, it says in a checksum.
fn lasting_name(kind: &str, what: &str, dash: char) -> String {
    let fits =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == dash;
    let letters = what.chars().map(|letter| letter.to_ascii_lowercase());
    let letters = letters.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let plain = format!("{kind}-{}", letters.take(LONGEST).collect::<String>());
    if what.len() <= LONGEST && what.chars().all(fits) {
        return plain;
    }
    // FNV-1a: nobody gains by a collision in a project of their own.
    let sum = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}-{sum:016x}", plain.get(..40).unwrap_or(&plain))
}

/// How much of a package's or a folder's name is in a step's, in letters.
const LONGEST: usize = 50;

fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// One proposal while it is made.
struct Builder<'a> {
    graph: &'a Graph,
    settings: &'a Settings,
    fetches: Vec<Fetch>,
    steps: Vec<Step>,
}

impl Reader<'_> {
    /// Plugins of rebar3's have to be packages that are locked.
    fn check_plugins(&mut self, graph: &Graph) {
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
    pub(crate) fn steps(mut self, graph: &Graph) -> Result<Proposal, Vec<Diagnostic>> {
        let order = match graph.order() {
            Ok(order) => order,
            Err(wrong) => {
                self.wrong(wrong);
                return Err(self.problems);
            }
        };
        let Some(root) = graph.root() else { return Err(self.problems) };
        let Some(name) = self.release_name(root) else { return Err(self.problems) };
        self.check_plugins(graph);
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let settings = std::mem::take(&mut self.settings);
        let mut builder =
            Builder { graph, settings: &settings, fetches: Vec::new(), steps: Vec::new() };
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
        sources.extend(self.release_files(root));
        let release = index(builder.steps.len());
        let output = join(&root.folder, RELEASE).unwrap_or_default();
        let script = if name.program.is_some() { "" } else { START };
        // An application of an umbrella that is built alone says that it is built elsewhere; its
        // outputs are taken from here all the same.
        let prelude = match (order.is_empty(), root.mix.has_build_path) {
            (false, _) => {
                "mix() { elixir -pa /src/_exflow/tools -e 'Exflow.Release.start()' -S mix \"$@\"; }\n"
            }
            (true, true) => "export MIX_BUILD_PATH=$PWD/_build/$MIX_ENV\n",
            (true, false) => "",
        };
        let env = if order.is_empty() {
            vec![pair("MIX_ENV", &settings.mix_env)]
        } else {
            environment(&settings.mix_env)
        };
        builder.steps.push(Step {
            name: "release".to_owned(),
            stage: "release".to_owned(),
            argv: vec![
                "/bin/sh".to_owned(),
                "-c".to_owned(),
                format!("{prelude}{}", include_str!("release.sh")),
                "release".to_owned(),
                name.argument.clone(),
                RELEASE.to_owned(),
                script.to_owned(),
            ],
            env,
            workdir: root.folder.clone(),
            sources,
            files: Vec::new(),
            uses,
            outputs: vec![output.clone()],
            together: false,
            place: Place::Nowhere,
        });
        let image = Some(self.image(graph, &name, release, output));
        let Builder { fetches, steps, .. } = builder;
        Ok(Proposal { fetches, steps, image, warnings: self.warnings })
    }
}

/// A plugin of rebar3's as the driver is told of it: its application, and where its sources are.
fn plugin_source(plugin: &Package) -> String {
    let subdir = match &plugin.what {
        What::Git(git, _) => git.subdir.as_deref(),
        What::Hex(_) | What::Local { .. } => None,
    };
    let folder = subdir.and_then(|subdir| join(&plugin.app, subdir));
    let folder = folder.as_deref().unwrap_or(&plugin.app);
    format!("{{{}, {}}}", quote(&plugin.app), quote(folder))
}

/// A package after all that it depends on.
fn all_of<'p>(package: &'p Package, closure: &[usize], order: &[&'p Package]) -> Vec<&'p Package> {
    closure.iter().map(|index| order[*index]).chain([package]).collect()
}

/// Whether rebar3 may be what builds a package.
fn may_need_rebar3(package: &Package) -> bool {
    match (package.option("manager"), &package.what) {
        (Some(manager), _) => matches!(manager, ":rebar3" | ":rebar"),
        (None, What::Hex(hex)) => !hex.managers.iter().any(|manager| manager == "mix"),
        (None, What::Git(..)) => true,
        (None, What::Local { .. }) => false,
    }
}

impl Builder<'_> {
    /// Configuration that is never read in the environment that is built.
    fn unread(&self, root: &Part) -> Vec<String> {
        let others = ["dev", "test"].into_iter().filter(|env| *env != self.settings.mix_env);
        let files = others.filter_map(|env| pattern(&root.folder, &format!("config/{env}.exs")));
        files.map(|file| format!("!{file}")).collect()
    }

    /// Evaluates the configuration, and cuts it into what each package may read: a step for each, so that
    /// several releases of an umbrella have them in common. The number of the step that says what is configured;
    /// those with the packages' own parts follow it, in their order.
    fn configure(&mut self, root: &Part, order: &[&Package], closures: &[Vec<usize>]) -> u32 {
        let mut sources = vec![pattern(&root.folder, "mix.exs").unwrap_or_default()];
        sources.extend(root.config());
        let apps = self.graph.parts.values().filter(|part| part.role == Role::App);
        sources.extend(apps.filter_map(|app| pattern(&app.folder, "config")));
        sources.extend(self.unread(root));
        // Read when the release is made, and when it starts.
        let late = ["runtime.exs", "releases.exs"].map(|file| format!("config/{file}"));
        sources.extend(
            late.iter().filter_map(|file| Some(format!("!{}", pattern(&root.folder, file)?))),
        );
        let script = WrittenFile {
            path: format!("{ROOT}/config.exs"),
            contents: include_str!("elixir/config.exs").to_owned(),
        };
        let step = |name: String, argument: &str, files: Vec<WrittenFile>, output: String| Step {
            name,
            stage: "deps".to_owned(),
            argv: texts(&["elixir", &format!("{SEEN}/config.exs"), argument]),
            env: environment(&self.settings.mix_env),
            workdir: root.folder.clone(),
            sources: sources.clone(),
            files,
            uses: Vec::new(),
            outputs: vec![output],
            together: true,
            place: Place::Nowhere,
        };
        let all = vec![script.clone()];
        let mut steps = vec![step("configured".to_owned(), "+", all, CONFIGURED.to_owned())];
        for (package, closure) in order.iter().zip(closures) {
            let app = &package.app;
            let slice = WrittenFile {
                path: format!("{ROOT}/slices/{app}"),
                contents: self.readable(package, &all_of(package, closure, order)).join("\n"),
            };
            let name = lasting_name("config", app, '_');
            let files = vec![script.clone(), slice];
            steps.push(step(name, app, files, format!("{ROOT}/config/{app}")));
        }
        let configured = index(self.steps.len());
        self.steps.extend(steps);
        configured
    }

    /// Whose configuration a package may read while it is compiled: its own, and what the manifest declares.
    /// Code of the workspace uses macros of what it depends on, which read theirs: `all` has these, too.
    fn readable(&self, package: &Package, all: &[&Package]) -> Vec<String> {
        let mut apps = BTreeSet::from([package.app.clone()]);
        if !package.is_remote() {
            apps.extend(all.iter().map(|package| package.app.clone()));
        }
        apps.extend(self.settings.compile_config.get(&package.app).into_iter().flatten().cloned());
        apps.into_iter().collect()
    }

    /// All that is fetched, and which number each has: by application, and rebar3 by its folder.
    fn fetched<'a>(&mut self, order: &[&'a Package]) -> BTreeMap<&'a str, u32> {
        let mut numbers = BTreeMap::new();
        let packages = order.iter().filter_map(|package| Some((&*package.app, fetch(package)?)));
        let rebar3 = self.settings.rebar3.as_ref().map(|(url, sha256)| {
            let origin = Origin::File(RemoteFile {
                url: url.clone(),
                sha256: sha256.clone(),
                name: "rebar3".to_owned(),
                is_executable: true,
            });
            let place = Place::InSetting("rebar3".to_owned());
            (REBAR3, Fetch { name: "rebar3".to_owned(), origin, place })
        });
        let is_needed = order.iter().any(|package| may_need_rebar3(package));
        for (what, fetch) in packages.chain(rebar3.filter(|_| is_needed)) {
            numbers.insert(what, index(self.fetches.len()));
            self.fetches.push(fetch);
        }
        numbers
    }

    /// The packages that rebar3 gets as plugins for a package: those that are declared, and what they
    /// depend on.
    fn plugins<'p>(
        &self,
        package: &Package,
        order: &[&'p Package],
        closures: &[Vec<usize>],
    ) -> Vec<&'p Package> {
        let named = self.settings.rebar3_plugins.get(&package.app);
        let position = |app: &String| order.iter().position(|package| package.app == *app);
        let mut all = BTreeSet::new();
        for plugin in named.into_iter().flatten().filter_map(position) {
            all.insert(plugin);
            all.extend(&closures[plugin]);
        }
        all.into_iter().map(|index| order[index]).filter(|plugin| plugin.is_remote()).collect()
    }

    /// A step for each package; what all of them make together.
    fn packages(
        &mut self,
        order: &[&Package],
        closures: &[Vec<usize>],
        configured: u32,
    ) -> Vec<Used> {
        let fetched = self.fetched(order);
        // What each package leaves for those that depend on it.
        let mut made: Vec<Vec<Used>> = Vec::new();
        for (number, (package, closure)) in order.iter().zip(closures).enumerate() {
            let app = &package.app;
            let (build, deps) = (format!("{ROOT}/build/lib/{app}"), format!("{ROOT}/deps/{app}"));
            let own = used(configured + 1 + index(number), &format!("{ROOT}/config/{app}"));
            let mut uses = vec![tools(), own];
            let mut sources = Vec::new();
            let mut outputs = vec![build];
            let plugins = self.plugins(package, order, closures);
            if let Some(fetch) = fetched.get(app.as_str()) {
                uses.push(Used { what: UsedThing::Fetched(*fetch), at: deps.clone() });
                // Some are built where their sources are.
                outputs.push(deps);
            }
            uses.extend(plugins.iter().filter_map(|plugin| {
                let what = UsedThing::Fetched(*fetched.get(plugin.app.as_str())?);
                Some(Used { what, at: format!("{PLUGINS}/{}", plugin.app) })
            }));
            if let Some(rebar3) = fetched.get(REBAR3).filter(|_| may_need_rebar3(package)) {
                let what = UsedThing::Fetched(*rebar3);
                uses.push(Used { what, at: REBAR3.to_owned() });
            }
            let all = all_of(package, closure, order);
            for package in &all {
                if let What::Local { folder, .. } = &package.what {
                    sources
                        .extend(self.graph.parts.get(folder).iter().flat_map(|part| part.code()));
                }
            }
            uses.extend(closure.iter().flat_map(|index| made[*index].clone()));
            let kind = if package.is_remote() { "dep" } else { "app" };
            let step = index(self.steps.len());
            made.push(outputs.iter().map(|output| used(step, output)).collect());
            self.steps.push(Step {
                name: lasting_name(kind, app, '_'),
                stage: "deps".to_owned(),
                argv: driver("Exflow.compile(System.argv())", &[app]),
                env: environment(&self.settings.mix_env),
                workdir: ROOT.to_owned(),
                sources,
                files: self.files(package, &all, &plugins),
                uses,
                outputs,
                together: true,
                place: package.place.clone(),
            });
        }
        made.into_iter().flatten().collect()
    }

    /// What the driver is told of a package.
    fn files(&self, package: &Package, all: &[&Package], plugins: &[&Package]) -> Vec<WrittenFile> {
        let folder = format!("{ROOT}/packages/{}", package.app);
        let list = |apps: &mut dyn Iterator<Item = &String>| {
            apps.map(|app| atom_source(app)).collect::<Vec<_>>().join(", ")
        };
        let needs = list(&mut package.children.iter());
        let config = list(&mut self.readable(package, all).iter());
        let mut described = String::from("[\n  deps: [\n");
        for package in all {
            let _ = writeln!(described, "    {},", self.dependency(package));
        }
        let _ = writeln!(described, "  ],\n  needs: [{needs}],\n  config: [{config}],");
        let is_skipped = package.option("compile") == Some("false");
        let _ = write!(described, "  compile: {},\n  local: {}", !is_skipped, !package.is_remote());
        if !plugins.is_empty() {
            let plugins: Vec<String> = plugins.iter().map(|plugin| plugin_source(plugin)).collect();
            let _ = write!(described, ",\n  rebar3_plugins: [{}]", plugins.join(", "));
        }
        described.push_str("\n]");
        let mut lock = String::from("%{\n");
        for package in all {
            let entry = match &package.what {
                What::Hex(hex) => &hex.source,
                What::Git(_, git) => &git.source,
                What::Local { .. } => continue,
            };
            let _ = writeln!(lock, "  {}: {entry},", quote(&package.app));
        }
        lock.push_str("}\n");
        vec![
            WrittenFile { path: format!("{folder}/mix.lock"), contents: lock },
            WrittenFile { path: format!("{folder}/package.exs"), contents: described },
        ]
    }

    /// A package as a dependency of the project that has nothing but it.
    fn dependency(&self, package: &Package) -> String {
        let mut options: Vec<(String, String)> = match &package.what {
            What::Hex(hex) => {
                vec![("hex".to_owned(), quote(&hex.name)), ("repo".to_owned(), quote(&hex.repo))]
            }
            What::Git(git, _) => vec![("git".to_owned(), quote(&git.url))],
            What::Local { folder, is_umbrella_app } => {
                let mut options = vec![("path".to_owned(), quote(&format!("../../../{folder}")))];
                if *is_umbrella_app {
                    options.push(("from_umbrella".to_owned(), "true".to_owned()));
                    options.push(("env".to_owned(), atom_source(&self.settings.mix_env)));
                }
                options
            }
        };
        let known: BTreeSet<String> = options.iter().map(|(key, _)| key.clone()).collect();
        let more = package.options.iter().filter(|(key, _)| !known.contains(key));
        options.extend(more.cloned());
        let options: Vec<String> =
            options.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}, [{}]}}", atom_source(&package.app), options.join(", "))
    }
}
