use crate::cli::BuildOptions;
use crate::inputs;
use crate::locking;
use crate::propose::{Asking, planned, propose};
use crate::report::{Failure, store_failed};
use crate::session::Session;
use exflow_fetch::Cancel;
use exflow_lock::RequestedPlugin;
use exflow_manifest::Project;
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) fn run(session: &mut Session) -> Result<ExitCode, Failure> {
    let workspace = session.workspace()?;
    let lock = Arc::new(locking::read(session)?);
    let store = session.store()?;
    let sources = store.sources(&session.root).map_err(store_failed)?;
    let projects: Vec<_> = workspace.projects.iter().collect();
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
    // What isn't locked yet is no mistake either; nothing can be asked of it.
    let wanted = inputs::wanted(&workspace).plugins;
    let is_there = |project: &&Project| match project.tool.as_ref().map(|tool| &tool.plugin.value) {
        Some(name) => match &wanted[name] {
            RequestedPlugin::Builtin | RequestedPlugin::Path(_) => true,
            requested => lock.plugin(name, requested).is_some(),
        },
        None => true,
    };
    let projects: Vec<&Project> = projects.into_iter().filter(is_there).collect();
    let proposals = propose(session, &asking, &projects)?;
    // A lock that doesn't fit is completed by the next build, so it is no mistake yet.
    let stale = locking::warnings(&session.root, &workspace, &lock);
    session.warn(&stale);
    if stale.is_empty() {
        // What stages and plugins say together is seen only in a plan.
        planned(&asking, &projects, &proposals)?;
    }
    let count = workspace.projects.len();
    let count = if count == 1 { "1 project".into() } else { format!("{count} projects") };
    session.ui.tell("done", &format!("{count}, no mistakes"));
    Ok(ExitCode::SUCCESS)
}
