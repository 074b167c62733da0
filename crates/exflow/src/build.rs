//! Plans and executes: what every command that builds has in common.

use crate::cli::BuildOptions;
use crate::lockfile::{self, OnStale, Shown};
use crate::pack::{self, PackError, Packed};
use crate::report::Failure;
use crate::session::{self, NO_SETTINGS, Session, platform, store_failed};
use crate::ui::{Ui, seconds};
use exflow_content::{Digest, Encoder, RelPath, Tree};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, did_you_mean, printable};
use exflow_exec::{Ended, ExecError, Executor, Exit, RunOptions, SandboxExecutor, schedule};
use exflow_fetch::debian::fetch_base;
use exflow_fetch::{Cancel, Client, FetchError, HttpOptions};
use exflow_lock::Lock;
use exflow_manifest::{Unit, Workspace};
use exflow_plan::{
    Action, Command, MountSource, Output, Plan, PlannedBase, PlannedRun, Proposal, StepId, changes,
};
use exflow_plugin_host::{Host, Limits, Project, Proposed};
use exflow_store::{Claim, Record, Store, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const STEP_FAILED: &str = "exflow::exec::step-failed";
/// How much of a failed step's log is shown.
const SHOWN_LINES: usize = 20;
/// How much of its end is looked at for that, in bytes.
const SHOWN_BYTES: u64 = 16 << 10;
/// How often it is looked whether someone else is done with a step.
const PAUSE: Duration = Duration::from_millis(20);
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
    on_stale: OnStale<'_>,
) -> Result<Prepared, Failure> {
    let workspace = session.workspace()?;
    let selected = select(&workspace, targets)?;
    let lock = lockfile::complete(session, &workspace, on_stale)?;
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
        let of_stage = |name: &str| {
            let stage = Some((project.clone(), name.to_owned()));
            let steps = plan.steps.iter().enumerate();
            steps.filter(move |(_, step)| step.stage == stage).map(|(number, _)| number)
        };
        match stage {
            Some(stage) if stage != "runtime" => {
                let before = steps.len();
                steps.extend(of_stage(stage));
                if steps.len() == before {
                    let nothing = format!("stage `{stage}` of `{project}` has nothing to do");
                    session.ui.tell("note", &nothing);
                }
            }
            _ => match image {
                Some(image) if images.contains(&image) => {}
                Some(image) => images.push(image),
                None => steps.extend(unit.own_stages.iter().flat_map(|name| of_stage(name))),
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
        let requested = &wanted.plugins[name];
        let plugin = match session::plugin(&root, name, requested, lock) {
            Ok(plugin) => plugin,
            Err(source) => {
                let path = session::plugin_path(&root, name, requested);
                let error = exflow_plugin_host::PluginError::Read { path, source };
                let site = Some(&tool.plugin.site);
                problems.push(exflow_plugin_host::diagnose(&error, name, site));
                continue;
            }
        };
        let settings = if tool.settings.is_empty() { &NO_SETTINGS } else { &tool.settings };
        let project = Project {
            name: &unit.name.value,
            folder: &unit.folder,
            platform: &platform,
            settings,
            sources,
        };
        match host.propose(&plugin, &project, &read) {
            Ok(asked) => {
                let is_news = asked.calls > 0;
                if is_news {
                    session.ui.event(&json!({
                        "event": "plugin",
                        "plugin": name,
                        "project": unit.name.value,
                        "calls": asked.calls,
                    }));
                }
                match asked.proposed {
                    Proposed::Ready(proposal) => {
                        // What is worth knowing is told when it is news, not in every build.
                        if is_news {
                            warnings.extend(proposal.warnings.iter().cloned());
                        }
                        proposals.insert(unit.name.value.clone(), proposal);
                    }
                    Proposed::Refused(more) => problems.extend(more),
                }
            }
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
    /// Something in the store is missing or damaged.
    Damaged(Diagnostics),
    /// It ended badly; its log tells more.
    Step {
        diagnostic: Diagnostic,
        log: PathBuf,
    },
    Interrupted,
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self::fetching(&error, None)
    }
}

impl Failed {
    fn fetching(error: &FetchError, site: Option<&Site>) -> Self {
        match error {
            FetchError::Cancelled => Self::Interrupted,
            FetchError::Store(store) if store.is_damage() => {
                Self::Damaged(exflow_fetch::diagnose(error, site).into())
            }
            other => Self::Problems(exflow_fetch::diagnose(other, site).into()),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        FetchError::Store(error).into()
    }
}

impl From<PackError> for Failed {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Store(error) => error.into(),
            PackError::Problem(problem) => Self::Problems((*problem).into()),
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
    let jobs = options.jobs.or_else(|| std::thread::available_parallelism().ok());
    let jobs = jobs.map_or(1, NonZeroUsize::get);
    let mut has_healed = false;
    loop {
        let engine = Engine {
            prepared,
            ui: &session.ui,
            executor: &executor,
            client: &client,
            cancel,
            done: Mutex::default(),
        };
        let failures = engine.do_all(jobs)?;
        let is_damaged = failures.iter().any(|failed| matches!(failed, Failed::Damaged(_)));
        if is_damaged && !has_healed && !cancel.is_cancelled() {
            // Once: what is known is known no more where its files are gone, and is made again.
            session.ui.tell("mending", "the store was damaged: what is missing is made again");
            engine.forget_damaged().map_err(store_failed)?;
            has_healed = true;
            continue;
        }
        if !failures.is_empty() {
            return Err(report_failed(session, failures));
        }
        return Ok(engine.built());
    }
}

/// Says what failed, with the end of its log; gives what is left to say.
fn report_failed(session: &mut Session, failures: Vec<Failed>) -> Failure {
    let mut problems = Diagnostics::new();
    let mut interrupted = false;
    let mut said = false;
    for failure in failures {
        match failure {
            Failed::Problems(more) | Failed::Damaged(more) => problems.extend(more),
            Failed::Interrupted => interrupted = true,
            Failed::Step { diagnostic, log } => {
                session.warn(&diagnostic.into());
                session.ui.say(&last_lines(&log));
                said = true;
            }
        }
    }
    if interrupted {
        // What had failed before is worth knowing all the same.
        session.warn(&problems);
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
    let shown: Vec<String> = shown.iter().map(|line| format!("  | {}", printable(line))).collect();
    format!("{}\n  the whole log: {}\n", shown.join("\n"), log.display())
}

impl Engine<'_> {
    fn done(&self) -> std::sync::MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that are wanted, and all that they need, in order.
    fn nodes(&self) -> Vec<usize> {
        let plan = &self.prepared.plan;
        let images = self.prepared.images.iter();
        let wanted = images
            .clone()
            .map(|image| &plan.images[*image])
            .flat_map(|image| [image.base, image.release.step]);
        let mut nodes = plan.closure(wanted.chain(self.prepared.steps.iter().copied()));
        nodes.extend(images.map(|image| self.first_image() + image));
        nodes
    }

    /// Does all that is not done yet; what failed.
    fn do_all(&self, jobs: usize) -> Result<Vec<Failed>, Failure> {
        // What is there already needs no thread. What comes out of a step that has to run may
        // still turn out to be what it was, so the rest is looked up again when its turn comes.
        let mut todo: Vec<usize> = Vec::new();
        let mut is_todo = vec![false; self.first_image() + self.prepared.plan.images.len()];
        for node in self.nodes() {
            let ready = self.needs(node).iter().all(|need| !is_todo[*need]);
            if !ready || !self.look_up(node).map_err(store_failed)? {
                is_todo[node] = true;
                todo.push(node);
            }
        }
        if todo.is_empty() {
            return Ok(Vec::new());
        }
        let ended = schedule(&todo, |node| self.needs(node), jobs, |node| self.run(node));
        let failures = ended.into_values().filter_map(|ended| match ended {
            Ended::Failed(failed) => Some(failed),
            Ended::Done | Ended::Skipped => None,
        });
        Ok(failures.collect())
    }

    /// Forgets every result that is known and whose files aren't there any more.
    fn forget_damaged(&self) -> Result<(), StoreError> {
        let store = &self.prepared.store;
        // Keys follow from results, so what stands on something damaged is found when that has
        // been made again.
        let known: Vec<usize> = self.done().states.keys().copied().collect();
        for node in known {
            let key = match node.checked_sub(self.first_image()) {
                Some(image) => self.image_key(image).0,
                None => match &self.prepared.plan.steps[node].action {
                    Action::Base(base) => base_key(base),
                    Action::Run(run) => self.command(run).key(),
                },
            };
            let Some(record) = store.record(&key)? else { continue };
            // All of them, so that each that is damaged is taken out.
            let whole = record.trees.iter().filter(|tree| store.is_whole(tree)).count();
            if whole < record.trees.len() {
                store.forget(&key);
            }
        }
        Ok(())
    }

    /// The images, when everything is done.
    fn built(self) -> Vec<Built> {
        let plan = &self.prepared.plan;
        let first_image = self.first_image();
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let built = self.prepared.images.iter().map(|index| {
            let image = &plan.images[*index];
            let mut nodes = plan.closure([image.base, image.release.step]);
            nodes.push(first_image + index);
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
        built.collect()
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
        (pack::key(image, &base, &release), base, release)
    }

    fn run(&self, node: usize) -> Result<(), Failed> {
        if self.cancel.is_cancelled() {
            return Err(Failed::Interrupted);
        }
        if self.look_up(node)? {
            return Ok(());
        }
        // Someone else may be at the same step: then theirs is ours, too. The packages of a base
        // are claimed one by one.
        let plan = &self.prepared.plan;
        let _claim = match plan.steps.get(node).map(|step| &step.action) {
            Some(Action::Run(run)) => {
                let claim = self.claim(&self.command(run).key())?;
                if self.look_up(node)? {
                    return Ok(());
                }
                Some(claim)
            }
            Some(Action::Base(_)) | None => None,
        };
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

    /// Waits until nobody else works on what has this key.
    fn claim(&self, key: &Digest) -> Result<Claim, Failed> {
        loop {
            if let Some(claim) = self.prepared.store.try_claim(key)? {
                return Ok(claim);
            }
            if self.cancel.is_cancelled() {
                return Err(Failed::Interrupted);
            }
            std::thread::sleep(PAUSE);
        }
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
        let tree = tree.map_err(|error| Failed::fetching(&error, step.site.as_ref()))?;
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
        self.say_why(run, &command, &step.name)?;
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
            let outcome = self.executor.run(&command, &options).map_err(|error| {
                let problem = exflow_exec::diagnose(&error, &step.name, step.site.as_ref());
                match error {
                    _ if self.cancel.is_cancelled() => Failed::Interrupted,
                    ExecError::Store(error) if error.is_damage() => Failed::Damaged(problem.into()),
                    _ => Failed::Problems(problem.into()),
                }
            })?;
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
    fn say_why(&self, run: &PlannedRun, command: &Command, step: &str) -> Result<(), StoreError> {
        if let Some(reason) = why(&self.prepared.store, &self.last_key(step), run, command)? {
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

fn why(
    store: &Store,
    last: &Digest,
    run: &PlannedRun,
    command: &Command,
) -> Result<Option<String>, StoreError> {
    let Some(record) = store.record(last)? else { return Ok(None) };
    let Ok(old) = Command::decode(&record.data) else { return Ok(None) };
    // Sources are put into the store only when the step runs.
    let sources = run.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Sources(tree) => Some((tree.digest(), tree)),
        MountSource::Output(_) => None,
    });
    let sources: BTreeMap<Digest, &std::sync::Arc<Tree>> = sources.collect();
    let changes = changes(&old, command, |tree| match sources.get(tree) {
        Some(tree) => Some(Tree::clone(tree)),
        None => store.tree(tree).ok(),
    });
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
    let mut open: BTreeSet<usize> = BTreeSet::new();
    let mut forecasts = Vec::new();
    let first_image = engine.first_image();
    for node in engine.nodes() {
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
                    let command = engine.command(run);
                    why(&prepared.store, &last, run, &command).map_err(store_failed)?
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
