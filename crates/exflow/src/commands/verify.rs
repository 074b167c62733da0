use crate::cli::{BuildOptions, ExecutorChoice, VerifyArgs};
use crate::commands::verify_image;
use crate::engine::{Built, Engine, Executed, execute};
use crate::executors::{Executors, has_docker};
use crate::failed::{Failed, report_failed};
use crate::interrupt;
use crate::lockfile::OnStale;
use crate::other_user::{self, NOBODY};
use crate::prepare::{Prepared, prepare};
use crate::rebuild::{Before, Changed, ChangedFile, ChangedThing, Rebuild, Rebuilt};
use crate::report::Failure;
use crate::session::{Session, store_failed};
use exflow_compare::Cause;
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Diagnostics};
use exflow_fetch::{Cancel, Client, HttpOptions};
use exflow_plan::{Action, StepId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::process::ExitCode;

const DIFFERENT: &str = "exflow::verify::different";
const OTHER_SOURCE: &str = "exflow::verify::fetched-otherwise";
/// What the sandbox says where the host doesn't allow one.
const NO_SANDBOX: &str = "exflow::exec::no-sandbox";
/// How many files of a step are listed for people.
const MAX_LISTED: usize = 50;

/// Builds what isn't built yet, does every step of it anew, and compares.
pub(crate) fn run(session: &mut Session, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    // Nothing is locked by the way: what is proved is what the commit says.
    let options = BuildOptions { locked: true, ..args.options.clone() };
    let prepared = prepare(session, &args.targets, OnStale::Refuse, &options, &cancel)?;
    if let Some(image) = &args.image {
        return verify_image::run(session, &prepared, image, &options, &cancel);
    }
    let Executed { built, outputs, failure } = execute(session, &prepared, &options, &cancel)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    check_store(session, &prepared, &built, &outputs)?;
    let http = HttpOptions { offline: options.offline, ..HttpOptions::default() };
    let client = Client::new(http, cancel.clone());
    let jobs = options.jobs.or_else(|| std::thread::available_parallelism().ok());
    let verification = Verification {
        prepared: &prepared,
        built: &built,
        outputs: &outputs,
        client: &client,
        cancel: &cancel,
        jobs: jobs.map_or(1, NonZeroUsize::get),
        nodes: nodes(session, &prepared, &client, &cancel),
    };
    let mut problems = Diagnostics::new();
    if !args.from_store && !options.offline {
        problems.extend(verification.fetch(session)?);
    }
    for way in ways(args.options.executor) {
        problems.extend(verification.rebuild(session, way)?);
    }
    problems.into_result(())?;
    for built in &built {
        session.ui.event(&json!({
            "event": "verified", "project": built.project, "digest": built.packed.digest,
        }));
        if !args.json {
            session.print(&format!("{} {}\n", built.project, built.packed.digest))?;
        }
    }
    session.ui.tell("verified", "every step gave again what it had given");
    Ok(ExitCode::SUCCESS)
}

/// The steps that are needed, each after those that it needs.
fn nodes(session: &Session, prepared: &Prepared, client: &Client, cancel: &Cancel) -> Vec<StepId> {
    let executors = Executors::new(ExecutorChoice::Auto, prepared.store.clone(), &session.ui);
    let engine = Engine::new(prepared, &session.ui, &executors, client, cancel, 1);
    let mut nodes = engine.nodes();
    nodes.retain(|node| *node < engine.first_image());
    nodes
}

/// Reads every byte in the store that what was built consists of.
fn check_store(
    session: &Session,
    prepared: &Prepared,
    built: &[Built],
    outputs: &BTreeMap<StepId, Vec<Digest>>,
) -> Result<(), Failure> {
    session.ui.tell("checking", "what is in the store, byte by byte");
    let trees = outputs.values().flatten().chain(built.iter().map(|built| &built.packed.layout));
    let trees: BTreeSet<&Digest> = trees.collect();
    let mut seen = BTreeSet::new();
    let mut problems = Diagnostics::new();
    for tree in trees {
        if let Err(error) = prepared.store.check_tree(tree, &mut seen) {
            if !error.is_damage() {
                return Err(store_failed(error));
            }
            problems.push(exflow_store::diagnose(&error, None));
            // Or what is left of it would be taken for the whole.
            prepared.store.discard_if_damaged(tree).map_err(store_failed)?;
        }
    }
    Ok(problems.into_result(())?)
}

/// How everything is done anew.
#[derive(Clone, Copy)]
struct Way {
    executor: ExecutorChoice,
    as_other: bool,
    /// Whether nothing is said where it can't be had here.
    is_optional: bool,
}

impl Way {
    fn name(self) -> String {
        let executor = match self.executor {
            ExecutorChoice::Docker => "in Docker",
            ExecutorChoice::Sandbox | ExecutorChoice::Auto => "in the sandbox",
        };
        if self.as_other { format!("{executor} as user {NOBODY}") } else { executor.to_owned() }
    }
}

fn ways(chosen: Option<ExecutorChoice>) -> Vec<Way> {
    let docker = match chosen {
        Some(ExecutorChoice::Sandbox) => false,
        Some(ExecutorChoice::Docker) => true,
        Some(ExecutorChoice::Auto) | None => has_docker(),
    };
    let sandbox = chosen != Some(ExecutorChoice::Docker);
    let mut ways = Vec::new();
    if sandbox {
        ways.push(Way {
            executor: ExecutorChoice::Sandbox,
            as_other: other_user::is_possible(),
            is_optional: docker,
        });
    }
    if docker {
        let executor = ExecutorChoice::Docker;
        ways.push(Way { executor, as_other: false, is_optional: false });
    }
    ways
}

struct Verification<'a> {
    prepared: &'a Prepared,
    built: &'a [Built],
    outputs: &'a BTreeMap<StepId, Vec<Digest>>,
    client: &'a Client,
    cancel: &'a Cancel,
    jobs: usize,
    /// The steps that are compared.
    nodes: Vec<StepId>,
}

impl Verification<'_> {
    /// Fetches what comes from outside once more.
    fn fetch(&self, session: &mut Session) -> Result<Diagnostics, Failure> {
        session.ui.tell("verifying", "what comes from outside: it is fetched once more");
        let steps = &self.prepared.plan.steps;
        let nodes = self.nodes.iter().copied();
        let fetched = nodes.filter(|node| !matches!(steps[*node].action, Action::Run(_)));
        let prepared =
            Prepared { steps: fetched.collect(), images: Vec::new(), ..self.prepared.clone() };
        let before = Before::new(&self.prepared.store, self.outputs, self.built, true);
        let rebuild = Rebuild {
            prepared: &prepared,
            ui: &session.ui,
            client: self.client,
            cancel: self.cancel,
            jobs: self.jobs,
            executor: ExecutorChoice::Auto,
            as_other: false,
        };
        let Rebuilt { changes, failures } = rebuild.run(&before)?;
        if !failures.is_empty() {
            return Err(report_failed(session, failures));
        }
        let mut problems = Diagnostics::new();
        for changed in &changes {
            self.list(session, changed, "fetched once more")?;
            let ChangedThing::Step(step) = changed.what else { continue };
            // What isn't what is locked is not to be believed again.
            self.forget(session, &prepared, step);
            let step = &steps[step];
            let message = format!("`{}` in the store is not what is locked", step.name);
            let problem = Diagnostic::error(OTHER_SOURCE, message).help(
                "the store has been tampered with, or was written by an exflow with a fault: this entry is forgotten, build again",
            );
            problems
                .push(problem.at_known(step.site.as_ref(), "what is fetched for it is different"));
        }
        Ok(problems)
    }

    fn forget(&self, session: &Session, prepared: &Prepared, step: StepId) {
        let executors = Executors::new(ExecutorChoice::Auto, prepared.store.clone(), &session.ui);
        let engine =
            Engine::new(prepared, &session.ui, &executors, self.client, self.cancel, self.jobs);
        prepared.store.forget(&engine.key(step));
    }

    /// Does every step anew in one way.
    fn rebuild(&self, session: &mut Session, way: Way) -> Result<Diagnostics, Failure> {
        session.ui.tell("verifying", &format!("every step, {}", way.name()));
        let before = Before::new(&self.prepared.store, self.outputs, self.built, false);
        let rebuild = Rebuild {
            prepared: self.prepared,
            ui: &session.ui,
            client: self.client,
            cancel: self.cancel,
            jobs: self.jobs,
            executor: way.executor,
            as_other: way.as_other,
        };
        let Rebuilt { changes, failures } = rebuild.run(&before)?;
        if failures.iter().any(is_no_sandbox) {
            if way.as_other {
                let note =
                    format!("the sandbox can't be had here as user {NOBODY}: it is tried as root");
                session.ui.tell("note", &note);
                return self.rebuild(session, Way { as_other: false, ..way });
            }
            if way.is_optional {
                session.ui.tell("note", "the sandbox can't be had here: only Docker is compared");
                return Ok(Diagnostics::new());
            }
        }
        if !failures.is_empty() {
            return Err(report_failed(session, failures));
        }
        let mut problems = Diagnostics::new();
        for changed in &changes {
            self.list(session, changed, &way.name())?;
            problems.push(self.problem(changed, way));
        }
        if changes.is_empty() {
            let steps = &self.prepared.plan.steps;
            let run = |node: &&StepId| matches!(steps[**node].action, Action::Run(_));
            let count = self.nodes.iter().filter(run).count();
            let steps = if count == 1 { "step" } else { "steps" };
            session.ui.tell("same", &format!("{count} {steps} {}", way.name()));
        }
        Ok(problems)
    }

    /// Lists the files that came out different.
    fn list(&self, session: &Session, changed: &Changed, way: &str) -> Result<(), Failure> {
        let name = self.name(changed.what);
        for file in &changed.files {
            session.ui.event(&json!({
                "event": "different",
                "step": name,
                "way": way,
                "path": file.path.to_string(),
                "how": file.how.to_string(),
                "chunks": file.chunks,
                "cause": file.cause.map(|cause| cause.to_string()),
            }));
        }
        if session.ui.is_json() {
            return Ok(());
        }
        let mut lines: Vec<String> =
            changed.files.iter().take(MAX_LISTED).map(|file| line(&name, file)).collect();
        if changed.files.len() > MAX_LISTED {
            let more = changed.files.len() - MAX_LISTED;
            lines.push(format!("{name}: and {more} files more, all of which `--json` prints\n"));
        }
        session.print(&lines.concat())
    }

    fn name(&self, what: ChangedThing) -> String {
        let plan = &self.prepared.plan;
        match what {
            ChangedThing::Step(step) => plan.steps[step].name.clone(),
            ChangedThing::Image(image) => format!("{}:image", plan.images[image].project),
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

pub(super) fn line(name: &str, file: &ChangedFile) -> String {
    let chunks = match file.chunks.as_slice() {
        [] => String::new(),
        [chunk] => format!(" in its chunk {chunk}"),
        chunks => format!(" in its chunks {}", chunks.join(", ")),
    };
    format!("{name}: /{} {}{chunks}\n", file.path, file.how)
}

fn is_no_sandbox(failed: &Failed) -> bool {
    match failed {
        Failed::Problems(problems) => {
            problems.iter().any(|problem| problem.code.as_str() == NO_SANDBOX)
        }
        _ => false,
    }
}
