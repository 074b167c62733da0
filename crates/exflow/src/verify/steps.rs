//! What was built, done anew: what comes from outside is fetched once more, and every step is done once more.

use super::Way;
use super::listing::list;
use super::rebuild::{Before, Changed, ChangedFile, ChangedThing, Rebuild, Rebuilt};
use crate::engine::{Built, Failed, base_key, report_failed};
use crate::places::http;
use crate::prepare::Prepared;
use crate::report::{Failure, store_failed};
use crate::session::Session;
use crate::ui::Ui;
use exflow_compare::Cause;
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Diagnostics};
use exflow_exec::NO_SANDBOX;
use exflow_fetch::debian::package_keys;
use exflow_fetch::image::layer_keys;
use exflow_fetch::{Cancel, Client, HttpOptions, apk_keys};
use exflow_lock::AddedPackages;
use exflow_plan::{Action, PlannedRoot, StepId};
use std::collections::{BTreeMap, BTreeSet};

const DIFFERENT: &str = "exflow::verify::different";
const OTHER_SOURCE: &str = "exflow::verify::fetched-otherwise";

/// What was built, and how it is done anew.
pub(crate) struct Verification<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) built: &'a [Built],
    pub(crate) outputs: &'a BTreeMap<StepId, Vec<Digest>>,
    pub(crate) client: &'a Client,
    pub(crate) cancel: &'a Cancel,
    pub(crate) jobs: usize,
}

impl Verification<'_> {
    fn anew<'r>(&'r self, ui: &'r Ui, way: Way) -> Rebuild<'r> {
        let Self { prepared, client, cancel, jobs, .. } = *self;
        let Way { executor, as_other, one_by_one, .. } = way;
        Rebuild { prepared, ui, client, cancel, jobs, executor, as_other, one_by_one }
    }

    /// Reads every byte in the store that what was built consists of.
    pub(crate) fn check_store(&self, session: &Session) -> Result<(), Failure> {
        session.ui.tell("checking", "what is in the store, byte by byte");
        let layouts = self.built.iter().map(|built| built.packed.layout);
        let trees: BTreeSet<Digest> =
            self.outputs.values().flatten().copied().chain(layouts).collect();
        let damaged = self.prepared.store.check_trees(&trees).map_err(store_failed)?;
        let problems = damaged.iter().map(|error| exflow_store::diagnose(error, None));
        Ok(problems.collect::<Diagnostics>().into_result(())?)
    }

    /// Fetches what comes from outside once more.
    pub(crate) fn fetch(
        &self,
        session: &mut Session,
        problems: &mut Diagnostics,
    ) -> Result<(), Failure> {
        session.ui.tell("verifying", "what comes from outside: it is fetched once more");
        let steps = &self.prepared.plan.steps;
        let mut fetched = self.prepared.needed_steps();
        fetched.retain(|step| !matches!(steps[*step].action, Action::Run(_)));
        let prepared = Prepared { steps: fetched, images: Vec::new(), ..self.prepared.clone() };
        let before = Before::new(&self.prepared.store, self.outputs, self.built, true);
        // From where it comes, and not from a folder into which it was just put.
        let client = Client::new(HttpOptions { shared: None, ..http(false) }, self.cancel.clone());
        let rebuild =
            Rebuild { prepared: &prepared, client: &client, ..self.anew(&session.ui, Way::FETCH) };
        let Rebuilt { changes, failures } = rebuild.run(&before)?;
        for changed in &changes {
            list(session, &self.name(changed.what), "fetched once more", &changed.files)?;
            let ChangedThing::Step(step) = changed.what else { continue };
            let step = &steps[step];
            // What isn't what is locked is not to be believed again.
            for key in keys_of(&step.action) {
                prepared.store.forget(&key);
            }
            let message = format!("`{}` in the store is not what is locked", step.name);
            let problem = Diagnostic::error(OTHER_SOURCE, message).help(
                "the store has been tampered with, or was written by an exflow with a fault: this entry is forgotten, build again",
            );
            problems
                .push(problem.at_known(step.site.as_ref(), "what is fetched for it is different"));
        }
        if failures.is_empty() { Ok(()) } else { Err(report_failed(session, failures)) }
    }

    /// Does every step anew in one way. Whether that could be had here.
    pub(crate) fn rebuild(
        &self,
        session: &mut Session,
        way: Way,
        problems: &mut Diagnostics,
    ) -> Result<bool, Failure> {
        session.ui.tell("verifying", &format!("every step, {}", way.name()));
        let before = Before::new(&self.prepared.store, self.outputs, self.built, false);
        let rebuild = self.anew(&session.ui, way);
        let Rebuilt { changes, failures } = rebuild.run(&before)?;
        if failures.iter().any(is_no_sandbox) {
            if way.as_other {
                let note = "the sandbox can't be had here as another user: it is tried as root";
                session.ui.tell("note", note);
                return self.rebuild(session, Way { as_other: false, ..way }, problems);
            }
            if way.is_optional {
                session.ui.tell("note", "the sandbox can't be had here: only Docker is compared");
                return Ok(false);
            }
        }
        for changed in &changes {
            list(session, &self.name(changed.what), &way.name(), &changed.files)?;
            problems.push(self.problem(changed, way));
        }
        if !failures.is_empty() {
            return Err(report_failed(session, failures));
        }
        if changes.is_empty() {
            let steps = &self.prepared.plan.steps;
            let needed = self.prepared.needed_steps().into_iter();
            let run = |step: &StepId| matches!(steps[*step].action, Action::Run(_));
            let count = needed.filter(run).count();
            let steps = if count == 1 { "step" } else { "steps" };
            session.ui.tell("same", &format!("{count} {steps} {}", way.name()));
        }
        Ok(true)
    }

    fn name(&self, what: ChangedThing) -> String {
        let plan = &self.prepared.plan;
        match what {
            ChangedThing::Step(step) => plan.steps[step].name.clone(),
            ChangedThing::Image(image) => plan.images[image].name(),
        }
    }

    fn problem(&self, changed: &Changed, way: Way) -> Diagnostic {
        let plan = &self.prepared.plan;
        let name = self.name(changed.what);
        match changed.what {
            ChangedThing::Image(image) => {
                let message = format!("`{name}` came out different {}", way.name());
                Diagnostic::error(DIFFERENT, message)
                    .at_known(plan.images[image].site.as_ref(), "its settings")
                    .help("it was put together from the same files: that is a fault of exflow's, please report it")
            }
            ChangedThing::Step(step) => {
                let files = match changed.files.as_slice() {
                    [file] => format!("`/{}`", file.path),
                    files => format!("{} files", files.len()),
                };
                let message = format!("`{name}` came out different {}: {files}", way.name());
                Diagnostic::error(DIFFERENT, message)
                    .at_known(plan.steps[step].site.as_ref(), "this step")
                    .help(hint(&changed.files))
            }
        }
    }
}

/// What may have caused it: of several, what most files suggest that anything is known of.
fn hint(files: &[ChangedFile]) -> String {
    let mut votes: BTreeMap<Cause, usize> = BTreeMap::new();
    for cause in files.iter().filter_map(|file| file.cause) {
        *votes.entry(cause).or_default() += 1;
    }
    let likely = votes.into_iter().max_by_key(|(cause, votes)| {
        // The first of equals, which says the most.
        (*cause != Cause::Unknown, *votes, std::cmp::Reverse(*cause))
    });
    likely.map_or(Cause::Unknown, |(cause, _)| cause).to_string()
}

/// The keys of everything that is kept of something from outside.
fn keys_of(action: &Action) -> Vec<Digest> {
    match action {
        Action::Run(_) => Vec::new(),
        Action::Fetch(origin) => vec![origin.key()],
        Action::Base(base) => {
            let mut keys = vec![base_key(base)];
            match &base.root {
                PlannedRoot::Debian { debian, .. } => keys.extend(package_keys(debian)),
                PlannedRoot::Image { image, .. } => {
                    keys.extend(layer_keys(image));
                    match &image.packages {
                        AddedPackages::None => {}
                        AddedPackages::Debian(debian) => keys.extend(package_keys(debian)),
                        AddedPackages::Alpine(alpine) => keys.extend(apk_keys(alpine)),
                    }
                }
            }
            keys
        }
    }
}

fn is_no_sandbox(failed: &Failed) -> bool {
    match failed {
        Failed::Problems(problems) => {
            problems.iter().any(|problem| problem.code.as_str() == NO_SANDBOX)
        }
        _ => false,
    }
}
