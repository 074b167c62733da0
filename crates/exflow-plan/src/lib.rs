//! Turns a locked workspace into a graph of steps, each with a key.
//!
//! Planning is a pure function: it reads no file, clock, environment variable or network. All of
//! that has happened before (indexing sources, asking plugins) or comes later (execution).
//!
//! # What is in a key
//! | of a step | in its key? | as what |
//! |---|---|---|
//! | what is fetched | yes | its checksums or its revision, and its tree in the keys of the steps that use it; where it comes from is not |
//! | base, inputs | yes | digests of their trees, so that a step whose inputs came out identical is not run again, even where the steps before it were |
//! | where inputs are laid | yes | path |
//! | arguments, environment, working folder, outputs | yes | as they are; where the base is an image, what its configuration sets is in the environment |
//! | platform | through the base | a base is for one platform |
//! | its name, its place in the manifest | no | they only matter to people |
//! | time limit, mirrors | no | they change when a result arrives, not what it is |
//! | whether it was run together with others | no | it must not matter |
//! | executor, machine, user, time | no | they must not matter, and tests compare them |

mod change;
mod command;
mod dockerfile;
mod graph;
mod inputs;
mod plan;
mod proposal;

pub use change::{Change, changes};
pub use command::{Command, Mount};
pub use dockerfile::{BaseArchive, BuildContext, Dockerfile, DockerfileError, dockerfile};
pub use graph::{
    Action, ImageSettings, MountSource, Output, Plan, PlannedBase, PlannedImage, PlannedMount,
    PlannedRoot, PlannedRun, Step, StepId,
};
pub use inputs::{InlineFiles, Origin};
pub use plan::{DEFAULT_TIME_LIMIT, plan};
pub use proposal::{
    Proposal, ProposedFetch, ProposedImage, ProposedLayer, ProposedStep, ProposedUse, UsedThing,
};
