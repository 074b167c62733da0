//! Finds out what a project is made of.

use crate::driver::{ROOT, facts_step, tools_step};
use crate::graph::{Graph, Met, Package, Part, Role, What, Wrong, check_version, locked, place_in};
use crate::literal;
use crate::lock::{self, Lock, LockedDep};
use crate::packages;
use crate::project::{self, Dep, DepKind, MixProject, Paths};
use crate::{Reader, ReleaseTool, is_app, join};
use exflow_plugin_sdk::{Fetch, Look, Place, Used, UsedThing, escaped};
use std::collections::{BTreeSet, VecDeque};

/// The file in which the driver writes down what Mix says of a project.
pub(crate) const FACTS: &str = "facts.exs";

impl Reader<'_> {
    /// The project, and everything that it depends on, as far as it can be seen yet.
    pub(crate) fn discover(&mut self, tool: &mut dyn ReleaseTool) -> Graph {
        let mut graph = Graph::default();
        let folder = self.request.root.clone();
        let env = self.settings.mix_env.clone();
        // Where it nearly always is: asked for at once, it needs no call of its own.
        self.text(&join(&folder, "mix.lock").unwrap_or_default());
        let Some(root) = self.part(&folder, Role::Root, &env, Place::Nowhere) else { return graph };
        let Some(lock) = self.lock(&root) else { return graph };
        let mut queue: VecDeque<(Option<String>, Met)> = VecDeque::new();
        for met in Self::met(&root) {
            queue.push_back((None, met));
        }
        for app in self.umbrella_apps(&root, tool) {
            queue.push_back((None, app));
        }
        let apps_path = root.mix.apps_path.as_deref().and_then(|apps| join(&folder, apps));
        if let Some(config) = root.mix.config_path.as_deref()
            && join(&folder, config).is_none()
        {
            let place = root.mix.place_in(&join(&folder, "mix.exs").unwrap_or_default());
            self.outside("the configuration", config, place);
        }
        let own = root.mix.app.clone();
        graph.parts.insert(folder, root);
        // In breadth, as Mix does: the first that asks for a package says how it is compiled.
        while let Some((from, met)) = queue.pop_front() {
            if let Some(package) = from.and_then(|from| graph.packages.get_mut(&from)) {
                package.children.insert(met.dep.app.clone());
            }
            // The project itself may be asked for by an application of its umbrella.
            if !met.dep.applies || met.dep.is_optional || Some(&met.dep.app) == own.as_ref() {
                continue;
            }
            if let Some(known) = graph.packages.get(&met.dep.app) {
                if let Err(wrong) = check_version(&met, known) {
                    self.wrong(wrong);
                }
                continue;
            }
            if let Some(found) = self.package(&met, &lock, apps_path.as_deref(), &mut graph) {
                let app = met.dep.app.clone();
                queue.extend(found.into_iter().map(|met| (Some(app.clone()), met)));
            }
        }
        graph.settle();
        graph
    }

    pub(crate) fn wrong(&mut self, wrong: Wrong) {
        self.refuse(wrong.code, wrong.message, wrong.place, &wrong.label, &wrong.help);
    }

    /// Adds a package to the graph; what it depends on itself, if that can be seen yet.
    fn package(
        &mut self,
        met: &Met,
        lock: &Locks,
        apps_path: Option<&str>,
        graph: &mut Graph,
    ) -> Option<Vec<Met>> {
        let app = met.dep.app.clone();
        if !is_app(&app) {
            self.refuse(
                "bad-name",
                format!("`{}` is no name of an application", app.escape_debug()),
                met.place.clone(),
                "asked for here",
                "names are letters, digits and `_`",
            );
            return None;
        }
        let mut package = Package {
            app: app.clone(),
            what: What::Local { folder: String::new(), is_umbrella_app: false },
            options: met.dep.options.clone(),
            children: BTreeSet::new(),
            place: met.place.clone(),
        };
        let to = match &met.dep.kind {
            DepKind::Path(to) => Some(to.clone()),
            DepKind::InUmbrella => Some(format!("../{app}")),
            DepKind::Hex { .. } | DepKind::Git(_) => None,
        };
        if let Some(to) = to {
            let Some(folder) = join(&met.folder, &to) else {
                self.outside(&format!("the dependency `{app}`"), &to, met.place.clone());
                return None;
            };
            let is_umbrella_app = apps_path.is_some_and(|apps| {
                folder.rsplit_once('/').map_or("", |(parent, _)| parent) == apps
            });
            let role = if is_umbrella_app { Role::App } else { Role::Dep };
            let env = match (&met.dep.env, is_umbrella_app || met.dep.kind == DepKind::InUmbrella) {
                (Some(env), _) => env.clone(),
                (None, true) => self.settings.mix_env.clone(),
                (None, false) => "prod".to_owned(),
            };
            package.what = What::Local { folder: folder.clone(), is_umbrella_app };
            graph.packages.insert(app, package);
            let part = self.part(&folder, role, &env, met.place.clone())?;
            let found = Self::met(&part);
            graph.parts.insert(folder, part);
            return Some(found);
        }
        let (entry, what) = match lock.locked(met) {
            Ok(found) => found,
            Err(wrong) => {
                self.wrong(wrong);
                return None;
            }
        };
        package.what = what;
        if let Err(wrong) = check_version(met, &package) {
            self.wrong(wrong);
        }
        let place = place_in(&lock.path, entry.place);
        let found = match &package.what {
            What::Hex(hex) => {
                let deps = hex.deps.iter().map(|dep| Met {
                    dep: from_lock(dep),
                    place: place.clone(),
                    folder: String::new(),
                });
                Some(deps.collect())
            }
            What::Git(..) => self.git_deps(&package, met),
            What::Local { .. } => None,
        };
        graph.packages.insert(app, package);
        found
    }

    /// What a git dependency depends on. Nothing is known of that before it was fetched.
    fn git_deps(&mut self, package: &Package, met: &Met) -> Option<Vec<Met>> {
        let What::Git(git, _) = &package.what else { return None };
        let fetch = packages::fetch(package)?;
        let folder = join("", git.subdir.as_deref().unwrap_or_default());
        let inside = |name: &str| join(folder.as_deref()?, name);
        let (Some(mix), Some(rebar)) = (inside("mix.exs"), inside("rebar.config")) else {
            let subdir = git.subdir.clone().unwrap_or_default();
            self.outside("what a git dependency is in", &subdir, package.place.clone());
            return None;
        };
        let looked = (self.made(&fetch.name, &mix), self.made(&fetch.name, &rebar));
        let (Some(mix), Some(rebar)) = looked else {
            self.look(&fetch, &[mix, rebar]);
            return None;
        };
        let env = met.dep.env.clone().unwrap_or_else(|| "prod".to_owned());
        let literal = mix.and_then(|text| project::parse(text, &env));
        let deps = match (literal.and_then(|project| project.deps), mix.or(rebar)) {
            (Some(deps), _) => deps,
            (None, None) => Vec::new(),
            (None, Some(_)) => {
                let at = format!("{ROOT}/deps/{}", package.app);
                let folder = match &git.subdir {
                    Some(subdir) => join(&at, subdir)?,
                    None => at.clone(),
                };
                let used = Used { what: UsedThing::Fetched(self.need_fetch(fetch)), at };
                let project = self.facts(&folder, &env, vec![used], Vec::new(), &package.place)?;
                project.deps.unwrap_or_default()
            }
        };
        // What it has beside it in its repository can't be had: it would be a path of the workspace.
        let (inside, local): (Vec<Dep>, Vec<Dep>) = deps
            .into_iter()
            .filter(|dep| dep.applies && !dep.is_optional)
            .partition(|dep| matches!(dep.kind, DepKind::Hex { .. } | DepKind::Git(_)));
        if let Some(local) = local.first() {
            self.refuse(
                "path-in-git",
                format!("`{}` depends on `{}` by a path in its repository", package.app, local.app),
                package.place.clone(),
                "asked for here",
                "exflow can't build that yet: depend on both by git in mix.exs, with `subdir` or \
                 `sparse`, and `override: true`",
            );
        }
        let met = inside.into_iter().map(|dep| Met {
            dep: Dep { options: Vec::new(), ..dep },
            place: package.place.clone(),
            folder: String::new(),
        });
        Some(met.collect())
    }

    /// The text of a file of something that was made; none where it isn't made yet.
    #[expect(clippy::option_option, reason = "not made yet and not there are two things")]
    fn made(&self, of: &str, path: &str) -> Option<Option<&str>> {
        let file = self.request.made.iter().find(|file| file.of == of && file.path == path)?;
        Some(file.contents.as_deref().and_then(|contents| std::str::from_utf8(contents).ok()))
    }

    fn look(&mut self, fetch: &Fetch, paths: &[String]) {
        let of = fetch.name.clone();
        self.need_fetch(fetch.clone());
        self.needs
            .looks
            .extend(paths.iter().map(|path| Look { of: of.clone(), path: path.clone() }));
    }

    fn need_fetch(&mut self, fetch: Fetch) -> u32 {
        let known = self.needs.fetches.iter().position(|known| known.name == fetch.name);
        let index = known.unwrap_or(self.needs.fetches.len());
        if known.is_none() {
            self.needs.fetches.push(fetch);
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// What Mix says of a project that isn't literal; none where Mix hasn't been asked yet.
    fn facts(
        &mut self,
        folder: &str,
        env: &str,
        uses: Vec<Used>,
        sources: Vec<String>,
        place: &Place,
    ) -> Option<MixProject> {
        let step = facts_step(folder, env, uses, sources, place.clone());
        if let Some(text) = self.made(&step.name, FACTS) {
            let project = text.and_then(|text| literal::parse(text).ok());
            let project = project.map(|project| project::of(&project.value(), None, env));
            if let Some(project @ MixProject { deps: Some(_), .. }) = project {
                return Some(project);
            }
            self.refuse(
                "unreadable-project",
                format!("what Mix says of the dependencies in `{folder}` is of no known form"),
                place.clone(),
                "asked for here",
                "dependencies are written as `mix help deps` says",
            );
            return None;
        }
        self.need_driver();
        self.needs.looks.push(Look { of: step.name.clone(), path: FACTS.to_owned() });
        self.needs.steps.push(step);
        None
    }

    /// The driver is always the first step.
    fn need_driver(&mut self) {
        if self.needs.steps.is_empty() {
            self.needs.steps.push(tools_step());
        }
    }

    /// One Mix project of the workspace.
    fn part(&mut self, folder: &str, role: Role, env: &str, asked: Place) -> Option<Part> {
        let path = join(folder, "mix.exs")?;
        let Some(text) = self.text(&path)? else {
            self.refuse(
                "no-mix-exs",
                format!("there is no `{path}`"),
                asked,
                "asked for here",
                &format!("a project of `{}` has a `mix.exs` in its folder", self.tool),
            );
            return None;
        };
        let literal = project::parse(text, env);
        let place = literal.as_ref().map_or(Place::Nowhere, |mix| mix.place_in(&path));
        let mix = match literal {
            Some(mix) if mix.deps.is_some() => mix,
            // Which packages there are decides what is built: Mix knows.
            literal => {
                let sources = probe_sources(folder);
                let facts = self.facts(folder, env, Vec::new(), sources, &place)?;
                match literal {
                    Some(mix) => MixProject { deps: facts.deps, ..mix },
                    None => facts,
                }
            }
        };
        if mix.elixirc_paths == Paths::Computed {
            self.warn(
                "computed-paths",
                format!("`elixirc_paths` in `{path}` is computed"),
                "`lib` is taken; name other folders with `inputs` in stage `release`, from the \
                 project's folder or, with a `/` before it, from the workspace's",
            );
        }
        Some(Part { folder: folder.to_owned(), mix, role })
    }

    /// What a project of the workspace depends on.
    fn met(part: &Part) -> Vec<Met> {
        let path = join(&part.folder, "mix.exs").unwrap_or_default();
        let whole = part.mix.place_in(&path);
        let deps = part.mix.deps.iter().flatten();
        let met = deps.map(|dep| Met {
            place: dep.place.map_or_else(
                || whole.clone(),
                |(start, end)| place_in(&path, (start as usize, end as usize)),
            ),
            dep: dep.clone(),
            folder: part.folder.clone(),
        });
        met.collect()
    }

    /// The lock of a project; none where it can't be seen, or is refused.
    fn lock(&mut self, root: &Part) -> Option<Locks> {
        let file = root.mix.lockfile.as_deref().unwrap_or("mix.lock");
        let Some(path) = join(&root.folder, file) else {
            let place = root.mix.place_in(&join(&root.folder, "mix.exs")?);
            self.outside("the lock", file, place);
            return None;
        };
        let Some(text) = self.text(&path)? else {
            return Some(Locks { path, lock: Lock::default() });
        };
        match lock::read(text) {
            Ok(lock) => Some(Locks { path, lock }),
            Err(problems) => {
                for problem in problems {
                    let place = place_in(&path, problem.place);
                    self.refuse(problem.code, problem.message, place, problem.label, problem.help);
                }
                None
            }
        }
    }

    /// An umbrella's applications, of which a release may name some.
    fn umbrella_apps(&mut self, root: &Part, tool: &mut dyn ReleaseTool) -> Vec<Met> {
        let Some(apps) = root.mix.apps_path.as_deref() else { return Vec::new() };
        let place = root.mix.place_in(&join(&root.folder, "mix.exs").unwrap_or_default());
        let named = tool.applications(self, root);
        let all = self.apps(&root.folder, apps);
        let is_named =
            |app: &str| named.as_ref().is_none_or(|named| named.iter().any(|one| one == app));
        let some: Vec<&String> = all.iter().filter(|app| is_named(app)).collect();
        // A release of none of them: all are taken, and Mix decides.
        let some = if some.is_empty() { all.iter().collect() } else { some };
        let met = some.into_iter().map(|app| Met {
            dep: Dep {
                app: app.clone(),
                kind: DepKind::Path(format!("{apps}/{app}")),
                requirement: None,
                applies: true,
                is_optional: false,
                is_runtime: true,
                env: None,
                options: Vec::new(),
                place: None,
            },
            place: place.clone(),
            folder: root.folder.clone(),
        });
        met.collect()
    }

    /// The names of an umbrella's applications.
    fn apps(&mut self, folder: &str, apps: &str) -> Vec<String> {
        let Some(path) = join(folder, apps) else { return Vec::new() };
        let Some(entries) = self.folder(&path) else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries.into_iter().flatten().filter(|entry| entry.is_folder) {
            let Some(mix) = join(&path, &format!("{}/mix.exs", entry.name)) else { continue };
            // A folder without a mix.exs is none of its applications.
            if let Some(Some(_)) = self.text(&mix) {
                found.push(entry.name.clone());
            }
        }
        found
    }

    /// Refuses what leads out of the workspace.
    pub fn outside(&mut self, what: &str, to: &str, place: Place) {
        self.refuse(
            "outside-workspace",
            format!("{what} is outside of the workspace: `{to}`"),
            place,
            "it is named here",
            "move the root of the workspace up, so that it holds both",
        );
    }
}

/// A lock, and where it is.
struct Locks {
    path: String,
    lock: Lock,
}

impl Locks {
    fn locked(&self, met: &Met) -> Result<(&lock::Entry, What), Wrong> {
        locked(met, &self.lock, &self.path)
    }
}

fn from_lock(dep: &LockedDep) -> Dep {
    Dep {
        app: dep.app.clone(),
        kind: DepKind::Hex { name: dep.name.clone(), repo: dep.repo.clone() },
        requirement: dep.requirement.clone(),
        applies: true,
        is_optional: dep.is_optional,
        is_runtime: true,
        env: None,
        options: Vec::new(),
        place: None,
    }
}

/// What a `mix.exs` may read when it is evaluated, besides what the manifest names.
pub(crate) fn probe_sources(folder: &str) -> Vec<String> {
    let names =
        ["mix.exs", "mix.lock", "VERSION", ".tool-versions", "*.exs", "*.md", "*.txt", "config"];
    let folder = escaped(folder);
    names.iter().filter_map(|name| join(&folder, name)).collect()
}
