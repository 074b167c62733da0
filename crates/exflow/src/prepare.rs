//! Everything up to the plan: the workspace, the lock, what plugins propose, and what was asked for.

use crate::cli::{BuildOptions, ExecutorChoice};
use crate::locking;
use crate::places::Places;
use crate::propose::{Asking, planned, propose};
use crate::report::{Failure, store_failed};
use crate::session::Session;
use exflow_diagnostics::did_you_mean;
use exflow_fetch::Cancel;
use exflow_lock::Lock;
use exflow_manifest::{ExecutorName, Project, Workspace};
use exflow_plan::{Plan, StepId};
use exflow_store::Store;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that is known before a step runs.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    /// What is to be made: steps, and indices of images.
    pub(crate) steps: Vec<StepId>,
    pub(crate) images: Vec<usize>,
    pub(crate) root: PathBuf,
    pub(crate) store: Store,
    pub(crate) lock: Arc<Lock>,
    /// Where inputs from outside come from.
    pub(crate) places: Places,
    /// What the manifest says is to run the steps.
    pub(crate) executor: Option<ExecutorChoice>,
}

impl Prepared {
    /// The steps that are wanted, and all that they need, each after those that it needs.
    pub(crate) fn needed_steps(&self) -> Vec<StepId> {
        let images = self.images.iter().map(|image| &self.plan.images[*image]);
        let of_images = images.flat_map(|image| [image.base, image.release.step]);
        self.plan.closure(of_images.chain(self.steps.iter().copied()))
    }

    /// The index of the one image that was asked for, to be `verb`: run, exported.
    pub(crate) fn one_image(&self, verb: &str) -> Result<usize, Failure> {
        let images = &self.plan.images;
        match self.images.as_slice() {
            [image] => Ok(*image),
            [] if images.is_empty() => {
                Err(Failure::Usage("nothing here has an image: no release tool is named".into()))
            }
            _ => {
                let names: Vec<&str> = images.iter().map(|image| image.project.as_str()).collect();
                let message = format!("say which project to {verb}, one of: {}", names.join(", "));
                Err(Failure::Usage(message))
            }
        }
    }
}

/// Loads, locks, asks plugins, and plans. What a plugin has to see before it can say more is made with
/// these options.
pub(crate) fn prepare(
    session: &mut Session,
    targets: &[String],
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<Prepared, Failure> {
    let workspace = session.workspace()?;
    let selected = select(&workspace, targets)?;
    let lock = Arc::new(locking::complete(session, &workspace, options, cancel)?);
    let store = session.store()?;
    let sources = store.sources(&session.root).map_err(store_failed)?;
    let names: BTreeSet<&str> =
        selected.iter().map(|(project, _)| project.name.value.as_str()).collect();
    let projects: Vec<&Project> = workspace
        .projects
        .iter()
        .filter(|project| names.contains(project.name.value.as_str()))
        .collect();
    let asking = Asking {
        workspace: &workspace,
        lock: &lock,
        sources: &sources,
        options,
        cancel,
        makes: true,
    };
    let proposals = propose(session, &asking, &projects)?;
    let plan = planned(&asking, &projects, &proposals)?;
    let mut steps = Vec::new();
    let mut images = Vec::new();
    for (project, stage) in &selected {
        let called = &project.name.value;
        let image = plan.images.iter().position(|image| image.project == *called);
        let of_stage = |name: &str| {
            let stage = (called.clone(), name.to_owned());
            let steps = plan.steps.iter().enumerate();
            steps.filter(move |(_, step)| step.stages.contains(&stage)).map(|(number, _)| number)
        };
        match stage {
            Some(stage) if stage != "runtime" => {
                let before = steps.len();
                steps.extend(of_stage(stage));
                if steps.len() == before {
                    let nothing = format!("stage `{stage}` of `{called}` has nothing to do");
                    session.ui.tell("note", &nothing);
                }
            }
            _ => match image {
                Some(image) if images.contains(&image) => {}
                Some(image) => images.push(image),
                None => steps.extend(project.own_stages.iter().flat_map(|name| of_stage(name))),
            },
        }
    }
    let root = session.root.clone();
    let executor = executor(&workspace);
    let places = Places::of(&workspace, &root);
    Ok(Prepared { plan, steps, images, root, store, lock, places, executor })
}

/// What the manifest says is to run the steps.
pub(crate) fn executor(workspace: &Workspace) -> Option<ExecutorChoice> {
    workspace.executor.map(|executor| match executor {
        ExecutorName::Auto => ExecutorChoice::Auto,
        ExecutorName::Docker => ExecutorChoice::Docker,
        ExecutorName::Sandbox => ExecutorChoice::Sandbox,
    })
}

/// The projects that are named, with the stage if one is; all where none is named.
pub(crate) fn select<'a>(
    workspace: &'a Workspace,
    targets: &[String],
) -> Result<Vec<(&'a Project, Option<String>)>, Failure> {
    if targets.is_empty() {
        return Ok(workspace.projects.iter().map(|project| (project, None)).collect());
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
        let Some(project) = workspace.projects.iter().find(|project| project.name.value == name)
        else {
            let known =
                workspace.projects.iter().map(|project| project.name.value.as_str()).collect();
            let help = suggest(name, known);
            return Err(Failure::Usage(format!("there is no project `{name}`: {help}")));
        };
        if let Some(stage) = stage.filter(|stage| !project.stages.contains_key(*stage)) {
            let help = suggest(stage, project.stages.keys().map(String::as_str).collect());
            return Err(Failure::Usage(format!("`{name}` has no stage `{stage}`: {help}")));
        }
        selected.push((project, stage.map(str::to_owned)));
    }
    Ok(selected)
}
