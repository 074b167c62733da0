//! What is wrong with something that is fetched, and what to do about it: what is about Debian here, of other origins in
//! files of their own.

mod image;
mod sources;
mod system;

use crate::FetchError;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_packages::debian::BaseError;
use image::{diagnose_component, diagnose_image};
use sources::{diagnose_git, diagnose_hex, diagnose_remote_file};
use system::diagnose_alpine;

const UNREACHABLE: &str = "exflow::fetch::unreachable";
const NOT_FOUND: &str = "exflow::fetch::not-found";
const WRONG_DIGEST: &str = "exflow::fetch::wrong-digest";
const TOO_LARGE: &str = "exflow::fetch::too-large";
const OFFLINE: &str = "exflow::fetch::offline";
const SIGNATURE: &str = "exflow::fetch::bad-signature";
const INDEX: &str = "exflow::fetch::bad-index";
const PACKAGE: &str = "exflow::fetch::bad-package";
const PATH: &str = "exflow::fetch::path-in-the-way";
const BASE: &str = "exflow::fetch::overlapping-packages";
const FILE_TOO_LARGE: &str = "exflow::fetch::file-too-large";
const DENIED: &str = "exflow::fetch::denied";
const IMAGE: &str = "exflow::fetch::bad-image";
const LAYER: &str = "exflow::fetch::bad-layer";
const LOCAL: &str = "exflow::fetch::unreadable-image";
const SYSTEM: &str = "exflow::fetch::unknown-system";
const DAEMON: &str = "exflow::fetch::not-in-daemon";
const NO_KEY: &str = "exflow::fetch::no-hex-key";
const REPOSITORY: &str = "exflow::fetch::unknown-hex-repository";
const NO_GIT: &str = "exflow::fetch::no-git";
const GIT: &str = "exflow::fetch::bad-git-repository";
const COMPONENT: &str = "exflow::fetch::bad-plugin";
const CANCELLED: &str = "exflow::fetch::stopped";

/// Says what is wrong, where, and what to do about it.
pub fn diagnose(error: &FetchError, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match error {
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection, or name another mirror: `EXFLOW_DEBIAN_MIRROR=URL`; what was \
             fetched so far is kept, and the next build goes on from there",
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "the mirrors no longer have it, and neither has the snapshot archive; `exflow update` \
             with the name of this base pins what they have today",
        ),
        FetchError::WrongDigest { .. } => (
            WRONG_DIGEST,
            "the mirror is damaged or lies, and what it gave was thrown away; try another one: \
             `EXFLOW_DEBIAN_MIRROR=URL`",
        ),
        FetchError::TooLarge { .. } => (TOO_LARGE, "that is no Debian mirror: check its address"),
        FetchError::Offline { .. } => {
            (OFFLINE, "run once without `--offline`; what is fetched then stays in the store")
        }
        FetchError::Signature { .. } => (
            SIGNATURE,
            "the mirror must serve Debian's own signed indexes; for an archive that is signed by \
             someone else, name their keys: `EXFLOW_DEBIAN_KEYRING=FILE`",
        ),
        FetchError::Index { .. } | FetchError::Release { .. } | FetchError::Catalog { .. } => (
            INDEX,
            "the mirror is out of date or broken: try another one: `EXFLOW_DEBIAN_MIRROR=URL`",
        ),
        FetchError::Package { .. } => (
            PACKAGE,
            "its content is what the lock pins, so every mirror has the same: remove the package \
             from the base, or report it to the distribution",
        ),
        FetchError::Base(BaseError::Path { .. }) => (
            PATH,
            "another package has a file or a link where this one has a folder, or the other way \
             round, and no system could hold both: leave one of them out",
        ),
        FetchError::Base(BaseError::Overlap { .. }) => (
            BASE,
            "the two packages can't be installed together on Debian either, unless one of them \
             declares that it replaces the other: leave one of them out",
        ),
        FetchError::Base(BaseError::TooLarge { .. }) => (
            FILE_TOO_LARGE,
            "a base is made with it, and no package of Debian's has one of this size: leave the \
             package out, or report it to the distribution",
        ),
        FetchError::Image { source, .. } => return diagnose_image(error, source, site),
        FetchError::Alpine(source) => return diagnose_alpine(error, source, site),
        FetchError::ApkIndex { .. }
        | FetchError::ApkCatalog { .. }
        | FetchError::Apk { .. }
        | FetchError::Install(_) => return diagnose_alpine(error, error, site),
        FetchError::Denied { .. }
        | FetchError::Document { .. }
        | FetchError::Layer { .. }
        | FetchError::OtherFiles { .. }
        | FetchError::ImageTooLarge { .. }
        | FetchError::OtherLength { .. }
        | FetchError::Daemon { .. }
        | FetchError::System { .. }
        | FetchError::Database { .. }
        | FetchError::Local { .. } => return diagnose_image(error, error, site),
        FetchError::Hex { package, source } => return diagnose_hex(error, package, source, site),
        FetchError::HexTarball(_) | FetchError::HexUnpinned => {
            (PACKAGE, "run `mix deps.get`, which writes down what is published today")
        }
        FetchError::HexKey { .. } => (NO_KEY, "log in with `mix hex.organization auth`"),
        FetchError::HexRepository { .. } => (REPOSITORY, "add it with `mix hex.repo add`"),
        FetchError::Git { source, .. } => return diagnose_git(error, source, site),
        FetchError::Component { source, .. } => return diagnose_component(error, source, site),
        FetchError::NoComponent { .. } => return diagnose_component(error, error, site),
        FetchError::RemoteFile(source) => return diagnose_remote_file(error, source, site),
        FetchError::Store(error) => return exflow_store::diagnose(error, site),
        FetchError::Cancelled => (CANCELLED, "what was finished is kept"),
    };
    let diagnostic = Diagnostic::error(code, error.to_string()).help(help);
    diagnostic.at_known(site, "needed for this")
}
