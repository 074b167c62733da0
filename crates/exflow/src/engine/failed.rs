//! Why a step was not done, and how that is said.

use crate::pack::PackError;
use crate::report::{Failure, PROBLEM};
use crate::session::Session;
use crate::ui::end_of;
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, printable};
use exflow_fetch::FetchError;
use exflow_store::StoreError;
use std::path::{Path, PathBuf};

/// How much of a failed step's log is shown.
const SHOWN_LINES: usize = 20;
/// How much of its end is looked at for that, in bytes.
const SHOWN_BYTES: u64 = 16 << 10;

/// Why a step was not done.
pub(crate) enum Failed {
    Problems(Diagnostics),
    /// Something in the store is missing or damaged.
    Damaged(Diagnostics),
    /// It ended badly; its log tells more.
    Step {
        diagnostic: Diagnostic,
        log: PathBuf,
    },
    Interrupted,
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self::fetching(&error, None)
    }
}

impl Failed {
    pub(crate) fn fetching(error: &FetchError, site: Option<&Site>) -> Self {
        match error {
            FetchError::Cancelled => Self::Interrupted,
            FetchError::Store(store) if store.is_damage() => {
                Self::Damaged(exflow_fetch::diagnose(error, site).into())
            }
            other => Self::Problems(exflow_fetch::diagnose(other, site).into()),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        FetchError::Store(error).into()
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problems(problems) => Self::Problems(problems),
            Failure::Interrupted => Self::Interrupted,
            Failure::Usage(_) | Failure::Said(_) => Self::Problems(Diagnostics::new()),
        }
    }
}

impl From<PackError> for Failed {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Store(error) => error.into(),
            PackError::Problems(problems) => Self::Problems(problems),
            PackError::Problem(problem) => Self::Problems((*problem).into()),
        }
    }
}

/// Says what failed, with the end of its log; gives what is left to say.
pub(crate) fn report_failed(session: &mut Session, failures: Vec<Failed>) -> Failure {
    let mut problems = Diagnostics::new();
    let mut interrupted = false;
    let mut said = false;
    for failure in failures {
        match failure {
            Failed::Problems(more) | Failed::Damaged(more) => problems.extend(more),
            Failed::Interrupted => interrupted = true,
            Failed::Step { diagnostic, log } => {
                session.warn(&diagnostic.into());
                session.ui.say(&last_lines(&log));
                said = true;
            }
        }
    }
    if interrupted {
        // What had failed before is worth knowing all the same.
        session.warn(&problems);
        return Failure::Interrupted;
    }
    if !problems.is_empty() || !said {
        return problems.into();
    }
    Failure::Said(PROBLEM)
}

/// The end of a log.
fn last_lines(log: &Path) -> String {
    let text = end_of(log, SHOWN_BYTES).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return "it printed nothing\n".to_owned();
    }
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    let shown: Vec<String> = shown.iter().map(|line| format!("  | {}", printable(line))).collect();
    format!("{}\n  the whole log: {}\n", shown.join("\n"), log.display())
}
