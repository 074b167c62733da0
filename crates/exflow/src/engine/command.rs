//! Steps that run a command: their inputs, their log, and what is recorded of them.

use super::forecast::{last_key, why};
use super::{Engine, Failed};
use crate::ui::{Shown, seconds};
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_exec::{ExecError, Executor, Exit, Outcome, RunOptions};
use exflow_plan::{Command, MountSource, PlannedRun};
use exflow_store::{Record, StoreError};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const STEP_FAILED: &str = "exflow::exec::step-failed";

impl Engine<'_> {
    /// Runs a command, and shows the last line of what it prints.
    pub(super) fn launch(
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
    pub(super) fn not_run(&self, error: &ExecError, name: &str, site: Option<&Site>) -> Failed {
        let problem = exflow_exec::diagnose(error, name, site);
        match error {
            _ if self.cancel.is_cancelled() => Failed::Interrupted,
            ExecError::Store(error) if error.is_damage() => Failed::Damaged(problem.into()),
            _ => Failed::Problems(problem.into()),
        }
    }

    /// Where what a command prints goes to.
    pub(super) fn log(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let logs = self.prepared.store.root().join("logs");
        let made = |source| StoreError::Io { action: "create", path: logs.clone(), source };
        fs::create_dir_all(&logs).map_err(made)?;
        Ok(logs.join(format!("{key}.log")))
    }

    pub(super) fn executor(&self, step: &exflow_plan::Step) -> Result<&dyn Executor, Failed> {
        self.executors.get().map_err(|problem| {
            let problem = problem.at_known(step.site.as_ref(), "the first step to run");
            Failed::Problems(problem.into())
        })
    }

    /// Records what came of a command whose outputs are on the disk.
    pub(super) fn keep(
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

    pub(super) fn run_command(
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
    pub(super) fn keep_inputs<'r>(
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

    pub(super) fn last_key(&self, step: &str) -> Digest {
        last_key(&self.prepared.root, step)
    }
}
