use crate::{GitError, hex_key_variable};
use exflow_content::Sha256;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_image::DocumentError;
use exflow_packages::alpine::{ApkError, IndexError, InstallError};
use exflow_packages::archive::ArchiveError;
use exflow_packages::debian::{BaseError, CatalogError, DebError, ReleaseError};
use exflow_packages::hex::{HexPackage, TarballError};
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
    /// A package of Hex's can't be had or can't be used.
    #[error("Hex package `{package}`: {source}")]
    Hex {
        /// Which package.
        package: Box<HexPackage>,
        /// What went wrong.
        source: Box<FetchError>,
    },
    /// A tarball of Hex's is another one than the pinned one, or is none.
    #[error("its tarball can't be used: {0}")]
    HexTarball(TarballError),
    /// Nothing opens the packages of an organisation.
    #[error("there is no key for the organisation `{organisation}`")]
    HexKey {
        /// Which organisation.
        organisation: String,
    },
    /// Nobody has said where a repository of Hex's is.
    #[error("nobody has said where the repository `{repository}` is")]
    HexRepository {
        /// Which repository.
        repository: String,
    },
    /// A package isn't pinned by a checksum.
    #[error("the lock has no checksum of it")]
    HexUnpinned,
    /// A revision of a git repository can't be had.
    #[error("git repository `{url}`: {source}")]
    Git {
        /// Which repository.
        url: String,
        /// What went wrong.
        source: GitError,
    },
    /// A single file can't be had.
    #[error("the file to download: {0}")]
    RemoteFile(Box<FetchError>),
    /// The component of a plugin can't be had.
    #[error("plugin `{plugin}`: {source}")]
    Component {
        /// Which plugin, as the manifest names it.
        plugin: String,
        /// What went wrong.
        source: Box<FetchError>,
    },
    /// Something else is where a component should be.
    #[error("what is at `{url}` is no component of WebAssembly")]
    NoComponent {
        /// Where.
        url: String,
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

    /// The same, of a package of Hex's.
    #[must_use]
    pub(crate) fn of_hex(self, package: &HexPackage) -> Self {
        match self {
            error @ (Self::Cancelled | Self::Store(_) | Self::Hex { .. }) => error,
            error => Self::Hex { package: Box::new(package.clone()), source: Box::new(error) },
        }
    }

    /// The same, of a single file.
    #[must_use]
    pub fn of_remote_file(self) -> Self {
        match self {
            error @ (Self::Cancelled | Self::Store(_) | Self::RemoteFile(_)) => error,
            error => Self::RemoteFile(Box::new(error)),
        }
    }

    /// The same, of a plugin.
    #[must_use]
    pub fn of_plugin(self, plugin: &str) -> Self {
        match self {
            error @ (Self::Cancelled | Self::Store(_) | Self::Component { .. }) => error,
            error => Self::Component { plugin: plugin.to_owned(), source: Box::new(error) },
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
             `exflow update` with the name of this base pins what is there today"
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

/// Says what is wrong with the component of a plugin: the whole in `error`, and the reason in `source`.
fn diagnose_component(error: &FetchError, source: &FetchError, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection and the plugin's `source`; a registry that has no TLS must be declared: \
             `registry \"HOST\" plain-http=#true` in `workspace`",
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "check the plugin's `source`; where it is locked, what was pinned is no longer there: \
             `exflow update` with the plugin's name pins what is there today",
        ),
        FetchError::TooLarge { .. } => {
            (TOO_LARGE, "no component is so large: docs/plugins.md has the limits")
        }
        FetchError::WrongDigest { .. } => (
            WRONG_DIGEST,
            "what is there was changed since it was locked, or the server lies, and it was thrown away; to take what is \
             there now, run `exflow update` with the plugin's name",
        ),
        FetchError::Denied { .. } => (
            DENIED,
            "check the plugin's `source`; where a registry isn't public, log in with `docker login`, whose credentials \
             exflow uses",
        ),
        FetchError::NoComponent { .. } | FetchError::Document { .. } => (
            COMPONENT,
            "`source` leads to something else: name the component itself, or what `exflow plugin push` has made of it",
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

/// Says what is wrong with a package of Hex's: the whole in `error`, and the reason in `source`.
fn diagnose_hex(
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
fn diagnose_remote_file(
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
fn diagnose_git(error: &FetchError, source: &GitError, site: Option<&Site>) -> Diagnostic {
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
