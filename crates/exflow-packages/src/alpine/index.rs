//! What packages there are: the indexes of repositories, put together (apk-package(5) has the
//! fields).

use super::checksum::Checksum;
use super::dependency::parse_dependencies;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The packages of one or more indexes.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    packages: Vec<Package>,
    by_name: BTreeMap<Box<str>, Vec<usize>>,
    /// Which packages provide a name that is not their own.
    providers: BTreeMap<Box<str>, Vec<usize>>,
}

/// One package in one version, as its index describes it. Dependencies are kept as text, and are
/// parsed for the few packages that a solver looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// Its architecture, or `noarch`. The repository has both in the folder of its architecture.
    pub architecture: Box<str>,
    /// What it needs, and what it can't be beside (`D`).
    pub depends: Box<str>,
    /// What it provides besides its name (`p`).
    pub provides: Box<str>,
    /// How much it is to be preferred for what it provides without a version (`k`). With none, it
    /// has to be named to be chosen for that.
    pub provider_priority: u64,
    /// The repository that it is in.
    pub repository: Arc<str>,
    /// The length of its file in bytes.
    pub size: u64,
    /// What its index calls it by: the checksum of its control segment, compressed (`C`).
    pub checksum: Checksum,
}

/// Why an index can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A line is not a field.
    #[error("line {0} is not a field")]
    Line(usize),
    /// A package lacks a field, or has one that makes no sense.
    #[error("package `{package}`: its field `{field}` is missing or makes no sense")]
    Field {
        /// Which package.
        package: String,
        /// Which field.
        field: char,
    },
}

impl Catalog {
    /// A catalog without packages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the packages of an index, the text `APKINDEX`, of `repository`, which is called what the
    /// caller likes: `v3.21/main`. Of one package in several repositories, the one that was added first is
    /// preferred.
    ///
    /// A package with fields that only a newer apk knows is left out: those with large
    /// letters change what the package means.
    pub fn add(&mut self, repository: &str, index: &str) -> Result<(), CatalogError> {
        let repository: Arc<str> = repository.into();
        let mut raw = Raw::default();
        for (number, line) in index.lines().enumerate() {
            if line.is_empty() {
                self.insert(&std::mem::take(&mut raw), &repository)?;
                continue;
            }
            let mut chars = line.chars();
            let (Some(field), Some(':')) = (chars.next(), chars.next()) else {
                return Err(CatalogError::Line(number + 1));
            };
            raw.is_empty = false;
            let value = chars.as_str();
            match field {
                'C' => raw.checksum = value,
                'P' => raw.name = value,
                'V' => raw.version = value,
                'A' => raw.architecture = value,
                'S' => raw.size = value,
                'D' => raw.depends = value,
                'p' => raw.provides = value,
                'k' => raw.priority = value,
                'T' | 'U' | 'L' | 'I' => {}
                'A'..='Z' => raw.is_newer = true,
                _ => {}
            }
        }
        self.insert(&raw, &repository)
    }

    fn insert(&mut self, raw: &Raw<'_>, repository: &Arc<str>) -> Result<(), CatalogError> {
        if raw.is_empty || raw.is_newer {
            return Ok(());
        }
        let package = raw.check(repository)?;
        let id = self.packages.len();
        for provided in parse_dependencies(&package.provides) {
            self.providers.entry(provided.name.into()).or_default().push(id);
        }
        self.by_name.entry(package.name.clone()).or_default().push(id);
        self.packages.push(package);
        Ok(())
    }

    /// The package with this number.
    pub fn package(&self, id: usize) -> &Package {
        &self.packages[id]
    }

    /// How many packages there are. Their numbers are those below it.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// The numbers of all versions of a package.
    pub fn versions(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The numbers of the packages that provide a name besides their own.
    pub fn providers(&self, name: &str) -> &[usize] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of all packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref)
    }
}

/// Whether `name` is the name of a package (apk-package(5), "name").
pub fn is_alpine_package(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    name.len() <= 200
        && name.bytes().all(is_plain)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

struct Raw<'a> {
    is_empty: bool,
    is_newer: bool,
    checksum: &'a str,
    name: &'a str,
    version: &'a str,
    architecture: &'a str,
    size: &'a str,
    depends: &'a str,
    provides: &'a str,
    priority: &'a str,
}

impl Default for Raw<'_> {
    fn default() -> Self {
        Self {
            is_empty: true,
            is_newer: false,
            checksum: "",
            name: "",
            version: "",
            architecture: "",
            size: "",
            depends: "",
            provides: "",
            priority: "0",
        }
    }
}

impl Raw<'_> {
    fn check(&self, repository: &Arc<str>) -> Result<Package, CatalogError> {
        let fail =
            |field| CatalogError::Field { package: self.name.chars().take(100).collect(), field };
        if !is_alpine_package(self.name) {
            return Err(fail('P'));
        }
        // It becomes a part of the file's name.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-~".contains(&byte);
        if self.version.is_empty() || !self.version.bytes().all(is_plain) {
            return Err(fail('V'));
        }
        Ok(Package {
            name: self.name.into(),
            version: self.version.into(),
            architecture: self.architecture.into(),
            depends: self.depends.into(),
            provides: self.provides.into(),
            provider_priority: self.priority.parse().map_err(|_| fail('k'))?,
            repository: Arc::clone(repository),
            size: self.size.parse().map_err(|_| fail('S'))?,
            checksum: self.checksum.parse().map_err(|_| fail('C'))?,
        })
    }
}

#[cfg(test)]
mod tests;
