//! Workspace, lock and proposals to a [`Plan`].

use crate::graph::{
    Action, ImageSettings, MountSource, Output, Plan, PlannedBase, PlannedImage, PlannedMount,
    PlannedRoot, PlannedRun, Step, StepId,
};
use crate::inputs::{InlineFiles, Origin};
use crate::proposal::{Proposal, ProposedFetch, ProposedStep, UsedThing};
use exflow_content::{Digest, Encoder, PatternError, PatternSet, RelPath, STEP_MTIME, Tree};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site};
use exflow_lock::{
    FetchedContent, ImageDefaults, Lock, LockedRoot, Platform, RequestedBase, RequestedDebian,
};
use exflow_manifest::{Fetched, Need, Spanned, Stage, Unit, Workspace, values};
use exflow_packages::RemoteFile;
use exflow_packages::git::GitSource;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a step may take where the manifest doesn't say.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_hours(1);

const NOT_LOCKED: &str = "exflow::plan::not-locked";
const NO_OUTPUT: &str = "exflow::plan::no-such-output";
const NAME_TAKEN: &str = "exflow::plan::name-taken";
const TAKEN_VARIABLE: &str = "exflow::plan::taken-variable";
const BAD_INPUTS: &str = "exflow::plan::bad-inputs";

/// Builds the plan of `units`, each with what its plugin proposes, if it has one.
///
/// `sources` are the files of the workspace. Steps see them at `/src`, wherever the workspace is.
/// Nothing depends on the order of `units`, or of nodes in a manifest: names decide.
pub fn plan(
    workspace: &Workspace,
    lock: &Lock,
    platform: &Platform,
    sources: &Tree,
    units: &[(&Unit, Option<&Proposal>)],
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
    let mut units: Vec<_> = units.to_vec();
    units.sort_by(|a, b| a.0.name.value.cmp(&b.0.name.value));
    for (unit, proposal) in units {
        planner.unit(unit, proposal);
    }
    planner.problems.into_result(planner.plan)
}

/// Where steps see the workspace.
pub(crate) fn source_root() -> RelPath {
    RelPath::new("src").expect("a clean path")
}

/// What a file is called that is at `url`: as the last part of its path, or where that is no name, `name`.
fn last_name(url: &str, name: &str) -> RelPath {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let last =
        path.split_once('/').map_or("", |(_, path)| path.rsplit('/').next().unwrap_or_default());
    let last = RelPath::new(last).ok().filter(|last| !last.is_root());
    last.unwrap_or_else(|| RelPath::new(name).expect("a name in a manifest is one of a file"))
}

/// The environment of every step, before all that is said of it.
fn environment() -> BTreeMap<String, String> {
    let epoch = STEP_MTIME.to_string();
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("SOURCE_DATE_EPOCH", &epoch),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Patterns that are relative to `folder`, or with a `/` before them to the workspace, as patterns
/// relative to the workspace.
fn below(folder: &RelPath, patterns: &[String]) -> Result<PatternSet, PatternError> {
    let folder = match folder.as_str() {
        Some("") => String::new(),
        Some(folder) => escaped(folder) + "/",
        None => {
            let pattern = folder.to_string();
            return Err(PatternError { pattern, reason: "the folder's name is no text".into() });
        }
    };
    PatternSet::new(patterns.iter().map(|pattern| {
        let (sign, body) =
            pattern.strip_prefix('!').map_or(("", pattern.as_str()), |body| ("!", body));
        match body.strip_prefix('/') {
            Some(body) => format!("{sign}{body}"),
            None => format!("{sign}{folder}{body}"),
        }
    }))
}

/// A pattern that picks what has this name, and nothing else.
fn escaped(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for (at, letter) in name.char_indices() {
        // As the first letter, `!` takes away.
        if "*?[]{}\\".contains(letter) || (at == 0 && letter == '!') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
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

    /// The step that makes the base of `stage`.
    fn base(&mut self, stage: &Stage) -> Option<StepId> {
        let name = &stage.base.as_ref()?.value;
        if let Some(step) = self.bases.get(name) {
            return Some(*step);
        }
        let base = self.workspace.bases.get(name)?;
        let locked = self.lock.bases.get(name).and_then(|locked| locked.locked.get(self.platform));
        let Some(locked) = locked else {
            self.problems.push(
                Diagnostic::error(
                    NOT_LOCKED,
                    format!("base `{name}` is not in the lock for {}", self.platform),
                )
                .at(&base.site, "declared here")
                .help("run `exflow lock`"),
            );
            return None;
        };
        let root = match (locked, &self.lock.bases[name].requested) {
            (LockedRoot::Debian(debian), RequestedBase::Debian(RequestedDebian { slim, .. })) => {
                PlannedRoot::Debian { debian: Arc::new(debian.clone()), slim: *slim }
            }
            (LockedRoot::Image(image), RequestedBase::Image(requested)) => PlannedRoot::Image {
                image: Arc::new((**image).clone()),
                named: requested.packages.clone(),
                source: requested.source.clone(),
            },
            _ => unreachable!("a base is locked as what is requested"),
        };
        let action =
            Action::Base(PlannedBase { name: name.clone(), root, platform: self.platform.clone() });
        let step = self.push(Step {
            name: format!("base:{name}"),
            stages: Vec::new(),
            action,
            site: Some(base.site.clone()),
            time_limit: DEFAULT_TIME_LIMIT,
        });
        self.bases.insert(name.clone(), step);
        Some(step)
    }

    /// What the image that a base is says of its containers; nothing where it is none.
    fn defaults(&self, base: StepId) -> ImageDefaults {
        match &self.plan.steps[base].action {
            Action::Base(PlannedBase { root: PlannedRoot::Image { image, .. }, .. }) => {
                image.defaults.clone()
            }
            _ => ImageDefaults::default(),
        }
    }

    /// The environment of a step in this base, before what its plugin and its stage add.
    fn environment(&self, base: StepId) -> BTreeMap<String, String> {
        let mut env = environment();
        env.extend(self.defaults(base).env);
        env
    }

    fn sources(&mut self, at: &RelPath, patterns: &PatternSet) -> PlannedMount {
        let tree = if let Some(known) = self.picked.get(patterns.patterns()) {
            known.clone()
        } else {
            let picked = Arc::new(patterns.pick(self.sources));
            self.picked.insert(patterns.patterns().to_vec(), picked.clone());
            picked
        };
        PlannedMount { at: at.clone(), source: MountSource::Sources(tree) }
    }

    /// What `stage` reads of the workspace.
    fn inputs(&mut self, unit: &Unit, stage: &Stage) -> Option<PlannedMount> {
        match below(&unit.folder, &stage.inputs) {
            Ok(picked) => Some(self.sources(&source_root(), &picked)),
            Err(error) => {
                let (name, reason) = (stage.kind.name(), error.reason);
                // The whole may be as long as the manifest.
                let begin: String = error.pattern.chars().take(60).collect();
                self.problems.push(
                    Diagnostic::error(
                        BAD_INPUTS,
                        format!(
                            "what stage `{name}` reads can't be looked up: {reason}: `{begin}…`"
                        ),
                    )
                    .at(&stage.site, "its `inputs`")
                    .help(
                        "shorten them, or the path of the project's folder, with which they begin",
                    ),
                );
                None
            }
        }
    }

    fn unit(&mut self, unit: &Unit, proposal: Option<&Proposal>) {
        let root = source_root();
        let folder = root.join(&unit.folder);
        // The outputs of the user's own stages: where, and what.
        let mut own: BTreeMap<&str, Vec<PlannedMount>> = BTreeMap::new();
        for name in &unit.own_stages {
            let stage = &unit.stages[name];
            let Some(base) = self.base(stage) else { continue };
            let Some(inputs) = self.inputs(unit, stage) else { continue };
            let mut mounts = vec![inputs];
            for need in &stage.needs {
                mounts.extend(self.needed(unit, stage, need, &own));
            }
            let mut env = self.environment(base);
            env.extend(values(&stage.env));
            let script = stage.run.as_ref().map(|run| run.value.clone()).unwrap_or_default();
            let outputs: Vec<RelPath> =
                stage.outputs.iter().map(|output| folder.join(&output.value)).collect();
            let step = self.push(Step {
                name: format!("{}:{name}", unit.name.value),
                stages: vec![(unit.name.value.clone(), name.clone())],
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
            self.proposal(unit, proposal, &own);
        }
    }

    /// What a stage sees because it needs something: outputs of another stage, or something that is fetched.
    fn needed(
        &mut self,
        unit: &Unit,
        stage: &Stage,
        need: &Need,
        own: &BTreeMap<&str, Vec<PlannedMount>>,
    ) -> Vec<PlannedMount> {
        let name = need.name.value.as_str();
        if let Some(mounts) = own.get(name) {
            return mounts.clone();
        }
        let Some(fetch) = self.workspace.fetches.get(name) else { return Vec::new() };
        let Some(locked) = self.lock.fetches.get(name) else {
            self.problems.push(
                Diagnostic::error(NOT_LOCKED, format!("fetch `{name}` is not in the lock"))
                    .at(&fetch.site, "declared here")
                    .help("run `exflow lock`"),
            );
            return Vec::new();
        };
        let root = source_root();
        let folder = if need.is_in_workspace { root } else { root.join(&unit.folder) };
        let at = need.at.as_ref().map(|at| at.value.clone());
        // What is laid under several names is fetched under each.
        let mut called = format!("fetch:{name}");
        let (origin, at) = match (&fetch.what, &locked.locked) {
            (Fetched::File { url, is_executable, .. }, FetchedContent::File { sha256, .. }) => {
                let at = at.filter(|at| !at.is_root()).unwrap_or_else(|| last_name(url, name));
                let parent = at.parent().unwrap_or_default();
                let file = at.strip(&parent).unwrap_or_else(|| at.clone());
                if file != last_name(url, name) {
                    called = format!("{called}:{file}");
                }
                let origin = Origin::File(RemoteFile {
                    url: url.clone(),
                    sha256: *sha256,
                    name: file,
                    is_executable: *is_executable,
                });
                (origin, parent)
            }
            (
                Fetched::Git { url, folder, submodules, .. },
                FetchedContent::Git { revision, tree },
            ) => {
                let origin = Origin::Git(GitSource {
                    url: url.clone(),
                    revision: revision.clone(),
                    submodules: *submodules,
                    sparse: folder.as_ref().map(RelPath::to_string),
                    tree: Some(*tree),
                });
                (origin, at.unwrap_or_else(|| RelPath::new(name).expect("a name")))
            }
            _ => {
                self.problems.push(
                    Diagnostic::error(
                        NOT_LOCKED,
                        format!("`{name}` is in the lock as something else"),
                    )
                    .at(&fetch.site, "declared here")
                    .help("run `exflow lock`"),
                );
                return Vec::new();
            }
        };
        let step = Step {
            name: called,
            stages: vec![(unit.name.value.clone(), stage.kind.name().to_owned())],
            action: Action::Fetch(origin.clone()),
            site: Some(fetch.site.clone()),
            time_limit: DEFAULT_TIME_LIMIT,
        };
        let step = self.share(origin.key(), step);
        let source = MountSource::Output(Output { step, index: 0 });
        vec![PlannedMount { at: folder.join(&at), source }]
    }

    fn proposal(
        &mut self,
        unit: &Unit,
        proposal: &Proposal,
        own: &BTreeMap<&str, Vec<PlannedMount>>,
    ) {
        let fetches: Vec<StepId> =
            proposal.fetches.iter().map(|proposed| self.fetch(unit, proposed)).collect();
        let mut steps: Vec<StepId> = Vec::new();
        for proposed in &proposal.steps {
            if let Some(own) = unit.stages.get(&proposed.name).filter(|own| own.run.is_some()) {
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
            let Some(stage) = unit.stages.get(&proposed.stage) else { return };
            let Some(base) = self.base(stage) else { return };
            let known = Known { fetches: &fetches, steps: &steps, own };
            let Some(run) = self.run(unit, proposal, proposed, stage, base, &known) else {
                return;
            };
            let site = proposed.site.as_ref().unwrap_or(&stage.site);
            let key = run.command(planned).key();
            let step = Step {
                name: format!("{}:{}", unit.name.value, proposed.name),
                stages: vec![(unit.name.value.clone(), proposed.stage.clone())],
                action: Action::Run(run),
                site: Some(site.clone()),
                time_limit: stage.time_limit.unwrap_or(DEFAULT_TIME_LIMIT),
            };
            steps.push(self.share(key, step));
        }
        let names = proposal.fetches.iter().map(|fetch| &fetch.name);
        let names = names.chain(proposal.steps.iter().map(|step| &step.name)).cloned();
        let named = names.zip(fetches.iter().chain(&steps).copied()).collect();
        self.plan.proposed.insert(unit.name.value.clone(), named);
        let (Some(image), Some(stage)) = (&proposal.image, unit.stages.get("runtime")) else {
            return;
        };
        let Some(base) = self.base(stage) else { return };
        let Some(release) = self.output(proposal, image.step, &image.output, &steps, &stage.site)
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
            project: unit.name.value.clone(),
            plugin: unit.tool.as_ref().map(|tool| tool.plugin.value.clone()).unwrap_or_default(),
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

    fn fetch(&mut self, unit: &Unit, proposed: &ProposedFetch) -> StepId {
        let step = Step {
            name: format!("{}:{}", unit.name.value, proposed.name),
            stages: vec![(unit.name.value.clone(), "deps".to_owned())],
            action: Action::Fetch(proposed.origin.clone()),
            site: proposed.site.clone(),
            time_limit: DEFAULT_TIME_LIMIT,
        };
        self.share(proposed.origin.key(), step)
    }

    /// Adds a step, or finds the one that does the same already, by what it does. It keeps its name and its
    /// place.
    fn share(&mut self, key: Digest, step: Step) -> StepId {
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
        unit: &Unit,
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
            mounts.push(self.inputs(unit, stage)?);
        }
        mounts.retain(
            |mount| !matches!(&mount.source, MountSource::Sources(tree) if tree.is_empty()),
        );
        // What is fetched is no more of one project than what a plugin has fetched.
        let is_own = |need: &&Need| known.own.contains_key(need.name.value.as_str());
        for need in stage.needs.iter().filter(|need| !is_shared || !is_own(need)) {
            mounts.extend(self.needed(unit, stage, need, known.own));
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
                Some(value) if *value != own.value => self.taken_variable(unit, name, value, own),
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
    fn taken_variable(&mut self, unit: &Unit, name: &str, value: &str, own: &Spanned<String>) {
        let tool = unit.tool.as_ref().map_or("the plugin", |tool| tool.plugin.value.as_str());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProposedImage, ProposedLayer, ProposedUse};
    use exflow_content::{Digest, Entry, Mode, Sha256};
    use exflow_diagnostics::SourceName;
    use exflow_lock::{
        AddedPackages, Compression, ImageSource, LockedBase, LockedDebian, LockedImage,
        LockedLayer, RequestedImage,
    };
    use insta::assert_snapshot;

    const MANIFEST: &str = r#"
        base "builder" { debian "bookworm" }
        base "runner" { debian "bookworm" slim=#true; packages "libc6" }
        project "shop" {
            release-tool "mix-release"
            stage "assets" { run "make"; inputs "assets"; output "priv/static"; needs "icons" }
            stage "icons" { run "draw"; output "icons"; time-limit "5s" }
            stage "release" { needs "assets"; env STAGE="own" MIX_ENV="prod"; inputs "VERSION" }
            stage "runtime" { env A="b"; command "eval" "1"; user "nobody"; expose 80; label x="y" }
        }
    "#;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn workspace() -> Workspace {
        let source = SourceName::new("exflow.kdl");
        let manifest = exflow_manifest::parse(&source, MANIFEST).unwrap();
        exflow_manifest::assemble(&source, manifest, Vec::new(), &["mix-release"]).unwrap()
    }

    fn lock() -> Lock {
        let base = |slim| LockedBase {
            requested: RequestedBase::Debian(RequestedDebian {
                suite: "bookworm".into(),
                slim,
                packages: Vec::new(),
            }),
            locked: [(
                Platform::LinuxAmd64,
                LockedRoot::Debian(LockedDebian {
                    snapshot: "20261101T000000Z".into(),
                    packages: Vec::new(),
                }),
            )]
            .into(),
        };
        Lock {
            image_assembly: 1,
            bases: [("builder".into(), base(false)), ("runner".into(), base(true))].into(),
            plugins: BTreeMap::new(),
            ..Lock::default()
        }
    }

    fn proposal() -> Proposal {
        let step = |name: &str, sources: &str, uses: Vec<ProposedUse>, output: &str| ProposedStep {
            name: name.into(),
            stage: name.into(),
            argv: vec!["mix".into(), name.into()],
            env: [("MIX_ENV".to_owned(), "prod".to_owned())].into(),
            workdir: RelPath::root(),
            sources: PatternSet::new([sources]).unwrap(),
            uses,
            outputs: vec![path(output)],
            ..ProposedStep::default()
        };
        let used = ProposedUse {
            what: UsedThing::Output { step: 0, output: path("_build") },
            at: path("_build"),
        };
        Proposal {
            steps: vec![
                step("deps", "mix.exs", vec![], "_build"),
                step("release", "lib", vec![used], "rel"),
            ],
            image: Some(ProposedImage {
                step: 1,
                output: path("rel"),
                at: path("app"),
                layers: vec![ProposedLayer {
                    name: "otp".into(),
                    files: PatternSet::new(["erts-*"]).unwrap(),
                }],
                env: [("LANG".to_owned(), "C".to_owned())].into(),
                workdir: path("app"),
                entrypoint: vec!["/app/bin/shop".into()],
                command: vec!["start".into()],
                labels: BTreeMap::new(),
            }),
            ..Proposal::default()
        }
    }

    fn sources() -> Tree {
        let mut tree = Tree::new();
        for name in ["mix.exs", "lib/a.ex", "assets/x.js", "VERSION", "test/a.exs"] {
            let blob = Digest::of(name.as_bytes());
            let entry = Entry::File { mode: Mode::FILE, blob, size: name.len() as u64 };
            tree.insert(path(name), entry).unwrap();
        }
        tree
    }

    fn planned(sources: &Tree) -> Plan {
        let (workspace, proposal) = (workspace(), proposal());
        let units = [(&workspace.units[0], Some(&proposal))];
        plan(&workspace, &lock(), &Platform::LinuxAmd64, sources, &units).unwrap()
    }

    /// As `FROM` does: what the image says holds, until something else is said.
    #[test]
    fn an_image_brings_along_what_its_configuration_says() {
        let text = |text: &str| text.to_owned();
        let image = LockedImage {
            index: None,
            manifest: None,
            config: Sha256::of(b"config"),
            defaults: ImageDefaults {
                env: [("PATH", "/opt/bin"), ("A", "image"), ("LANG", "de"), ("MIX_ENV", "dev")]
                    .map(|(name, value)| (text(name), text(value)))
                    .into(),
                user: Some(text("app")),
                ports: vec![text("80/tcp"), text("9/udp")],
                volumes: vec![text("/data")],
                labels: [(text("x"), text("image")), (text("z"), text("image"))].into(),
                stop_signal: Some(text("SIGINT")),
            },
            layers: vec![LockedLayer {
                digest: Sha256::of(b"layer"),
                diff_id: Sha256::of(b"files"),
                size: 1,
                compression: Compression::Gzip,
            }],
            packages: AddedPackages::None,
        };
        let base = |name: &str| LockedBase {
            requested: RequestedBase::Image(RequestedImage {
                source: ImageSource::Registry(name.into()),
                packages: Vec::new(),
            }),
            locked: [(Platform::LinuxAmd64, LockedRoot::Image(Box::new(image.clone())))].into(),
        };
        let lock = Lock {
            bases: [("builder".into(), base("a")), ("runner".into(), base("b"))].into(),
            ..lock()
        };
        let (workspace, proposal) = (workspace(), proposal());
        let units = [(&workspace.units[0], Some(&proposal))];
        let plan = plan(&workspace, &lock, &Platform::LinuxAmd64, &sources(), &units).unwrap();
        let release = plan.steps.iter().find(|step| step.name == "shop:release").unwrap();
        let Action::Run(release) = &release.action else { unreachable!("it is a command") };
        // The image's before exflow's own, and before the image's what plugin and stage say.
        for (name, value) in [
            ("PATH", "/opt/bin"),
            ("LANG", "de"),
            ("MIX_ENV", "prod"),
            ("STAGE", "own"),
            ("TZ", "UTC"),
        ] {
            assert_eq!(release.env[name], value, "{name}");
        }
        let settings = &plan.images[0].settings;
        assert_eq!(settings.kept, image.layers);
        for (name, value) in [("PATH", "/opt/bin"), ("LANG", "C"), ("A", "b")] {
            assert_eq!(settings.env[name], value, "{name}");
        }
        assert_eq!(settings.user.as_deref(), Some("nobody"));
        assert_eq!(settings.ports, ["80/tcp", "9/udp"]);
        assert_eq!((&*settings.labels["x"], &*settings.labels["z"]), ("y", "image"));
        assert_eq!(settings.volumes, ["/data"]);
        assert_eq!(settings.stop_signal.as_deref(), Some("SIGINT"));
    }

    fn text(plan: &Plan) -> String {
        let mut lines = Vec::new();
        for (id, step) in plan.steps.iter().enumerate() {
            lines.push(format!(
                "{id} {} needs {:?} within {:?}",
                step.name,
                step.needs(),
                step.time_limit
            ));
            let Action::Run(run) = &step.action else { continue };
            lines.push(format!(
                "    {:?} in /{}, STAGE {:?}",
                run.argv,
                run.workdir,
                run.env.get("STAGE")
            ));
            for mount in &run.mounts {
                let what = match &mount.source {
                    MountSource::Output(output) => {
                        format!("output {} of {}", output.index, output.step)
                    }
                    MountSource::Sources(tree) => tree
                        .entries()
                        .filter(|(_, entry)| matches!(entry, Entry::File { .. }))
                        .map(|(path, _)| path.to_string())
                        .collect::<Vec<_>>()
                        .join(" "),
                    MountSource::Inline(files) => {
                        let files = files.files().map(|(path, text)| format!("{path}={text:?}"));
                        files.collect::<Vec<_>>().join(" ")
                    }
                };
                lines.push(format!("    /{}: {what}", mount.at));
            }
            lines.push(format!("    -> {:?}", run.outputs));
        }
        for image in &plan.images {
            let settings = &image.settings;
            lines.push(format!(
                "image {} on {} of {:?}: {:?} {:?} {:?} {:?} {:?} {:?}",
                image.project,
                image.base,
                image.release,
                settings.env,
                settings.command,
                settings.entrypoint,
                settings.user,
                settings.ports,
                settings.labels,
            ));
        }
        lines.join("\n")
    }

    #[test]
    fn stages_become_steps() {
        assert_snapshot!(text(&planned(&sources())));
    }

    #[test]
    fn patterns_start_from_the_project_or_the_workspace() {
        let patterns = |folder: &str| {
            let texts = ["a/*", "/b", "!c", "!/d"].map(str::to_owned);
            below(&RelPath::new(folder).unwrap(), &texts).unwrap().patterns().to_vec()
        };
        assert_eq!(patterns("x/y"), ["x/y/a/*", "b", "!x/y/c", "!d"]);
        assert_eq!(patterns(""), ["a/*", "b", "!c", "!d"]);
    }

    #[test]
    fn the_name_of_a_folder_is_no_pattern() {
        for folder in ["svc[1]", "a{b,c}/[", "!a", "x/!a", "*", "a?", "back\\slash", "]}"] {
            let folder = path(folder);
            let texts = ["lib/*", "!lib/b"].map(str::to_owned);
            let picked = below(&folder, &texts).unwrap();
            assert!(picked.matches(&folder.join(&path("lib/a"))), "{folder}");
            assert!(!picked.matches(&folder.join(&path("lib/b"))), "{folder}");
            assert!(!picked.matches(&path("svc1/lib/a")), "{folder}");
        }
        let mut workspace = workspace();
        workspace.units[0].folder = path("svc[1]");
        let mut sources = Tree::new();
        let entry = Entry::File { mode: Mode::FILE, blob: Digest::of(b"x"), size: 1 };
        sources.insert(path("svc[1]/assets/x.js"), entry).unwrap();
        let units = [(&workspace.units[0], None)];
        let plan = plan(&workspace, &lock(), &Platform::LinuxAmd64, &sources, &units).unwrap();
        assert!(text(&plan).contains("/src: svc[1]/assets/x.js"), "{}", text(&plan));
    }

    #[test]
    fn inputs_that_can_not_be_looked_up_are_shown() {
        let mut workspace = workspace();
        // Not one of the names is too long; only all of them together.
        workspace.units[0].folder = path(&["folder"; 700].join("/"));
        let units = [(&workspace.units[0], None)];
        let problems =
            plan(&workspace, &lock(), &Platform::LinuxAmd64, &sources(), &units).unwrap_err();
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["exflow::plan::bad-inputs"]);
        let said = &problems.iter().next().unwrap().message;
        assert!(said.contains("longer than 4096 bytes") && said.len() < 200, "{said}");
    }

    #[test]
    fn a_step_of_the_plugin_may_not_be_named_as_a_stage() {
        let (workspace, mut proposal) = (workspace(), proposal());
        proposal.steps[0].name = "icons".into();
        let units = [(&workspace.units[0], Some(&proposal))];
        let problems =
            plan(&workspace, &lock(), &Platform::LinuxAmd64, &Tree::new(), &units).unwrap_err();
        let is_named = |problem: &Diagnostic| problem.code.as_str() == "exflow::plan::name-taken";
        assert!(problems.iter().any(is_named));
    }

    /// It has planned with it, and a step that has another value would not fit the rest.
    #[test]
    fn what_the_plugin_sets_is_not_set_by_a_stage() {
        let (mut workspace, proposal) = (workspace(), proposal());
        let stage = workspace.units[0].stages.get_mut("release").unwrap();
        stage.env.get_mut("MIX_ENV").unwrap().value = "staging".to_owned();
        let units = [(&workspace.units[0], Some(&proposal))];
        let problems =
            plan(&workspace, &lock(), &Platform::LinuxAmd64, &sources(), &units).unwrap_err();
        let said = problems.iter().map(|problem| (problem.code.as_str(), &*problem.message));
        let said: Vec<_> = said.collect();
        let message = "`MIX_ENV` is set by `mix-release`, which has planned with `prod`";
        assert_eq!(said, [("exflow::plan::taken-variable", message)]);
    }

    #[test]
    fn what_no_step_reads_changes_nothing() {
        let mut edited = sources();
        let entry = Entry::File { mode: Mode::FILE, blob: Digest::of(b"other"), size: 5 };
        edited.insert(path("test/a.exs"), entry).unwrap();
        assert_eq!(planned(&edited), planned(&sources()));
    }

    #[test]
    fn what_is_not_locked_is_shown() {
        let (workspace, proposal) = (workspace(), proposal());
        let units = [(&workspace.units[0], Some(&proposal))];
        let problems =
            plan(&workspace, &Lock::default(), &Platform::LinuxAmd64, &Tree::new(), &units)
                .unwrap_err();
        let is_named = |problem: &Diagnostic| problem.code.as_str() == "exflow::plan::not-locked";
        assert!(problems.iter().all(is_named));
        let mut bad = proposal.clone();
        bad.steps[1].uses[0].what = UsedThing::Output { step: 7, output: path("_build") };
        let units = [(&workspace.units[0], Some(&bad))];
        let problems =
            plan(&workspace, &lock(), &Platform::LinuxAmd64, &Tree::new(), &units).unwrap_err();
        let is_named =
            |problem: &Diagnostic| problem.code.as_str() == "exflow::plan::no-such-output";
        assert!(problems.iter().any(is_named));
    }
}
