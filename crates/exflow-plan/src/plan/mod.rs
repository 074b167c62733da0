//! Workspace, lock and proposals to a [`Plan`].

mod base;
mod needs;
mod proposed;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use sources::source_root;

use crate::graph::{Action, MountSource, Output, Plan, PlannedMount, PlannedRun, Step, StepId};
use crate::proposal::Proposal;
use exflow_content::{Digest, RelPath, Tree};
use exflow_diagnostics::Diagnostics;
use exflow_lock::{Lock, Platform};
use exflow_manifest::{Project, Workspace, values};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a step may take where the manifest doesn't say.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_hours(1);

const NOT_LOCKED: &str = "exflow::plan::not-locked";

/// Builds the plan of `projects`, each with what its plugin proposes, if it has one.
///
/// `sources` are the files of the workspace. Steps see them at `/src`, wherever the workspace is.
/// Nothing depends on the order of `projects`, or of nodes in a manifest: names decide.
pub fn plan(
    workspace: &Workspace,
    lock: &Lock,
    platform: &Platform,
    sources: &Tree,
    projects: &[(&Project, Option<&Proposal>)],
) -> Result<Plan, Diagnostics> {
    let mut planner = Planner {
        workspace,
        lock,
        platform,
        sources,
        bases: BTreeMap::new(),
        shared: BTreeMap::new(),
        picked: BTreeMap::new(),
        plan: Plan::default(),
        problems: Diagnostics::new(),
    };
    let mut projects: Vec<_> = projects.to_vec();
    projects.sort_by(|a, b| a.0.name.value.cmp(&b.0.name.value));
    for (project, proposal) in projects {
        planner.project(project, proposal);
    }
    planner.problems.into_result(planner.plan)
}

struct Planner<'a> {
    workspace: &'a Workspace,
    lock: &'a Lock,
    platform: &'a Platform,
    sources: &'a Tree,
    bases: BTreeMap<String, StepId>,
    /// Steps of plugins, by what they do: those of several projects that do the same are one.
    shared: BTreeMap<Digest, StepId>,
    /// What was picked of the workspace already, by patterns: many steps of a project read the same.
    picked: BTreeMap<Vec<String>, Arc<Tree>>,
    plan: Plan,
    problems: Diagnostics,
}

impl Planner<'_> {
    fn push(&mut self, step: Step) -> StepId {
        self.plan.steps.push(step);
        self.plan.steps.len() - 1
    }

    fn project(&mut self, project: &Project, proposal: Option<&Proposal>) {
        let root = source_root();
        let folder = root.join(&project.folder);
        // The outputs of the user's own stages: where, and what.
        let mut own: BTreeMap<&str, Vec<PlannedMount>> = BTreeMap::new();
        for name in &project.own_stages {
            let stage = &project.stages[name];
            let Some(base) = self.base(stage) else { continue };
            let Some(inputs) = self.inputs(project, stage) else { continue };
            let mut mounts = vec![inputs];
            for need in &stage.needs {
                mounts.extend(self.needed(project, stage, need, &own));
            }
            let mut env = self.environment(base);
            env.extend(values(&stage.env));
            let script = stage.run.as_ref().map(|run| run.value.clone()).unwrap_or_default();
            let outputs: Vec<RelPath> =
                stage.outputs.iter().map(|output| folder.join(&output.value)).collect();
            let step = self.push(Step {
                name: format!("{}:{name}", project.name.value),
                stages: vec![(project.name.value.clone(), name.clone())],
                action: Action::Run(PlannedRun {
                    base,
                    mounts,
                    argv: ["/bin/sh", "-euc", &script].map(str::to_owned).into(),
                    env,
                    workdir: folder.clone(),
                    outputs: outputs.clone(),
                    together: false,
                }),
                site: Some(stage.run.as_ref().map_or(&stage.site, |run| &run.site).clone()),
                time_limit: stage.time_limit.unwrap_or(DEFAULT_TIME_LIMIT),
            });
            let mounts = outputs.into_iter().enumerate().map(|(index, at)| PlannedMount {
                at,
                source: MountSource::Output(Output { step, index }),
            });
            own.insert(name, mounts.collect());
        }
        if let Some(proposal) = proposal {
            self.proposal(project, proposal, &own);
        }
    }
}
