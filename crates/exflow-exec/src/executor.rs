use crate::ExecError;
use exflow_content::Digest;
use exflow_fetch::{Cancel, Progress};
use exflow_plan::Command;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Something that runs commands.
pub trait Executor: Sync {
    /// What it is, for those who look on: `the sandbox`, `Docker 28.2.2 at unix:///…`.
    fn name(&self) -> &str;

    /// Runs `command` and keeps its outputs in the store.
    ///
    /// # Errors
    /// Where the command could not be run, or ended well and lacks an output. A command that ran
    /// and failed is no error, but an [`Outcome`].
    fn run(&self, command: &Command, options: &RunOptions<'_>) -> Result<Outcome, ExecError>;
}

/// What is beside a command: it changes when and how a result arrives, never what it is.
#[derive(Clone)]
pub struct RunOptions<'a> {
    /// What users call the step: `shop:release`.
    pub name: String,
    /// The same for each run of what users take for the same step. What an executor keeps for a
    /// step takes the place of what it kept for the run before.
    pub slot: Digest,
    /// Longer than this, and the command is killed.
    pub time_limit: Duration,
    /// A wish to stop; the command is then killed.
    pub cancel: Cancel,
    /// Where what it prints is written to.
    pub log: PathBuf,
    /// Is told how far inputs are that are sent somewhere.
    pub progress: &'a dyn Progress,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It took longer than its time limit.
    TimedOut,
    /// Someone wished to stop.
    Cancelled,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "failed with exit code {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::TimedOut => f.write_str("took longer than its time limit"),
            Self::Cancelled => f.write_str("was stopped"),
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// Its outputs, in their order: trees in the store. Empty where it did not end well.
    pub outputs: Vec<Digest>,
}
