//! The one place where everything that can go wrong becomes words and an exit code.

use crate::ui::Ui;
use exflow_diagnostics::{Diagnostic, Diagnostics, MAX_SHOWN, Severity, Sources, Style, render};
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A problem, or a step that failed.
pub(crate) const PROBLEM: u8 = 1;
/// Arguments that don't fit together.
pub(crate) const USAGE: u8 = 2;
/// Stopped by the user, as shells count it: 128 and the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command didn't do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Problems that the user can fix.
    Problems(Diagnostics),
    /// It was asked for something that makes no sense.
    Usage(String),
    /// It has been said already; only the exit code is left.
    Said(u8),
    /// The user stopped it.
    Interrupted,
}

impl From<Diagnostics> for Failure {
    fn from(problems: Diagnostics) -> Self {
        Self::Problems(problems)
    }
}

impl From<Diagnostic> for Failure {
    fn from(problem: Diagnostic) -> Self {
        Self::Problems(problem.into())
    }
}

/// Says what went wrong; the exit code that stands for it.
pub(crate) fn report(failure: Failure, sources: &Sources, ui: &Ui) -> ExitCode {
    match failure {
        Failure::Problems(problems) => {
            say_all(&problems, sources, ui);
            PROBLEM.into()
        }
        Failure::Usage(message) => {
            ui.say(&format!("error: {message}\n\nFor more, try `exflow --help`."));
            USAGE.into()
        }
        Failure::Said(code) => code.into(),
        Failure::Interrupted => {
            ui.say("stopped; what was finished is kept");
            INTERRUPTED.into()
        }
    }
}

/// Says the problems, as many as anyone reads, and how many there were.
pub(crate) fn say_all(problems: &Diagnostics, sources: &Sources, ui: &Ui) {
    for paragraph in paragraphs(problems, sources, ui.style()) {
        ui.say(&paragraph);
    }
}

fn paragraphs(problems: &Diagnostics, sources: &Sources, style: Style) -> Vec<String> {
    let mut paragraphs = Vec::new();
    for problem in problems.iter().take(MAX_SHOWN) {
        paragraphs.push(render(problem, sources, style));
        paragraphs.push(String::new());
    }
    let more = problems.iter().len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        paragraphs.push(format!("and {more} more"));
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors > 1 {
        paragraphs.push(format!("{errors} errors"));
    }
    paragraphs
}

/// A failure of the file system outside of the store.
pub(crate) fn io_failed(action: &str, path: &Path, source: &io::Error) -> Failure {
    let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let help = if full { "make room, and run it again" } else { "check the path and its rights" };
    Diagnostic::error(
        "exflow::output::failed",
        format!("can't {action} `{}`: {source}", path.display()),
    )
    .help(help)
    .into()
}

/// Says what is wrong with the store.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`, which gives it away")]
pub(crate) fn store_failed(error: exflow_store::StoreError) -> Failure {
    exflow_store::diagnose(&error, None).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_problems_the_first_are_shown() {
        let said = |count: usize| {
            let problem = |number| Diagnostic::error("a::b::c", format!("wrong {number}"));
            let problems: Diagnostics = (1..=count).map(problem).collect();
            paragraphs(&problems, &Sources::new(), Style::default()).concat()
        };
        assert!(said(100).contains("wrong 100"));
        assert!(said(100).ends_with("100 errors"));
        let many = said(250);
        assert!(many.contains("wrong 100") && !many.contains("wrong 101"));
        assert!(many.ends_with("and 150 more250 errors"), "{many}");
    }
}
