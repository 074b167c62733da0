use crate::cli::{BuildOptions, VerifyArgs};
use crate::engine::{Executed, execute};
use crate::interrupt;
use crate::places::http;
use crate::prepare::prepare;
use crate::report::Failure;
use crate::session::Session;
use crate::verify::{Verification, compare_image, say_verified, ways};
use exflow_diagnostics::Diagnostics;
use exflow_fetch::{Cancel, Client};
use std::process::ExitCode;

/// Builds what isn't built yet, does every step of it anew, and compares.
pub(crate) fn run(session: &mut Session, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    // Nothing is locked by the way: what is proved is what the commit says.
    let options = BuildOptions { locked: true, ..args.options.clone() };
    let prepared = prepare(session, &args.targets, &options, &cancel)?;
    if let Some(image) = &args.image {
        return compare_image(session, &prepared, image, &options, &cancel);
    }
    let Executed { built, outputs, failure } = execute(session, &prepared, &options, &cancel)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let client = Client::new(http(options.offline), cancel.clone());
    let verification = Verification {
        prepared: &prepared,
        built: &built,
        outputs: &outputs,
        client: &client,
        cancel: &cancel,
        jobs: options.side_by_side(),
    };
    verification.check_store(session)?;
    let mut problems = Diagnostics::new();
    let mut done = Ok(());
    if !args.from_store && !options.offline {
        done = verification.fetch(session, &mut problems);
    }
    let mut is_left_out = false;
    for mut way in ways(args.options.executor)? {
        if done.is_ok() {
            // Of the ways that can be had, one does the steps one by one.
            way.one_by_one |= is_left_out;
            let rebuilt = verification.rebuild(session, way, &mut problems);
            done = rebuilt.map(|could_be_had| is_left_out = !could_be_had);
        }
    }
    if let Err(failure) = done {
        // What was found before is worth knowing all the same.
        session.warn(&problems);
        return Err(failure);
    }
    problems.into_result(())?;
    for built in &built {
        say_verified(session, built, None)?;
    }
    session.ui.tell("verified", "every step gave again what it had given");
    Ok(ExitCode::SUCCESS)
}
