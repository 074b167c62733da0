use crate::cli::FetchArgs;
use crate::engine::execute;
use crate::inputs::{site, wanted};
use crate::interrupt;
use crate::locking;
use crate::plugins::Components;
use crate::prepare::{prepare, select};
use crate::report::Failure;
use crate::session::Session;
use exflow_diagnostics::Diagnostics;
use exflow_fetch::Cancel;
use exflow_lock::InputKind;
use exflow_plan::Action;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Brings in everything that is locked for the projects that are named: bases, packages, plugins. What plugins have to
/// see before they can say what that is, is made.
pub(crate) fn run(session: &mut Session, args: &FetchArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let mut prepared = prepare(session, &args.projects, &args.options, &cancel)?;
    fetch_plugins(session, args, &cancel)?;
    // Of all stages, whether or not an image needs them.
    let steps = prepared.plan.steps.iter().enumerate();
    let fetched = steps.filter(|(_, step)| !matches!(step.action, Action::Run(_)));
    prepared.steps = fetched.map(|(number, _)| number).collect();
    prepared.images.clear();
    if let Some(failure) = execute(session, &prepared, &args.options, &cancel)?.failure {
        return Err(failure);
    }
    session.ui.tell("done", "what is locked is in the store: `--offline` builds with that");
    Ok(ExitCode::SUCCESS)
}

/// The plugins of these projects, which a build would only fetch once something has to be asked.
fn fetch_plugins(session: &mut Session, args: &FetchArgs, cancel: &Cancel) -> Result<(), Failure> {
    let workspace = session.workspace()?;
    let lock = locking::read(session)?;
    let store = session.store()?;
    let components = Components::new(session, store, &workspace, args.options.offline, cancel);
    let selected = select(&workspace, &args.projects)?;
    let tools = selected.iter().filter_map(|(project, _)| project.tool.as_ref());
    let asked: BTreeSet<&String> = tools.map(|tool| &tool.plugin.value).collect();
    let requested = wanted(&workspace).plugins;
    let mut problems = Diagnostics::new();
    for name in asked {
        let Some(locked) = lock.plugin(name, &requested[name]) else { continue };
        let site = site(&workspace, &InputKind::Plugin.named(name));
        match components.fetch(name, locked, site) {
            Some(Err(Failure::Problems(more))) => problems.extend(more),
            Some(Err(failure)) => return Err(failure),
            Some(Ok(_)) | None => {}
        }
    }
    Ok(problems.into_result(())?)
}
