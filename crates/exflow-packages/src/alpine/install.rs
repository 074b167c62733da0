//! Packages laid into the tree of an image as apk would, without running any of their scripts.
//!
//! What apk does to the files is done here as a pure function:
//!
//! * folders are merged, and a folder that is there keeps its mode;
//! * a file that another package has is an error, unless one of the two replaces the other or both
//!   were built from the same package (apk-package(5), "replaces", "origin");
//! * a package that is there in another version loses the files that it has no more, and the folders
//!   that nobody has any more;
//! * a file below `/etc` that is there and is not as a package left it stays, and the new one is put
//!   beside it as `NAME.apk-new`;
//! * `lib/apk/db` says what is installed, for scanners and for apk itself, and `etc/apk/world`
//!   what was asked for.
//!
//! Not done is what scripts would do: users and groups that packages make for themselves, services,
//! caches, and busybox' links for programs that it has and that nobody else has any more. A
//! link of busybox' is nobody's file, so a package with a real program replaces it.
//!
//! `etc/apk/protected_paths.d` is not read.

use super::checksum::Checksum;
use super::database;
use super::dependency::parse_dependencies;
use super::installed::{Installed, InstalledError, Removal, parse_installed};
use super::pkginfo::PkgInfo;
use super::world::world_with;
use crate::debian::{Assembled, MAX_READ};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_lock::LockedApk;
use std::collections::{BTreeMap, BTreeSet};

/// A package that has been unpacked into a store: see [`Apk`](super::Apk).
#[derive(Debug, Clone)]
pub struct UnpackedApk {
    /// Which package.
    pub locked: LockedApk,
    /// What describes it.
    pub info: PkgInfo,
    /// Its scripts by name.
    pub scripts: BTreeMap<String, Vec<u8>>,
    /// Its files.
    pub tree: Tree,
    /// What apk calls the contents of its files by, by blob.
    pub checksums: BTreeMap<Digest, Checksum>,
}

/// Why packages can't be laid into an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// Two packages have a file in common, and neither replaces the other.
    #[error("packages `{first}` and `{second}` both have `/{path}`")]
    Overlap {
        /// The one that is there.
        first: String,
        /// The one that is added.
        second: String,
        /// Which file.
        path: RelPath,
    },
    /// Something is a folder for a package and not in the image, or the other way round.
    #[error(
        "`/{path}` of package `{package}` is a folder where the image has none, or none where it has one"
    )]
    Path {
        /// Which package; none for a file of apk's own.
        package: String,
        /// Which path.
        path: RelPath,
    },
    /// A file that has to be looked into is larger than any of its kind.
    #[error("`/{path}` has {size} bytes, and no more than {MAX_READ} are read")]
    TooLarge {
        /// Which file.
        path: RelPath,
        /// How long it is.
        size: u64,
    },
    /// The image's list of what is installed is no good.
    #[error("the image's list of installed packages can't be used: {0}")]
    Installed(#[from] InstalledError),
    /// The image's archive of scripts is no archive.
    #[error("the image's `/{0}` is not a tar archive")]
    Scripts(RelPath),
}

const INSTALLED: &str = "lib/apk/db/installed";
const SCRIPTS: &str = "lib/apk/db/scripts.tar";
const TRIGGERS: &str = "lib/apk/db/triggers";
const WORLD: &str = "etc/apk/world";

/// Lays packages into an image. `installed` is its `lib/apk/db/installed`, `world` its
/// `etc/apk/world`, both empty where it has none; `named` is what is added to the latter. `read`
/// gives the content of a blob; it is asked for files of the image below `/etc` that a package has,
/// too, and for files of apk's own, and for none that has more than [`MAX_READ`] bytes.
///
/// The same packages give the same tree, in whatever order they come.
pub fn install<E: From<InstallError>>(
    image: Tree,
    mut packages: Vec<UnpackedApk>,
    installed: &[u8],
    world: &str,
    named: &[String],
    read: &dyn Fn(&Digest) -> Result<Vec<u8>, E>,
) -> Result<Assembled, E> {
    packages.sort_by(|a, b| a.locked.name.cmp(&b.locked.name));
    let installed = parse_installed(installed).map_err(InstallError::from)?;
    let mut image = Image {
        owners: BTreeMap::new(),
        owned: vec![BTreeSet::new(); packages.len()],
        made: BTreeSet::new(),
        left: BTreeMap::new(),
        removal: Removal::default(),
        new_blobs: Vec::new(),
        tree: image,
        installed: &installed,
        packages: &packages,
        read,
    };
    image.look_up_owners();
    for number in 0..packages.len() {
        image.lay_out(number)?;
    }
    for number in 0..installed.packages.len() {
        image.drop_old(number)?;
    }
    image.say_what_is_installed(world, named)?;
    let Image { tree, mut new_blobs, .. } = image;
    new_blobs.sort();
    new_blobs.dedup();
    Ok(Assembled { tree, new_blobs })
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A file of a package that is installed, both by number.
    Installed(usize, usize),
    /// A package that is added, by number.
    Added(usize),
}

struct Image<'a, E> {
    tree: Tree,
    installed: &'a Installed,
    packages: &'a [UnpackedApk],
    /// Whose each file is, by where it is once links above it are followed.
    owners: BTreeMap<RelPath, Owner>,
    /// The files of each package that is added, as the package has them.
    owned: Vec<BTreeSet<RelPath>>,
    /// Folders that were not there before.
    made: BTreeSet<RelPath>,
    /// What packages that are added have below `/etc`, whether it was put there or beside it.
    left: BTreeMap<RelPath, Checksum>,
    removal: Removal,
    new_blobs: Vec<Vec<u8>>,
    read: &'a dyn Fn(&Digest) -> Result<Vec<u8>, E>,
}

/// What decides which of two packages a file is of.
struct Claim<'a> {
    name: &'a str,
    version: &'a str,
    origin: &'a str,
    replaces: String,
    priority: u64,
}

impl Claim<'_> {
    /// How much this package insists on replacing files of `other`; none where it doesn't.
    fn over(&self, other: &Claim<'_>) -> Option<u64> {
        parse_dependencies(&self.replaces)
            .any(|replaced| {
                replaced.name == other.name
                    && replaced.constraint.is_none_or(|allowed| allowed.allows(other.version))
            })
            .then_some(self.priority)
    }
}

impl<E: From<InstallError>> Image<'_, E> {
    fn look_up_owners(&mut self) {
        for (number, package) in self.installed.packages.iter().enumerate() {
            for (file, found) in package.files.iter().enumerate() {
                self.owners.insert(self.tree.place(&found.path), Owner::Installed(number, file));
            }
        }
    }

    fn lay_out(&mut self, number: usize) -> Result<(), E> {
        let package = &self.packages[number];
        let wrong = |path| InstallError::Path { package: package.locked.name.clone(), path };
        for (path, entry) in package.tree.entries() {
            let at = self.tree.place(path);
            match (entry, self.tree.get(&at)) {
                (Entry::Folder { mode }, Some(Entry::Folder { mode: other })) => {
                    // Of packages that bring the same folder, each allows only what it allows.
                    if self.made.contains(&at) {
                        let mode = Mode::new(mode.bits() & other.bits());
                        self.put(&wrong, at, Entry::Folder { mode })?;
                    }
                }
                // A link to a folder will do.
                (Entry::Folder { .. }, Some(Entry::Symlink { .. })) => {}
                (Entry::Folder { .. }, None) => {
                    self.made.insert(at.clone());
                    self.put(&wrong, at, entry.clone())?;
                }
                (Entry::Folder { .. }, Some(Entry::File { .. }))
                | (Entry::File { .. } | Entry::Symlink { .. }, Some(Entry::Folder { .. })) => {
                    return Err(wrong(at).into());
                }
                (Entry::File { .. } | Entry::Symlink { .. }, _) => {
                    self.lay_out_file(number, path, at, entry)?;
                }
            }
        }
        Ok(())
    }

    fn lay_out_file(
        &mut self,
        number: usize,
        path: &RelPath,
        at: RelPath,
        entry: &Entry,
    ) -> Result<(), E> {
        let package = &self.packages[number];
        let owner = self.owners.get(&at).copied();
        if let Some(owner) = owner {
            let (own, other) = (added(package), self.claim(owner));
            let is_related = !own.origin.is_empty() && other.origin == own.origin;
            // What is there in another version loses what it doesn't have in that, too.
            let is_old = matches!(owner, Owner::Installed(..)) && self.is_added(other.name);
            if !is_related && !is_old {
                let (of_other, of_own) = (other.over(&own), own.over(&other));
                if of_other > of_own {
                    return Ok(());
                }
                if of_own.is_none() {
                    if self.tree.get(&at) == Some(entry) {
                        return Ok(());
                    }
                    return Err(InstallError::Overlap {
                        first: other.name.to_owned(),
                        second: own.name.to_owned(),
                        path: at,
                    }
                    .into());
                }
            }
        }
        let wrong = |path| InstallError::Path { package: package.locked.name.clone(), path };
        let checksum = if is_configuration(&at) { self.checksum(&at, Some(entry))? } else { None };
        if !self.is_changed(&at, owner)? {
            self.put(&wrong, at.clone(), entry.clone())?;
        } else if self.checksum(&at, self.tree.get(&at))? != checksum {
            let beside = RelPath::new([at.as_bytes(), b".apk-new"].concat())
                .map_err(|_| wrong(at.clone()))?;
            self.put(&wrong, beside, entry.clone())?;
        }
        match owner {
            Some(Owner::Added(other)) => {
                let place = |path: &RelPath| self.tree.place(path) == at;
                let lost: Vec<RelPath> =
                    self.owned[other].iter().filter(|path| place(path)).cloned().collect();
                for path in lost {
                    self.owned[other].remove(&path);
                }
            }
            Some(Owner::Installed(other, file)) => {
                self.removal.file(&self.installed.packages[other].files[file]);
            }
            None => {}
        }
        if let Some(checksum) = checksum {
            self.left.insert(at.clone(), checksum);
        }
        self.owners.insert(at, Owner::Added(number));
        self.owned[number].insert(path.clone());
        Ok(())
    }

    fn put(
        &mut self,
        wrong: &dyn Fn(RelPath) -> InstallError,
        at: RelPath,
        entry: Entry,
    ) -> Result<(), InstallError> {
        self.tree.insert(at.clone(), entry).map_err(|_| wrong(at))
    }

    fn claim(&self, owner: Owner) -> Claim<'_> {
        match owner {
            Owner::Installed(number, _) => {
                let package = &self.installed.packages[number];
                Claim {
                    name: &package.name,
                    version: &package.version,
                    origin: &package.origin,
                    replaces: package.replaces.to_string(),
                    priority: package.replaces_priority,
                }
            }
            Owner::Added(number) => added(&self.packages[number]),
        }
    }

    /// Whether a file is one of those that are the administrator's, and is there, and is not as its
    /// package left it.
    fn is_changed(&self, at: &RelPath, owner: Option<Owner>) -> Result<bool, E> {
        let there = self.tree.get(at);
        if there.is_none() || !is_configuration(at) {
            return Ok(false);
        }
        let left = match owner {
            Some(Owner::Installed(number, file)) => {
                self.installed.packages[number].files[file].checksum.as_deref().map(str::to_owned)
            }
            Some(Owner::Added(_)) => self.left.get(at).map(ToString::to_string),
            None => None,
        };
        // What is not known as some package's is somebody's.
        let Some(left) = left else { return Ok(true) };
        Ok(self.checksum(at, there)?.is_none_or(|found| found.to_string() != left))
    }

    /// The checksum of a file's content or of a link's target.
    fn checksum(&self, at: &RelPath, entry: Option<&Entry>) -> Result<Option<Checksum>, E> {
        match entry {
            Some(Entry::File { blob, size, .. }) => {
                if let Some(known) = self.known_checksum(blob) {
                    return Ok(Some(known));
                }
                if *size > MAX_READ {
                    return Err(InstallError::TooLarge { path: at.clone(), size: *size }.into());
                }
                Ok(Some(Checksum::of(&(self.read)(blob)?)))
            }
            Some(Entry::Symlink { target }) => Ok(Some(Checksum::of(target))),
            Some(Entry::Folder { .. }) | None => Ok(None),
        }
    }

    fn is_added(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.locked.name == name)
    }

    fn known_checksum(&self, blob: &Digest) -> Option<Checksum> {
        self.packages.iter().find_map(|package| package.checksums.get(blob)).copied()
    }

    /// Takes away what is left of a package that is now there in another version.
    fn drop_old(&mut self, number: usize) -> Result<(), E> {
        let old = &self.installed.packages[number];
        if !self.is_added(&old.name) {
            return Ok(());
        }
        self.removal.package(old);
        for (file, found) in old.files.iter().enumerate() {
            let at = self.tree.place(&found.path);
            let owner = Owner::Installed(number, file);
            let is_folder = matches!(self.tree.get(&at), Some(Entry::Folder { .. }));
            if self.owners.get(&at) == Some(&owner)
                && !is_folder
                && !self.is_changed(&at, Some(owner))?
            {
                self.tree.remove(&at);
            }
        }
        let others = self.installed.packages.iter().enumerate();
        let others =
            others.filter(|(other, _)| *other != number).flat_map(|(_, other)| &other.folders);
        let added = self.packages.iter().flat_map(|package| {
            let entries = package.tree.entries();
            entries.filter(|(_, entry)| matches!(entry, Entry::Folder { .. })).map(|(path, _)| path)
        });
        let kept: BTreeSet<&RelPath> = others.chain(added).collect();
        let mut folders: Vec<&RelPath> =
            old.folders.iter().filter(|at| !kept.contains(at)).collect();
        // What is in a folder before the folder.
        folders.sort();
        for folder in folders.into_iter().rev() {
            let at = self.tree.place(folder);
            let is_folder = matches!(self.tree.get(&at), Some(Entry::Folder { .. }));
            if is_folder && self.tree.within(&at).nth(1).is_none() {
                self.tree.remove(&at);
            }
        }
        Ok(())
    }

    fn say_what_is_installed(&mut self, world: &str, named: &[String]) -> Result<(), E> {
        self.put_file(WORLD, world_with(world, named).into_bytes())?;
        if self.packages.is_empty() {
            return Ok(());
        }
        let checksum = |entry: &Entry| match entry {
            Entry::File { blob, .. } => self.known_checksum(blob),
            Entry::Symlink { target } => Some(Checksum::of(target)),
            Entry::Folder { .. } => None,
        };
        let entries: Vec<Vec<u8>> = self
            .packages
            .iter()
            .zip(&self.owned)
            .map(|(package, owned)| database::installed_entry(package, owned, checksum))
            .collect();
        let removal = std::mem::take(&mut self.removal);
        self.put_file(INSTALLED, self.installed.with(removal, &entries))?;
        // apk 3 may have compressed it. Then it stays as it is: nothing but another apk runs scripts.
        let has_other = self.tree.resolve(&literal("lib/apk/db/scripts.tar.gz")).is_some();
        if !has_other && self.packages.iter().any(|package| !package.scripts.is_empty()) {
            let archive = self.content(SCRIPTS)?.unwrap_or_default();
            let all = database::scripts(&archive, self.packages)
                .ok_or_else(|| InstallError::Scripts(literal(SCRIPTS)))?;
            self.put_file(SCRIPTS, all)?;
        }
        let triggers = database::triggers(self.packages);
        if !triggers.is_empty() {
            let mut all = self.content(TRIGGERS)?.unwrap_or_default();
            if !all.is_empty() && !all.ends_with(b"\n") {
                all.push(b'\n');
            }
            all.extend_from_slice(triggers.as_bytes());
            self.put_file(TRIGGERS, all)?;
        }
        Ok(())
    }

    /// The content of a file of apk's own; none where there is no file.
    fn content(&self, at: &'static str) -> Result<Option<Vec<u8>>, E> {
        let at = literal(at);
        match self.tree.resolve(&at).and_then(|at| self.tree.get(&at)) {
            Some(Entry::File { size, .. }) if *size > MAX_READ => {
                Err(InstallError::TooLarge { path: at, size: *size }.into())
            }
            Some(Entry::File { blob, .. }) => (self.read)(blob).map(Some),
            _ => Ok(None),
        }
    }

    fn put_file(&mut self, at: &'static str, content: Vec<u8>) -> Result<(), InstallError> {
        let at = self.tree.place(&literal(at));
        let wrong = |path| InstallError::Path { package: String::new(), path };
        let mode = match self.tree.get(&at) {
            Some(Entry::File { mode, .. }) => *mode,
            Some(Entry::Folder { .. }) => return Err(wrong(at)),
            _ => Mode::FILE,
        };
        let entry = Entry::File { mode, blob: Digest::of(&content), size: content.len() as u64 };
        self.new_blobs.push(content);
        self.put(&wrong, at, entry)
    }
}

/// Whether a file is one that an administrator may have changed.
fn is_configuration(at: &RelPath) -> bool {
    at.names().next() == Some(b"etc")
}

fn added(package: &UnpackedApk) -> Claim<'_> {
    Claim {
        name: &package.locked.name,
        version: &package.locked.version,
        origin: package.info.field("origin").unwrap_or_default(),
        replaces: package.info.list("replaces"),
        priority: package
            .info
            .field("replaces_priority")
            .and_then(|priority| priority.parse().ok())
            .unwrap_or(0),
    }
}

fn literal(path: &'static str) -> RelPath {
    RelPath::new(path).expect("a clean literal")
}

#[cfg(test)]
mod tests;
