//! What packages there are: the indexes of a suite's archives, put together.

use super::Installed;
use super::control::{ControlError, Paragraphs};
use exflow_content::{RelPath, Sha256};
use std::collections::BTreeMap;
use std::io::BufRead;

/// The archive of what is installed already.
pub(super) const INSTALLED: &str = "installed";

/// The packages of one or more indexes.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    packages: Vec<Package>,
    by_name: BTreeMap<Box<str>, Vec<usize>>,
    /// Which packages provide a virtual one.
    providers: BTreeMap<Box<str>, Vec<usize>>,
    /// When the newest index was published, as the snapshot archive writes it.
    snapshot: String,
}

/// One package in one version, as its index describes it. Relations are kept as text, and are
/// parsed for the few packages that a solver looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// Its architecture, or `all`.
    pub architecture: Box<str>,
    /// `Pre-Depends` and `Depends`.
    pub depends: Box<str>,
    /// `Provides`.
    pub provides: Box<str>,
    /// `Conflicts` and `Breaks`.
    pub conflicts: Box<str>,
    /// Whether every system has it.
    pub essential: bool,
    /// How common it is: 0 for required to 4 for extra.
    pub priority: u8,
    /// The archive that it is in.
    pub archive: &'static str,
    /// Its path in the archive.
    pub path: Box<str>,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// Why an index can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is not a control file.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A package lacks a field, or has one that makes no sense.
    #[error("package `{package}`: its field `{field}` is missing or makes no sense")]
    Field {
        /// Which package.
        package: String,
        /// Which field.
        field: &'static str,
    },
}

impl Catalog {
    /// A catalog without packages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the packages of an index (`Packages`) of `archive`. `snapshot` is when it was published,
    /// or, where it came from the snapshot archive, the stamp that it was found under.
    pub fn add(
        &mut self,
        archive: &'static str,
        snapshot: &str,
        index: impl BufRead,
    ) -> Result<(), CatalogError> {
        if *self.snapshot < *snapshot {
            snapshot.clone_into(&mut self.snapshot);
        }
        let mut paragraphs = Paragraphs::new(index);
        while let Some(paragraph) = paragraphs.next_paragraph()? {
            let mut raw = Raw::default();
            for (name, value) in paragraph.fields() {
                match name {
                    "Package" => raw.name = value,
                    "Version" => raw.version = value,
                    "Architecture" => raw.architecture = value,
                    "Pre-Depends" => raw.pre_depends = value,
                    "Depends" => raw.depends = value,
                    "Provides" => raw.provides = value,
                    "Conflicts" => raw.conflicts = value,
                    "Breaks" => raw.breaks = value,
                    "Essential" => raw.essential = value,
                    "Priority" => raw.priority = value,
                    "Filename" => raw.path = value,
                    "Size" => raw.size = value,
                    "SHA256" => raw.sha256 = value,
                    _ => {}
                }
            }
            self.insert(raw.check(archive)?);
        }
        Ok(())
    }

    /// Adds what a system has installed: packages that need no fetching.
    pub fn add_installed(&mut self, installed: &Installed) -> Result<(), CatalogError> {
        for (name, package) in installed.packages() {
            let mut paragraphs = Paragraphs::new(package.paragraph.as_bytes());
            let Some(paragraph) = paragraphs.next_paragraph()? else { continue };
            let get = |field: &str| paragraph.get(field).unwrap_or_default();
            self.insert(Package {
                name: name.as_str().into(),
                version: package.version.as_str().into(),
                architecture: get("Architecture").into(),
                depends: join(get("Pre-Depends"), get("Depends")),
                provides: get("Provides").into(),
                conflicts: join(get("Conflicts"), get("Breaks")),
                essential: false,
                priority: 0,
                archive: INSTALLED,
                path: "".into(),
                size: 0,
                sha256: Sha256::of(b""),
            });
        }
        Ok(())
    }

    fn insert(&mut self, package: Package) {
        let id = self.packages.len();
        for relation in super::parse_relations(&package.provides) {
            for provided in relation.0 {
                self.providers.entry(provided.name.into()).or_default().push(id);
            }
        }
        self.by_name.entry(package.name.clone()).or_default().push(id);
        self.packages.push(package);
    }

    /// Whether the package with this number is installed already.
    pub fn is_installed(&self, id: usize) -> bool {
        self.packages[id].archive == INSTALLED
    }

    /// When the newest index was published, as the snapshot archive writes it.
    pub fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// The package with this number.
    pub fn package(&self, id: usize) -> &Package {
        &self.packages[id]
    }

    /// The numbers of all versions of a package.
    pub fn versions(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The numbers of the packages that provide a virtual package.
    pub fn providers(&self, name: &str) -> &[usize] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of all packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref)
    }

    /// The names of the packages that every system has.
    pub fn essential(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().filter(|package| package.essential).map(|package| &*package.name)
    }
}

#[derive(Default)]
struct Raw<'a> {
    name: &'a str,
    version: &'a str,
    architecture: &'a str,
    pre_depends: &'a str,
    depends: &'a str,
    provides: &'a str,
    conflicts: &'a str,
    breaks: &'a str,
    essential: &'a str,
    priority: &'a str,
    path: &'a str,
    size: &'a str,
    sha256: &'a str,
}

impl Raw<'_> {
    fn check(&self, archive: &'static str) -> Result<Package, CatalogError> {
        let fail =
            |field| CatalogError::Field { package: self.name.chars().take(100).collect(), field };
        if !exflow_lock::is_debian_package(self.name) {
            return Err(fail("Package"));
        }
        if self.version.is_empty() || self.version.contains(char::is_whitespace) {
            return Err(fail("Version"));
        }
        RelPath::new(self.path)
            .ok()
            .filter(|path| !path.is_root())
            .ok_or_else(|| fail("Filename"))?;
        Ok(Package {
            name: self.name.into(),
            version: self.version.into(),
            architecture: self.architecture.into(),
            depends: join(self.pre_depends, self.depends),
            provides: self.provides.into(),
            conflicts: join(self.conflicts, self.breaks),
            essential: self.essential == "yes",
            priority: match self.priority {
                "required" => 0,
                "important" => 1,
                "standard" => 2,
                "optional" => 3,
                _ => 4,
            },
            archive,
            path: self.path.into(),
            size: self.size.parse().map_err(|_| fail("Size"))?,
            sha256: self.sha256.parse().map_err(|_| fail("SHA256"))?,
        })
    }
}

fn join(a: &str, b: &str) -> Box<str> {
    match (a, b) {
        ("", b) => b.into(),
        (a, "") => a.into(),
        (a, b) => format!("{a}, {b}").into(),
    }
}
