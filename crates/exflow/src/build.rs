//! Plans and executes: what every command that builds has in common.

use crate::cli::BuildOptions;
use crate::lockfile::{self, Shown};
use crate::pack::{self, Packed};
use crate::report::Failure;
use crate::session::{self, NO_SETTINGS, Session, platform, store_failed, unreadable};
use crate::ui::{Ui, seconds};
use exflow_content::{Digest, Encoder, RelPath, Tree};
use exflow_diagnostics::{Diagnostic, Diagnostics, did_you_mean};
use exflow_exec::{Ended, ExecError, Executor, Exit, RunOptions, SandboxExecutor, schedule};
use exflow_fetch::debian::fetch_base;
use exflow_fetch::{Cancel, Client, FetchError, HttpOptions};
use exflow_lock::Lock;
use exflow_manifest::{Unit, Workspace};
use exflow_plan::{
    Action, Command, MountSource, Output, Plan, PlannedBase, PlannedRun, Proposal, StepId, changes,
};
use exflow_plugin_host::{Host, Limits, Project, Proposed};
use exflow_store::{Record, Store, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const STEP_FAILED: &str = "exflow::exec::step-failed";
/// How much of a failed step's log is shown.
const SHOWN_LINES: usize = 20;
/// How much of its end is looked at for that, in bytes.
const SHOWN_BYTES: u64 = 16 << 10;
/// How many reasons are named for a step that runs.
const SHOWN_REASONS: usize = 3;

/// Everything that is known before a step runs.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    /// What is to be made: steps, and indices of images.
    pub(crate) steps: Vec<StepId>,
    pub(crate) images: Vec<usize>,
    pub(crate) root: PathBuf,
    pub(crate) store: Store,
}

/// Loads, locks, asks plugins, and plans.
pub(crate) fn prepare(
    session: &mut Session,
    targets: &[String],
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<Prepared, Failure> {
    let workspace = session.workspace()?;
    let selected = select(&workspace, targets)?;
    let lock = lockfile::complete(session, &workspace, options, cancel)?;
    let store = session.store()?;
    let sources = store.sources(&session.root).map_err(store_failed)?;
    let names: BTreeSet<&str> = selected.iter().map(|(unit, _)| unit.name.value.as_str()).collect();
    let units: Vec<&Unit> =
        workspace.units.iter().filter(|unit| names.contains(unit.name.value.as_str())).collect();
    let proposals = propose(session, &workspace, &units, &lock, &sources)?;
    let asked: Vec<(&Unit, Option<&Proposal>)> =
        units.iter().map(|unit| (*unit, proposals.get(&unit.name.value))).collect();
    let plan = exflow_plan::plan(&workspace, &lock, &platform(), &sources, &asked)?;
    let mut steps = Vec::new();
    let mut images = Vec::new();
    for (unit, stage) in &selected {
        let project = &unit.name.value;
        let image = plan.images.iter().position(|image| &image.project == project);
        let named = |name: &str| {
            let name = format!("{project}:{name}");
            plan.steps.iter().position(|step| step.name == name)
        };
        match stage {
            Some(stage) if stage != "runtime" => steps.extend(named(stage)),
            _ => match image {
                Some(image) => images.push(image),
                None => steps.extend(unit.own_stages.iter().filter_map(|name| named(name))),
            },
        }
    }
    let root = session.root.clone();
    Ok(Prepared { plan, steps, images, root, store })
}

/// The projects that are named, with the stage if one is; all where none is named.
fn select<'a>(
    workspace: &'a Workspace,
    targets: &[String],
) -> Result<Vec<(&'a Unit, Option<String>)>, Failure> {
    if targets.is_empty() {
        return Ok(workspace.units.iter().map(|unit| (unit, None)).collect());
    }
    let suggest = |word: &str, known: Vec<&str>| match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.join(", ")),
    };
    let mut selected = Vec::new();
    for target in targets {
        let (name, stage) = match target.split_once(':') {
            Some((name, stage)) => (name, Some(stage)),
            None => (target.as_str(), None),
        };
        let Some(unit) = workspace.units.iter().find(|unit| unit.name.value == name) else {
            let known = workspace.units.iter().map(|unit| unit.name.value.as_str()).collect();
            let help = suggest(name, known);
            return Err(Failure::Usage(format!("there is no project `{name}`: {help}")));
        };
        if let Some(stage) = stage.filter(|stage| !unit.stages.contains_key(*stage)) {
            let help = suggest(stage, unit.stages.keys().map(String::as_str).collect());
            return Err(Failure::Usage(format!("`{name}` has no stage `{stage}`: {help}")));
        }
        selected.push((unit, stage.map(str::to_owned)));
    }
    Ok(selected)
}

/// Asks the plugins of `units`. All problems of all of them are shown at once.
pub(crate) fn propose(
    session: &mut Session,
    workspace: &Workspace,
    units: &[&Unit],
    lock: &Lock,
    sources: &Tree,
) -> Result<BTreeMap<String, Proposal>, Failure> {
    let store = session.store()?;
    let host = Host::new(store, Limits::default());
    let wanted = session::wanted(workspace);
    let root = session.root.clone();
    let read = |path: &RelPath| fs::read(root.join(path.to_string()));
    let mut problems = Diagnostics::new();
    let mut warnings = Diagnostics::new();
    let mut proposals = BTreeMap::new();
    let platform = platform();
    for unit in units {
        let Some(tool) = &unit.tool else { continue };
        let name = &tool.plugin.value;
        let plugin = session::plugin(&root, name, &wanted.plugins[name], lock)
            .map_err(|source| unreadable(&root.join(name), &source))?;
        let settings = if tool.settings.is_empty() { &NO_SETTINGS } else { &tool.settings };
        let project = Project {
            name: &unit.name.value,
            folder: &unit.folder,
            platform: &platform,
            settings,
            sources,
        };
        match host.propose(&plugin, &project, &read) {
            Ok(asked) => match asked.proposed {
                Proposed::Ready(proposal) => {
                    // What is worth knowing is told when it is news, not in every build.
                    if asked.calls > 0 {
                        warnings.extend(proposal.warnings.iter().cloned());
                    }
                    proposals.insert(unit.name.value.clone(), proposal);
                }
                Proposed::Refused(more) => problems.extend(more),
            },
            Err(error) => {
                problems.push(exflow_plugin_host::diagnose(&error, name, Some(&tool.plugin.site)));
            }
        }
    }
    if !warnings.is_empty() {
        session.warn(&warnings);
    }
    Ok(problems.into_result(proposals)?)
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Cached,
    Ran,
}

/// Why a step was not done.
enum Failed {
    Problems(Diagnostics),
    /// It ended badly; its log tells more.
    Step {
        diagnostic: Diagnostic,
        log: PathBuf,
    },
    Interrupted,
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Cancelled => Self::Interrupted,
            other => Self::Problems(exflow_fetch::diagnose(&other, None).into()),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        FetchError::Store(error).into()
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problems(problems) => Self::Problems(problems),
            Failure::Usage(message) => {
                Self::Problems(Diagnostic::error(STEP_FAILED, message).into())
            }
            Failure::Said(_) | Failure::Interrupted => Self::Interrupted,
        }
    }
}

/// An image that was built.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) project: String,
    /// Its index in the plan.
    pub(crate) image: usize,
    pub(crate) packed: Packed,
    pub(crate) ran: usize,
    pub(crate) cached: usize,
    /// The trees of its base and its release.
    pub(crate) base: Digest,
    pub(crate) release: Digest,
}

/// Does what a plan says.
struct Engine<'a> {
    prepared: &'a Prepared,
    ui: &'a Ui,
    executor: &'a dyn Executor,
    client: &'a Client,
    cancel: &'a Cancel,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    outputs: BTreeMap<StepId, Vec<Digest>>,
    images: BTreeMap<usize, Packed>,
    /// Of steps, and after them of images.
    states: BTreeMap<usize, State>,
}

/// Builds what was prepared.
pub(crate) fn execute(
    session: &mut Session,
    prepared: &Prepared,
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<Vec<Built>, Failure> {
    let http = HttpOptions { offline: options.offline, ..HttpOptions::default() };
    let client = Client::new(http, cancel.clone());
    let executor = SandboxExecutor::new(prepared.store.clone(), "/proc/self/exe".into());
    let engine = Engine {
        prepared,
        ui: &session.ui,
        executor: &executor,
        client: &client,
        cancel,
        done: Mutex::default(),
    };
    let plan = &prepared.plan;
    let images = prepared.images.iter().map(|image| &plan.images[*image]);
    let wanted: Vec<StepId> = images
        .flat_map(|image| [image.base, image.release.step])
        .chain(prepared.steps.iter().copied())
        .collect();
    let closure = plan.closure(wanted);
    let steps = plan.steps.len();
    // What is there already needs no thread. What comes out of a step that has to run may still
    // turn out to be what it was, so the rest is looked up again when its turn comes.
    let mut todo: Vec<usize> = Vec::new();
    let nodes = closure.iter().copied().chain(prepared.images.iter().map(|image| steps + image));
    for node in nodes {
        let ready = engine.needs(node).iter().all(|need| !todo.contains(need));
        if !ready || !engine.look_up(node).map_err(store_failed)? {
            todo.push(node);
        }
    }
    let jobs = options.jobs.or_else(|| std::thread::available_parallelism().ok());
    let jobs = jobs.map_or(1, NonZeroUsize::get);
    if !todo.is_empty() {
        let ended = schedule(&todo, |node| engine.needs(node), jobs, |node| engine.run(node));
        let failures: Vec<Failed> = ended
            .into_values()
            .filter_map(|ended| match ended {
                Ended::Failed(failed) => Some(failed),
                Ended::Done | Ended::Skipped => None,
            })
            .collect();
        if !failures.is_empty() {
            return Err(report_failed(session, failures));
        }
    }
    let done = engine.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let built = prepared.images.iter().map(|index| {
        let image = &plan.images[*index];
        let mut nodes = plan.closure([image.base, image.release.step]);
        nodes.push(steps + index);
        let count =
            |state| nodes.iter().filter(|node| done.states.get(node) == Some(&state)).count();
        Built {
            project: image.project.clone(),
            image: *index,
            packed: done.images[index].clone(),
            ran: count(State::Ran),
            cached: count(State::Cached),
            base: done.outputs[&image.base][0],
            release: done.outputs[&image.release.step][image.release.index],
        }
    });
    Ok(built.collect())
}

/// Says what failed, with the end of its log; gives what is left to say.
fn report_failed(session: &mut Session, failures: Vec<Failed>) -> Failure {
    let mut problems = Diagnostics::new();
    let mut interrupted = false;
    let mut said = false;
    for failure in failures {
        match failure {
            Failed::Problems(more) => problems.extend(more),
            Failed::Interrupted => interrupted = true,
            Failed::Step { diagnostic, log } => {
                session.warn(&diagnostic.into());
                session.ui.say(&last_lines(&log));
                said = true;
            }
        }
    }
    if interrupted {
        return Failure::Interrupted;
    }
    if !problems.is_empty() || !said {
        return problems.into();
    }
    Failure::Said(crate::report::PROBLEM)
}

/// The end of a log.
fn last_lines(log: &Path) -> String {
    let mut text = Vec::new();
    let read = fs::File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
        file.take(SHOWN_BYTES).read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    if read.is_err() || lines.is_empty() {
        return "it printed nothing\n".to_owned();
    }
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    // Nothing that a step prints may steer the terminal.
    let clean = |line: &str| -> String {
        line.chars().filter(|letter| !letter.is_control() || *letter == '\t').collect()
    };
    let shown: Vec<String> = shown.iter().map(|line| format!("  | {}", clean(line))).collect();
    format!("{}\n  the whole log: {}\n", shown.join("\n"), log.display())
}

impl Engine<'_> {
    fn done(&self) -> std::sync::MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the first node that is an image.
    fn first_image(&self) -> usize {
        self.prepared.plan.steps.len()
    }

    fn needs(&self, node: usize) -> Vec<usize> {
        let plan = &self.prepared.plan;
        match node.checked_sub(self.first_image()) {
            Some(image) => vec![plan.images[image].base, plan.images[image].release.step],
            None => plan.steps[node].needs(),
        }
    }

    /// Whether the result of a node whose needs are done is known already.
    fn look_up(&self, node: usize) -> Result<bool, StoreError> {
        let store = &self.prepared.store;
        if let Some(image) = node.checked_sub(self.first_image()) {
            let (key, ..) = self.image_key(image);
            let Some(packed) = pack::known(store, &key)? else { return Ok(false) };
            let mut done = self.done();
            done.images.insert(image, packed);
            done.states.insert(node, State::Cached);
            return Ok(true);
        }
        let (key, outputs) = match &self.prepared.plan.steps[node].action {
            Action::Base(base) => (base_key(base), 1),
            Action::Run(run) => (self.command(run).key(), run.outputs.len()),
        };
        let Some(record) = store.record(&key)? else { return Ok(false) };
        if record.trees.len() != outputs || !record.trees.iter().all(|tree| store.has_tree(tree)) {
            return Ok(false);
        }
        let mut done = self.done();
        done.outputs.insert(node, record.trees);
        done.states.insert(node, State::Cached);
        Ok(true)
    }

    fn command(&self, run: &PlannedRun) -> Command {
        let done = self.done();
        run.command(|output: Output| done.outputs[&output.step][output.index])
    }

    fn image_key(&self, image: usize) -> (Digest, Digest, Digest) {
        let image = &self.prepared.plan.images[image];
        let done = self.done();
        let base = done.outputs[&image.base][0];
        let release = done.outputs[&image.release.step][image.release.index];
        (image.settings.key(&base, &release), base, release)
    }

    fn run(&self, node: usize) -> Result<(), Failed> {
        if self.cancel.is_cancelled() {
            return Err(Failed::Interrupted);
        }
        if self.look_up(node)? {
            return Ok(());
        }
        let plan = &self.prepared.plan;
        if let Some(index) = node.checked_sub(self.first_image()) {
            let (key, base, release) = self.image_key(index);
            let image = &plan.images[index];
            let name = format!("{}:image", image.project);
            let packed = self.shown(&name, || {
                Ok(pack::pack(&self.prepared.store, image, &key, &base, &release)?)
            })?;
            self.done().images.insert(index, packed);
        } else {
            let step = &plan.steps[node];
            let outputs = match &step.action {
                Action::Base(base) => self.shown(&step.name, || self.run_base(base, step))?,
                Action::Run(run) => self.run_command(run, step)?,
            };
            self.done().outputs.insert(node, outputs);
        }
        self.done().states.insert(node, State::Ran);
        Ok(())
    }

    /// Does something that takes a while, and says so.
    fn shown<T>(&self, name: &str, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
        self.ui.begin(name, None);
        let begun = Instant::now();
        let result = work();
        self.ui.end(name);
        let status = match &result {
            Ok(_) => "done",
            Err(Failed::Interrupted) => "stopped",
            Err(_) => "failed",
        };
        let took = begun.elapsed();
        self.ui.tell(status, &format!("{name} in {}", seconds(took)));
        self.ui.event(&json!({
            "event": "step", "step": name, "status": status, "seconds": took.as_secs_f64(),
        }));
        result
    }

    fn run_base(
        &self,
        base: &PlannedBase,
        step: &exflow_plan::Step,
    ) -> Result<Vec<Digest>, Failed> {
        let store = &self.prepared.store;
        let mirrors = lockfile::mirrors(base.mirror.as_deref(), base.security_mirror.as_deref());
        let tree = fetch_base(
            self.client,
            store,
            &base.debian,
            base.slim,
            &base.platform,
            &mirrors,
            &Shown(self.ui),
        );
        let tree = tree.map_err(|error| match error {
            FetchError::Cancelled => Failed::Interrupted,
            error => Failed::Problems(exflow_fetch::diagnose(&error, step.site.as_ref()).into()),
        })?;
        store.sync()?;
        store.put_record(&base_key(base), &Record { trees: vec![tree], data: Vec::new() })?;
        Ok(vec![tree])
    }

    fn run_command(
        &self,
        run: &PlannedRun,
        step: &exflow_plan::Step,
    ) -> Result<Vec<Digest>, Failed> {
        let store = &self.prepared.store;
        let command = self.command(run);
        let key = command.key();
        self.say_why(&command, &step.name)?;
        for mount in &run.mounts {
            if let MountSource::Sources(tree) = &mount.source {
                store.keep_sources(&self.prepared.root, tree)?;
                store.put_tree(tree)?;
            }
        }
        let logs = store.root().join("logs");
        let log = logs.join(format!("{key}.log"));
        let made = |source| StoreError::Io { action: "create", path: logs.clone(), source };
        fs::create_dir_all(&logs).map_err(made)?;
        let options = RunOptions {
            time_limit: step.time_limit,
            cancel: self.cancel.clone(),
            log: log.clone(),
        };
        let outputs = self.shown(&step.name, || {
            let problem =
                |error: &ExecError| exflow_exec::diagnose(error, &step.name, step.site.as_ref());
            let outcome = self.executor.run(&command, &options);
            let outcome = outcome.map_err(|error| Failed::Problems(problem(&error).into()))?;
            let help = match outcome.exit {
                Exit::Code(0) => return Ok(outcome.outputs),
                Exit::Cancelled => return Err(Failed::Interrupted),
                Exit::TimedOut => format!(
                    "it may take {}; give it longer with `time-limit`",
                    seconds(step.time_limit)
                ),
                Exit::Code(_) | Exit::Signal(_) => "the end of its log is below".to_owned(),
            };
            let diagnostic =
                Diagnostic::error(STEP_FAILED, format!("`{}` {}", step.name, outcome.exit))
                    .help(help);
            let diagnostic = match &step.site {
                Some(site) => diagnostic.at(site, "asked for here"),
                None => diagnostic,
            };
            Err(Failed::Step { diagnostic, log: log.clone() })
        })?;
        // On the disk first: a record is believed.
        store.sync()?;
        store.put_record(&key, &Record { trees: outputs.clone(), data: Vec::new() })?;
        let last = Record { trees: Vec::new(), data: command.encode() };
        store.put_record(&self.last_key(&step.name), &last)?;
        Ok(outputs)
    }

    /// Names what has changed since the step last ran.
    fn say_why(&self, command: &Command, step: &str) -> Result<(), StoreError> {
        if let Some(reason) = why(&self.prepared.store, &self.last_key(step), command)? {
            self.ui.tell("running", &format!("{step}: {reason}"));
        } else {
            self.ui.tell("running", step);
        }
        Ok(())
    }

    fn last_key(&self, step: &str) -> Digest {
        last_key(&self.prepared.root, step)
    }
}

/// The key under which the command of a step that last ran is kept.
fn last_key(root: &Path, step: &str) -> Digest {
    use std::os::unix::ffi::OsStrExt;
    let mut encoder = Encoder::new("exflow last command 1");
    encoder.bytes(root.as_os_str().as_bytes()).text(step);
    encoder.digest_of()
}

fn why(store: &Store, last: &Digest, command: &Command) -> Result<Option<String>, StoreError> {
    let Some(record) = store.record(last)? else { return Ok(None) };
    let Ok(old) = Command::decode(&record.data) else { return Ok(None) };
    let changes = changes(&old, command, |tree| store.tree(tree).ok());
    let mut reasons: Vec<String> =
        changes.iter().take(SHOWN_REASONS).map(ToString::to_string).collect();
    if changes.len() > SHOWN_REASONS {
        reasons.push(format!("and {} more", changes.len() - SHOWN_REASONS));
    }
    Ok((!reasons.is_empty()).then(|| reasons.join(", ")))
}

pub(crate) fn base_key(base: &PlannedBase) -> Digest {
    exflow_packages::debian::base_key(&base.debian, base.slim, &base.platform)
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
pub(crate) fn forecast(
    session: &Session,
    prepared: &Prepared,
) -> Result<Vec<(String, Forecast)>, Failure> {
    let cancel = Cancel::new();
    let client =
        Client::new(HttpOptions { offline: true, ..HttpOptions::default() }, cancel.clone());
    let executor = SandboxExecutor::new(prepared.store.clone(), "/proc/self/exe".into());
    let engine = Engine {
        prepared,
        ui: &session.ui,
        executor: &executor,
        client: &client,
        cancel: &cancel,
        done: Mutex::default(),
    };
    let plan = &prepared.plan;
    let images = prepared.images.iter().map(|image| &plan.images[*image]);
    let wanted = images.flat_map(|image| [image.base, image.release.step]);
    let closure = plan.closure(wanted.chain(prepared.steps.iter().copied()));
    let mut open: BTreeSet<usize> = BTreeSet::new();
    let mut forecasts = Vec::new();
    let first_image = engine.first_image();
    for node in closure.into_iter().chain(prepared.images.iter().map(|image| first_image + image)) {
        let name = match node.checked_sub(first_image) {
            Some(image) => format!("{}:image", plan.images[image].project),
            None => plan.steps[node].name.clone(),
        };
        let forecast = if engine.needs(node).iter().any(|need| open.contains(need)) {
            Forecast::Unknown
        } else if engine.look_up(node).map_err(store_failed)? {
            Forecast::Cached
        } else {
            let step = plan.steps.get(node);
            let reason = match step.map(|step| &step.action) {
                Some(Action::Run(run)) => {
                    let last = engine.last_key(&name);
                    why(&prepared.store, &last, &engine.command(run)).map_err(store_failed)?
                }
                _ => None,
            };
            Forecast::Runs(reason)
        };
        if forecast != Forecast::Cached {
            open.insert(node);
        }
        forecasts.push((name, forecast));
    }
    Ok(forecasts)
}

/// A failure of the file system outside of the store.
pub(crate) fn io_failed(action: &str, path: &Path, source: &io::Error) -> Failure {
    let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let help = if full { "make room, and run it again" } else { "check the path and its rights" };
    Diagnostic::error(
        "exflow::output::failed",
        format!("can't {action} `{}`: {source}", path.display()),
    )
    .help(help)
    .into()
}
