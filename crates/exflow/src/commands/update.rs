use crate::cli::UpdateArgs;
use crate::inputs;
use crate::report::Failure;
use crate::session::Session;
use crate::{interrupt, locking};
use exflow_diagnostics::printable;
use exflow_fetch::Cancel;
use exflow_lock::{Difference, differences};
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &UpdateArgs) -> Result<ExitCode, Failure> {
    let is_moved = update(session, &args.inputs, args.dry_run)?;
    if args.dry_run && is_moved {
        session.ui.tell("done", "nothing was changed; without `--dry-run`, the lock is");
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what the inputs that are named are today, and locks that unless it is only to be shown. Whether that is
/// anything else than what is locked.
pub(super) fn update(
    session: &mut Session,
    named: &[String],
    dry_run: bool,
) -> Result<bool, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let workspace = session.workspace()?;
    let chosen = inputs::chosen(&workspace, named)?;
    let updated = locking::update(session, &workspace, &chosen, dry_run, &cancel)?;
    let differences = differences(&updated.old, &updated.new);
    session.print(&in_words(&differences))?;
    if differences.is_empty() {
        session.ui.tell("done", "what is locked is what there is today");
    }
    Ok(!differences.is_empty())
}

fn in_words(differences: &[Difference]) -> String {
    let mut text = String::new();
    for difference in differences {
        text += &format!("{}\n", difference.subject());
        for change in &difference.changes {
            text += &format!("  {}\n", printable(&change.to_string()));
        }
    }
    text
}
