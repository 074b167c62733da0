use crate::cli::BuildOptions;
use crate::lockfile;
use crate::propose::{Asking, planned, propose};
use crate::report::Failure;
use crate::session::{Session, store_failed};
use exflow_diagnostics::{Diagnostics, Severity};
use exflow_fetch::Cancel;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session) -> Result<ExitCode, Failure> {
    let workspace = session.workspace()?;
    let lock = lockfile::read(session)?;
    let store = session.store()?;
    let sources = store.sources(&session.root).map_err(store_failed)?;
    let units: Vec<_> = workspace.units.iter().collect();
    let cancel = Cancel::new();
    let options = BuildOptions::default();
    let asking = Asking {
        workspace: &workspace,
        lock: &lock,
        sources: &sources,
        options: &options,
        cancel: &cancel,
        makes: false,
    };
    let proposals = propose(session, &asking, &units)?;
    // A lock that doesn't fit is completed by the next build, so it is no mistake yet.
    let stale =
        lockfile::problems(&session.root, &workspace, &lock).into_iter().map(|mut problem| {
            problem.severity = Severity::Warning;
            problem
        });
    let stale: Diagnostics = stale.collect();
    session.warn(&stale);
    if stale.is_empty() {
        // What stages and plugins say together is seen only in a plan.
        planned(&asking, &units, &proposals)?;
    }
    let projects = workspace.units.len();
    let projects = if projects == 1 { "1 project".into() } else { format!("{projects} projects") };
    session.ui.tell("done", &format!("{projects}, no mistakes"));
    Ok(ExitCode::SUCCESS)
}
