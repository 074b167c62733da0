//! Steps that are run together: a program that takes long to start and little for each step is started
//! once for many of them.
//!
//! Each step still has its own key, inputs and outputs. What is run is one command with the inputs and the
//! last arguments of all; the contract of plugins says what such a program has to do.

use super::failed::Failed;
use super::{Engine, Node, State};
use crate::events::{Event, Status};
use crate::ui::{Shown, seconds};
use exflow_content::{Digest, Encoder, Entry, RelPath};
use exflow_exec::{ExecError, Exit, RunOptions};
use exflow_plan::{Action, Command, Mount, MountSource, Output, Plan, PlannedRun, StepId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The variable that says how many steps are run together at most.
const TOGETHER: &str = "EXFLOW_TOGETHER";
/// How many, where it doesn't: what is not done when exflow is killed is done again.
const MOST: usize = 64;
/// Where a program that does many steps says which it has done.
const DONE: &str = "exflow-batch";

/// What is scheduled as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// One step, or several that are run together, in their order.
    Steps(Vec<StepId>),
    /// An image, by its index in the plan.
    Image(usize),
}

impl Task {
    /// The steps in it.
    pub(crate) fn steps(&self) -> &[StepId] {
        match self {
            Self::Steps(steps) => steps,
            Self::Image(_) => &[],
        }
    }
}

/// What steps that are run together have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Kind<'a> {
    base: StepId,
    program: &'a [String],
    env: &'a BTreeMap<String, String>,
    workdir: &'a RelPath,
}

fn kind(plan: &Plan, step: StepId) -> Option<(Kind<'_>, &PlannedRun)> {
    let Action::Run(run) = &plan.steps[step].action else { return None };
    let (_, program) = run.argv.split_last().filter(|_| run.together)?;
    let kind = Kind { base: run.base, program, env: &run.env, workdir: &run.workdir };
    Some((kind, run))
}

/// How many steps are run together at most.
pub(crate) fn most_together() -> usize {
    let named = std::env::var(TOGETHER).ok().and_then(|text| text.parse().ok());
    named.filter(|most| *most > 0).unwrap_or(MOST)
}

/// Puts together what can be: `todo` in order, each after what it needs.
///
/// Two steps are never in one task where something else lies between them, on which one depends and which
/// depends on the other; tasks would need each other. A step's level counts what lies between.
pub(crate) fn tasks(plan: &Plan, todo: &[Node], most: usize) -> Vec<Task> {
    let mut levels: BTreeMap<StepId, usize> = BTreeMap::new();
    let mut groups: BTreeMap<(usize, Kind<'_>), Vec<(StepId, &PlannedRun)>> = BTreeMap::new();
    let mut batches: Vec<Vec<StepId>> = Vec::new();
    let mut images = Vec::new();
    for &node in todo {
        let step = match node {
            Node::Step(step) => step,
            Node::Image(image) => {
                images.push(Task::Image(image));
                continue;
            }
        };
        let own = kind(plan, step);
        let needs = plan.steps[step].needs();
        let level = needs.iter().filter_map(|need| {
            let level = *levels.get(need)?;
            let other = kind(plan, *need).map(|(kind, _)| kind);
            let is_apart = other.is_some() && other != own.as_ref().map(|(kind, _)| kind.clone());
            Some(level + usize::from(is_apart))
        });
        let level = level.max().unwrap_or(0);
        levels.insert(step, level);
        match own {
            Some((kind, run)) => groups.entry((level, kind)).or_default().push((step, run)),
            None => batches.push(vec![step]),
        }
    }
    for group in groups.into_values() {
        batches.extend(cut(&group, most));
    }
    // The smallest first, as they are planned.
    batches.sort();
    batches.into_iter().map(Task::Steps).chain(images).collect()
}

/// Cuts steps of one kind, in their order, into batches of about the same size, in which no two want
/// different things at the same place.
fn cut(group: &[(StepId, &PlannedRun)], most: usize) -> Vec<Vec<StepId>> {
    let count = group.len().div_ceil(most.max(1)).max(1);
    let size = group.len().div_ceil(count);
    let mut batches: Vec<Vec<StepId>> = Vec::new();
    let mut seen: BTreeMap<RelPath, Thing> = BTreeMap::new();
    for (step, run) in group {
        let things = things(*step, run);
        let fits = batches.last().is_some_and(|batch| {
            batch.len() < size
                && things.iter().all(|(at, thing)| seen.get(at).is_none_or(|known| known == thing))
        });
        if fits && let Some(batch) = batches.last_mut() {
            batch.push(*step);
        } else {
            batches.push(vec![*step]);
            seen.clear();
        }
        seen.extend(things);
    }
    batches
}

/// What is at a place.
#[derive(PartialEq, Eq)]
enum Thing {
    Output(Output),
    File(Digest),
}

fn things(step: StepId, run: &PlannedRun) -> Vec<(RelPath, Thing)> {
    let mut things = Vec::new();
    for mount in &run.mounts {
        match &mount.source {
            MountSource::Output(output) => things.push((mount.at.clone(), Thing::Output(*output))),
            MountSource::Inline(files) => {
                things.extend(files.tree().entries().filter_map(|(path, entry)| match entry {
                    Entry::File { blob, .. } => Some((mount.at.join(path), Thing::File(*blob))),
                    _ => None,
                }));
            }
            // The workspace's own files fit together.
            MountSource::Sources(_) => {}
        }
    }
    let outputs = run.outputs.iter().enumerate();
    things.extend(outputs.map(|(index, at)| (at.clone(), Thing::Output(Output { step, index }))));
    things
}

impl Engine<'_> {
    fn planned(&self, step: StepId) -> Option<&PlannedRun> {
        match &self.prepared.plan.steps[step].action {
            Action::Run(run) => Some(run),
            Action::Base(_) | Action::Fetch(_) => None,
        }
    }

    /// Does steps together, and those that didn't end well one by one.
    pub(crate) fn run_together(&self, steps: &[StepId]) {
        match self.try_together(steps) {
            Ok(()) => {}
            Err(failed) => return self.failures().push(failed),
        }
        for step in steps {
            if !self.done().has(*step) {
                self.run_one(Node::Step(*step));
            }
        }
    }

    fn try_together(&self, steps: &[StepId]) -> Result<(), Failed> {
        if self.cancel.is_cancelled() {
            return Err(Failed::Interrupted);
        }
        let mut todo = self.unknown(steps)?;
        if todo.len() < 2 {
            return Ok(());
        }
        // Someone else may be at the same.
        let mut command = self.together(&todo);
        let _claim = self.claim(&command.key())?;
        let left = self.unknown(&todo)?;
        if left.len() < 2 {
            return Ok(());
        }
        if left != todo {
            command = self.together(&left);
            todo = left;
        }
        self.keep_inputs(todo.iter().filter_map(|step| self.planned(*step)))?;
        self.run_batch(&todo, command)
    }

    /// Those of `steps` whose result isn't known, and all of whose needs will be.
    fn unknown(&self, steps: &[StepId]) -> Result<Vec<StepId>, Failed> {
        let mut unknown = Vec::new();
        for &step in steps {
            let node = Node::Step(step);
            if self.done().has(step) || self.is_ready(node) && self.look_up(node)? {
                continue;
            }
            let needs = self.needs(node);
            if needs.iter().all(|need| self.done().has(*need) || unknown.contains(need)) {
                unknown.push(step);
            }
        }
        Ok(unknown)
    }

    /// The command that does all of `steps`.
    fn together(&self, steps: &[StepId]) -> Command {
        let runs: Vec<&PlannedRun> = steps.iter().filter_map(|step| self.planned(*step)).collect();
        let within: BTreeSet<StepId> = steps.iter().copied().collect();
        let done = self.done();
        let mut seen: BTreeSet<(&RelPath, Digest)> = BTreeSet::new();
        let mut mounts: Vec<Mount> = Vec::new();
        for run in &runs {
            for mount in &run.mounts {
                let tree = match &mount.source {
                    MountSource::Output(output) if within.contains(&output.step) => continue,
                    MountSource::Output(output) => done.output(*output),
                    MountSource::Sources(tree) => tree.digest(),
                    MountSource::Inline(files) => files.tree().digest(),
                };
                if seen.insert((&mount.at, tree)) {
                    mounts.push(Mount { at: mount.at.clone(), tree });
                }
            }
        }
        let first = runs[0];
        let program = &first.argv[..first.argv.len() - 1];
        let last = runs.iter().filter_map(|run| run.argv.last());
        let folder = RelPath::new(DONE).expect("a clean path");
        let mut env = first.env.clone();
        env.insert("EXFLOW_BATCH".to_owned(), format!("/{folder}"));
        let mut outputs: Vec<RelPath> = runs.iter().flat_map(|run| run.outputs.clone()).collect();
        outputs.push(folder);
        Command {
            base: done.output(Output { step: first.base, index: 0 }),
            mounts,
            argv: program.iter().chain(last).cloned().collect(),
            env,
            workdir: first.workdir.clone(),
            outputs,
        }
    }

    fn run_batch(&self, steps: &[StepId], mut command: Command) -> Result<(), Failed> {
        let plan = &self.prepared.plan;
        let store = &self.prepared.store;
        let first = &plan.steps[steps[0]];
        let name = format!("{} and {} more", first.name, steps.len() - 1);
        self.ui.tell("running", &name);
        let limits = steps.iter().map(|step| plan.steps[*step].time_limit);
        let options = RunOptions {
            name: name.clone(),
            slot: batch_slot(&self.last_key(&first.name)),
            // Not their sum: one that hangs is found soon, and by itself.
            time_limit: limits.max().unwrap_or_default(),
            cancel: self.cancel.clone(),
            log: self.log(&command.key())?,
            progress: &Shown(self.ui),
        };
        let executor = self.executor(first)?;
        let others = self.batches.fetch_add(1, Ordering::Relaxed);
        // Each takes its share, or several would start as many programs each as there are cores.
        let jobs = (self.jobs / (others + 1)).max(1);
        command.env.insert("EXFLOW_JOBS".to_owned(), jobs.to_string());
        let (outcome, took) = self.timed(&name, || self.launch(executor, &command, &options));
        self.batches.fetch_sub(1, Ordering::Relaxed);
        let mut trees = match outcome {
            Ok(outcome) if outcome.exit == Exit::Code(0) => outcome.outputs,
            _ if self.cancel.is_cancelled() => return Err(Failed::Interrupted),
            // One by one it is seen which it is.
            Ok(_)
            | Err(
                ExecError::Program { .. }
                | ExecError::MissingOutput { .. }
                | ExecError::BadOutput { .. },
            ) => return Ok(()),
            Err(error) => return Err(self.not_run(&error, &name, first.site.as_ref())),
        };
        store.sync()?;
        let ended_well = store.tree(&trees.pop().expect("the last output is its own"))?;
        let mut trees = trees.into_iter();
        let mut done = 0;
        for &step in steps {
            let node = Node::Step(step);
            let Some(run) = self.planned(step) else { continue };
            let outputs: Vec<Digest> = trees.by_ref().take(run.outputs.len()).collect();
            let said = run.argv.last().and_then(|last| RelPath::new(last).ok());
            let ended_well = said.is_some_and(|path| ended_well.get(&path).is_some());
            // What stands on something that came out different has seen that, and not what it is to be done with.
            let differs = self.before.is_some_and(|before| before.differs(&self.needs(node)));
            if !ended_well || differs || !self.is_ready(node) {
                continue;
            }
            self.keep(&self.command(run), &plan.steps[step].name, &outputs)?;
            self.set_done(step, outputs, State::Ran)?;
            self.tell_done(&plan.steps[step].name, took, steps.len());
            done += 1;
        }
        self.ui.tell("done", &format!("{done} steps together in {}", seconds(took)));
        Ok(())
    }

    fn tell_done(&self, step: &str, took: Duration, together: usize) {
        self.ui.event(&Event::Step {
            step,
            status: Status::Done,
            seconds: took.as_secs_f64(),
            together: Some(together),
        });
    }
}

/// What an executor keeps for a batch is not what it keeps for the first of its steps.
fn batch_slot(last: &Digest) -> Digest {
    let mut encoder = Encoder::new("exflow batch 1");
    encoder.digest(last);
    encoder.digest_of()
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_plan::{InlineFiles, PlannedMount, Step};
    use std::sync::Arc;

    /// A step that stands on the first one and on `needs`, by a program of its kind.
    fn step(kind: &str, argument: &str, needs: &[usize]) -> Step {
        let path = |text: &str| RelPath::new(text).expect("a clean path");
        let mounts = needs.iter().map(|need| PlannedMount {
            at: path(&format!("in/{need}")),
            source: MountSource::Output(Output { step: *need, index: 0 }),
        });
        Step {
            name: format!("shop:{kind}-{argument}"),
            stages: Vec::new(),
            action: Action::Run(PlannedRun {
                base: 0,
                mounts: mounts.collect(),
                argv: vec![kind.to_owned(), argument.to_owned()],
                env: BTreeMap::new(),
                workdir: path("src"),
                outputs: vec![path(&format!("out/{kind}/{argument}"))],
                together: kind != "alone",
            }),
            site: None,
            time_limit: Duration::ZERO,
        }
    }

    /// The first step is a base, which is there already.
    fn check(steps: &[Step], most: usize, expected: &[&[usize]]) {
        let mut all = vec![step("alone", "base", &[])];
        all.extend_from_slice(steps);
        let plan = Plan { steps: all, ..Plan::default() };
        let todo: Vec<Node> = (1..plan.steps.len()).map(Node::Step).collect();
        let tasks = tasks(&plan, &todo, most);
        let tasks: Vec<&[StepId]> = tasks.iter().map(Task::steps).collect();
        assert_eq!(tasks, expected);
    }

    #[test]
    fn steps_of_one_kind_go_together_whether_they_need_each_other_or_not() {
        let steps = [step("mix", "a", &[]), step("mix", "b", &[1]), step("mix", "c", &[])];
        check(&steps, 64, &[&[1, 2, 3]]);
        check(&[], 64, &[]);
    }

    #[test]
    fn other_programs_and_steps_that_may_not_do_not() {
        let steps = [step("mix", "a", &[]), step("rebar", "b", &[]), step("alone", "c", &[])];
        check(&steps, 64, &[&[1], &[2], &[3]]);
        let alone = [step("alone", "a", &[]), step("alone", "b", &[])];
        check(&alone, 64, &[&[1], &[2]]);
    }

    /// Or two tasks would wait for each other.
    #[test]
    fn nothing_goes_together_that_something_else_lies_between() {
        let steps = [
            step("mix", "a", &[]),
            step("rebar", "b", &[1]),
            step("mix", "c", &[2]),
            step("mix", "d", &[]),
            step("rebar", "e", &[3]),
        ];
        check(&steps, 64, &[&[1, 4], &[2], &[3], &[5]]);
    }

    #[test]
    fn many_are_cut_into_units_of_about_the_same_size() {
        let steps: Vec<Step> = (0..7).map(|number| step("mix", &number.to_string(), &[])).collect();
        check(&steps, 3, &[&[1, 2, 3], &[4, 5, 6], &[7]]);
        check(&steps[..4], 3, &[&[1, 2], &[3, 4]]);
        check(&steps[..2], 1, &[&[1], &[2]]);
        check(&steps[..2], 0, &[&[1], &[2]]);
    }

    #[test]
    fn two_that_want_different_files_at_one_place_are_kept_apart() {
        let with_file = |argument: &str, text: &str| {
            let mut step = step("mix", argument, &[]);
            let path = RelPath::new("mix.lock").expect("a clean path");
            let files = InlineFiles::new([(&path, &text.to_owned())]).expect("one file");
            if let Action::Run(run) = &mut step.action {
                let source = MountSource::Inline(Arc::new(files));
                run.mounts.push(PlannedMount { at: RelPath::root(), source });
            }
            step
        };
        check(&[with_file("a", "one"), with_file("b", "one")], 64, &[&[1, 2]]);
        check(
            &[with_file("a", "one"), with_file("b", "two"), with_file("c", "two")],
            64,
            &[&[1], &[2, 3]],
        );
        // Of two projects with the same package in different versions, say.
        let outputs = [step("mix", "a", &[]), step("mix", "a", &[])];
        check(&outputs, 64, &[&[1], &[2]]);
    }
}
