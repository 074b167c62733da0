//! Runs steps: the executors, and the order in which steps go.
//!
//! An [`Executor`] is given a [`Command`](exflow_plan::Command), which is complete, and gives back
//! the trees that came out of it. It adds nothing of its own: whichever executor runs a command,
//! on whatever machine, the same bytes come out, as far as the programs in it allow.

mod docker;
mod error;
mod executor;
mod inputs;
mod log;
mod sandbox;
mod schedule;
mod view;

pub use docker::DockerExecutor;
pub use error::{ExecError, NO_SANDBOX, diagnose};
pub use executor::{Executor, Exit, Outcome, RunOptions};
pub use sandbox::{Interactive, SandboxExecutor, sandbox_main};
pub use schedule::{Lane, schedule};
