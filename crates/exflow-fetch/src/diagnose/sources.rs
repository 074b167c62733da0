//! What is wrong with packages of Hex's, single files and git repositories.

use super::{
    DENIED, GIT, NO_GIT, NO_KEY, NOT_FOUND, PACKAGE, REPOSITORY, TOO_LARGE, UNREACHABLE,
    WRONG_DIGEST, diagnose,
};
use crate::{FetchError, GitError, hex_key_variable};
use exflow_diagnostics::{Diagnostic, Site};
use exflow_packages::hex::{HexPackage, TarballError};

/// Says what is wrong with a package of Hex's: the whole in `error`, and the reason in `source`.
pub(super) fn diagnose_hex(
    error: &FetchError,
    package: &HexPackage,
    source: &FetchError,
    site: Option<&Site>,
) -> Diagnostic {
    let HexPackage { name, repo, .. } = package;
    let relock = format!("`mix deps.unlock {name} && mix deps.get`");
    let altered = format!(
        "what came was thrown away: the mirror is damaged or lies, or the package was published again \
         under the same version; if its author says so, lock what is there now with {relock}, and \
         never edit the checksum"
    );
    let (code, help) = match source {
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection, or name a mirror of hex.pm: `EXFLOW_HEX_MIRROR=URL`; what was \
             fetched so far is kept, and the next build goes on from there"
                .to_owned(),
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            format!(
                "no mirror has this version, and where one has been taken back, nobody will: lock \
                 another one with {relock}; `EXFLOW_HEX_MIRROR` names another mirror"
            ),
        ),
        FetchError::WrongDigest { .. }
        | FetchError::HexTarball(
            TarballError::Outer { .. }
            | TarballError::Inner { .. }
            | TarballError::Damaged { .. }
            | TarballError::Other { .. },
        ) => (WRONG_DIGEST, altered),
        FetchError::TooLarge { .. } => (
            TOO_LARGE,
            "no package of Hex's is so large: check the address of the mirror or the repository"
                .to_owned(),
        ),
        FetchError::HexTarball(_) => (
            PACKAGE,
            format!(
                "that is not what Hex makes, wherever it comes from: report it to the author of the \
                 package, and lock another version with {relock}"
            ),
        ),
        FetchError::HexUnpinned => (PACKAGE, format!("write it down with {relock}")),
        FetchError::HexKey { organisation } => {
            let variable = hex_key_variable(organisation);
            let help = format!(
                "run `mix hex.organization auth {organisation}`, which keeps a key in your home; or \
                 put one into `{variable}`, where nobody is there to log in; it never gets into a \
                 step, a key or an image"
            );
            (NO_KEY, help)
        }
        FetchError::HexRepository { repository } => (
            REPOSITORY,
            format!(
                "tell Hex with `mix hex.repo add {repository} URL`: exflow reads its `hex.config`"
            ),
        ),
        FetchError::Denied { .. } => {
            let help = match package.organisation() {
                Some(organisation) => format!(
                    "the key has expired, or is not for this organisation: make a new one with `mix \
                     hex.organization auth {organisation}`, or put it into `{}`",
                    hex_key_variable(organisation)
                ),
                None => format!("`hex.config` has no key for `{repo}`, or the wrong one"),
            };
            (DENIED, help)
        }
        other => return diagnose(other, site),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}

/// Says what is wrong with a single file: the whole in `error`, and the reason in `source`.
pub(super) fn diagnose_remote_file(
    error: &FetchError,
    source: &FetchError,
    site: Option<&Site>,
) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Unreachable { .. } | FetchError::Denied { .. } => (
            UNREACHABLE,
            "check the connection and the address, which has to be open to everybody; what was fetched \
             so far is kept",
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "check the address: any that has the same file will do, for it is known by its sha256",
        ),
        FetchError::WrongDigest { .. } => (
            WRONG_DIGEST,
            "what came was thrown away: the server is damaged or lies, or the sha256 is that of another \
             file; take it from who publishes the file, never from what came. Where only the lock says it, `exflow update NAME` \
             locks what is there today",
        ),
        FetchError::TooLarge { .. } => {
            (TOO_LARGE, "that is larger than any file that is fetched by itself: check its address")
        }
        other => return diagnose(other, site),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}

/// Says what is wrong with a git repository: the whole in `error`, and the reason in `source`.
pub(super) fn diagnose_git(
    error: &FetchError,
    source: &GitError,
    site: Option<&Site>,
) -> Diagnostic {
    let mut source = source;
    while let GitError::Submodule { source: inner, .. } = source {
        source = inner;
    }
    let (code, help) = match source {
        GitError::Missing | GitError::Program(_) => (
            NO_GIT,
            "dependencies from git are fetched by the program `git`: install it, and see to it that it \
             is in `PATH`; nothing of it gets into a step",
        ),
        GitError::Unreachable(_) => (
            UNREACHABLE,
            "check the connection and the address: `git ls-remote ADDRESS` has to work",
        ),
        GitError::Denied(_) => (
            DENIED,
            "git has to be able to fetch it without asking: `git ls-remote ADDRESS` has to work; for \
             ssh, load the key into an agent, and know the host; for https, set up a credential helper",
        ),
        GitError::Revision { .. } => (
            NOT_FOUND,
            "nobody has it where the lock says, perhaps because a branch was rewritten: lock what is \
             there today with `mix deps.update NAME`, or what a `git` of the manifest declares with \
             `exflow update NAME`",
        ),
        GitError::Version(_) => {
            (NOT_FOUND, "check the name: `git ls-remote ADDRESS` lists what there is")
        }
        GitError::OtherFiles { .. } => (
            WRONG_DIGEST,
            "somebody gives out other files under the same revision: don't use it before you know why; \
             `exflow update NAME` locks what is there today",
        ),
        GitError::Store(error) => return exflow_store::diagnose(error, site),
        GitError::Cancelled => return diagnose(&FetchError::Cancelled, site),
        _ => (
            GIT,
            "see what git says of it: `git clone ADDRESS`; where the repository is at fault, take \
             another revision of it",
        ),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}
