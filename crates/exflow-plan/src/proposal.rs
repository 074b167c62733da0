//! What a plugin proposes, in the engine's own types.
//!
//! Every version of the plugin contract is converted to these, and these are checked before a
//! plan is made of them. All paths are relative to the workspace.

use crate::Origin;
use exflow_content::{PatternSet, RelPath};
use exflow_diagnostics::{Diagnostic, Site};
use std::collections::BTreeMap;

/// What a plugin wants done for one project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// What comes from outside.
    pub fetches: Vec<ProposedFetch>,
    /// The steps, each after those that it uses.
    pub steps: Vec<ProposedStep>,
    /// The image, if the project has one.
    pub image: Option<ProposedImage>,
    /// What the user should know.
    pub warnings: Vec<Diagnostic>,
}

/// Something from outside, known by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedFetch {
    /// A name of its own among the project's fetches and steps: lower-case letters, digits and `-`.
    pub name: String,
    /// What it is.
    pub origin: Origin,
    /// Where it is asked for.
    pub site: Option<Site>,
}

/// One command to be run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProposedStep {
    /// A name of its own among the project's fetches and steps: lower-case letters, digits and `-`.
    pub name: String,
    /// The stage that it belongs to, whose base it runs in: `deps` or `release`.
    pub stage: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment, which the manifest may add to.
    pub env: BTreeMap<String, String>,
    /// Where it is run.
    pub workdir: RelPath,
    /// The files of the workspace that it may read.
    pub sources: PatternSet,
    /// Files that the plugin itself brings along.
    pub files: BTreeMap<RelPath, String>,
    /// What it sees of earlier steps, and of what is fetched.
    pub uses: Vec<ProposedUse>,
    /// The folders that it makes.
    pub outputs: Vec<RelPath>,
    /// Whether it may be run together with others of its kind: see [`PlannedRun::together`](crate::PlannedRun::together).
    pub together: bool,
    /// What asks for it, if it is known better than by its stage.
    pub site: Option<Site>,
}

/// An input of a step, and where it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedUse {
    /// What it is.
    pub what: UsedThing,
    /// Where it is seen.
    pub at: RelPath,
}

/// An input of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsedThing {
    /// An output of an earlier step.
    Output {
        /// The index of the step in [`Proposal::steps`].
        step: usize,
        /// One of its outputs.
        output: RelPath,
    },
    /// What is fetched, by its index in [`Proposal::fetches`].
    Fetched(usize),
}

/// The image of a project: a folder that a step made, on the runtime base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedImage {
    /// The index of the step in [`Proposal::steps`].
    pub step: usize,
    /// The output of that step that holds the release.
    pub output: RelPath,
    /// Where the release is in the image, relative to its root.
    pub at: RelPath,
    /// How the release is cut into layers, from what changes least to what changes most. A file
    /// is in the first layer that picks it; what none picks is in one more, the last. The
    /// patterns are relative to the release.
    pub layers: Vec<ProposedLayer>,
    /// The environment of the image, which the manifest may add to.
    pub env: BTreeMap<String, String>,
    /// The working folder, relative to the image's root.
    pub workdir: RelPath,
    /// The program that every command starts with, in exec form.
    pub entrypoint: Vec<String>,
    /// The arguments where the manifest names none.
    pub command: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One layer of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedLayer {
    /// What is in it: `otp`, `deps`, `app`.
    pub name: String,
    /// Which files.
    pub files: PatternSet,
}
