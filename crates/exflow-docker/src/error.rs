use exflow_diagnostics::Diagnostic;

/// What may go wrong with a Docker daemon.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// What says where the daemon is doesn't.
    #[error("can't tell where the Docker daemon is: {reason}")]
    Configuration {
        /// Why not.
        reason: String,
    },
    /// Nobody answers.
    #[error("the Docker daemon at {host} does not answer: {reason}")]
    Unreachable {
        /// Where it should be.
        host: String,
        /// How that failed.
        reason: String,
    },
    /// It is for other machines.
    #[error("the Docker daemon runs {found}, and {wanted} is built for")]
    Platform {
        /// What it runs.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// The disk that it keeps images on is full.
    #[error("the Docker daemon has no room: {reason}")]
    Full {
        /// What it says.
        reason: String,
    },
    /// It ended, or the connection did, in the middle of something.
    #[error("the connection to the Docker daemon was lost while it was to {action}: {reason}")]
    Lost {
        /// What it was to do.
        action: &'static str,
        /// How it was lost.
        reason: String,
    },
    /// It says that it won't, or can't.
    #[error("the Docker daemon can't {action}: {reason}")]
    Refused {
        /// What it was to do.
        action: &'static str,
        /// The status of its answer; none where there is none, as in the middle of an answer.
        status: Option<u16>,
        /// What it says.
        reason: String,
    },
    /// What was to be sent to it couldn't be read.
    #[error("can't {action}: {source}")]
    Read {
        /// What was tried.
        action: &'static str,
        /// How it failed.
        source: std::io::Error,
    },
}

const CONFIGURATION: &str = "exflow::docker::configuration";
const UNREACHABLE: &str = "exflow::docker::unreachable";
const PLATFORM: &str = "exflow::docker::other-platform";
const FULL: &str = "exflow::docker::full";
const LOST: &str = "exflow::docker::lost";
const REFUSED: &str = "exflow::docker::refused";
const READ: &str = "exflow::docker::unreadable";

impl DockerError {
    /// From an answer of the client's, to a request to do `action`.
    pub(crate) fn of(action: &'static str, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        let is_full = |text: &str| {
            text.contains("no space left on device") || text.contains("disk quota exceeded")
        };
        match error {
            Error::DockerResponseServerError { message, .. } if is_full(&message) => {
                Self::Full { reason: message }
            }
            Error::DockerStreamError { error } if is_full(&error) => Self::Full { reason: error },
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { action, status: Some(status_code), reason: message }
            }
            Error::DockerStreamError { error } => {
                Self::Refused { action, status: None, reason: error }
            }
            other => Self::Lost { action, reason: chain(&other) },
        }
    }

    /// Whether it says that something isn't there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: Some(404), .. })
    }
}

/// An error and what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Says what is wrong, and what to do about it.
pub fn diagnose(error: &DockerError) -> Diagnostic {
    let (code, help) = match error {
        DockerError::Configuration { .. } => (
            CONFIGURATION,
            "`docker context ls` lists what there is; `DOCKER_HOST` names a daemon directly, and \
             `--executor sandbox` needs none",
        ),
        DockerError::Unreachable { .. } => (
            UNREACHABLE,
            "start it, and check that `docker version` reaches it; `--executor sandbox` builds \
             without a daemon",
        ),
        DockerError::Platform { .. } => {
            (PLATFORM, "take a daemon on a machine like this one, or `--executor sandbox`")
        }
        DockerError::Full { .. } => (
            FULL,
            "`docker system df` shows what takes the room; what exflow keeps there for its steps \
             goes away with `docker image prune --all --filter label=exflow.layers`",
        ),
        DockerError::Lost { .. } => {
            (LOST, "check that the daemon still runs, and build again: what was finished is kept")
        }
        DockerError::Refused { .. } => {
            (REFUSED, "its own log may say more: `journalctl -u docker`, or wherever it logs to")
        }
        DockerError::Read { .. } => {
            (READ, "check that the file is there, and that you may read it")
        }
    };
    Diagnostic::error(code, error.to_string()).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::errors::Error;

    #[test]
    fn each_failure_has_its_own_words() {
        let host = || "unix:///x".to_owned();
        let reason = || "why".to_owned();
        let source = std::io::Error::other("why");
        for (error, code) in [
            (DockerError::Configuration { reason: reason() }, "exflow::docker::configuration"),
            (
                DockerError::Unreachable { host: host(), reason: reason() },
                "exflow::docker::unreachable",
            ),
            (
                DockerError::Platform { found: reason(), wanted: reason() },
                "exflow::docker::other-platform",
            ),
            (DockerError::Read { action: "send", source }, "exflow::docker::unreadable"),
        ] {
            let said = diagnose(&error);
            assert_eq!(said.code.as_str(), code);
            assert!(said.help.is_some_and(|help| !help.is_empty()), "{code}");
        }
    }

    #[test]
    fn what_a_daemon_says() {
        let answer = |status_code: u16, message: &str| Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        };
        let full = "write /a: no space left on device".to_owned();
        for (error, code) in [
            (answer(500, &full), "exflow::docker::full"),
            (Error::DockerStreamError { error: full.clone() }, "exflow::docker::full"),
            (answer(409, "conflict"), "exflow::docker::refused"),
            (Error::DockerStreamError { error: "no".into() }, "exflow::docker::refused"),
            (Error::RequestTimeoutError, "exflow::docker::lost"),
        ] {
            assert_eq!(diagnose(&DockerError::of("load", error)).code.as_str(), code);
        }
        assert!(DockerError::of("load", answer(404, "")).is_not_found());
        assert!(!DockerError::of("load", answer(500, "")).is_not_found());
    }
}
