//! Turns a locked workspace into a graph of steps, each with a key.

mod command;
mod proposal;

pub use command::{Command, Mount};
pub use proposal::{Proposal, ProposedImage, ProposedLayer, ProposedStep, ProposedUse};
