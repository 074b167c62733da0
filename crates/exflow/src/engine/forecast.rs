//! What would become of each step, and why.

use super::{Engine, Node};
use crate::cli::ExecutorChoice;
use crate::executors::Executors;
use crate::places::http;
use crate::prepare::Prepared;
use crate::report::{Failure, store_failed};
use crate::session::Session;
use exflow_content::{Digest, Encoder, Tree};
use exflow_fetch::{Cancel, Client};
use exflow_plan::{Action, Command, PlannedRun, StepId, changes};
use exflow_store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many reasons are named for a step that runs.
const SHOWN_REASONS: usize = 3;

/// A step, and what is known of it before it runs.
pub(crate) struct Foreseen {
    pub(crate) name: String,
    /// The names of the steps whose outputs it sees.
    pub(crate) needs: Vec<String>,
    pub(crate) forecast: Forecast,
}

/// What would become of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Forecast {
    Cached,
    /// It would run, for this reason if one is known.
    Runs(Option<String>),
    /// It depends on what comes out of steps that would run.
    Unknown,
}

/// What would become of each step that is wanted, in their order. Runs nothing.
pub(crate) fn forecast(session: &Session, prepared: &Prepared) -> Result<Vec<Foreseen>, Failure> {
    let cancel = Cancel::new();
    let client = Client::new(http(true), cancel.clone());
    let executors = Executors::new(ExecutorChoice::Auto, prepared.store.clone(), &session.ui);
    let engine = Engine::new(prepared, &session.ui, &executors, &client, &cancel, 1);
    let plan = &prepared.plan;
    let mut open: BTreeSet<StepId> = BTreeSet::new();
    let mut forecasts = Vec::new();
    for node in engine.nodes() {
        let needs: BTreeSet<StepId> = engine.needs(node).into_iter().collect();
        let forecast = if needs.iter().any(|need| open.contains(need)) {
            Forecast::Unknown
        } else if engine.look_up(node).map_err(store_failed)? {
            Forecast::Cached
        } else {
            Forecast::Runs(reason(&engine, node).map_err(store_failed)?)
        };
        if let Node::Step(step) = node
            && forecast != Forecast::Cached
        {
            open.insert(step);
        }
        let name = match node {
            Node::Step(step) => plan.steps[step].name.clone(),
            Node::Image(image) => plan.images[image].name(),
        };
        let needs = needs.into_iter().map(|need| plan.steps[need].name.clone()).collect();
        forecasts.push(Foreseen { name, needs, forecast });
    }
    Ok(forecasts)
}

/// Why a node whose needs are done has to be done, where that is known.
fn reason(engine: &Engine<'_>, node: Node) -> Result<Option<String>, StoreError> {
    let Node::Step(step) = node else { return Ok(None) };
    let step = &engine.prepared.plan.steps[step];
    let Action::Run(run) = &step.action else { return Ok(None) };
    why(&engine.prepared.store, &engine.last_key(&step.name), run, &engine.command(run))
}

/// The key under which the command of a step that last ran is kept.
pub(crate) fn last_key(root: &Path, step: &str) -> Digest {
    use std::os::unix::ffi::OsStrExt;
    let mut encoder = Encoder::new("exflow last command 1");
    encoder.bytes(root.as_os_str().as_bytes()).text(step);
    encoder.digest_of()
}

/// What has changed since the step whose last command is kept under `last` ran; none where nothing is
/// known of it.
pub(crate) fn why(
    store: &Store,
    last: &Digest,
    run: &PlannedRun,
    command: &Command,
) -> Result<Option<String>, StoreError> {
    let Some(record) = store.record(last)? else { return Ok(None) };
    let Ok(old) = Command::decode(&record.data) else { return Ok(None) };
    // Sources are put into the store only when the step runs.
    let sources = run.mounts.iter().filter_map(|mount| mount.source.tree());
    let sources: BTreeMap<Digest, &Tree> = sources.map(|tree| (tree.digest(), tree)).collect();
    let changes = changes(&old, command, |tree| match sources.get(tree) {
        Some(tree) => Some((*tree).clone()),
        None => store.tree(tree).ok(),
    });
    let mut reasons: Vec<String> =
        changes.iter().take(SHOWN_REASONS).map(ToString::to_string).collect();
    if changes.len() > SHOWN_REASONS {
        reasons.push(format!("and {} more", changes.len() - SHOWN_REASONS));
    }
    Ok((!reasons.is_empty()).then(|| reasons.join(", ")))
}
