//! What the stages of a project need: whether it is there, and in which order that puts them.

use crate::grammar::quoted;
use crate::model::{Fetch, Fetched, Need, Spanned, Stage, StageKind};
use crate::problems::{CYCLE, DUPLICATE, UNKNOWN_STAGE, WRONG_VALUE, suggestion};
use exflow_diagnostics::{Diagnostic, Diagnostics};
use std::collections::{BTreeMap, BTreeSet};

/// The names of the user's own stages.
fn own(stages: &BTreeMap<String, Stage>) -> BTreeSet<&str> {
    let own = stages.values().filter(|stage| matches!(stage.kind, StageKind::Own(_)));
    own.map(|stage| stage.kind.name()).collect()
}

/// Says which stages need what isn't there, or what can't be told apart.
pub(crate) fn check_needs(
    project: &Spanned<String>,
    stages: &BTreeMap<String, Stage>,
    fetches: &BTreeMap<String, Fetch>,
    problems: &mut Diagnostics,
) {
    let own = own(stages);
    let is_own = |name: &str| own.contains(name);
    for stage in stages.values().filter(|stage| is_own(stage.kind.name())) {
        if let Some(fetch) = fetches.get(stage.kind.name()) {
            problems.push(
                Diagnostic::error(
                    DUPLICATE,
                    format!("`{}` is a stage, and something that is fetched", stage.kind.name()),
                )
                .at(&stage.site, "a stage here")
                .at(&fetch.site, "fetched here")
                .help("give one of them another name: `needs` couldn't tell them apart"),
            );
        }
    }
    for Need { name: need, at, .. } in stages.values().flat_map(|stage| &stage.needs) {
        if is_own(&need.value) {
            if let Some(at) = at {
                problems.push(
                    Diagnostic::error(
                        WRONG_VALUE,
                        format!("stage `{}` is laid where its `output` says", need.value),
                    )
                    .at(&at.site, "it has a place already")
                    .help("leave `at` out: it is for what `fetch` and `git` declare"),
                );
            }
            continue;
        }
        if let Some(fetch) = fetches.get(&need.value) {
            let is_file = matches!(fetch.what, Fetched::File { .. });
            if let Some(at) = at.as_ref().filter(|at| is_file && at.value.is_root()) {
                problems.push(
                    Diagnostic::error(
                        WRONG_VALUE,
                        format!("`{}` is a file, and laid at a folder", need.value),
                    )
                    .at(&at.site, "this is the project's folder")
                    .help(format!("say what it is called there: `at=\"bin/{}\"`", need.value)),
                );
            }
            continue;
        }
        let known = || own.iter().copied().chain(fetches.keys().map(String::as_str));
        let help = match suggestion(&need.value, known(), problems) {
            Some(near) => format!("did you mean `{near}`?"),
            None if stages.contains_key(&need.value) => {
                "only stages of your own can be needed: the others follow each other anyway".into()
            }
            None => format!("declare it: `stage \"{}\" {{ run \"…\"; output \"…\" }}`", need.value),
        };
        problems.push(
            Diagnostic::error(
                UNKNOWN_STAGE,
                format!("project `{}` has no stage `{}` of its own", project.value, need.value),
            )
            .at(&need.site, "not declared")
            .help(help),
        );
    }
}

/// The user's own stages, each after those that it needs; of several that could be next, those that
/// could be so the earliest, by name.
pub(crate) fn order(stages: &BTreeMap<String, Stage>, problems: &mut Diagnostics) -> Vec<String> {
    let own = own(stages);
    // How many of those that it needs each still waits for, and who waits for each.
    let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in &own {
        let needs: BTreeSet<&str> = stages[*name]
            .needs
            .iter()
            .map(|need| need.name.value.as_str())
            .filter(|need| own.contains(need))
            .collect();
        waits.insert(name, needs.len());
        for need in needs {
            needed_by.entry(need).or_default().push(name);
        }
    }
    let mut done: Vec<String> = Vec::new();
    let mut ready: BTreeSet<&str> = own.iter().copied().filter(|name| waits[name] == 0).collect();
    while !ready.is_empty() {
        let mut next = BTreeSet::new();
        for name in ready {
            waits.remove(name);
            done.push(name.to_owned());
            for waiting in needed_by.get(name).into_iter().flatten().copied() {
                if let Some(count) = waits.get_mut(waiting) {
                    *count -= 1;
                    if *count == 0 {
                        next.insert(waiting);
                    }
                }
            }
        }
        ready = next;
    }
    if let Some(first) = waits.keys().next() {
        let names = quoted(waits.keys().copied());
        problems.push(
            Diagnostic::error(CYCLE, format!("the stages {names} need each other"))
                .at(&stages[*first].site, "never ready")
                .help("take one `needs` away"),
        );
    }
    done
}
