//! What is wrong with packages of Alpine's.

use super::{
    BASE, INDEX, NOT_FOUND, PACKAGE, PATH, SIGNATURE, UNREACHABLE, WRONG_DIGEST, diagnose,
};
use crate::FetchError;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_packages::alpine::{IndexError, InstallError};

/// Says what is wrong with Alpine's packages: the whole in `error`, and the reason in `source`.
pub(super) fn diagnose_alpine(
    error: &FetchError,
    source: &FetchError,
    site: Option<&Site>,
) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection, or name another mirror: `EXFLOW_ALPINE_MIRROR=URL`; what was \
             fetched so far is kept",
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "Alpine's repositories keep only the newest version of a package: name a mirror that has \
             this one, `EXFLOW_ALPINE_MIRROR=URL`; or run `exflow update` with the name of this base, \
             which pins what is there today",
        ),
        FetchError::WrongDigest { .. } | FetchError::TooLarge { .. } => (
            WRONG_DIGEST,
            "the mirror is damaged or lies, and what it gave was thrown away; try another one: \
             `EXFLOW_ALPINE_MIRROR=URL`",
        ),
        FetchError::ApkIndex { source: IndexError::Signature(_), .. } => (
            SIGNATURE,
            "the repository must be one that the image itself trusts: its keys are in \
             `/etc/apk/keys`; try another mirror: `EXFLOW_ALPINE_MIRROR=URL`",
        ),
        FetchError::ApkIndex { .. } | FetchError::ApkCatalog { .. } => (
            INDEX,
            "the mirror is out of date or broken: try another one: `EXFLOW_ALPINE_MIRROR=URL`",
        ),
        FetchError::Apk { .. } => (
            PACKAGE,
            "the repository or its mirror is damaged or lies; try another one: \
             `EXFLOW_ALPINE_MIRROR=URL`",
        ),
        FetchError::Install(InstallError::Overlap { .. }) => (
            BASE,
            "apk doesn't install them together either, unless one declares that it replaces the \
             other: leave one of them out",
        ),
        FetchError::Install(_) => (
            PATH,
            "the image has something there that the package can't be laid over: leave the package \
             out, or take another image",
        ),
        other => return diagnose(other, site),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}
