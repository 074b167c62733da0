//! Which packages a base consists of.
//!
//! What the solver is told: a package has one version at most; a relation is met by any of its alternatives, each a real package or one that
//! provides it; a conflict rules versions out.

use super::Installed;
use super::catalog::Catalog;
use super::relation::{Alternative, Relation, parse_relations};
use super::version::compare_versions;
use crate::solver::{self, Allowed, AnyOf, Packages};
use crate::unsolvable::{Unsolvable, Words};
use exflow_content::Sha256;
use exflow_diagnostics::{Diagnostic, Site, did_you_mean};
use exflow_lock::{LockedDebian, LockedPackage, RequestedDebian};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Packages that a slim base does without, unless the manifest names them: other packages depend
/// on them for their maintainer scripts, which exflow never runs.
pub const SLIM_SKIPS: &[&str] = &[
    "adduser",             // makes users for services
    "cdebconf",            // asks questions while a package is installed
    "debconf",             // the same; brings all of perl-base and dpkg with it
    "debconf-2.0",         // the virtual package of the two
    "dpkg",                // installs packages
    "init-system-helpers", // starts services
    "install-info",        // indexes documentation, which a slim base hasn't
    "ucf",                 // merges changed configuration files
];

/// Turns `problem` into diagnostics. `site` gives the place where a package is named in the
/// manifest, or that of the whole base for none.
pub fn diagnose(
    problem: &Unsolvable,
    suite: &str,
    site: impl Fn(Option<&str>) -> Option<Site>,
) -> Vec<Diagnostic> {
    let words = Words {
        unlisted: "not in any index of the suite",
        naming: "packages are named as in `apt-get install`; names may differ from one suite to \
                 the next",
    };
    problem.diagnose(suite, &words, site)
}

/// The packages that `requested` means today, by `catalog`.
///
/// A full base also has the essential packages, as every Debian system has; a slim one is only
/// the closure of what is named, without [`SLIM_SKIPS`]. Recommended packages are never added.
/// A package that is `locked` keeps its version where that is still in the catalog and fits; of all
/// others the newest that fits is taken. The answer depends on nothing but the arguments.
pub fn resolve(
    requested: &RequestedDebian,
    catalog: &Catalog,
    locked: Option<&LockedDebian>,
) -> Result<LockedDebian, Unsolvable> {
    let mut roots: BTreeSet<&str> = requested.packages.iter().map(String::as_str).collect();
    check_known(&roots, catalog)?;
    if !requested.slim {
        roots.extend(catalog.essential());
    }
    let skips = if requested.slim { skips(&roots) } else { BTreeSet::new() };
    solve(catalog, &roots, skips, locked)
}

/// The packages that have to be added so that a system that has `installed` has `packages`, too, by
/// `catalog`, which knows what is installed ([`Catalog::add_installed`]).
///
/// What is installed stays as it is, unless something that is added needs another version. Where it lacks
/// something that it says it needs, that stays so. Without dpkg, no package's script was ever run there,
/// and [`SLIM_SKIPS`] are left out.
pub fn resolve_added(
    packages: &[String],
    catalog: &Catalog,
    installed: &Installed,
    locked: Option<&LockedDebian>,
) -> Result<LockedDebian, Unsolvable> {
    let mut roots: BTreeSet<&str> = packages.iter().map(String::as_str).collect();
    check_known(&roots, catalog)?;
    let has_dpkg = installed.packages().contains_key("dpkg");
    let skips = if has_dpkg { BTreeSet::new() } else { skips(&roots) };
    roots.extend(installed.packages().keys().map(String::as_str));
    solve(catalog, &roots, skips, locked)
}

/// Whether there are packages of these names, or such that provide them.
fn check_known(roots: &BTreeSet<&str>, catalog: &Catalog) -> Result<(), Unsolvable> {
    let unknown: Vec<_> = roots
        .iter()
        .filter(|name| catalog.versions(name).is_empty() && catalog.providers(name).is_empty())
        .map(|name| {
            let meant = did_you_mean(name, catalog.names()).map(str::to_owned);
            ((*name).to_owned(), meant)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Unsolvable::Unknown(unknown));
    }
    Ok(())
}

/// What a base without scripts does without, but for what is asked for.
fn skips(roots: &BTreeSet<&str>) -> BTreeSet<&'static str> {
    SLIM_SKIPS.iter().copied().filter(|name| !roots.contains(name)).collect()
}

fn solve(
    catalog: &Catalog,
    roots: &BTreeSet<&str>,
    skips: BTreeSet<&'static str>,
    locked: Option<&LockedDebian>,
) -> Result<LockedDebian, Unsolvable> {
    let locked = locked.iter().flat_map(|locked| &locked.packages);
    let locked = locked.map(|package| (&*package.name, package.sha256)).collect();
    let search = Search { catalog, skips, locked };
    let wanted = roots.iter().map(|name| search.any_of(&[Alternative { name, constraint: None }]));
    let packages: BTreeMap<&str, LockedPackage> = solver::solve(&search, wanted)?
        .into_iter()
        .filter(|id| !catalog.is_installed(*id))
        .map(|id| {
            let package = catalog.package(id);
            let locked = LockedPackage {
                name: package.name.to_string(),
                version: package.version.to_string(),
                architecture: package.architecture.to_string(),
                archive: package.archive.to_owned(),
                path: package.path.to_string(),
                size: package.size,
                sha256: package.sha256,
            };
            (&*package.name, locked)
        })
        .collect();
    let packages = packages.into_values().collect();
    Ok(LockedDebian { snapshot: catalog.snapshot().to_owned(), packages })
}

/// What there is to choose from: packages by their numbers in the catalog.
struct Search<'a> {
    catalog: &'a Catalog,
    skips: BTreeSet<&'static str>,
    /// What each package was, by content.
    locked: BTreeMap<&'a str, Sha256>,
}

fn allowed(name: &str, packages: Vec<usize>, shown: String) -> Allowed {
    Allowed { name: name.to_owned(), packages, shown }
}

impl Search<'_> {
    /// The packages that meet an alternative, by name: the real one first, then those that provide
    /// it, the more common ones before the rarer.
    fn meeting(&self, alternative: &Alternative<'_>) -> Vec<(&str, Vec<usize>)> {
        let Alternative { name, constraint } = alternative;
        let real: Vec<usize> = self
            .catalog
            .versions(name)
            .iter()
            .copied()
            .filter(|id| {
                constraint.is_none_or(|allowed| allowed.allows(&self.catalog.package(*id).version))
            })
            .collect();
        let mut virtuals: BTreeMap<(u8, &str), Vec<usize>> = BTreeMap::new();
        for &id in self.catalog.providers(name) {
            let package = self.catalog.package(id);
            if provides(&package.provides, alternative) && *package.name != **name {
                virtuals.entry((package.priority, &package.name)).or_default().push(id);
            }
        }
        let real = (!real.is_empty()).then(|| (&*self.catalog.package(real[0]).name, real.clone()));
        real.into_iter().chain(virtuals.into_iter().map(|((_, name), ids)| (name, ids))).collect()
    }

    fn any_of(&self, alternatives: &[Alternative<'_>]) -> AnyOf {
        let version = |alternative: &Alternative<'_>| {
            alternative.constraint.map_or_else(String::new, |constraint| {
                format!("{} {}", constraint.operator, constraint.version)
            })
        };
        let mut any: AnyOf = Vec::new();
        for alternative in alternatives {
            any.extend(self.meeting(alternative).into_iter().map(|(name, ids)| {
                let shown = if name == alternative.name {
                    version(alternative)
                } else {
                    format!("(as {alternative})")
                };
                allowed(name, ids, shown)
            }));
        }
        if any.is_empty() {
            // Nothing meets it: a package without versions says so in the solver's own words.
            let first = &alternatives[0];
            any.push(allowed(first.name, Vec::new(), version(first)));
        }
        any
    }

    /// Whether something that is installed meets a relation.
    fn is_met(&self, relation: &Relation<'_>) -> bool {
        relation
            .0
            .iter()
            .flat_map(|option| self.meeting(option))
            .any(|(_, ids)| ids.iter().any(|id| self.catalog.is_installed(*id)))
    }
}

/// Whether the text of a `Provides` field meets `wanted` (Debian Policy 7.5: a constraint is only
/// met where the version that is provided is named).
fn provides(provides: &str, wanted: &Alternative<'_>) -> bool {
    parse_relations(provides).iter().flat_map(|relation| &relation.0).any(|provided| {
        provided.name == wanted.name
            && match (wanted.constraint, provided.constraint) {
                (None, _) => true,
                (Some(wanted), Some(provided)) => wanted.allows(provided.version),
                (Some(_), None) => false,
            }
    })
}

impl Packages for Search<'_> {
    fn versions(&self, name: &str) -> Vec<usize> {
        self.catalog.versions(name).to_vec()
    }

    fn version(&self, package: usize) -> &str {
        &self.catalog.package(package).version
    }

    /// What is installed, then what is locked, then the newer.
    fn order(&self, a: usize, b: usize) -> Ordering {
        let rank = |id: usize| {
            let package = self.catalog.package(id);
            let locked = self.locked.get(&*package.name);
            let is_locked = locked.is_some_and(|locked| *locked == package.sha256);
            (self.catalog.is_installed(id), is_locked)
        };
        rank(b)
            .cmp(&rank(a))
            .then_with(|| compare_versions(self.version(b), self.version(a)))
            .then(a.cmp(&b))
    }

    fn requirements(&self, package: usize) -> Vec<AnyOf> {
        parse_relations(&self.catalog.package(package).depends)
            .iter()
            .filter(|relation| !relation.0.iter().any(|option| self.skips.contains(option.name)))
            .filter(|relation| !self.catalog.is_installed(package) || self.is_met(relation))
            .map(|relation| self.any_of(&relation.0))
            .collect()
    }

    fn constraints(&self, own: usize) -> Vec<Allowed> {
        let own = self.catalog.package(own);
        let mut constraints = Vec::new();
        for Relation(alternatives) in parse_relations(&own.conflicts) {
            for alternative in &alternatives {
                for (name, excluded) in self.meeting(alternative) {
                    // A package may conflict with what it provides itself: with all others.
                    if *name == *own.name {
                        continue;
                    }
                    let others = self.catalog.versions(name).iter().copied();
                    let others = others.filter(|id| !excluded.contains(id)).collect();
                    constraints.push(allowed(name, others, format!("other than {alternative}")));
                }
            }
        }
        constraints
    }
}

#[cfg(test)]
mod tests;
