//! What is fetched, and a step for each package.

use crate::driver::{ROOT, SEEN, driver, environment, index, lasting_name, texts, tools, used};
use crate::elixir::{atom_source, quote};
use crate::graph::{Graph, Package, Part, Role, What};
use crate::settings::Settings;
use crate::{join, pattern};
use exflow_plugin_sdk::{
    Fetch, GitRevision, HexPackage, Origin, Place, RemoteFile, Step, Used, UsedThing, WrittenFile,
    escaped,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Where rebar3 is, if it is fetched.
const REBAR3: &str = "_exflow/rebar3";
/// Where rebar3's plugins are.
const PLUGINS: &str = "_exflow/plugins";
/// The names of all applications that the configuration has something for.
pub(crate) const CONFIGURED: &str = "_exflow/configured";

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

/// One proposal while it is made.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) settings: &'a Settings,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) steps: Vec<Step>,
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
    pub(crate) fn unread(&self, root: &Part) -> Vec<String> {
        let others = ["dev", "test"].into_iter().filter(|env| *env != self.settings.mix_env);
        let files = others.filter_map(|env| pattern(&root.folder, &format!("config/{env}.exs")));
        files.map(|file| format!("!{file}")).collect()
    }

    /// Evaluates the configuration, and cuts it into what each package may read: a step for each, so that
    /// several releases of an umbrella have them in common. The number of the step that says what is configured;
    /// those with the packages' own parts follow it, in their order.
    pub(crate) fn configure(
        &mut self,
        root: &Part,
        order: &[&Package],
        closures: &[Vec<usize>],
    ) -> u32 {
        let mut sources = vec![pattern(&root.folder, "mix.exs").unwrap_or_default()];
        sources.extend(root.config());
        // One pattern for all of them: each of the steps has it.
        let apps = self.graph.parts.values().filter(|part| part.role == Role::App);
        let beside = |app: &Part| Some(app.folder.rsplit_once('/')?.0.to_owned());
        let folders: BTreeSet<String> = apps.filter_map(beside).collect();
        sources.extend(folders.iter().map(|folder| format!("{}/*/config", escaped(folder))));
        sources.extend(self.unread(root));
        // Read when the release is made, and when it starts.
        let late = ["runtime.exs", "releases.exs"].map(|file| format!("config/{file}"));
        sources.extend(
            late.iter().filter_map(|file| Some(format!("!{}", pattern(&root.folder, file)?))),
        );
        let script = WrittenFile {
            path: format!("{ROOT}/config.exs"),
            contents: include_str!("driver/config.exs").to_owned(),
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
    pub(crate) fn packages(
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
