use crate::cli::{BuildOptions, ExecutorChoice, VerifyArgs};
use crate::commands::verify_image;
use crate::engine::{Built, Executed, execute};
use crate::executors::{choice, has_docker};
use crate::failed::{Failed, report_failed};
use crate::interrupt;
use crate::lockfile::OnStale;
use crate::other_user;
use crate::places::http;
use crate::prepare::{Prepared, prepare};
use crate::rebuild::{Before, Changed, ChangedFile, ChangedThing, Rebuild, Rebuilt};
use crate::report::Failure;
use crate::session::{Session, store_failed};
use crate::sources::base_key;
use crate::ui::Ui;
use exflow_compare::Cause;
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Diagnostics};
use exflow_fetch::debian::package_keys;
use exflow_fetch::image::layer_keys;
use exflow_fetch::{Cancel, Client, HttpOptions, apk_keys};
use exflow_lock::AddedPackages;
use exflow_plan::{Action, PlannedRoot, StepId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
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
    let client = Client::new(http(options.offline), cancel.clone());
    let verification = Verification {
        prepared: &prepared,
        built: &built,
        outputs: &outputs,
        client: &client,
        cancel: &cancel,
        jobs: options.side_by_side(),
    };
    let mut problems = Diagnostics::new();
    let mut done = Ok(());
    if !args.from_store && !options.offline {
        done = verification.fetch(session, &mut problems);
    }
    for way in ways(args.options.executor)? {
        if done.is_ok() {
            done = verification.rebuild(session, way, &mut problems);
        }
    }
    if let Err(failure) = done {
        // What was found before is worth knowing all the same.
        session.warn(&problems);
        return Err(failure);
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

/// Reads every byte in the store that what was built consists of.
fn check_store(
    session: &Session,
    prepared: &Prepared,
    built: &[Built],
    outputs: &BTreeMap<StepId, Vec<Digest>>,
) -> Result<(), Failure> {
    session.ui.tell("checking", "what is in the store, byte by byte");
    let trees = outputs.values().flatten().chain(built.iter().map(|built| &built.packed.layout));
    let trees: BTreeSet<Digest> = trees.copied().collect();
    let damaged = prepared.store.check_trees(&trees).map_err(store_failed)?;
    let problems = damaged.iter().map(|error| exflow_store::diagnose(error, None));
    Ok(problems.collect::<Diagnostics>().into_result(())?)
}

/// How everything is done anew.
#[derive(Clone, Copy)]
struct Way {
    executor: ExecutorChoice,
    as_other: bool,
    /// Whether it may be left out where it can't be had here.
    is_optional: bool,
}

impl Way {
    fn name(self) -> String {
        let executor = match self.executor {
            ExecutorChoice::Docker => "in Docker",
            ExecutorChoice::Sandbox | ExecutorChoice::Auto => "in the sandbox",
        };
        if self.as_other { format!("{executor} as another user") } else { executor.to_owned() }
    }
}

/// In which ways it is done: in both executors, unless one is asked for by name.
fn ways(argument: Option<ExecutorChoice>) -> Result<Vec<Way>, Failure> {
    let chosen = choice(argument, None)?;
    let docker = match chosen {
        ExecutorChoice::Sandbox => false,
        ExecutorChoice::Docker => true,
        ExecutorChoice::Auto => has_docker(),
    };
    let mut ways = Vec::new();
    if chosen != ExecutorChoice::Docker {
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
    Ok(ways)
}

struct Verification<'a> {
    prepared: &'a Prepared,
    built: &'a [Built],
    outputs: &'a BTreeMap<StepId, Vec<Digest>>,
    client: &'a Client,
    cancel: &'a Cancel,
    jobs: usize,
}

impl Verification<'_> {
    fn anew<'r>(&'r self, ui: &'r Ui, executor: ExecutorChoice, as_other: bool) -> Rebuild<'r> {
        let Self { prepared, client, cancel, jobs, .. } = *self;
        Rebuild { prepared, ui, client, cancel, jobs, executor, as_other }
    }

    /// Fetches what comes from outside once more.
    fn fetch(&self, session: &mut Session, problems: &mut Diagnostics) -> Result<(), Failure> {
        session.ui.tell("verifying", "what comes from outside: it is fetched once more");
        let steps = &self.prepared.plan.steps;
        let mut fetched = self.prepared.needed_steps();
        fetched.retain(|step| !matches!(steps[*step].action, Action::Run(_)));
        let prepared = Prepared { steps: fetched, images: Vec::new(), ..self.prepared.clone() };
        let before = Before::new(&self.prepared.store, self.outputs, self.built, true);
        // From where it comes, and not from a folder into which it was just put.
        let client = Client::new(HttpOptions { shared: None, ..http(false) }, self.cancel.clone());
        let rebuild = Rebuild {
            prepared: &prepared,
            client: &client,
            ..self.anew(&session.ui, ExecutorChoice::Auto, false)
        };
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

    /// Does every step anew in one way.
    fn rebuild(
        &self,
        session: &mut Session,
        way: Way,
        problems: &mut Diagnostics,
    ) -> Result<(), Failure> {
        session.ui.tell("verifying", &format!("every step, {}", way.name()));
        let before = Before::new(&self.prepared.store, self.outputs, self.built, false);
        let rebuild = self.anew(&session.ui, way.executor, way.as_other);
        let Rebuilt { changes, failures } = rebuild.run(&before)?;
        if failures.iter().any(is_no_sandbox) {
            if way.as_other {
                let note = "the sandbox can't be had here as another user: it is tried as root";
                session.ui.tell("note", note);
                return self.rebuild(session, Way { as_other: false, ..way }, problems);
            }
            if way.is_optional {
                session.ui.tell("note", "the sandbox can't be had here: only Docker is compared");
                return Ok(());
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
        Ok(())
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

/// Lists what came out different: for machines each file, and for people as many as anyone reads.
pub(super) fn list(
    session: &Session,
    name: &str,
    way: &str,
    files: &[ChangedFile],
) -> Result<(), Failure> {
    for file in files {
        session.ui.event(&json!({
            "event": "different",
            "of": name,
            "way": way,
            "path": file.path.to_string(),
            "how": file.how.to_string(),
            "chunks": file.chunks,
            "cause": file.cause.map(|cause| cause.to_string()),
        }));
    }
    if files.is_empty() {
        session.ui.event(&json!({ "event": "different", "of": name, "way": way }));
    }
    if session.ui.is_json() {
        return Ok(());
    }
    let mut lines: Vec<String> =
        files.iter().take(MAX_LISTED).map(|file| line(name, file)).collect();
    if files.len() > MAX_LISTED {
        let more = files.len() - MAX_LISTED;
        lines.push(format!("{name}: and {more} files more, all of which `--json` prints\n"));
    }
    session.print(&lines.concat())
}

fn line(name: &str, file: &ChangedFile) -> String {
    let chunks = match file.chunks.as_slice() {
        [] => String::new(),
        [chunk] => format!(" in its chunk {chunk}"),
        chunks => format!(" in its chunks {}", chunks.join(", ")),
    };
    format!("{name}: /{} {}{chunks}\n", file.path, file.how)
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
