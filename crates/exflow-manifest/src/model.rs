//! What a manifest says, as values that remember where they were said.

use exflow_content::{RelPath, Sha256};
use exflow_diagnostics::Site;
use std::collections::BTreeMap;
use std::time::Duration;

/// A value and its place in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is.
    pub site: Site,
}

/// The values of pairs, without their places.
pub fn values(pairs: &BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect()
}

/// One `exflow.kdl`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Its `workspace` node.
    pub workspace: Option<WorkspaceNode>,
    /// Its `base` nodes.
    pub bases: Vec<Base>,
    /// Its `plugin` nodes.
    pub plugins: Vec<Plugin>,
    /// Its `fetch` and `git` nodes.
    pub fetches: Vec<Fetch>,
    /// Its `project` nodes: what is built of its folder, as several releases of an umbrella are.
    pub projects: Vec<ProjectNode>,
}

/// `workspace "shop" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceNode {
    /// Its name.
    pub name: Spanned<String>,
    /// Patterns of the folders that hold a project: `services/*`.
    pub members: Vec<Spanned<String>>,
    /// What runs the steps.
    pub executor: Option<ExecutorName>,
    /// Where Debian packages come from.
    pub debian_mirror: Option<Spanned<String>>,
    /// Where Debian's security updates come from.
    pub security_mirror: Option<Spanned<String>>,
    /// Where Alpine's packages come from.
    pub alpine_mirror: Option<Spanned<String>>,
    /// How registries are talked to, each once.
    pub registries: Vec<RegistryNode>,
}

/// What runs the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorName {
    /// The best that works where it is built.
    Auto,
    /// Containers of a Docker daemon.
    Docker,
    /// Namespaces of the Linux kernel.
    Sandbox,
}

/// `registry "docker.io" mirror="…"`: how a container registry is talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryNode {
    /// Its host, and its port if it has one.
    pub host: Spanned<String>,
    /// The host of another registry that is asked first for its images.
    pub mirror: Option<String>,
    /// It has no TLS.
    pub plain_http: bool,
}

/// `base "builder" { … }`: a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub name: Spanned<String>,
    /// What it is made of.
    pub source: BaseSource,
    /// The packages that it has, or that are added to it.
    pub packages: Vec<Spanned<String>>,
    /// The whole node.
    pub site: Site,
}

/// What a base is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseSource {
    /// `debian "bookworm"`: Debian packages.
    Debian {
        /// The suite: `bookworm`.
        suite: Spanned<String>,
        /// Only the named packages and what they need, without documentation.
        slim: bool,
    },
    /// `image "…"`: an image.
    Image(BaseImage),
}

/// `image "docker.io/library/debian:bookworm"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Where it comes from.
    pub from: ImageOrigin,
    /// What it is called there: a reference, or for what is in the workspace a path that is relative
    /// to it, and clean.
    pub place: Spanned<String>,
    /// Which of several images in a layout or an archive.
    pub name: Option<String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageOrigin {
    /// A registry.
    Registry,
    /// A folder that is an OCI image layout.
    Layout,
    /// A tar archive: such a layout, or what `docker save` writes.
    Archive,
    /// The Docker daemon.
    Docker,
}

/// `plugin "name" path="…"` or `source="…"`: a release tool's plugin that doesn't ship inside exflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The name that `release-tool` uses.
    pub name: Spanned<String>,
    /// Where its component is.
    pub source: PluginSource,
}

/// Where a plugin's component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// In a file, relative to the workspace.
    Path(Spanned<RelPath>),
    /// At an address of `https` or `http`.
    Url(Spanned<String>),
    /// In a registry: what stands behind `oci://`.
    Oci(Spanned<String>),
}

/// `fetch "tool" url="…"` or `git "icons" url="…"`: something from outside that stages see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The name that `needs` uses.
    pub name: Spanned<String>,
    /// What it is.
    pub what: Fetched,
    /// The whole node.
    pub site: Site,
}

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// A file.
    File {
        /// Its address, of `https` or `http`.
        url: String,
        /// What it has to be.
        sha256: Option<Sha256>,
        /// Whether it is a program.
        is_executable: bool,
    },
    /// A git repository.
    Git {
        /// Its address, as git understands it.
        url: String,
        /// Which of its versions.
        version: GitVersion,
        /// The only folder of it that is wanted, relative and clean.
        folder: Option<RelPath>,
        /// Whether its submodules are fetched, too.
        submodules: bool,
    },
}

/// A version of a git repository, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitVersion {
    /// The newest on the branch that the repository shows first.
    Default,
    /// The newest on a branch.
    Branch(String),
    /// What a tag names.
    Tag(String),
    /// A revision, by its whole digest.
    Revision(String),
}

/// `needs "icons" at="assets/icons"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// A stage of the user's own, or something that is fetched.
    pub name: Spanned<String>,
    /// Where it is laid: only of something that is fetched.
    pub at: Option<Spanned<RelPath>>,
    /// Whether that is relative to the workspace, as a path with a `/` before it is, and not to the project.
    pub is_in_workspace: bool,
}

/// `project "hello" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectNode {
    /// Its name.
    pub name: Spanned<String>,
    /// What makes its release, if one is made.
    pub tool: Option<ReleaseTool>,
    /// Its stages, each kind and name once.
    pub stages: Vec<Stage>,
}

/// `release-tool "mix-release" release="shop"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseTool {
    /// The plugin's name.
    pub plugin: Spanned<String>,
    /// What the plugin is told.
    pub settings: BTreeMap<String, Setting>,
}

/// A setting of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its value.
    pub value: Scalar,
    /// Where it is.
    pub site: Site,
}

/// A value of one of KDL's simple types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
}

/// Which stage it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageKind {
    /// What is compiled from dependencies alone.
    Deps,
    /// What makes the release.
    Release,
    /// The image.
    Runtime,
    /// One of the user's own.
    Own(String),
}

impl StageKind {
    /// Its name in the manifest.
    pub fn name(&self) -> &str {
        match self {
            Self::Deps => "deps",
            Self::Release => "release",
            Self::Runtime => "runtime",
            Self::Own(name) => name,
        }
    }
}

/// `stage "release" base="builder" { … }`. What a kind of stage has no use for is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Which one.
    pub kind: StageKind,
    /// Its base, by name. After [`assemble`](crate::assemble) it is always there.
    pub base: Option<Spanned<String>>,
    /// Environment variables, each where its value is said.
    pub env: BTreeMap<String, Spanned<String>>,
    /// What it sees: outputs of stages of the user's own, and what is fetched.
    pub needs: Vec<Need>,
    /// Patterns of the files that it reads: relative to the project, or with a `/` before them to
    /// the workspace. Each is valid.
    pub inputs: Vec<String>,
    /// A shell script.
    pub run: Option<Spanned<String>>,
    /// What it makes, relative to the project.
    pub outputs: Vec<Spanned<RelPath>>,
    /// Ports of the image: `4001/tcp`.
    pub expose: Vec<String>,
    /// The user of the image.
    pub user: Option<String>,
    /// The arguments that the image starts with.
    pub command: Option<Vec<String>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// How long it may take.
    pub time_limit: Option<Duration>,
    /// The whole node.
    pub site: Site,
}

/// All manifests of a workspace put together, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workspace {
    /// Its name.
    pub name: String,
    /// The bases that something stands on, by name.
    pub bases: BTreeMap<String, Base>,
    /// The declared plugins, by name.
    pub plugins: BTreeMap<String, Plugin>,
    /// What is fetched and needed by a stage, by name.
    pub fetches: BTreeMap<String, Fetch>,
    /// Its projects, by name.
    pub projects: Vec<Project>,
    /// What runs the steps.
    pub executor: Option<ExecutorName>,
    /// Where Debian packages come from.
    pub debian_mirror: Option<String>,
    /// Where Debian's security updates come from.
    pub security_mirror: Option<String>,
    /// Where Alpine's packages come from.
    pub alpine_mirror: Option<String>,
    /// How registries are talked to.
    pub registries: Vec<RegistryNode>,
}

/// A project at its place in the workspace, with every stage that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: Spanned<String>,
    /// Its folder.
    pub folder: RelPath,
    /// What makes its release.
    pub tool: Option<ReleaseTool>,
    /// Its stages by name. With a release tool, `deps`, `release` and `runtime` are among them.
    pub stages: BTreeMap<String, Stage>,
    /// The stages of the user's own, each after those that it needs.
    pub own_stages: Vec<String>,
}
