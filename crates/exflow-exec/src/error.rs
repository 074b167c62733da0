use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_docker::DockerError;
use exflow_store::StoreError;
use std::io;

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// This host can't make the namespaces that a sandbox consists of.
    #[error("no sandbox can be made on this host: can't {action}: {source}")]
    Unsupported {
        /// What was tried: `make a user namespace`.
        action: String,
        /// How it failed.
        source: io::Error,
        /// What can be done about it.
        help: String,
    },
    /// The sandbox failed, and it is no fault of the command.
    #[error("the sandbox failed: can't {action}: {reason}")]
    Sandbox {
        /// What was tried.
        action: String,
        /// How it failed.
        reason: String,
    },
    /// The Docker daemon failed.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// A container failed, and it is no fault of the command.
    #[error("the container failed: can't {action}: {reason}")]
    Container {
        /// What was tried.
        action: String,
        /// How it failed.
        reason: String,
    },
    /// The program isn't in the base.
    #[error("`{program}` can't be started: {reason}")]
    Program {
        /// Which program.
        program: String,
        /// Why not.
        reason: String,
    },
    /// The command ended well, and one of its outputs isn't there.
    #[error("it ended well, but its output `/{output}` is not there")]
    MissingOutput {
        /// Which output.
        output: RelPath,
    },
    /// An output can't be kept.
    #[error("its output `/{output}` can't be kept: {reason}")]
    BadOutput {
        /// Which output.
        output: RelPath,
        /// Why not.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no program of this name was found.
pub(crate) fn no_program(name: &str, path: &str) -> String {
    if name.contains('/') {
        "no such program in its base and inputs".to_owned()
    } else {
        format!("no such program in PATH, which is `{path}`")
    }
}

/// Why an output that is a file can't be kept.
pub(crate) const NO_FOLDER: &str = "it is not a folder, and outputs are folders";

/// Why an output that holds a pipe, a socket or a device can't be kept.
pub(crate) fn unsupported(path: &str, kind: &str) -> String {
    format!("`{path}` in it is a {kind}")
}

/// The code of the problem that the host doesn't allow a sandbox.
pub const NO_SANDBOX: &str = "exflow::exec::no-sandbox";
const SANDBOX: &str = "exflow::exec::sandbox-failed";
const CONTAINER: &str = "exflow::exec::container-failed";
const PROGRAM: &str = "exflow::exec::no-such-program";
const MISSING_OUTPUT: &str = "exflow::exec::missing-output";
const BAD_OUTPUT: &str = "exflow::exec::bad-output";

/// Says what is wrong, where, and what to do about it. `step` is the name of the step.
pub fn diagnose(error: &ExecError, step: &str, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match error {
        ExecError::Unsupported { help, .. } => (NO_SANDBOX, help.clone()),
        ExecError::Sandbox { .. } => (
            SANDBOX,
            "it is not the command's fault; if it happens again, please report it".to_owned(),
        ),
        ExecError::Docker(error) => {
            let diagnostic = exflow_docker::diagnose(error);
            return diagnostic.at_known(site, format!("while `{step}` was to run"));
        }
        ExecError::Container { .. } => (
            CONTAINER,
            "it is not the command's fault: the daemon's host may lack what containers need here; \
             `--executor sandbox` runs the same step without Docker"
                .to_owned(),
        ),
        ExecError::Program { .. } => {
            (PROGRAM, "add the package that has it to the packages of the stage's base".to_owned())
        }
        ExecError::MissingOutput { .. } => (
            MISSING_OUTPUT,
            "outputs are relative to the project's folder; what a step writes elsewhere is \
             thrown away"
                .to_owned(),
        ),
        ExecError::BadOutput { .. } => (
            BAD_OUTPUT,
            "an output holds files, folders and links only: remove sockets, pipes and devices \
             before the step ends"
                .to_owned(),
        ),
        ExecError::Store(error) => return exflow_store::diagnose(error, site),
    };
    let diagnostic = Diagnostic::error(code, format!("`{step}`: {error}")).help(help);
    diagnostic.at_known(site, "asked for here")
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_diagnostics::SourceName;

    /// Whatever fails in a container, the step is named.
    #[test]
    fn what_fails_in_a_container() {
        let site = Site::new(&SourceName::new("exflow.kdl"), 1..2);
        let failed = ExecError::Container { action: "mount /proc".into(), reason: "no".into() };
        let said = diagnose(&failed, "shop:release", Some(&site));
        assert_eq!(said.code.as_str(), "exflow::exec::container-failed");
        assert!(said.message.contains("`shop:release`") && said.message.contains("mount /proc"));
        let gone = DockerError::Lost { action: "run a step", reason: "no".into() };
        let said = diagnose(&ExecError::Docker(gone), "shop:release", Some(&site));
        assert_eq!(said.code.as_str(), "exflow::docker::lost");
        assert!(said.labels[0].text.contains("`shop:release`"), "{said:?}");
    }
}
