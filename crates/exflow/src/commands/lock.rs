use crate::cli::LockArgs;
use crate::report::Failure;
use crate::session::Session;
use crate::{interrupt, lockfile};
use exflow_fetch::Cancel;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &LockArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let workspace = session.workspace()?;
    if args.check {
        let lock = lockfile::read(session)?;
        let problems = lockfile::problems(&session.root, &workspace, &lock);
        return Ok(problems.into_result(ExitCode::SUCCESS)?);
    }
    let (_, has_changed) = lockfile::update(session, &workspace, true, &cancel)?;
    if !has_changed {
        session.ui.tell("done", "the lock has all that the manifest asks for");
    }
    Ok(ExitCode::SUCCESS)
}
