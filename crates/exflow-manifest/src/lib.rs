//! KDL text to a [`Manifest`], and many manifests to one [`Workspace`].
//!
//! This is the only crate that knows the manifest's KDL. [`parse`] turns one file into a value and
//! finds every mistake that can be seen in that file alone; [`assemble`] puts the files of a
//! workspace together, fills in defaults, and finds what only shows there: names that are used and
//! not declared, or declared twice. Both report every problem, not just the first.

mod assemble;
mod format;
mod grammar;
mod members;
mod model;
mod needs;
mod parse;
mod problems;

pub use assemble::{DEFAULT_BUILDER, DEFAULT_RUNNER, assemble};
pub use format::format;
pub use grammar::{reference, schema};
pub use members::{MANIFEST, MemberPlace, Members};
pub use model::{
    Base, BaseImage, BaseSource, ExecutorName, Fetch, Fetched, GitVersion, ImageOrigin, Manifest,
    Need, Plugin, PluginSource, Project, ProjectNode, RegistryNode, ReleaseTool, Scalar, Setting,
    Spanned, Stage, StageKind, Workspace, WorkspaceNode, values,
};
pub use parse::{MAX_BYTES, parse};

#[cfg(test)]
mod tests;
