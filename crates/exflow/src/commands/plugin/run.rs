use super::json;
use crate::cli::{BuildOptions, PluginRunArgs};
use crate::locking;
use crate::prepare::select;
use crate::propose::{Asking, propose};
use crate::report::{Failure, store_failed};
use crate::session::Session;
use exflow_fetch::Cancel;
use exflow_manifest::Project;
use serde_json::{Map, Value};
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) fn run(session: &mut Session, args: &PluginRunArgs) -> Result<ExitCode, Failure> {
    let workspace = session.workspace()?;
    let selected = select(&workspace, &args.projects)?;
    let projects: Vec<&Project> = selected.iter().map(|(project, _)| *project).collect();
    // Components as they are now: whoever writes one wants to see what it says since it was built.
    // What is fetched is as it is locked.
    let mut lock = locking::read(session)?;
    lock.plugins.retain(|_, plugin| plugin.sha256.is_some());
    let lock = Arc::new(lock);
    let store = session.store()?;
    let sources = store.sources(&session.root).map_err(store_failed)?;
    let cancel = Cancel::new();
    let asking = Asking {
        workspace: &workspace,
        lock: &lock,
        sources: &sources,
        options: &BuildOptions::default(),
        cancel: &cancel,
        makes: false,
    };
    let proposals = propose(session, &asking, &projects)?;
    let proposals: Map<String, Value> =
        proposals.iter().map(|(project, proposal)| (project.clone(), json::of(proposal))).collect();
    session.print(&json::text(&proposals.into()))?;
    Ok(ExitCode::SUCCESS)
}
