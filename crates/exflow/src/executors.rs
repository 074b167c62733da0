//! Which executor runs the steps.

use crate::cli::ExecutorChoice;
use crate::events::Event;
use crate::inputs::platform;
use crate::report::Failure;
use crate::ui::Ui;
use clap::ValueEnum;
use exflow_diagnostics::Diagnostic;
use exflow_docker::{Daemon, DockerError, Endpoint};
use exflow_exec::{DockerExecutor, Executor, SandboxExecutor};
use exflow_store::Store;
use std::sync::OnceLock;

/// What is to run the steps: what the command line says, or else the environment, or else the
/// manifest.
pub(crate) fn choice(
    argument: Option<ExecutorChoice>,
    manifest: Option<ExecutorChoice>,
) -> Result<ExecutorChoice, Failure> {
    const VARIABLE: &str = "EXFLOW_EXECUTOR";
    let environment = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    if argument.is_none()
        && let Some(value) = environment
    {
        let value = value.to_string_lossy();
        return ExecutorChoice::from_str(&value, false).map_err(|_| {
            Failure::Usage(format!(
                "`{VARIABLE}={value}` names no executor: expected `auto`, `docker` or `sandbox`"
            ))
        });
    }
    Ok(argument.or(manifest).unwrap_or(ExecutorChoice::Auto))
}

/// The executor of a build. It is looked for when the first step has to run, and no sooner: a build
/// with nothing to do asks no daemon for anything.
pub(crate) struct Executors<'a> {
    choice: ExecutorChoice,
    store: Store,
    ui: &'a Ui,
    chosen: OnceLock<Result<Box<dyn Executor + Send>, Box<Diagnostic>>>,
}

impl<'a> Executors<'a> {
    pub(crate) fn new(choice: ExecutorChoice, store: Store, ui: &'a Ui) -> Self {
        Self { choice, store, ui, chosen: OnceLock::new() }
    }

    /// The executor, and where it is the first time, a line that says which.
    pub(crate) fn get(&self) -> Result<&dyn Executor, Diagnostic> {
        let chosen = self.chosen.get_or_init(|| {
            let chosen = self.choose().map_err(Box::new)?;
            self.ui.tell("using", chosen.name());
            self.ui.event(&Event::Executor { name: chosen.name() });
            Ok(chosen)
        });
        match chosen {
            Ok(executor) => Ok(&**executor),
            Err(problem) => Err((**problem).clone()),
        }
    }

    fn choose(&self) -> Result<Box<dyn Executor + Send>, Diagnostic> {
        match self.choice {
            ExecutorChoice::Sandbox => Ok(Box::new(sandbox(&self.store))),
            ExecutorChoice::Docker => {
                let docker = docker_endpoint().and_then(|endpoint| self.docker(&endpoint));
                docker.map_err(|error| exflow_docker::diagnose(&error))
            }
            ExecutorChoice::Auto => match docker_endpoint() {
                Ok(endpoint) => self.docker(&endpoint).or_else(|error| {
                    // Whoever has said where a daemon is expects it to be used.
                    if endpoint.is_chosen {
                        self.ui.tell("note", &error.to_string());
                    }
                    Ok(Box::new(sandbox(&self.store)))
                }),
                Err(error) => {
                    self.ui.tell("note", &error.to_string());
                    Ok(Box::new(sandbox(&self.store)))
                }
            },
        }
    }

    fn docker(&self, endpoint: &Endpoint) -> Result<Box<dyn Executor + Send>, DockerError> {
        let daemon = Daemon::connect(endpoint)?;
        Ok(Box::new(DockerExecutor::new(self.store.clone(), daemon, platform())?))
    }
}

/// Where the daemon is that `docker` would talk to.
pub(crate) fn docker_endpoint() -> Result<Endpoint, DockerError> {
    exflow_docker::find(|name| std::env::var_os(name))
}

/// Whether a daemon of Docker's answers.
pub(crate) fn has_docker() -> bool {
    docker_endpoint().is_ok_and(|endpoint| Daemon::connect(&endpoint).is_ok())
}

/// The sandbox, which starts this program anew.
pub(crate) fn sandbox(store: &Store) -> SandboxExecutor {
    SandboxExecutor::new(store.clone(), "/proc/self/exe".into())
}
