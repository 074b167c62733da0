use crate::GitError;
use exflow_content::Sha256;
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
