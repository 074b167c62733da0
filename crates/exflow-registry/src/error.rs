use exflow_diagnostics::Diagnostic;
use oci_client::errors::{OciDistributionError, OciErrorCode};

/// What may go wrong with a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It can't be told who we are.
    #[error("the credentials for {registry} can't be used: {reason}")]
    Credentials {
        /// Which registry.
        registry: String,
        /// Why not.
        reason: String,
    },
    /// It wants to know who we are, or knows, and doesn't let us.
    #[error("{registry} doesn't let us {action}: {reason}")]
    Denied {
        /// Which registry.
        registry: String,
        /// What was tried.
        action: &'static str,
        /// What it says.
        reason: String,
    },
    /// It isn't there, or can't be reached.
    #[error("can't {action}: {registry} can't be reached: {reason}")]
    Unreachable {
        /// Which registry.
        registry: String,
        /// What was tried.
        action: &'static str,
        /// How it failed.
        reason: String,
    },
    /// It says that it can't.
    #[error("{registry} can't {action}: {reason}")]
    Refused {
        /// Which registry.
        registry: String,
        /// What was tried.
        action: &'static str,
        /// What it says.
        reason: String,
    },
    /// What was to be sent couldn't be read.
    #[error("can't read what was to be sent: {0}")]
    Read(std::io::Error),
    /// Someone wished to stop.
    #[error("stopped")]
    Cancelled,
}

const CREDENTIALS: &str = "exflow::registry::credentials";
const DENIED: &str = "exflow::registry::denied";
const UNREACHABLE: &str = "exflow::registry::unreachable";
const REFUSED: &str = "exflow::registry::refused";
const UNREADABLE: &str = "exflow::registry::unreadable";
const STOPPED: &str = "exflow::registry::stopped";

/// What came of a request: whether another try may help.
pub(crate) struct Tried {
    pub(crate) error: RegistryError,
    pub(crate) may_pass: bool,
}

impl Tried {
    /// From an answer to a request to do `action`.
    pub(crate) fn of(registry: &str, action: &'static str, error: OciDistributionError) -> Self {
        let registry = registry.to_owned();
        let denied =
            |reason: String| RegistryError::Denied { registry: registry.clone(), action, reason };
        let refused =
            |reason: String| RegistryError::Refused { registry: registry.clone(), action, reason };
        let by_status = |status: u16, reason: String| Self {
            error: if matches!(status, 401 | 403) {
                denied(reason.clone())
            } else {
                refused(reason)
            },
            may_pass: status == 429 || (500..600).contains(&status),
        };
        match error {
            OciDistributionError::AuthenticationFailure(reason) => {
                Self { error: denied(reason), may_pass: false }
            }
            OciDistributionError::UnauthorizedError { .. } => {
                Self { error: denied("it wants to know who we are".to_owned()), may_pass: false }
            }
            OciDistributionError::ServerError { code, message, .. } => {
                by_status(code, format!("status {code} {message}"))
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let is =
                    |code: &OciErrorCode| envelope.errors.iter().any(|error| error.code == *code);
                let denies = is(&OciErrorCode::Unauthorized) || is(&OciErrorCode::Denied);
                let may_pass = is(&OciErrorCode::Toomanyrequests);
                let reason = envelope.to_string();
                Self { error: if denies { denied(reason) } else { refused(reason) }, may_pass }
            }
            OciDistributionError::RequestError(error) => match error.status() {
                Some(status) => by_status(status.as_u16(), format!("status {status}")),
                None => Self {
                    error: RegistryError::Unreachable {
                        registry: registry.clone(),
                        action,
                        reason: chain(&error),
                    },
                    may_pass: true,
                },
            },
            OciDistributionError::IoError(error) => {
                Self { error: RegistryError::Read(error), may_pass: false }
            }
            other => Self { error: refused(other.to_string()), may_pass: false },
        }
    }
}

/// An error and what caused it, without the address, which may hold a token.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        source = error.source();
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

/// Says what is wrong, and what to do about it.
pub fn diagnose(error: &RegistryError) -> Diagnostic {
    let (code, help) = match error {
        RegistryError::Credentials { registry, .. } => {
            (CREDENTIALS, format!("try `docker logout {registry}` and `docker login {registry}`"))
        }
        RegistryError::Denied { registry, .. } => (
            DENIED,
            format!("log in with `docker login {registry}`, as someone who may write there"),
        ),
        RegistryError::Unreachable { registry, .. } => (
            UNREACHABLE,
            format!(
                "check its name and the network; a registry that has no TLS must be named in \
                 `EXFLOW_PLAIN_HTTP_REGISTRIES={registry}`"
            ),
        ),
        RegistryError::Refused { .. } => {
            (REFUSED, "build again later; what it has got by then is not sent again".to_owned())
        }
        RegistryError::Read(_) => {
            (UNREADABLE, "build again: what is missing in the store is made again".to_owned())
        }
        RegistryError::Cancelled => {
            (STOPPED, "build again; what it has got is not sent again".into())
        }
    };
    Diagnostic::error(code, error.to_string()).help(help)
}
