//! Which packages have to be added to an image.
//!
//! What the solver is told: a package has one version at most; what
//! is installed stays installed, in whatever version; a dependency is met by a package of that name, or
//! by one that provides it; two packages that provide one name can't be together, unless neither
//! says in which version (apk-package(5), "provides").

use super::checksum::Checksum;
use super::dependency::{Constraint, Dependency, parse_dependencies};
use super::index::Catalog;
use super::installed::InstalledPackage;
use super::version::compare_versions;
use crate::solver::{self, Allowed, AnyOf, Packages};
use crate::unsolvable::{Unsolvable, Words};
use exflow_diagnostics::{Diagnostic, Site, did_you_mean};
use exflow_lock::LockedAlpine;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

/// A package that is to be added, or to take the place of another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenApk {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `noarch`.
    pub architecture: String,
    /// The repository that it is in, as the catalog calls it.
    pub repository: String,
    /// The length of its file in bytes.
    pub size: u64,
    /// What its index calls it by.
    pub checksum: Checksum,
}

impl ChosenApk {
    /// The name of its file, which is in the repository's folder of the image's architecture.
    pub fn file_name(&self) -> String {
        format!("{}-{}.apk", self.name, self.version)
    }
}

/// Turns `problem` into diagnostics. `release` is what has the packages: `v3.21`. `site` gives the
/// place where a package is named in the manifest, or that of the whole base for none.
pub fn diagnose(
    problem: &Unsolvable,
    release: &str,
    site: impl Fn(Option<&str>) -> Option<Site>,
) -> Vec<Diagnostic> {
    let words = Words {
        unlisted: "not in any index of the image's repositories",
        naming: "packages are named as in `apk add`, without a repository's tag; names may differ \
                 from one release to the next",
    };
    problem.diagnose(release, &words, site)
}

/// The packages that an image with `installed` lacks for `named`, sorted by name.
///
/// Of a package, the version that is installed is kept where it fits; then the one that is
/// `locked`, where it is still in the catalog; of all others, the newest is taken. A package that is
/// installed is never taken away, but may be among the answer in another version, where
/// something needs that. The answer depends on nothing but the arguments.
///
/// `named` are packages, or what packages provide, as in `apk add`: `name`, `name=1.2-r0`,
/// `name~1.2`. A name that is pinned to a tag (`name@edge`) is unknown, as is a conflict
/// (`!name`): which repositories there are is the caller's, and an image has what it has.
///
/// A package that only provides a name without saying in which version is chosen for that if it has a
/// `provider_priority`, or if it is named or installed itself. Where apk would also take one that
/// something else needs, here it has to be named. `install_if` is not honoured: documentation, and
/// what glues two packages together, is added only when it is named. What the image was asked to
/// have (`/etc/apk/world`) is not looked at, but for what is installed of it.
pub fn resolve(
    named: &[String],
    catalog: &Catalog,
    installed: &[InstalledPackage],
    locked: Option<&LockedAlpine>,
) -> Result<Vec<ChosenApk>, Unsolvable> {
    let installed_by_name: BTreeMap<&str, usize> =
        installed.iter().enumerate().map(|(at, package)| (&*package.name, at)).collect();
    let mut installed_providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in installed.iter().enumerate() {
        for provided in parse_dependencies(&package.provides) {
            installed_providers.entry(provided.name).or_default().push(at);
        }
    }
    let locked = locked.iter().flat_map(|locked| &locked.packages);
    let mut search = Search {
        catalog,
        installed,
        installed_by_name,
        installed_providers,
        named: BTreeSet::new(),
        locked: locked.map(|package| (&*package.name, &*package.checksum)).collect(),
    };
    let wanted = search.known(named)?;
    search.named = wanted.iter().map(|wanted| wanted.name).collect();
    let wanted = wanted.iter().map(|wanted| search.any_of(wanted));
    let kept = installed
        .iter()
        .map(|package| vec![allowed(&package.name, search.versions(&package.name), String::new())]);
    let chosen: BTreeMap<&str, ChosenApk> = solver::solve(&search, wanted.chain(kept))?
        .into_iter()
        .filter(|id| *id < catalog.len())
        .map(|id| {
            let package = catalog.package(id);
            let chosen = ChosenApk {
                name: package.name.to_string(),
                version: package.version.to_string(),
                architecture: package.architecture.to_string(),
                repository: package.repository.to_string(),
                size: package.size,
                checksum: package.checksum,
            };
            (&*package.name, chosen)
        })
        .collect();
    Ok(chosen.into_values().collect())
}

fn allowed(name: &str, packages: Vec<usize>, shown: String) -> Allowed {
    Allowed { name: name.to_owned(), packages, shown }
}

/// What there is to choose from. Packages of the catalog have its numbers, and those that are
/// installed come after them.
struct Search<'a> {
    catalog: &'a Catalog,
    installed: &'a [InstalledPackage],
    installed_by_name: BTreeMap<&'a str, usize>,
    installed_providers: BTreeMap<&'a str, Vec<usize>>,
    named: BTreeSet<&'a str>,
    /// What each package was, by checksum.
    locked: BTreeMap<&'a str, &'a str>,
}

/// What of a package decides.
#[derive(Debug, Clone, Copy)]
struct Facts<'a> {
    name: &'a str,
    version: &'a str,
    depends: &'a str,
    provides: &'a str,
    priority: u64,
    /// By checksum; none of what is installed.
    checksum: Option<Checksum>,
}

impl<'a> Search<'a> {
    fn facts(&self, id: usize) -> Facts<'a> {
        let (catalog, installed) = (self.catalog, self.installed);
        match id.checked_sub(catalog.len()) {
            None => {
                let package = catalog.package(id);
                Facts {
                    name: &package.name,
                    version: &package.version,
                    depends: &package.depends,
                    provides: &package.provides,
                    priority: package.provider_priority,
                    checksum: Some(package.checksum),
                }
            }
            Some(at) => {
                let package = &installed[at];
                Facts {
                    name: &package.name,
                    version: &package.version,
                    depends: &package.depends,
                    provides: &package.provides,
                    priority: package.provider_priority,
                    checksum: None,
                }
            }
        }
    }

    fn is_installed(&self, id: usize) -> bool {
        id >= self.catalog.len()
    }

    /// Whether a package of the catalog is there in the same version.
    fn is_there(&self, id: usize) -> bool {
        let package = self.catalog.package(id);
        self.installed_by_name.get(&*package.name).is_some_and(|at| {
            compare_versions(&self.installed[*at].version, &package.version).is_eq()
        })
    }

    /// All packages that provide a name besides their own.
    fn providers(&self, name: &str) -> Vec<usize> {
        let installed = self.installed_providers.get(name).into_iter().flatten();
        let installed = installed.map(|at| self.catalog.len() + at);
        let others = self.catalog.providers(name).iter().copied().filter(|id| !self.is_there(*id));
        installed.chain(others).collect()
    }

    /// What is named, if all of it is there.
    fn known(&self, named: &'a [String]) -> Result<Vec<Dependency<'a>>, Unsolvable> {
        let mut wanted = Vec::new();
        let mut unknown = Vec::new();
        for text in named {
            let mut parsed = parse_dependencies(text);
            let one = parsed.next().filter(|_| parsed.next().is_none());
            let exists =
                |name: &str| !self.versions(name).is_empty() || !self.providers(name).is_empty();
            match one {
                Some(one) if one.tag.is_none() && !one.conflict && exists(one.name) => {
                    wanted.push(one);
                }
                one => {
                    let name = one.map_or(&**text, |one| one.name);
                    let meant = if exists(name) {
                        Some(name)
                    } else {
                        did_you_mean(name, self.catalog.names())
                    };
                    unknown.push((text.clone(), meant.map(str::to_owned)));
                }
            }
        }
        if unknown.is_empty() { Ok(wanted) } else { Err(Unsolvable::Unknown(unknown)) }
    }

    /// The packages that have, or provide, a name in versions that are allowed, with that version.
    fn meeting(
        &self,
        name: &str,
        constraint: Option<Constraint<'_>>,
    ) -> Vec<(usize, Option<&'a str>)> {
        let allows = |version: Option<&str>| match (constraint, version) {
            (None, _) => true,
            (Some(allowed), Some(version)) => allowed.allows(version),
            // What is provided without a version is in none that anyone asks for.
            (Some(_), None) => false,
        };
        let real = self.versions(name).into_iter().map(|id| (id, Some(self.facts(id).version)));
        let real = real.filter(|(_, version)| allows(*version));
        let provided = self.providers(name).into_iter().filter_map(|id| {
            let facts = self.facts(id);
            if facts.name == name {
                return None;
            }
            let mut all = parse_dependencies(facts.provides).filter(|found| found.name == name);
            let version = all.next()?.constraint.map(|provided| provided.version);
            allows(version).then_some((id, version))
        });
        real.chain(provided).collect()
    }

    /// Whether a package may be chosen for a name that it has, or provides, in this version.
    fn is_eligible(&self, id: usize, version: Option<&str>) -> bool {
        let facts = self.facts(id);
        version.is_some()
            || facts.priority > 0
            || self.installed_by_name.contains_key(facts.name)
            || self.named.contains(facts.name)
    }

    fn any_of(&self, wanted: &Dependency<'_>) -> AnyOf {
        let Dependency { name, constraint, .. } = *wanted;
        let shown = constraint.map_or_else(String::new, |constraint| {
            format!("{} {}", constraint.operator, constraint.version)
        });
        let (eligible, others): (Vec<_>, Vec<_>) = self
            .meeting(name, constraint)
            .into_iter()
            .partition(|(id, version)| self.is_eligible(*id, *version));
        let mut by_package: BTreeMap<&str, Vec<(usize, Option<&str>)>> = BTreeMap::new();
        for (id, version) in eligible {
            by_package.entry(self.facts(id).name).or_default().push((id, version));
        }
        let mut packages: Vec<_> = by_package.into_iter().collect();
        packages.sort_by(|a, b| self.compare_providers(a, b));
        let mut any: AnyOf = packages
            .into_iter()
            .map(|(package, found)| {
                let shown = if package == name { shown.clone() } else { format!("(as {wanted})") };
                allowed(package, found.into_iter().map(|(id, _)| id).collect(), shown)
            })
            .collect();
        if any.is_empty() {
            // Nothing meets it: a package without versions says so in the solver's own words.
            let names: BTreeSet<&str> = others.iter().map(|(id, _)| self.facts(*id).name).collect();
            let shown = if names.is_empty() {
                shown
            } else {
                let names: Vec<_> = names.into_iter().collect();
                format!("(name one of those that provide it: {})", names.join(", "))
            };
            any.push(allowed(name, Vec::new(), shown));
        }
        any
    }

    /// Which package is to be tried first for a name: one that is there or was, one that is named,
    /// one that has it in a newer version, one with a higher priority.
    fn compare_providers(
        &self,
        (a, a_found): &(&str, Vec<(usize, Option<&str>)>),
        (b, b_found): &(&str, Vec<(usize, Option<&str>)>),
    ) -> Ordering {
        let known = |name: &str| {
            Reverse((
                self.installed_by_name.contains_key(name),
                self.locked.contains_key(name),
                self.named.contains(name),
            ))
        };
        let newest = |found: &[(usize, Option<&'_ str>)]| {
            found
                .iter()
                .filter_map(|(_, version)| version.map(str::to_owned))
                .max_by(|a, b| compare_versions(a, b))
        };
        let priority = |found: &[(usize, Option<&str>)]| {
            Reverse(found.iter().map(|(id, _)| self.facts(*id).priority).max())
        };
        known(a)
            .cmp(&known(b))
            .then_with(|| match (newest(a_found), newest(b_found)) {
                (Some(a), Some(b)) => compare_versions(&b, &a),
                (a, b) => b.is_some().cmp(&a.is_some()),
            })
            .then_with(|| priority(a_found).cmp(&priority(b_found)))
            .then_with(|| a.cmp(b))
    }

    /// What must not be there beside a package: for each other one, the versions that may.
    fn beside(&self, facts: Facts<'_>) -> Vec<Allowed> {
        let mut excluded: BTreeMap<(&str, String), BTreeSet<usize>> = BTreeMap::new();
        let mut exclude = |id: usize, why: String| {
            let name = self.facts(id).name;
            // A package may conflict with what it provides itself: with all others.
            if name != facts.name {
                excluded.entry((name, why)).or_default().insert(id);
            }
        };
        for conflict in parse_dependencies(facts.depends).filter(|found| found.conflict) {
            let shown = Dependency { conflict: false, ..conflict.clone() };
            for (id, _) in self.meeting(conflict.name, conflict.constraint) {
                exclude(id, format!("other than {shown}"));
            }
        }
        let own = Dependency { name: facts.name, tag: None, constraint: None, conflict: false };
        let own = std::iter::once((own, true));
        let provided = parse_dependencies(facts.provides).map(|provided| {
            let has_version = provided.constraint.is_some();
            (provided, has_version)
        });
        for (provided, has_version) in own.chain(provided) {
            for (id, version) in self.meeting(provided.name, None) {
                if has_version || version.is_some() {
                    exclude(id, format!("without {}", provided.name));
                }
            }
        }
        excluded
            .into_iter()
            .map(|((name, shown), excluded)| {
                let others =
                    self.versions(name).into_iter().filter(|id| !excluded.contains(id)).collect();
                allowed(name, others, shown)
            })
            .collect()
    }
}

impl Packages for Search<'_> {
    fn versions(&self, name: &str) -> Vec<usize> {
        let installed = self.installed_by_name.get(name).map(|at| self.catalog.len() + at);
        let others = self.catalog.versions(name).iter().copied().filter(|id| !self.is_there(*id));
        installed.into_iter().chain(others).collect()
    }

    fn version(&self, package: usize) -> &str {
        self.facts(package).version
    }

    /// What is installed, then what is locked, then the newer.
    fn order(&self, a: usize, b: usize) -> Ordering {
        let rank = |id: usize| {
            let facts = self.facts(id);
            let locked = self.locked.get(facts.name);
            let is_locked = locked.is_some_and(|locked| locked.parse().ok() == facts.checksum);
            (self.is_installed(id), is_locked)
        };
        rank(b)
            .cmp(&rank(a))
            .then_with(|| compare_versions(self.version(b), self.version(a)))
            .then(a.cmp(&b))
    }

    fn requirements(&self, package: usize) -> Vec<AnyOf> {
        parse_dependencies(self.facts(package).depends)
            .filter(|wanted| !wanted.conflict)
            .map(|wanted| self.any_of(&wanted))
            .collect()
    }

    fn constraints(&self, package: usize) -> Vec<Allowed> {
        self.beside(self.facts(package))
    }
}

#[cfg(test)]
mod tests;
