//! Does what a plan says: looks up what is known, runs the rest, and keeps what comes of it.

mod batch;
mod command;
mod failed;
mod forecast;
mod outside;

pub(crate) use failed::{Failed, report_failed};
pub(crate) use forecast::{Forecast, Foreseen, forecast};
pub(crate) use outside::base_key;

use crate::cli::BuildOptions;
use crate::events::{Event, Status};
use crate::executors::{Executors, choice};
use crate::pack::{self, BaseTrees, Packed, laid_over};
use crate::places::http;
use crate::preflight::Bases;
use crate::prepare::Prepared;
use crate::report::{Failure, io_failed, store_failed};
use crate::session::Session;
use crate::ui::{Ui, seconds};
use crate::verify::Before;
use batch::{Task, most_together, tasks};
use exflow_content::{Digest, Sha256, Tree};
use exflow_exec::{Lane, schedule};
use exflow_fetch::{Cancel, Client, HexPlaces};
use exflow_plan::{Action, Command, Output, PlannedImage, PlannedRun, StepId};
use exflow_store::{Claim, StoreError};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How many packages of sources are fetched side by side: as many as Hex itself does.
const FETCHES: usize = 8;

/// What is to be done: a step, or an image that is put together of what came of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Step(StepId),
    /// By its index in the plan.
    Image(usize),
}

/// What became of a node.
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

impl Built {
    /// All its files.
    pub(crate) fn files(&self, prepared: &Prepared) -> Result<Tree, StoreError> {
        let settings = &prepared.plan.images[self.image].settings;
        let [base, release] = [&self.base, &self.release].map(|tree| prepared.store.tree(tree));
        Ok(laid_over(&base?, &release?, settings).expect("an image was packed of both"))
    }

    /// The digest of the image's manifest.
    pub(crate) fn digest(&self) -> Result<Sha256, Failure> {
        Sha256::from_oci(&self.packed.digest).ok_or_else(|| {
            let reason = io::Error::other("the image's record in the store is damaged");
            io_failed("write the image of", Path::new(&self.project), &reason)
        })
    }
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
    /// How many steps are run together at most.
    pub(crate) together: usize,
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
    states: BTreeMap<Node, State>,
}

impl Done {
    pub(crate) fn has(&self, step: StepId) -> bool {
        self.outputs.contains_key(&step)
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
            together: most_together(),
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
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> {
        let steps = self.prepared.needed_steps().into_iter().map(Node::Step);
        steps.chain(self.prepared.images.iter().copied().map(Node::Image))
    }

    /// Does all that is not done yet; what failed.
    pub(crate) fn do_all(&self) -> Result<Vec<Failed>, Failure> {
        // What is there already needs no thread. What comes out of a step that has to run may
        // still turn out to be what it was, so the rest is looked up again when its turn comes.
        let mut todo: Vec<Node> = Vec::new();
        for node in self.nodes() {
            if !self.is_ready(node) || !self.look_up(node).map_err(store_failed)? {
                todo.push(node);
            }
        }
        if todo.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = tasks(&self.prepared.plan, &todo, self.together);
        let of_step: BTreeMap<StepId, usize> = tasks
            .iter()
            .enumerate()
            .flat_map(|(index, task)| task.steps().iter().map(move |step| (*step, index)))
            .collect();
        let needs = |index: usize| {
            let needs: Vec<StepId> = match &tasks[index] {
                Task::Image(image) => self.needs(Node::Image(*image)),
                Task::Steps(steps) => {
                    steps.iter().flat_map(|step| self.needs(Node::Step(*step))).collect()
                }
            };
            let others = needs.iter().filter_map(|need| of_step.get(need).copied());
            others.filter(|task| *task != index).collect()
        };
        let (fetches, others): (Vec<usize>, Vec<usize>) =
            (0..tasks.len()).partition(|index| self.is_fetch(&tasks[*index]));
        let lanes = [
            Lane { nodes: &others, workers: self.jobs },
            Lane { nodes: &fetches, workers: FETCHES },
        ];
        // A task may fail in one of its nodes only, on which not all depend that depend on the task: each node
        // looks whether what it needs is there.
        schedule(&lanes, needs, |task| self.run_task(&tasks[task]));
        Ok(std::mem::take(&mut self.failures()))
    }

    /// Whether it is a package of sources that is fetched, which takes next to no work.
    fn is_fetch(&self, task: &Task) -> bool {
        let steps = &self.prepared.plan.steps;
        task.steps().first().is_some_and(|step| matches!(steps[*step].action, Action::Fetch(_)))
    }

    pub(crate) fn failures(&self) -> std::sync::MutexGuard<'_, Vec<Failed>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_task(&self, task: &Task) {
        match task {
            Task::Image(image) => self.run_one(Node::Image(*image)),
            Task::Steps(steps) => match steps.as_slice() {
                [step] => self.run_one(Node::Step(*step)),
                steps => self.run_together(steps),
            },
        }
    }

    /// Does one node, if all that it needs was done.
    pub(crate) fn run_one(&self, node: Node) {
        if self.is_ready(node)
            && let Err(failed) = self.run(node)
        {
            self.failures().push(failed);
        }
    }

    /// Whether all that a node needs is done.
    pub(crate) fn is_ready(&self, node: Node) -> bool {
        let done = self.done();
        self.needs(node).iter().all(|need| done.has(*need))
    }

    /// Keeps what came of a step.
    pub(crate) fn set_done(
        &self,
        step: StepId,
        outputs: Vec<Digest>,
        state: State,
    ) -> Result<(), StoreError> {
        let outputs = match self.before {
            Some(before) => before.compare(&self.prepared.store, step, outputs)?,
            None => outputs,
        };
        let mut done = self.done();
        done.outputs.insert(step, outputs);
        done.states.insert(Node::Step(step), state);
        Ok(())
    }

    /// The key of what comes of a node whose needs are done.
    fn key(&self, node: Node) -> Digest {
        match node {
            Node::Image(image) => self.image_key(image).0,
            Node::Step(step) => match &self.prepared.plan.steps[step].action {
                Action::Base(base) => base_key(base),
                Action::Fetch(origin) => origin.key(),
                Action::Run(run) => self.command(run).key(),
            },
        }
    }

    /// Forgets every result that is known and whose files aren't there any more.
    fn forget_damaged(&self) -> Result<(), StoreError> {
        let store = &self.prepared.store;
        // Keys follow from results, so what stands on something damaged is found when that has
        // been made again.
        let known: Vec<Node> = self.done().states.keys().copied().collect();
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
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let built = self.prepared.images.iter().filter_map(|index| {
            let packed = done.images.get(index)?.clone();
            let image = &plan.images[*index];
            let steps = plan.closure([image.base, image.release.step]);
            let nodes = steps.into_iter().map(Node::Step).chain([Node::Image(*index)]);
            let states: Vec<State> =
                nodes.filter_map(|node| done.states.get(&node).copied()).collect();
            let count = |state| states.iter().filter(|of_node| **of_node == state).count();
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

    pub(crate) fn needs(&self, node: Node) -> Vec<StepId> {
        let plan = &self.prepared.plan;
        match node {
            Node::Image(image) => vec![plan.images[image].base, plan.images[image].release.step],
            Node::Step(step) => plan.steps[step].needs(),
        }
    }

    /// Whether the result of a node whose needs are done is known already.
    pub(crate) fn look_up(&self, node: Node) -> Result<bool, StoreError> {
        let store = &self.prepared.store;
        let key = self.key(node);
        let step = match node {
            Node::Image(image) => {
                let Some(packed) = pack::known(store, &key)? else { return Ok(false) };
                let mut done = self.done();
                done.images.insert(image, packed);
                done.states.insert(node, State::Cached);
                return Ok(true);
            }
            Node::Step(step) => step,
        };
        let outputs = match &self.prepared.plan.steps[step].action {
            Action::Base(base) => base.outputs(),
            Action::Fetch(_) => 1,
            Action::Run(run) => run.outputs.len(),
        };
        let Some(record) = store.record(&key)? else { return Ok(false) };
        if record.trees.len() != outputs || !record.trees.iter().all(|tree| store.has_tree(tree)) {
            return Ok(false);
        }
        self.set_done(step, record.trees, State::Cached)?;
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

    fn run(&self, node: Node) -> Result<(), Failed> {
        if self.cancel.is_cancelled() {
            return Err(Failed::Interrupted);
        }
        if self.look_up(node)? {
            return Ok(());
        }
        match node {
            Node::Image(image) => self.run_image(image),
            Node::Step(step) => self.run_step(step),
        }
    }

    fn run_image(&self, index: usize) -> Result<(), Failed> {
        let (key, base, release) = self.image_key(index);
        let image = &self.prepared.plan.images[index];
        let packed = self.shown(&image.name(), || {
            let bases = self.bases(image);
            Ok(pack::pack(&self.prepared.store, image, &key, &base, &release, &bases)?)
        })?;
        if let Some(before) = self.before {
            before.compare_image(index, &packed);
        }
        let mut done = self.done();
        done.images.insert(index, packed);
        done.states.insert(Node::Image(index), State::Ran);
        Ok(())
    }

    fn run_step(&self, id: StepId) -> Result<(), Failed> {
        let step = &self.prepared.plan.steps[id];
        let from_outside = matches!(step.action, Action::Base(_) | Action::Fetch(_));
        if from_outside
            && let Some(before) = self.before
            && let Some(outputs) = before.bring(&self.prepared.store, id)?
        {
            return Ok(self.set_done(id, outputs, State::Ran)?);
        }
        let outputs = match &step.action {
            Action::Base(base) => self.shown(&step.name, || self.run_base(base, step))?,
            Action::Fetch(origin) => {
                self.shown(&step.name, || self.fetch(origin, step)).map(|tree| vec![tree])?
            }
            Action::Run(run) => {
                // Someone else may be at the same step: then theirs is ours, too. The packages of a base are claimed
                // one by one.
                let _claim = self.claim(&self.command(run).key())?;
                if self.look_up(Node::Step(id))? {
                    return Ok(());
                }
                self.run_command(run, step)?
            }
        };
        Ok(self.set_done(id, outputs, State::Ran)?)
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
            Ok(_) => Status::Done,
            Err(Failed::Interrupted) => Status::Stopped,
            Err(_) => Status::Failed,
        };
        self.ui.tell(status.word(), &format!("{name} in {}", seconds(took)));
        self.ui.event(&Event::Step {
            step: name,
            status,
            seconds: took.as_secs_f64(),
            together: None,
        });
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
}
