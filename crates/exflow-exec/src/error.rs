use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Site};
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

const UNSUPPORTED: &str = "exflow::exec::no-sandbox";
const SANDBOX: &str = "exflow::exec::sandbox-failed";
const PROGRAM: &str = "exflow::exec::no-such-program";
const MISSING_OUTPUT: &str = "exflow::exec::missing-output";
const BAD_OUTPUT: &str = "exflow::exec::bad-output";

/// Says what is wrong, where, and what to do about it. `step` is the name of the step.
pub fn diagnose(error: &ExecError, step: &str, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match error {
        ExecError::Unsupported { help, .. } => (UNSUPPORTED, help.clone()),
        ExecError::Sandbox { .. } => (
            SANDBOX,
            "it is not the command's fault; if it happens again, please report it".to_owned(),
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
        ExecError::Store(error) => {
            let error = exflow_fetch::FetchError::Store(clone_store_error(error));
            return exflow_fetch::diagnose(&error, site);
        }
    };
    let diagnostic = Diagnostic::error(code, format!("`{step}`: {error}")).help(help);
    match site {
        Some(site) => diagnostic.at(site, "asked for here"),
        None => diagnostic,
    }
}

/// The words for a failing store are in one place, which wants to own the error.
fn clone_store_error(error: &StoreError) -> StoreError {
    match error {
        StoreError::Io { action, path, source } => StoreError::Io {
            action,
            path: path.clone(),
            source: source.raw_os_error().map_or_else(
                || io::Error::new(source.kind(), source.to_string()),
                io::Error::from_raw_os_error,
            ),
        },
        other => StoreError::Corrupt { path: std::path::PathBuf::new(), reason: other.to_string() },
    }
}
