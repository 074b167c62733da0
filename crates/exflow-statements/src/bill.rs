use exflow_content::Sha256;
use exflow_lock::Platform;

/// What an image consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// Whose image it is.
    pub project: String,
    /// The digest of its manifest.
    pub image: Sha256,
    /// What it is for.
    pub platform: Platform,
    /// Whether all that is in it is listed: not where what is installed in its base can't be told.
    pub is_complete: bool,
    /// What is in it, and what made it. Sorted by role, name and version, each once: see [`Bill::new`].
    pub components: Vec<Component>,
}

/// Something that an image consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// What it is to the image.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// Its version; empty where it has none.
    pub version: String,
    /// Its name as a package URL, where it has one.
    pub purl: Option<String>,
    /// The digest of what was fetched, where something was.
    pub sha256: Option<Sha256>,
    /// Where it can be fetched, if it can.
    pub url: Option<String>,
    /// Its licences, each as its source writes them: an SPDX expression, or what Debian calls it. All of them hold.
    pub licences: Vec<String>,
}

/// What a component is to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The image that it stands on.
    BaseImage,
    /// A package of the operating system.
    SystemPackage,
    /// An application of Erlang/OTP or Elixir, which came with the builder.
    OtpApplication,
    /// A package of Hex's.
    HexPackage,
    /// A package from a git repository.
    GitSource,
    /// An application of the workspace's own.
    Application,
    /// A plugin that has said how it is built. It is not in the image.
    Plugin,
}

impl Role {
    /// Whether it is in the image, and has not only made it.
    pub fn is_inside(self) -> bool {
        self != Self::Plugin
    }
}

impl Bill {
    /// The bill of an image with these components.
    pub fn new(
        project: impl Into<String>,
        image: Sha256,
        platform: Platform,
        is_complete: bool,
        mut components: Vec<Component>,
    ) -> Self {
        components.sort();
        components.dedup();
        Self { project: project.into(), image, platform, is_complete, components }
    }

    /// What names the image for documents: a package URL.
    pub(crate) fn purl(&self) -> String {
        crate::image(&self.project, &self.image, &self.platform).unwrap_or_default()
    }
}
