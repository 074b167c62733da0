use super::{update, why};
use crate::cli::{LockArgs, LockCommand};
use crate::report::Failure;
use crate::session::Session;
use crate::{interrupt, locking};
use exflow_fetch::Cancel;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &LockArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        Some(LockCommand::Why(args)) => return why::run(session, args),
        Some(LockCommand::Outdated(args)) => {
            if update::update(session, &args.inputs, true)? {
                session.ui.tell("done", "`exflow update` moves these");
            }
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let workspace = session.workspace()?;
    if args.check {
        let lock = locking::read(session)?;
        let problems = locking::problems(&session.root, &workspace, &lock);
        return Ok(problems.into_result(ExitCode::SUCCESS)?);
    }
    let (lock, has_changed) = locking::adjust(session, &workspace, true, &cancel)?;
    // Plugins of this machine that are others now: nothing that is locked moves here.
    session.warn(&locking::warnings(&session.root, &workspace, &lock));
    if !has_changed {
        session.ui.tell("done", "the lock has all that the manifest asks for");
    }
    Ok(ExitCode::SUCCESS)
}
