//! Which packages a base consists of.
//!
//! The search is resolvo's, a SAT solver made for packages. What it is told: a package has one
//! version at most; a relation is met by any of its alternatives, each a real package or one that
//! provides it; a conflict rules versions out.

use super::Installed;
use super::catalog::{Catalog, Package};
use super::relation::{Alternative, Relation, parse_relations};
use super::version::compare_versions;
use crate::unsolvable::{Unsolvable, Words};
use exflow_content::Sha256;
use exflow_diagnostics::{Diagnostic, Site, did_you_mean};
use exflow_lock::{LockedDebian, LockedPackage, RequestedDebian};
use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, SolvableId, Solver,
    SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

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
    let provider =
        Provider { catalog, pool: Pool::default(), solvables: RefCell::default(), skips, locked };
    let requirements = roots
        .iter()
        .map(|name| provider.requirement(&[Alternative { name, constraint: None }]))
        .collect();
    let mut solver = Solver::new(provider);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solvables) => {
            let packages: BTreeMap<&str, LockedPackage> = solvables
                .into_iter()
                .map(|solvable| solver.provider().pool.resolve_solvable(solvable).record.id)
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
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            Err(Unsolvable::Conflict(conflict.display_user_friendly(&solver).to_string()))
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => unreachable!("nothing cancels the solver"),
    }
}

/// Some versions of one package, by their numbers in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Versions {
    allowed: Vec<usize>,
    shown: String,
}

#[derive(Debug, Clone)]
struct Version {
    id: usize,
    shown: Box<str>,
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl VersionSet for Versions {
    type V = Version;
}

struct Provider<'a> {
    catalog: &'a Catalog,
    pool: Pool<Versions>,
    /// The solver's numbers of the catalog's packages that it has come across.
    solvables: RefCell<BTreeMap<usize, SolvableId>>,
    skips: BTreeSet<&'static str>,
    /// What each package was, by content.
    locked: BTreeMap<&'a str, Sha256>,
}

impl Provider<'_> {
    fn versions(&self, name: &str, allowed: Vec<usize>, shown: String) -> VersionSetId {
        let name = self.pool.intern_package_name(name);
        self.pool.intern_version_set(name, Versions { allowed, shown })
    }

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

    fn requirement(&self, alternatives: &[Alternative<'_>]) -> ConditionalRequirement {
        let mut sets: Vec<VersionSetId> = alternatives
            .iter()
            .flat_map(|alternative| {
                self.meeting(alternative).into_iter().map(move |(name, ids)| {
                    let shown = if name == alternative.name {
                        alternative.constraint.map_or_else(String::new, |constraint| {
                            format!("{} {}", constraint.operator, constraint.version)
                        })
                    } else {
                        format!("(as {alternative})")
                    };
                    self.versions(name, ids, shown)
                })
            })
            .collect();
        if sets.is_empty() {
            // Nothing meets it: a package without versions says so in the solver's own words.
            let first = &alternatives[0];
            let shown = first.constraint.map_or_else(String::new, |constraint| {
                format!("{} {}", constraint.operator, constraint.version)
            });
            sets.push(self.versions(first.name, Vec::new(), shown));
        }
        if sets.len() == 1 {
            return sets[0].into();
        }
        let rest = sets.split_off(1);
        self.pool.intern_version_set_union(sets[0], rest.into_iter()).into()
    }

    /// Whether something that is installed meets a relation.
    fn is_met(&self, relation: &Relation<'_>) -> bool {
        relation
            .0
            .iter()
            .flat_map(|option| self.meeting(option))
            .any(|(_, ids)| ids.iter().any(|id| self.catalog.is_installed(*id)))
    }

    /// What must not be there beside the package `own`: for each package, the versions that may.
    fn constraints(&self, own: usize, conflicts: &str) -> Vec<VersionSetId> {
        let own_name = &self.catalog.package(own).name;
        let mut constraints = Vec::new();
        for Relation(alternatives) in parse_relations(conflicts) {
            for alternative in &alternatives {
                for (name, excluded) in self.meeting(alternative) {
                    // A package may conflict with what it provides itself: with all others.
                    if name == &**own_name {
                        continue;
                    }
                    let allowed: Vec<usize> = self
                        .catalog
                        .versions(name)
                        .iter()
                        .copied()
                        .filter(|id| !excluded.contains(id))
                        .collect();
                    let shown = format!("other than {alternative}");
                    constraints.push(self.versions(name, allowed, shown));
                }
            }
        }
        constraints
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

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let solvable = self.pool.resolve_solvable(solvable);
        format!("{} {}", self.pool.resolve_package_name(solvable.name), solvable.record)
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let mut shown: Vec<_> =
            solvables.iter().map(|one| self.display_solvable(*one).to_string()).collect();
        shown.sort();
        shown.dedup();
        shown.join(" or ")
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.pool.resolve_package_name(name)
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        &self.pool.resolve_version_set(version_set).shown
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        self.pool.resolve_string(string)
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(version_set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.resolve_solvable(solvable).name
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let allowed = &self.pool.resolve_version_set(version_set).allowed;
        candidates
            .iter()
            .copied()
            .filter(|solvable| {
                allowed.contains(&self.pool.resolve_solvable(*solvable).record.id) != inverse
            })
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let ids = self.catalog.versions(self.pool.resolve_package_name(name));
        if ids.is_empty() {
            return None;
        }
        let mut solvables = self.solvables.borrow_mut();
        let candidates = ids
            .iter()
            .map(|id| {
                *solvables.entry(*id).or_insert_with(|| {
                    let shown = self.catalog.package(*id).version.clone();
                    self.pool.intern_solvable(name, Version { id: *id, shown })
                })
            })
            .collect();
        Some(Candidates {
            candidates,
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let package = |solvable: &SolvableId| {
            let id = self.pool.resolve_solvable(*solvable).record.id;
            (self.catalog.package(id), id)
        };
        solvables.sort_by(|a, b| {
            let ((a, a_id), (b, b_id)) = (package(a), package(b));
            let is_locked = |package: &Package| {
                self.locked.get(&*package.name).is_some_and(|locked| *locked == package.sha256)
            };
            let is_installed = |id: usize| self.catalog.is_installed(id);
            is_installed(b_id)
                .cmp(&is_installed(a_id))
                .then_with(|| is_locked(b).cmp(&is_locked(a)))
                .then_with(|| compare_versions(&b.version, &a.version))
                .then(a_id.cmp(&b_id))
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let id = self.pool.resolve_solvable(solvable).record.id;
        let package = self.catalog.package(id);
        let requirements = parse_relations(&package.depends)
            .iter()
            .filter(|relation| !relation.0.iter().any(|option| self.skips.contains(option.name)))
            .filter(|relation| !self.catalog.is_installed(id) || self.is_met(relation))
            .map(|relation| self.requirement(&relation.0))
            .collect();
        let constrains = self.constraints(id, &package.conflicts);
        Dependencies::Known(KnownDependencies { requirements, constrains })
    }
}

#[cfg(test)]
mod tests;
