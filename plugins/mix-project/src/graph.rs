//! What a project is made of: the Mix projects of the workspace that are compiled with it, and the
//! packages that they depend on.

use crate::lock::{Entry, Lock, Locked, LockedGit, LockedHex};
use crate::project::{Dep, DepKind, GitDep, MixProject};
use crate::requirement;
use exflow_plugin_sdk::{Place, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A package that is compiled by itself.
#[derive(Debug, Clone)]
pub struct Package {
    pub app: String,
    pub what: What,
    /// Options of its dependency, as Elixir source: of the first that asks for it, as Mix does.
    pub options: Vec<(String, String)>,
    /// What it depends on, as far as that is there: see [`Graph::settle`].
    pub children: BTreeSet<String>,
    /// Where it is asked for.
    pub place: Place,
}

#[derive(Debug, Clone)]
pub enum What {
    Hex(LockedHex),
    Git(GitDep, LockedGit),
    /// In this folder of the workspace.
    Local {
        folder: String,
        is_umbrella_app: bool,
    },
}

/// One Mix project of the workspace: the project itself, an umbrella's application, or a path
/// dependency.
#[derive(Debug)]
pub struct Part {
    pub folder: String,
    pub mix: MixProject,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Root,
    App,
    Dep,
}

#[derive(Debug, Default)]
pub struct Graph {
    /// By folder.
    pub parts: BTreeMap<String, Part>,
    pub packages: BTreeMap<String, Package>,
}

/// What is wrong with how packages depend on each other.
#[derive(Debug)]
pub struct Wrong {
    pub code: &'static str,
    pub message: String,
    pub place: Place,
    pub label: String,
    pub help: String,
}

impl Package {
    /// Whether it comes from elsewhere: from Hex or git.
    pub fn is_remote(&self) -> bool {
        !matches!(self.what, What::Local { .. })
    }

    /// The value of an option, as Elixir source.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Graph {
    pub fn root(&self) -> Option<&Part> {
        self.parts.values().find(|part| part.role == Role::Root)
    }

    /// Drops what isn't there of what packages depend on: optional packages that nobody else wants.
    pub fn settle(&mut self) {
        let known: BTreeSet<String> = self.packages.keys().cloned().collect();
        for package in self.packages.values_mut() {
            package.children.retain(|child| known.contains(child));
        }
    }

    /// The packages, each after what it depends on.
    ///
    /// # Errors
    /// Where they depend on each other in a circle.
    pub fn order(&self) -> Result<Vec<&Package>, Wrong> {
        let mut order = Vec::new();
        let mut done: BTreeSet<&str> = BTreeSet::new();
        // On the way down to what is looked at: no recursion, for chains may be long.
        for start in self.packages.keys() {
            let mut path: Vec<(&str, std::collections::btree_set::Iter<'_, String>)> = Vec::new();
            let mut next = Some(start.as_str());
            loop {
                if let Some(app) = next.take().filter(|app| !done.contains(app)) {
                    if let Some(begin) = path.iter().position(|(on_path, _)| *on_path == app) {
                        let circle: Vec<&str> = path[begin..].iter().map(|(app, _)| *app).collect();
                        return Err(self.circle(&circle));
                    }
                    path.push((app, self.packages[app].children.iter()));
                }
                let Some((app, children)) = path.last_mut() else { break };
                match children.next() {
                    Some(child) => next = Some(child),
                    None => {
                        done.insert(app);
                        order.push(&self.packages[*app]);
                        path.pop();
                    }
                }
            }
        }
        Ok(order)
    }

    fn circle(&self, apps: &[&str]) -> Wrong {
        let first = &self.packages[apps[0]];
        let circle: Vec<&str> = apps.iter().copied().chain([apps[0]]).collect();
        Wrong {
            code: "dependency-cycle",
            message: format!("these packages depend on each other: `{}`", circle.join("` → `")),
            place: first.place.clone(),
            label: format!("`{}` is asked for here", apps[0]),
            help:
                "no order exists in which they can be compiled: one of them has to do without the \
                   others"
                    .to_owned(),
        }
    }

    /// All that a package depends on, in the order of `order`, of which the packages are.
    pub fn closures<'a>(order: &[&'a Package]) -> Vec<Vec<usize>> {
        let index: BTreeMap<&'a str, usize> = order
            .iter()
            .enumerate()
            .map(|(index, package)| (package.app.as_str(), index))
            .collect();
        let mut closures: Vec<Vec<usize>> = Vec::new();
        for package in order {
            let mut all: BTreeSet<usize> = BTreeSet::new();
            for child in package.children.iter().filter_map(|child| index.get(child.as_str())) {
                all.insert(*child);
                all.extend(closures[*child].iter().copied());
            }
            closures.push(all.into_iter().collect());
        }
        closures
    }
}

/// A dependency that was met, and by whom.
#[derive(Debug, Clone)]
pub struct Met {
    pub dep: Dep,
    pub place: Place,
    /// The folder that its path is relative to.
    pub folder: String,
}

/// What is locked for a dependency from elsewhere, if it fits.
pub(crate) fn locked<'a>(
    met: &Met,
    lock: &'a Lock,
    lock_path: &str,
) -> Result<(&'a Entry, What), Wrong> {
    let app = &met.dep.app;
    let Some(entry) = lock.entries.get(app) else {
        return Err(Wrong {
            code: "not-locked",
            message: format!("the dependency `{app}` is not in `{lock_path}`"),
            place: met.place.clone(),
            label: "asked for here".to_owned(),
            help: "lock it with `mix deps.get`, and commit mix.lock".to_owned(),
        });
    };
    let what = match (&met.dep.kind, &entry.locked) {
        (DepKind::Hex { name, repo }, Locked::Hex(hex)) => {
            (*name == hex.name && *repo == hex.repo).then(|| What::Hex(hex.clone()))
        }
        (DepKind::Git(git), Locked::Git(locked)) => {
            (git.url == locked.url).then(|| What::Git(git.clone(), locked.clone()))
        }
        _ => None,
    };
    let what = what.ok_or_else(|| Wrong {
        code: "lock-mismatch",
        message: format!("the dependency `{app}` and its entry in `{lock_path}` are of two places"),
        place: met.place.clone(),
        label: "asked for here".to_owned(),
        help: format!("lock it anew: `mix deps.unlock {app}`, then `mix deps.get`"),
    })?;
    Ok((entry, what))
}

/// Whether what is there is what a dependency wants.
pub(crate) fn check_version(met: &Met, found: &Package) -> Result<(), Wrong> {
    let (Some(wanted), What::Hex(hex)) = (&met.dep.requirement, &found.what) else { return Ok(()) };
    let is_overridden = found.option("override") == Some("true");
    if is_overridden || requirement::fits(wanted, &hex.version) != Some(false) {
        return Ok(());
    }
    let app = &met.dep.app;
    Err(Wrong {
        code: "version-conflict",
        message: format!("`{app}` is locked at {}, and {wanted} is wanted", hex.version),
        place: met.place.clone(),
        label: format!("{wanted} is wanted here"),
        help: format!("lock a version that all can have: `mix deps.update {app}`"),
    })
}

/// The place of bytes of a file.
pub fn place_in(path: &str, (start, end): (usize, usize)) -> Place {
    match (u32::try_from(start), u32::try_from(end)) {
        (Ok(start), Ok(end)) => Place::InFile(Span { path: path.to_owned(), start, end }),
        _ => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let package = |app: &str, children: &[&str]| Package {
            app: app.to_owned(),
            what: What::Local { folder: app.to_owned(), is_umbrella_app: false },
            options: Vec::new(),
            children: children.iter().map(|child| (*child).to_owned()).collect(),
            place: Place::Nowhere,
        };
        let packages =
            edges.iter().map(|(app, children)| ((*app).to_owned(), package(app, children)));
        let mut graph = Graph { packages: packages.collect(), ..Graph::default() };
        graph.settle();
        graph
    }

    #[test]
    fn each_after_what_it_depends_on() {
        let diamond =
            graph(&[("a", &["b", "c", "gone"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]);
        let order = diamond.order().unwrap();
        let names: Vec<&str> = order.iter().map(|package| package.app.as_str()).collect();
        assert_eq!(names, ["d", "b", "c", "a"]);
        assert_eq!(Graph::closures(&order), [vec![], vec![0], vec![0], vec![0, 1, 2]]);
    }

    #[test]
    fn a_circle_is_named() {
        let wrong = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]).order().unwrap_err();
        assert!(wrong.message.contains("`b` → `c` → `b`"), "{}", wrong.message);
        graph(&[("a", &["a"])]).order().unwrap_err();
    }

    #[test]
    fn a_long_chain() {
        let names: Vec<String> = (0..4000).map(|number| format!("p{number:04}")).collect();
        let children: Vec<Vec<&str>> =
            names.iter().skip(1).map(|name| vec![name.as_str()]).chain([vec![]]).collect();
        let edges: Vec<(&str, &[&str])> =
            names.iter().zip(&children).map(|(name, child)| (name.as_str(), &**child)).collect();
        assert_eq!(graph(&edges).order().unwrap().len(), 4000);
    }
}
