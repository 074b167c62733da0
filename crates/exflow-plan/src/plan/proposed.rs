//! What a plugin proposes.

use super::sources::source_root;
use super::{DEFAULT_TIME_LIMIT, Planner};
use crate::graph::{
    Action, ImageSettings, MountSource, Output, PlannedBase, PlannedImage, PlannedMount,
    PlannedRoot, PlannedRun, Step, StepId,
};
use crate::inputs::InlineFiles;
use crate::proposal::{Proposal, ProposedFetch, ProposedImage, ProposedStep, UsedThing};
use exflow_content::{Digest, Encoder, RelPath};
use exflow_diagnostics::{Diagnostic, Site};
use exflow_manifest::{Need, Project, Spanned, Stage, values};
use std::collections::BTreeMap;
use std::sync::Arc;

const NO_OUTPUT: &str = "exflow::plan::no-such-output";

const NAME_TAKEN: &str = "exflow::plan::name-taken";

const TAKEN_VARIABLE: &str = "exflow::plan::taken-variable";

/// What a step of a plugin can use.
struct Known<'a> {
    fetches: &'a [StepId],
    steps: &'a [StepId],
    /// The outputs of the user's own stages.
    own: &'a BTreeMap<&'a str, Vec<PlannedMount>>,
}

/// Stands for an output in a key while its tree isn't known yet. Such a key is never kept.
fn planned(output: Output) -> Digest {
    let mut encoder = Encoder::new("exflow planned output 1");
    encoder.number(output.step as u64).number(output.index as u64);
    encoder.digest_of()
}

impl Planner<'_> {
    /// The steps that a plugin proposes for a project, and its image.
    pub(super) fn proposal(
        &mut self,
        project: &Project,
        proposal: &Proposal,
        own: &BTreeMap<&str, Vec<PlannedMount>>,
    ) {
        let fetches: Vec<StepId> =
            proposal.fetches.iter().map(|proposed| self.fetch(project, proposed)).collect();
        let mut steps: Vec<StepId> = Vec::new();
        for proposed in &proposal.steps {
            if let Some(own) = project.stages.get(&proposed.name).filter(|own| own.run.is_some()) {
                self.problems.push(
                    Diagnostic::error(
                        NAME_TAKEN,
                        format!("the plugin has a step named `{}`, too", proposed.name),
                    )
                    .at(&own.site, "this stage has the same name")
                    .help("give your stage another name"),
                );
                return;
            }
            let Some(stage) = project.stages.get(&proposed.stage) else { return };
            let Some(base) = self.base(stage) else { return };
            let known = Known { fetches: &fetches, steps: &steps, own };
            let Some(run) = self.run(project, proposal, proposed, stage, base, &known) else {
                return;
            };
            let site = proposed.site.as_ref().unwrap_or(&stage.site);
            let key = run.command(planned).key();
            let step = Step {
                name: format!("{}:{}", project.name.value, proposed.name),
                stages: vec![(project.name.value.clone(), proposed.stage.clone())],
                action: Action::Run(run),
                site: Some(site.clone()),
                time_limit: stage.time_limit.unwrap_or(DEFAULT_TIME_LIMIT),
            };
            steps.push(self.share(key, step));
        }
        let names = proposal.fetches.iter().map(|fetch| &fetch.name);
        let names = names.chain(proposal.steps.iter().map(|step| &step.name)).cloned();
        let named = names.zip(fetches.iter().chain(&steps).copied()).collect();
        self.plan.proposed.insert(project.name.value.clone(), named);
        if let (Some(image), Some(stage)) = (&proposal.image, project.stages.get("runtime")) {
            self.image(project, proposal, image, stage, &steps);
        }
    }

    fn image(
        &mut self,
        project: &Project,
        proposal: &Proposal,
        image: &ProposedImage,
        stage: &Stage,
        steps: &[StepId],
    ) {
        let Some(base) = self.base(stage) else { return };
        let Some(release) = self.output(proposal, image.step, &image.output, steps, &stage.site)
        else {
            return;
        };
        // As `FROM` does: what the base's image says holds, until something else is said.
        let defaults = self.defaults(base);
        let mut env = defaults.env;
        env.extend(image.env.clone());
        env.extend(values(&stage.env));
        let mut labels = defaults.labels;
        labels.extend(image.labels.clone());
        labels.extend(stage.labels.clone());
        let mut ports = stage.expose.clone();
        ports.extend(defaults.ports.into_iter().filter(|port| !stage.expose.contains(port)));
        let kept = match &self.plan.steps[base].action {
            Action::Base(PlannedBase { root: PlannedRoot::Image { image, .. }, .. }) => {
                image.layers.clone()
            }
            _ => Vec::new(),
        };
        self.plan.images.push(PlannedImage {
            project: project.name.value.clone(),
            plugin: project.tool.as_ref().map(|tool| tool.plugin.value.clone()).unwrap_or_default(),
            base,
            release,
            settings: ImageSettings {
                platform: self.platform.clone(),
                assembly: self.lock.image_assembly,
                kept,
                at: image.at.clone(),
                layers: image
                    .layers
                    .iter()
                    .map(|layer| (layer.name.clone(), layer.files.clone()))
                    .collect(),
                env,
                workdir: image.workdir.clone(),
                entrypoint: image.entrypoint.clone(),
                command: stage.command.clone().unwrap_or_else(|| image.command.clone()),
                user: stage.user.clone().or(defaults.user),
                ports,
                labels,
                volumes: defaults.volumes,
                stop_signal: defaults.stop_signal,
            },
            site: Some(stage.site.clone()),
        });
    }

    fn fetch(&mut self, project: &Project, proposed: &ProposedFetch) -> StepId {
        let step = Step {
            name: format!("{}:{}", project.name.value, proposed.name),
            stages: vec![(project.name.value.clone(), "deps".to_owned())],
            action: Action::Fetch(proposed.origin.clone()),
            site: proposed.site.clone(),
            time_limit: DEFAULT_TIME_LIMIT,
        };
        self.share(proposed.origin.key(), step)
    }

    /// Adds a step, or finds the one that does the same already, by what it does. It keeps its name and its
    /// place.
    pub(super) fn share(&mut self, key: Digest, step: Step) -> StepId {
        if let Some(known) = self.shared.get(&key) {
            let stages = &mut self.plan.steps[*known].stages;
            stages.extend(step.stages);
            return *known;
        }
        let id = self.push(step);
        self.shared.insert(key, id);
        id
    }

    fn run(
        &mut self,
        project: &Project,
        proposal: &Proposal,
        proposed: &ProposedStep,
        stage: &Stage,
        base: StepId,
        known: &Known<'_>,
    ) -> Option<PlannedRun> {
        let root = source_root();
        // What reads nothing of the workspace is shared by all of its projects.
        let is_shared = proposed.sources.patterns().is_empty();
        let mut mounts = vec![self.sources(&root, &proposed.sources)];
        if !is_shared {
            mounts.push(self.inputs(project, stage)?);
        }
        mounts.retain(
            |mount| !matches!(&mount.source, MountSource::Sources(tree) if tree.is_empty()),
        );
        // What is fetched is no more of one project than what a plugin has fetched.
        let is_own = |need: &&Need| known.own.contains_key(need.name.value.as_str());
        for need in stage.needs.iter().filter(|need| !is_shared || !is_own(need)) {
            mounts.extend(self.needed(project, stage, need, known.own));
        }
        if !proposed.files.is_empty() {
            let Ok(files) = InlineFiles::new(&proposed.files) else {
                self.no_output(&format!("files of `{}`", proposed.name), &stage.site);
                return None;
            };
            mounts.push(PlannedMount {
                at: root.clone(),
                source: MountSource::Inline(Arc::new(files)),
            });
        }
        for used in &proposed.uses {
            let output = match &used.what {
                UsedThing::Output { step, output } => {
                    self.output(proposal, *step, output, known.steps, &stage.site)?
                }
                UsedThing::Fetched(index) => {
                    let Some(step) = known.fetches.get(*index) else {
                        self.no_output(&format!("fetch {index}"), &stage.site);
                        return None;
                    };
                    Output { step: *step, index: 0 }
                }
            };
            mounts.push(PlannedMount {
                at: root.join(&used.at),
                source: MountSource::Output(output),
            });
        }
        let mut env = self.environment(base);
        env.extend(proposed.env.clone());
        for (name, own) in &stage.env {
            match proposed.env.get(name) {
                Some(value) if *value != own.value => {
                    self.taken_variable(project, name, value, own);
                }
                _ => _ = env.insert(name.clone(), own.value.clone()),
            }
        }
        Some(PlannedRun {
            base,
            mounts,
            argv: proposed.argv.clone(),
            env,
            workdir: root.join(&proposed.workdir),
            outputs: proposed.outputs.iter().map(|output| root.join(output)).collect(),
            together: proposed.together,
        })
    }

    fn output(
        &mut self,
        proposal: &Proposal,
        step: usize,
        output: &RelPath,
        steps: &[StepId],
        site: &Site,
    ) -> Option<Output> {
        let index = proposal
            .steps
            .get(step)
            .and_then(|step| step.outputs.iter().position(|known| known == output));
        if let (Some(step), Some(index)) = (steps.get(step), index) {
            Some(Output { step: *step, index })
        } else {
            self.no_output(&format!("an output `{output}`"), site);
            None
        }
    }

    /// By what it sets itself, a plugin has planned more than this one step.
    fn taken_variable(
        &mut self,
        project: &Project,
        name: &str,
        value: &str,
        own: &Spanned<String>,
    ) {
        let tool = project.tool.as_ref().map_or("the plugin", |tool| tool.plugin.value.as_str());
        let problem = Diagnostic::error(
            TAKEN_VARIABLE,
            format!("`{name}` is set by `{tool}`, which has planned with `{value}`"),
        )
        .at(&own.site, "another value")
        .help(format!(
            "take it away; where `{tool}` has a setting for it, say it there: `release-tool \"{tool}\" …`"
        ));
        // A stage has many steps.
        if !self.problems.iter().any(|known| *known == problem) {
            self.problems.push(problem);
        }
    }

    fn no_output(&mut self, what: &str, site: &Site) {
        self.problems.push(
            Diagnostic::error(
                NO_OUTPUT,
                format!("the plugin uses {what} that no earlier step makes"),
            )
            .at(site, "for this stage")
            .help("this is a mistake in the plugin: tell its author"),
        );
    }
}
