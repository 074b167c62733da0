//! The search for packages that fit together: resolvo's, a SAT solver made for packages. This is the only
//! place that knows it.
//!
//! A package is a number. Of all packages of one name, one at most is chosen.

use crate::Unsolvable;
use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, SolvableId, Solver,
    SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// What there is to choose from, and what it needs.
pub(crate) trait Packages {
    /// All packages of a name.
    fn versions(&self, name: &str) -> Vec<usize>;

    /// The version of a package, as it is shown.
    fn version(&self, package: usize) -> &str;

    /// Which of two packages of one name is tried first.
    fn order(&self, a: usize, b: usize) -> Ordering;

    /// What a package needs: of each of these, one.
    fn requirements(&self, package: usize) -> Vec<AnyOf>;

    /// What may be there beside a package of the names that these are of.
    fn constraints(&self, package: usize) -> Vec<Allowed>;
}

/// Some packages of one name.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    pub(crate) name: String,
    pub(crate) packages: Vec<usize>,
    /// Which those are, in a few words.
    pub(crate) shown: String,
}

/// Alternatives, the better before the worse; at least one.
pub(crate) type AnyOf = Vec<Allowed>;

/// The packages that are needed for `wanted`, in any order.
pub(crate) fn solve(
    packages: &impl Packages,
    wanted: impl IntoIterator<Item = AnyOf>,
) -> Result<Vec<usize>, Unsolvable> {
    let search = Search { packages, pool: Pool::default(), solvables: RefCell::default() };
    let requirements = wanted.into_iter().map(|any| search.requirement(any)).collect();
    let mut solver = Solver::new(search);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solvables) => {
            let pool = &solver.provider().pool;
            Ok(solvables.into_iter().map(|one| pool.resolve_solvable(one).record.id).collect())
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            Err(Unsolvable::Conflict(conflict.display_user_friendly(&solver).to_string()))
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => unreachable!("nothing cancels the solver"),
    }
}

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

struct Search<'a, P> {
    packages: &'a P,
    pool: Pool<Versions>,
    /// The solver's numbers of the packages that it has come across.
    solvables: RefCell<BTreeMap<usize, SolvableId>>,
}

impl<P: Packages> Search<'_, P> {
    fn id(&self, solvable: SolvableId) -> usize {
        self.pool.resolve_solvable(solvable).record.id
    }

    fn set(&self, Allowed { name, packages, shown }: Allowed) -> VersionSetId {
        let name = self.pool.intern_package_name(name);
        self.pool.intern_version_set(name, Versions { allowed: packages, shown })
    }

    fn requirement(&self, any: AnyOf) -> ConditionalRequirement {
        let mut sets = any.into_iter().map(|allowed| self.set(allowed));
        let first = sets.next().expect("there is one alternative at least");
        let rest: Vec<VersionSetId> = sets.collect();
        if rest.is_empty() {
            return first.into();
        }
        self.pool.intern_version_set_union(first, rest.into_iter()).into()
    }
}

impl<P: Packages> Interner for Search<'_, P> {
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

impl<P: Packages> DependencyProvider for Search<'_, P> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let allowed = &self.pool.resolve_version_set(version_set).allowed;
        let fits = |solvable: &SolvableId| allowed.contains(&self.id(*solvable)) != inverse;
        candidates.iter().copied().filter(fits).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let ids = self.packages.versions(self.pool.resolve_package_name(name));
        if ids.is_empty() {
            return None;
        }
        let mut solvables = self.solvables.borrow_mut();
        let candidates = ids.into_iter().map(|id| {
            *solvables.entry(id).or_insert_with(|| {
                let shown = self.packages.version(id).into();
                self.pool.intern_solvable(name, Version { id, shown })
            })
        });
        Some(Candidates {
            candidates: candidates.collect(),
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by(|a, b| self.packages.order(self.id(*a), self.id(*b)));
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let id = self.id(solvable);
        let requirements = self.packages.requirements(id).into_iter();
        let constrains = self.packages.constraints(id).into_iter();
        Dependencies::Known(KnownDependencies {
            requirements: requirements.map(|any| self.requirement(any)).collect(),
            constrains: constrains.map(|allowed| self.set(allowed)).collect(),
        })
    }
}
