use exflow_content::Sha256;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_packages::debian::{BaseError, CatalogError, DebError, ReleaseError};
use exflow_store::StoreError;

/// What can go wrong when something is fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A server could not be reached, broke off, or answered with an error.
    #[error("can't fetch `{url}`: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// How it failed.
        reason: String,
    },
    /// No server has it.
    #[error("nothing at `{url}`")]
    NotFound {
        /// What was asked for last.
        url: String,
    },
    /// A server gave something else than what is pinned.
    #[error("`{url}` has the sha256 {found}, and {expected} is pinned")]
    WrongDigest {
        /// What was asked for.
        url: String,
        /// What came.
        found: Sha256,
        /// What should have come.
        expected: Sha256,
    },
    /// An answer was larger than anything of its kind should be.
    #[error("`{url}` is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// How large it may be.
        limit: u64,
    },
    /// It isn't in the store, and the network is not to be used.
    #[error("`{what}` is not in the store, and the network is not to be used")]
    Offline {
        /// What is missing.
        what: String,
    },
    /// An index isn't signed by a key that is trusted.
    #[error("the index `{url}` is not signed by a trusted key: {reason}")]
    Signature {
        /// Which index.
        url: String,
        /// What is wrong with its signature.
        reason: String,
    },
    /// An index is for another suite, or is too old to be believed.
    #[error("the index `{url}` can't be used: {reason}")]
    Index {
        /// Which index.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A signed index can't be read.
    #[error("the index `{url}` can't be read: {source}")]
    Release {
        /// Which index.
        url: String,
        /// What is wrong with it.
        source: ReleaseError,
    },
    /// A list of packages can't be read.
    #[error("the list of packages `{url}` can't be read: {source}")]
    Catalog {
        /// Which list.
        url: String,
        /// What is wrong with it.
        source: CatalogError,
    },
    /// A package is damaged, or is none.
    #[error("package `{package}` can't be unpacked: {source}")]
    Package {
        /// Which package.
        package: String,
        /// What is wrong with it.
        source: DebError,
    },
    /// Packages don't fit together.
    #[error("the packages of a base can't be laid out together: {0}")]
    Base(#[from] BaseError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
}

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
            "the mirrors no longer have it, and neither has the snapshot archive; pin what they \
             have today: remove the base from `exflow.lock` and run `exflow lock`",
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
        FetchError::Store(error) => return exflow_store::diagnose(error, site),
        FetchError::Cancelled => (CANCELLED, "what was finished is kept"),
    };
    let diagnostic = Diagnostic::error(code, error.to_string()).help(help);
    diagnostic.at_known(site, "needed for this")
}
