use exflow_content::Sha256;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_image::DocumentError;
use exflow_packages::alpine::{ApkError, IndexError, InstallError};
use exflow_packages::archive::ArchiveError;
use exflow_packages::debian::{BaseError, CatalogError, DebError, ReleaseError};
use exflow_store::StoreError;
use std::io;

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
    /// A server doesn't let us have it.
    #[error("not allowed to have `{url}`: {reason}")]
    Denied {
        /// What was asked for.
        url: String,
        /// What the server says.
        reason: String,
    },
    /// An image, or a part of it, can't be had or can't be used.
    #[error("image `{image}`: {source}")]
    Image {
        /// Which image, as the manifest names it.
        image: String,
        /// What went wrong.
        source: Box<FetchError>,
    },
    /// A document of an image can't be used.
    #[error("`{what}`: {source}")]
    Document {
        /// Which document.
        what: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A layer can't be unpacked.
    #[error("layer sha256:{layer} can't be unpacked: {source}")]
    Layer {
        /// Which layer.
        layer: Sha256,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// A layer holds other files than its image says.
    #[error("layer sha256:{layer} unpacks to sha256:{found}, and its image says sha256:{expected}")]
    OtherFiles {
        /// Which layer.
        layer: Sha256,
        /// What came out of it.
        found: Sha256,
        /// What should have come out of it.
        expected: Sha256,
    },
    /// An image as a whole holds more than any should.
    #[error("its layers hold more than {limit} together")]
    ImageTooLarge {
        /// How much it may hold.
        limit: &'static str,
    },
    /// A layer of a layout or an archive is not as long as its manifest says.
    #[error("layer sha256:{layer} has {found} bytes, and its manifest says {expected}")]
    OtherLength {
        /// Which layer.
        layer: Sha256,
        /// How long it is.
        found: u64,
        /// How long it should be.
        expected: u64,
    },
    /// A file or folder that an image is in can't be read.
    #[error("can't read `{path}`: {source}")]
    Local {
        /// Which.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// What Alpine's repositories are to have can't be had.
    #[error(transparent)]
    Alpine(Box<FetchError>),
    /// An index of Alpine's isn't signed by a key that the image trusts, or is none.
    #[error("the index `{url}` can't be used: {source}")]
    ApkIndex {
        /// Which index.
        url: String,
        /// What is wrong with it.
        source: IndexError,
    },
    /// A signed index of Alpine's can't be read.
    #[error("the index `{url}` can't be read: {source}")]
    ApkCatalog {
        /// Which index.
        url: String,
        /// What is wrong with it.
        source: exflow_packages::alpine::CatalogError,
    },
    /// A package of Alpine's is damaged, is another one than the index means, or is none.
    #[error("package `{package}` can't be unpacked: {source}")]
    Apk {
        /// Which package.
        package: String,
        /// What is wrong with it.
        source: ApkError,
    },
    /// Packages don't fit into an image of Alpine's.
    #[error("packages can't be added to the image: {0}")]
    Install(#[from] InstallError),
    /// Packages are to be added to an image that nothing is known about.
    #[error("packages can be added to Debian and Alpine, and this image is {found}")]
    System {
        /// What it calls itself.
        found: String,
    },
    /// What an image says of its packages can't be read.
    #[error("its list of packages `/{what}` can't be read: {reason}")]
    Database {
        /// Which file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The Docker daemon doesn't give an image away.
    #[error("the Docker daemon can't give it: {reason}")]
    Daemon {
        /// Why not.
        reason: String,
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

impl FetchError {
    /// The same, of an image. What is nobody's fault but the store's stays as it is.
    #[must_use]
    pub fn of_image(self, image: String) -> Self {
        match self {
            error @ (Self::Cancelled | Self::Store(_) | Self::Image { .. }) => error,
            error => Self::Image { image, source: Box::new(error) },
        }
    }

    /// The same, of a package or an index of Alpine's.
    #[must_use]
    pub(crate) fn of_alpine(self) -> Self {
        match self {
            error @ (Self::Cancelled | Self::Store(_) | Self::Alpine(_)) => error,
            error => Self::Alpine(Box::new(error)),
        }
    }
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
const DENIED: &str = "exflow::fetch::denied";
const IMAGE: &str = "exflow::fetch::bad-image";
const LAYER: &str = "exflow::fetch::bad-layer";
const LOCAL: &str = "exflow::fetch::unreadable-image";
const SYSTEM: &str = "exflow::fetch::unknown-system";
const DAEMON: &str = "exflow::fetch::not-in-daemon";
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
        FetchError::Store(error) => return exflow_store::diagnose(error, site),
        FetchError::Cancelled => (CANCELLED, "what was finished is kept"),
    };
    let diagnostic = Diagnostic::error(code, error.to_string()).help(help);
    diagnostic.at_known(site, "needed for this")
}

/// Says what is wrong with an image: the whole in `error`, and the reason in `source`.
fn diagnose_image(error: &FetchError, source: &FetchError, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Denied { url, .. } => {
            // Docker Hub is where it logs in when nothing else is said.
            let host = url.split('/').nth(2).filter(|host| !host.ends_with(".docker.io"));
            let command = host.map_or("docker login".to_owned(), |host| format!("docker login {host}"));
            let help = format!(
                "check the image's name; where it is not public, log in with `{command}`, whose \
                 credentials exflow uses"
            );
            (DENIED, help)
        }
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection and the registry's name; one that has no TLS must be declared: \
             `registry \"HOST\" plain-http=#true` in `workspace`; what was fetched so far is kept"
                .to_owned(),
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "check its name and tag; where it is locked, the registry no longer has what was pinned: \
             take the base out of `exflow.lock` and run `exflow lock`, which pins what is there today"
                .to_owned(),
        ),
        FetchError::TooLarge { .. } => (
            TOO_LARGE,
            "nothing of its kind should be so large: docs/images.md has the limits".to_owned(),
        ),
        FetchError::WrongDigest { .. } => (
            WRONG_DIGEST,
            "the registry or its mirror is damaged or lies, or a file has changed since it was locked; \
             what came was thrown away"
                .to_owned(),
        ),
        FetchError::Document { source: DocumentError::Platform { .. }, .. } => {
            (IMAGE, "take an image, or a tag of it, that is made for this platform".to_owned())
        }
        FetchError::Document {
            source: DocumentError::Ambiguous(_) | DocumentError::NoSuchImage { .. },
            ..
        } => (IMAGE, "name one of them: `image \"…\" from=\"…\" name=\"…\"`".to_owned()),
        FetchError::Document { .. } => {
            (IMAGE, "have it made anew, by a current version of what made it".to_owned())
        }
        FetchError::Layer { .. }
        | FetchError::OtherFiles { .. }
        | FetchError::OtherLength { .. }
        | FetchError::ImageTooLarge { .. } => (
            LAYER,
            "its content is what its digest says, so every registry has the same: take another \
             image, or have it made anew; docs/images.md has the limits"
                .to_owned(),
        ),
        FetchError::Local { .. } => (
            LOCAL,
            "paths are relative to the workspace; it is a folder with `index.json` and `blobs`, or \
             an archive of one, or what `docker save` writes"
                .to_owned(),
        ),
        FetchError::System { .. } | FetchError::Database { .. } => (
            SYSTEM,
            "take away `packages`, and an image that has what is needed; or make a base of Debian \
             packages: `debian \"bookworm\"`"
                .to_owned(),
        ),
        FetchError::Daemon { .. } => (
            DAEMON,
            "`docker image ls` shows what it has; an image that is locked by its ID has to be there, on \
             every machine that builds"
                .to_owned(),
        ),
        other => return diagnose(other, site),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}

/// Says what is wrong with Alpine's packages: the whole in `error`, and the reason in `source`.
fn diagnose_alpine(error: &FetchError, source: &FetchError, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection, or name another mirror: `EXFLOW_ALPINE_MIRROR=URL`; what was \
             fetched so far is kept",
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "Alpine's repositories keep only the newest version of a package: name a mirror that has \
             this one, `EXFLOW_ALPINE_MIRROR=URL`; or take the `apks` of this base out of \
             `exflow.lock` and run `exflow lock`, which pins what is there today",
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
