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

    /// The multiarch triplet, which names the folders of libraries on Debian.
    pub const fn debian_multiarch(&self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-linux-gnu",
            Self::LinuxArm64 => "aarch64-linux-gnu",
        }
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
    pub requested: RequestedDebian,
    /// What it means.
    pub locked: BTreeMap<Platform, LockedDebian>,
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

/// A plugin: where it comes from, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPlugin {
    /// As in the manifest.
    pub requested: RequestedPlugin,
    /// The digest of the component.
    pub blake3: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedPlugin {
    /// It ships inside exflow.
    Builtin,
    /// A file, relative to the workspace.
    Path(String),
}

/// What a workspace asks for: what its lock has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Bases by name.
    pub bases: BTreeMap<String, RequestedDebian>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, RequestedPlugin>,
    /// The platform that is built for.
    pub platform: Platform,
}
