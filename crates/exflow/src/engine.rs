//! Does what a plan says: looks up what is known, runs the rest, and keeps what comes of it.

use crate::batch::{Unit, most_together, units};
use crate::cli::BuildOptions;
use crate::executors::{Executors, choice};
use crate::failed::{Failed, report_failed};
use crate::forecast::{last_key, why};
use crate::pack::{self, BaseTrees, Packed};
use crate::places::http;
use crate::preflight::Bases;
use crate::prepare::Prepared;
use crate::rebuild::Before;
use crate::report::Failure;
use crate::session::{Session, store_failed};
use crate::sources::base_key;
use crate::ui::{Shown, Ui, seconds};
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_exec::{ExecError, Executor, Exit, Lane, Outcome, RunOptions, schedule};
use exflow_fetch::{Cancel, Client, HexPlaces};
use exflow_plan::{Action, Command, MountSource, Output, PlannedImage, PlannedRun, StepId};
use exflow_store::{Claim, Record, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const STEP_FAILED: &str = "exflow::exec::step-failed";
/// How many packages of sources are fetched side by side: as many as Hex itself does.
const FETCHES: usize = 8;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Cached,
    Ran,
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
pub(crate) struct Engine<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) ui: &'a Ui,
    pub(crate) executors: &'a Executors<'a>,
    pub(crate) client: &'a Client,
    pub(crate) cancel: &'a Cancel,
    /// How much is done side by side.
    pub(crate) jobs: usize,
    /// How many batches are under way.
    pub(crate) batches: AtomicUsize,
    /// Where packages of Hex's are; none where that can't be found out, which is among the failures.
    pub(crate) hex: OnceLock<Option<HexPlaces>>,
    pub(crate) done: Mutex<Done>,
    /// What went wrong so far.
    pub(crate) failures: Mutex<Vec<Failed>>,
    /// What came of the same steps before, where they are done only to be compared with that.
    pub(crate) before: Option<&'a Before<'a>>,
}

#[derive(Default)]
pub(crate) struct Done {
    outputs: BTreeMap<StepId, Vec<Digest>>,
    images: BTreeMap<usize, Packed>,
    /// Of steps, and after them of images.
    states: BTreeMap<usize, State>,
}

impl Done {
    pub(crate) fn has(&self, node: usize) -> bool {
        self.states.contains_key(&node)
    }

    /// A tree that came of a step that is done.
    pub(crate) fn output(&self, output: Output) -> Digest {
        self.outputs[&output.step][output.index]
    }
}

/// What came of a build: what was built, and why the rest was not.
pub(crate) struct Executed {
    pub(crate) built: Vec<Built>,
    /// The trees that came of each step that was done.
    pub(crate) outputs: BTreeMap<StepId, Vec<Digest>>,
    pub(crate) failure: Option<Failure>,
}

/// Builds the one image that was asked for, to be `verb`: run, described.
pub(crate) fn execute_one(
    session: &mut Session,
    prepared: &Prepared,
    options: &BuildOptions,
    cancel: &Cancel,
    verb: &str,
) -> Result<Built, Failure> {
    // Before anything is built that isn't wanted.
    prepared.one_image(verb)?;
    let Executed { mut built, failure, .. } = execute(session, prepared, options, cancel)?;
    match (failure, built.pop()) {
        (Some(failure), _) => Err(failure),
        (None, Some(built)) => Ok(built),
        (None, None) => unreachable!("one image was asked for"),
    }
}

/// Builds what was prepared.
pub(crate) fn execute(
    session: &mut Session,
    prepared: &Prepared,
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<Executed, Failure> {
    let client = Client::new(http(options.offline), cancel.clone());
    let choice = choice(options.executor, prepared.executor)?;
    let jobs = options.side_by_side();
    let mut has_healed = false;
    loop {
        let executors = Executors::new(choice, prepared.store.clone(), &session.ui);
        let engine = Engine::new(prepared, &session.ui, &executors, &client, cancel, jobs);
        let failures = engine.do_all()?;
        let is_damaged = failures.iter().any(|failed| matches!(failed, Failed::Damaged(_)));
        if is_damaged && !has_healed && !cancel.is_cancelled() {
            // Once: what is known is known no more where its files are gone, and is made again.
            session.ui.tell("mending", "the store was damaged: what is missing is made again");
            engine.forget_damaged().map_err(store_failed)?;
            has_healed = true;
            continue;
        }
        let (built, outputs) = engine.built();
        let failure = (!failures.is_empty()).then(|| report_failed(session, failures));
        return Ok(Executed { built, outputs, failure });
    }
}

impl<'a> Engine<'a> {
    pub(crate) fn new(
        prepared: &'a Prepared,
        ui: &'a Ui,
        executors: &'a Executors<'a>,
        client: &'a Client,
        cancel: &'a Cancel,
        jobs: usize,
    ) -> Self {
        Self {
            prepared,
            ui,
            executors,
            client,
            cancel,
            jobs,
            batches: AtomicUsize::new(0),
            hex: OnceLock::new(),
            done: Mutex::default(),
            failures: Mutex::default(),
            before: None,
        }
    }

    pub(crate) fn done(&self) -> std::sync::MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that are wanted, and all that they need, in order.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        let mut nodes = self.prepared.needed_steps();
        nodes.extend(self.prepared.images.iter().map(|image| self.first_image() + image));
        nodes
    }

    /// Does all that is not done yet; what failed.
    pub(crate) fn do_all(&self) -> Result<Vec<Failed>, Failure> {
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
        let units = units(&self.prepared.plan, &todo, most_together());
        let of_node: BTreeMap<usize, usize> = units
            .iter()
            .enumerate()
            .flat_map(|(unit, nodes)| nodes.0.iter().map(move |node| (*node, unit)))
            .collect();
        let needs = |unit: usize| {
            let nodes = units[unit].0.iter().flat_map(|node| self.needs(*node));
            nodes
                .filter_map(|need| of_node.get(&need).copied())
                .filter(|need| *need != unit)
                .collect()
        };
        let (fetches, others): (Vec<usize>, Vec<usize>) =
            (0..units.len()).partition(|unit| self.is_fetch(units[*unit].0[0]));
        let lanes = [
            Lane { nodes: &others, workers: self.jobs },
            Lane { nodes: &fetches, workers: FETCHES },
        ];
        // A unit may fail in one of its nodes only, on which not all depend that depend on the unit: each node
        // looks whether what it needs is there.
        schedule(&lanes, needs, |unit| self.run_unit(&units[unit]));
        Ok(std::mem::take(&mut self.failures()))
    }

    /// Whether a node is a package of sources that is fetched, which takes next to no work.
    fn is_fetch(&self, node: usize) -> bool {
        let step = self.prepared.plan.steps.get(node);
        step.is_some_and(|step| matches!(step.action, Action::Fetch(_)))
    }

    pub(crate) fn failures(&self) -> std::sync::MutexGuard<'_, Vec<Failed>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_unit(&self, unit: &Unit) {
        match unit.0.as_slice() {
            [node] => self.run_one(*node),
            nodes => self.run_together(nodes),
        }
    }

    /// Does one node, if all that it needs was done.
    pub(crate) fn run_one(&self, node: usize) {
        if self.is_ready(node)
            && let Err(failed) = self.run(node)
        {
            self.failures().push(failed);
        }
    }

    /// Whether all that a node needs is done.
    pub(crate) fn is_ready(&self, node: usize) -> bool {
        let done = self.done();
        self.needs(node).iter().all(|need| done.has(*need))
    }

    /// Keeps what came of a step.
    pub(crate) fn set_done(
        &self,
        node: usize,
        outputs: Vec<Digest>,
        state: State,
    ) -> Result<(), StoreError> {
        let outputs = match self.before {
            Some(before) => before.compare(&self.prepared.store, node, outputs)?,
            None => outputs,
        };
        let mut done = self.done();
        done.outputs.insert(node, outputs);
        done.states.insert(node, state);
        Ok(())
    }

    /// The key of what comes of a node whose needs are done.
    fn key(&self, node: usize) -> Digest {
        if let Some(image) = node.checked_sub(self.first_image()) {
            return self.image_key(image).0;
        }
        match &self.prepared.plan.steps[node].action {
            Action::Base(base) => base_key(base),
            Action::Fetch(origin) => origin.key(),
            Action::Run(run) => self.command(run).key(),
        }
    }

    /// Forgets every result that is known and whose files aren't there any more.
    fn forget_damaged(&self) -> Result<(), StoreError> {
        let store = &self.prepared.store;
        // Keys follow from results, so what stands on something damaged is found when that has
        // been made again.
        let known: Vec<usize> = self.done().states.keys().copied().collect();
        for node in known {
            let key = self.key(node);
            let Some(record) = store.record(&key)? else { continue };
            let mut damaged = false;
            for tree in &record.trees {
                damaged |= store.discard_if_damaged(tree)?;
            }
            if damaged {
                store.forget(&key);
            }
        }
        Ok(())
    }

    /// The images that are done, and the trees that came of each step that was done.
    fn built(self) -> (Vec<Built>, BTreeMap<StepId, Vec<Digest>>) {
        let plan = &self.prepared.plan;
        let first_image = self.first_image();
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let built = self.prepared.images.iter().filter_map(|index| {
            let packed = done.images.get(index)?.clone();
            let image = &plan.images[*index];
            let mut nodes = plan.closure([image.base, image.release.step]);
            nodes.push(first_image + index);
            let count =
                |state| nodes.iter().filter(|node| done.states.get(node) == Some(&state)).count();
            Some(Built {
                project: image.project.clone(),
                image: *index,
                packed,
                ran: count(State::Ran),
                cached: count(State::Cached),
                base: done.output(Output { step: image.base, index: 0 }),
                release: done.output(image.release),
            })
        });
        (built.collect(), done.outputs)
    }

    /// The number of the first node that is an image.
    pub(crate) fn first_image(&self) -> usize {
        self.prepared.plan.steps.len()
    }

    pub(crate) fn needs(&self, node: usize) -> Vec<usize> {
        let plan = &self.prepared.plan;
        match node.checked_sub(self.first_image()) {
            Some(image) => vec![plan.images[image].base, plan.images[image].release.step],
            None => plan.steps[node].needs(),
        }
    }

    /// Whether the result of a node whose needs are done is known already.
    pub(crate) fn look_up(&self, node: usize) -> Result<bool, StoreError> {
        let store = &self.prepared.store;
        let key = self.key(node);
        if let Some(image) = node.checked_sub(self.first_image()) {
            let Some(packed) = pack::known(store, &key)? else { return Ok(false) };
            let mut done = self.done();
            done.images.insert(image, packed);
            done.states.insert(node, State::Cached);
            return Ok(true);
        }
        let outputs = match &self.prepared.plan.steps[node].action {
            Action::Base(base) => base.outputs(),
            Action::Fetch(_) => 1,
            Action::Run(run) => run.outputs.len(),
        };
        let Some(record) = store.record(&key)? else { return Ok(false) };
        if record.trees.len() != outputs || !record.trees.iter().all(|tree| store.has_tree(tree)) {
            return Ok(false);
        }
        self.set_done(node, record.trees, State::Cached)?;
        Ok(true)
    }

    pub(crate) fn command(&self, run: &PlannedRun) -> Command {
        let done = self.done();
        run.command(|output| done.output(output))
    }

    /// The key of an image, and the trees that it is made of.
    fn image_key(&self, image: usize) -> (Digest, BaseTrees, Digest) {
        let image = &self.prepared.plan.images[image];
        let done = self.done();
        let base = BaseTrees::of(&done.outputs[&image.base]);
        let release = done.output(image.release);
        (pack::key(image, &base.tree, &release), base, release)
    }

    /// The bases of an image whose needs are done.
    fn bases(&self, image: &PlannedImage) -> Bases<'_> {
        let steps = &self.prepared.plan.steps;
        let name = |step: StepId| match &steps[step].action {
            Action::Base(base) => Some(&*base.name),
            _ => None,
        };
        let builder = match &steps[image.release.step].action {
            Action::Run(run) => name(run.base)
                .map(|name| (name, self.done().output(Output { step: run.base, index: 0 }))),
            _ => None,
        };
        Bases { base: name(image.base).unwrap_or_default(), builder }
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
            Some(Action::Base(_) | Action::Fetch(_)) | None => None,
        };
        if let Some(index) = node.checked_sub(self.first_image()) {
            let (key, base, release) = self.image_key(index);
            let image = &plan.images[index];
            let name = format!("{}:image", image.project);
            let packed = self.shown(&name, || {
                let bases = self.bases(image);
                Ok(pack::pack(&self.prepared.store, image, &key, &base, &release, &bases)?)
            })?;
            if let Some(before) = self.before {
                before.compare_image(index, &packed);
            }
            let mut done = self.done();
            done.images.insert(index, packed);
            done.states.insert(node, State::Ran);
        } else {
            let step = &plan.steps[node];
            let brought = match (&step.action, self.before) {
                (Action::Run(_), _) | (_, None) => None,
                (_, Some(before)) => before.bring(&self.prepared.store, node)?,
            };
            if let Some(outputs) = brought {
                self.set_done(node, outputs, State::Ran)?;
                return Ok(());
            }
            let outputs = match &step.action {
                Action::Base(base) => self.shown(&step.name, || self.run_base(base, step))?,
                Action::Fetch(origin) => {
                    self.shown(&step.name, || self.fetch(origin, step)).map(|tree| vec![tree])?
                }
                Action::Run(run) => self.run_command(run, step)?,
            };
            self.set_done(node, outputs, State::Ran)?;
        }
        Ok(())
    }

    /// Waits until nobody else works on what has this key.
    pub(crate) fn claim(&self, key: &Digest) -> Result<Claim, Failed> {
        let claim = self.prepared.store.claim(key, || self.cancel.is_cancelled())?;
        claim.ok_or(Failed::Interrupted)
    }

    /// Does something that takes a while, and says so.
    pub(crate) fn shown<T>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let (result, took) = self.timed(name, work);
        let status = match &result {
            Ok(_) => "done",
            Err(Failed::Interrupted) => "stopped",
            Err(_) => "failed",
        };
        self.ui.tell(status, &format!("{name} in {}", seconds(took)));
        self.ui.event(&json!({
            "event": "step", "step": name, "status": status, "seconds": took.as_secs_f64(),
        }));
        result
    }

    /// Does something that takes a while, and shows it meanwhile; how long that was.
    pub(crate) fn timed<T>(&self, name: &str, work: impl FnOnce() -> T) -> (T, Duration) {
        self.ui.begin(name, None);
        let begun = Instant::now();
        let result = work();
        self.ui.end(name);
        (result, begun.elapsed())
    }

    /// Runs a command, and shows the last line of what it prints.
    pub(crate) fn launch(
        &self,
        executor: &dyn Executor,
        command: &Command,
        options: &RunOptions<'_>,
    ) -> Result<Outcome, ExecError> {
        let _followed = self.ui.follow(&options.name, &options.log);
        let outcome = executor.run(command, options)?;
        if outcome.exit == Exit::Code(0) {
            // The plan counts on them.
            assert_eq!(outcome.outputs.len(), command.outputs.len(), "{}", executor.name());
        }
        Ok(outcome)
    }

    /// Why an executor could not run something.
    pub(crate) fn not_run(&self, error: &ExecError, name: &str, site: Option<&Site>) -> Failed {
        let problem = exflow_exec::diagnose(error, name, site);
        match error {
            _ if self.cancel.is_cancelled() => Failed::Interrupted,
            ExecError::Store(error) if error.is_damage() => Failed::Damaged(problem.into()),
            _ => Failed::Problems(problem.into()),
        }
    }

    /// Where what a command prints goes to.
    pub(crate) fn log(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let logs = self.prepared.store.root().join("logs");
        let made = |source| StoreError::Io { action: "create", path: logs.clone(), source };
        fs::create_dir_all(&logs).map_err(made)?;
        Ok(logs.join(format!("{key}.log")))
    }

    pub(crate) fn executor(&self, step: &exflow_plan::Step) -> Result<&dyn Executor, Failed> {
        self.executors.get().map_err(|problem| {
            let problem = problem.at_known(step.site.as_ref(), "the first step to run");
            Failed::Problems(problem.into())
        })
    }

    /// Records what came of a command whose outputs are on the disk.
    pub(crate) fn keep(
        &self,
        command: &Command,
        step: &str,
        outputs: &[Digest],
    ) -> Result<(), StoreError> {
        let store = &self.prepared.store;
        let trees = outputs.to_vec();
        store.put_record(&command.key(), &Record { trees, data: Vec::new() })?;
        let last = Record { trees: Vec::new(), data: command.encode() };
        store.put_record(&self.last_key(step), &last)
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
        self.keep_inputs([run])?;
        let log = self.log(&key)?;
        let executor = self.executor(step)?;
        let options = RunOptions {
            name: step.name.clone(),
            slot: self.last_key(&step.name),
            time_limit: step.time_limit,
            cancel: self.cancel.clone(),
            log: log.clone(),
            progress: &Shown(self.ui),
        };
        let outputs = self.shown(&step.name, || {
            let outcome = self
                .launch(executor, &command, &options)
                .map_err(|error| self.not_run(&error, &step.name, step.site.as_ref()))?;
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
            let diagnostic = diagnostic.at_known(step.site.as_ref(), "asked for here");
            Err(Failed::Step { diagnostic, log: log.clone() })
        })?;
        // On the disk first: a record is believed.
        store.sync()?;
        self.keep(&command, &step.name, &outputs)?;
        Ok(outputs)
    }

    /// Puts into the store what commands see and no step makes.
    pub(crate) fn keep_inputs<'r>(
        &self,
        runs: impl IntoIterator<Item = &'r PlannedRun>,
    ) -> Result<(), StoreError> {
        let store = &self.prepared.store;
        // Several commands may see the same.
        let mut kept: BTreeSet<Digest> = BTreeSet::new();
        for mount in runs.into_iter().flat_map(|run| &run.mounts) {
            let Some(tree) = mount.source.tree() else { continue };
            if !kept.insert(tree.digest()) {
                continue;
            }
            match &mount.source {
                MountSource::Sources(tree) => store.keep_sources(&self.prepared.root, tree)?,
                MountSource::Inline(files) => {
                    for (_, text) in files.files() {
                        store.put_blob(text.as_bytes())?;
                    }
                }
                MountSource::Output(_) => {}
            }
            store.put_tree(tree)?;
        }
        Ok(())
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

    pub(crate) fn last_key(&self, step: &str) -> Digest {
        last_key(&self.prepared.root, step)
    }
}
