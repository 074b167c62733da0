//! Every problem that this crate reports, by code.

use exflow_diagnostics::{Diagnostics, MAX_SHOWN, did_you_mean};

pub(crate) const SYNTAX: &str = "exflow::manifest::syntax";
pub(crate) const TOO_LARGE: &str = "exflow::manifest::too-large";
pub(crate) const UNKNOWN_NODE: &str = "exflow::manifest::unknown-node";
pub(crate) const UNKNOWN_PROPERTY: &str = "exflow::manifest::unknown-property";
pub(crate) const WRONG_ARGUMENTS: &str = "exflow::manifest::wrong-arguments";
pub(crate) const WRONG_VALUE: &str = "exflow::manifest::wrong-value";
pub(crate) const MISSING_NODE: &str = "exflow::manifest::missing-node";
pub(crate) const DUPLICATE: &str = "exflow::manifest::duplicate";
pub(crate) const UNKNOWN_BASE: &str = "exflow::manifest::unknown-base";
pub(crate) const UNKNOWN_PLUGIN: &str = "exflow::manifest::unknown-plugin";
pub(crate) const UNKNOWN_STAGE: &str = "exflow::manifest::unknown-stage";
pub(crate) const CYCLE: &str = "exflow::manifest::cycle";
pub(crate) const MISPLACED: &str = "exflow::manifest::misplaced";
pub(crate) const NO_PROJECT: &str = "exflow::manifest::no-project";
pub(crate) const NO_MEMBER: &str = "exflow::manifest::no-member";

/// What `word` was probably meant to be. It takes a look at every name, so that it is left out where
/// the problem isn't shown anyway.
pub(crate) fn suggestion<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    problems: &Diagnostics,
) -> Option<&'a str> {
    (problems.iter().len() < MAX_SHOWN).then(|| did_you_mean(word, known)).flatten()
}
