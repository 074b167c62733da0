//! What a plugin proposes, in the engine's own types.
//!
//! Every version of the plugin contract is converted to these, and these are checked before a
//! plan is made of them. All paths are relative to the workspace.

use exflow_content::{PatternSet, RelPath};
use exflow_diagnostics::Diagnostic;
use std::collections::BTreeMap;

/// What a plugin wants done for one project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// The steps, each after those that it uses.
    pub steps: Vec<ProposedStep>,
    /// The image, if the project has one.
    pub image: Option<ProposedImage>,
    /// What the user should know.
    pub warnings: Vec<Diagnostic>,
}

/// One command to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedStep {
    /// A name of its own among the project's steps: lower-case letters, digits and `-`.
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
    /// Outputs of earlier steps that it sees.
    pub uses: Vec<ProposedUse>,
    /// The folders that it makes.
    pub outputs: Vec<RelPath>,
}

/// An output of an earlier step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedUse {
    /// The index of the step in [`Proposal::steps`].
    pub step: usize,
    /// One of its outputs.
    pub output: RelPath,
    /// Where it is seen.
    pub at: RelPath,
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
