//! What a lock says, as values.

use exflow_content::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Everything that comes from outside, pinned by content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The version of the image assembly: same layers and version, same bytes.
    pub image_assembly: u32,
    /// Bases by name.
    pub bases: BTreeMap<String, LockedBase>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, LockedPlugin>,
    /// Files and repositories that are fetched, by name.
    pub fetches: BTreeMap<String, LockedFetch>,
    /// What a newer exflow has written besides, which this one doesn't know and doesn't need: where it stands in the
    /// file. A lock that has any can't be printed without losing it.
    pub unknown: Vec<String>,
}

impl Lock {
    /// What is locked of a plugin, if that was asked for as it is `requested`.
    pub fn plugin(&self, name: &str, requested: &RequestedPlugin) -> Option<&LockedPlugin> {
        self.plugins.get(name).filter(|locked| locked.requested == *requested)
    }
}

/// An operating system and an architecture, as OCI names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// `linux/amd64`
    LinuxAmd64,
    /// `linux/arm64`
    LinuxArm64,
}

impl Platform {
    /// The architecture as OCI names it.
    pub const fn oci_architecture(&self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// The architecture as Debian names it.
    pub const fn debian_architecture(&self) -> &'static str {
        self.oci_architecture()
    }

    /// The platform that `os/architecture` names.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "linux/amd64" => Some(Self::LinuxAmd64),
            "linux/arm64" => Some(Self::LinuxArm64),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.oci_architecture())
    }
}

/// A base: what the manifest asks for, and what that is on each platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// As in the manifest.
    pub requested: RequestedBase,
    /// What it means. Each is of the kind that was requested.
    pub locked: BTreeMap<Platform, LockedRoot>,
}

/// A base as the manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedBase {
    /// Made of Debian packages.
    Debian(RequestedDebian),
    /// An image, perhaps with packages added to it.
    Image(RequestedImage),
}

/// What a base is on one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedRoot {
    /// Debian packages.
    Debian(LockedDebian),
    /// An image.
    Image(Box<LockedImage>),
}

impl LockedRoot {
    /// The packages that it is made of, or that are added to it: the name, the version and the digest of each.
    pub fn packages(&self) -> Vec<(&str, &str, &Sha256)> {
        match self {
            Self::Debian(debian) => debian.pinned(),
            Self::Image(image) => image.packages.pinned(),
        }
    }
}

impl LockedDebian {
    /// The packages: the name, the version and the digest of each.
    pub fn pinned(&self) -> Vec<(&str, &str, &Sha256)> {
        let packages = self.packages.iter();
        packages.map(|package| (&*package.name, &*package.version, &package.sha256)).collect()
    }
}

impl AddedPackages {
    /// The packages: the name, the version and the digest of each.
    pub fn pinned(&self) -> Vec<(&str, &str, &Sha256)> {
        match self {
            Self::None => Vec::new(),
            Self::Debian(debian) => debian.pinned(),
            Self::Alpine(alpine) => {
                let apks = alpine.packages.iter();
                apks.map(|apk| (&*apk.name, &*apk.version, &apk.sha256)).collect()
            }
        }
    }
}

/// A Debian base as the manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedDebian {
    /// The suite: `bookworm`.
    pub suite: String,
    /// Only the named packages and what they need, without documentation.
    pub slim: bool,
    /// Package names as written, sorted.
    pub packages: Vec<String>,
}

/// The packages of a Debian base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDebian {
    /// When the newest index that it was resolved from was published, as the snapshot archive
    /// writes it: `20261101T000000Z`. Every locked package can be found there.
    pub snapshot: String,
    /// The packages, sorted by name.
    pub packages: Vec<LockedPackage>,
}

/// One package, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version, as Debian writes it.
    pub version: String,
    /// Its architecture: `amd64`, or `all`.
    pub architecture: String,
    /// The archive that it is in: `debian` or `debian-security`.
    pub archive: String,
    /// Its path in the archive: `pool/main/…`.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// An image as the manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedImage {
    /// Where it comes from.
    pub source: ImageSource,
    /// The packages that are added to it, as written, sorted.
    pub packages: Vec<String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// A registry, by the image's reference: `docker.io/library/debian:bookworm`.
    Registry(String),
    /// A folder that is an OCI image layout.
    Layout(LocalImage),
    /// A file: an OCI image layout as a tar archive, or what `docker save` writes.
    Archive(LocalImage),
    /// The Docker daemon, by the image's name there.
    Daemon(String),
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) | Self::Daemon(name) => f.write_str(name),
            Self::Layout(LocalImage { path, name }) | Self::Archive(LocalImage { path, name }) => {
                match name {
                    Some(name) => write!(f, "{path}: {name}"),
                    None => f.write_str(path),
                }
            }
        }
    }
}

/// An image in a file or a folder of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// The path, relative to the workspace.
    pub path: String,
    /// Which of its images, by name, where it may have several.
    pub name: Option<String>,
}

/// An image, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// The digest of the index that was found by its reference, where it was one.
    pub index: Option<Sha256>,
    /// The digest of the manifest for this platform. What an archive of Docker's own format holds
    /// has none.
    pub manifest: Option<Sha256>,
    /// The digest of the configuration: what Docker calls the image's ID.
    pub config: Sha256,
    /// What an image that stands on it takes over.
    pub defaults: ImageDefaults,
    /// The layers, the lowest first.
    pub layers: Vec<LockedLayer>,
    /// The packages that are added to it.
    pub packages: AddedPackages,
}

/// What a container of an image gets where nothing else is said: a part of its configuration (OCI
/// image specification 1.1, "Image Configuration").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageDefaults {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The user, by name or number.
    pub user: Option<String>,
    /// The ports that it listens on: `4001/tcp`. Sorted.
    pub ports: Vec<String>,
    /// The folders that keep what is written to them. Sorted.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that stops it: `SIGTERM`.
    pub stop_signal: Option<String>,
}

/// How many layers a base may have: Docker allows 127, and what stands on it has some of its own.
pub const MAX_LAYERS: usize = 119;
/// The largest layer, in bytes as they are sent.
pub const MAX_LAYER_SIZE: u64 = 64 << 30;

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedLayer {
    /// The digest of its bytes as they are sent.
    pub digest: Sha256,
    /// The digest of the archive before compression.
    pub diff_id: Sha256,
    /// The length of its bytes as they are sent.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip (RFC 1952).
    Gzip,
    /// By Zstandard (RFC 8878).
    Zstd,
}

/// Packages that are added to an image, by what manages its packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedPackages {
    /// None.
    None,
    /// With dpkg.
    Debian(LockedDebian),
    /// With apk.
    Alpine(LockedAlpine),
}

/// A plugin: where it comes from, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPlugin {
    /// As in the manifest.
    pub requested: RequestedPlugin,
    /// The digest of the component.
    pub blake3: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is fetched by, where it is fetched.
    pub sha256: Option<Sha256>,
}

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedPlugin {
    /// It ships inside exflow.
    Builtin,
    /// A file, relative to the workspace.
    Path(String),
    /// A file of the web.
    Url(String),
    /// An artifact in a registry: `registry.example/team/tool:1.0`.
    Oci(String),
}

/// Something that is fetched: where it comes from, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFetch {
    /// As in the manifest.
    pub requested: RequestedFetch,
    /// What it means. It is of the kind that was requested.
    pub locked: FetchedContent,
}

/// Something that is fetched, as the manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedFetch {
    /// A file of the web.
    File {
        /// Its address.
        url: String,
        /// What it has to be, where the manifest says it.
        sha256: Option<Sha256>,
    },
    /// A git repository.
    Git {
        /// Its address.
        url: String,
        /// Which of its versions.
        version: RequestedVersion,
        /// The only folder that is wanted.
        folder: Option<String>,
        /// Whether its submodules are fetched, too.
        submodules: bool,
    },
}

/// A version of a repository, as the manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedVersion {
    /// The newest on the branch that the repository shows first.
    Default,
    /// The newest on a branch.
    Branch(String),
    /// What a tag names.
    Tag(String),
    /// A revision.
    Revision(String),
}

/// Something that is fetched, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchedContent {
    /// A file.
    File {
        /// Its digest.
        sha256: Sha256,
        /// Its length in bytes.
        size: u64,
    },
    /// A revision of a repository.
    Git {
        /// Its whole digest.
        revision: String,
        /// The digest of the tree of its files.
        tree: Digest,
    },
}

/// What a workspace asks for: what its lock has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Bases by name.
    pub bases: BTreeMap<String, RequestedBase>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, RequestedPlugin>,
    /// What is fetched, by name.
    pub fetches: BTreeMap<String, RequestedFetch>,
    /// The platform that is built for.
    pub platform: Platform,
}

/// The packages that are added to an Alpine image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedAlpine {
    /// The packages, sorted by name.
    pub packages: Vec<LockedApk>,
}

/// One package of Alpine's, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedApk {
    /// Its name.
    pub name: String,
    /// Its version, as Alpine writes it.
    pub version: String,
    /// Its architecture: `x86_64`.
    pub architecture: String,
    /// The repository that it is in, without its mirror: `v3.21/main`.
    pub repository: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of the whole file.
    pub sha256: Sha256,
    /// What the repository's index calls it by: `Q1` and the SHA-1 of its control segment.
    pub checksum: String,
}
