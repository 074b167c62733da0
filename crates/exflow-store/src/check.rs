//! What a store has, looked at byte by byte.

use crate::error::Context;
use crate::import::{blobs, damage};
use crate::{Store, StoreError, side_by_side};
use exflow_content::{Digest, Entry, Mode, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Store {
    /// Reads every byte of these trees, in every mode that they have them with and as they are laid out, and compares it
    /// with what it is named. Gives what is damaged or missing; every tree that has some of it is taken out of the store,
    /// with its checkout, so that it is made again.
    pub fn check_trees(&self, digests: &BTreeSet<Digest>) -> Result<Vec<StoreError>, StoreError> {
        let mut damaged = Vec::new();
        let mut trees: BTreeMap<Digest, Tree> = BTreeMap::new();
        for digest in digests {
            match self.tree(digest) {
                Ok(tree) => drop(trees.insert(*digest, tree)),
                Err(error) if error.is_damage() => {
                    damaged.push(error);
                    self.discard(digest)?;
                }
                Err(error) => return Err(error),
            }
        }
        let all: BTreeSet<(Digest, u64, Mode)> = trees.values().flat_map(blobs).collect();
        let all: Vec<_> = all.into_iter().collect();
        let checked = side_by_side(&all, |(blob, size, mode)| self.check_blob(blob, *size, *mode));
        let mut bad: BTreeSet<Digest> = BTreeSet::new();
        for ((blob, ..), result) in all.iter().zip(checked) {
            if let Err(error) = result {
                if !error.is_damage() {
                    return Err(error);
                }
                bad.insert(*blob);
                damaged.push(error);
            }
        }
        for (digest, tree) in &trees {
            let is_bad = |(blob, ..): &(Digest, u64, Mode)| bad.contains(blob);
            if blobs(tree).iter().any(is_bad) {
                self.discard(digest)?;
            } else if let Err(error) = self.check_checkout(digest, tree) {
                if !error.is_damage() {
                    return Err(error);
                }
                damaged.push(error);
                self.discard(digest)?;
            }
        }
        Ok(damaged)
    }

    fn check_blob(&self, blob: &Digest, size: u64, mode: Mode) -> Result<(), StoreError> {
        let mut is_there = false;
        // Each of them is laid out where its mode is asked for.
        for mode in BTreeSet::from([Mode::FILE, Mode::EXECUTABLE, mode]) {
            let Some(read) = self.open_checked_as(blob, mode)? else { continue };
            is_there |= matches!(mode, Mode::FILE | Mode::EXECUTABLE);
            let length = io::copy(&mut { read }, &mut io::sink());
            let length = length.map_err(|error| damage(error, self))?;
            debug_assert_eq!(length, size, "a digest of another length");
        }
        if is_there { Ok(()) } else { Err(StoreError::Missing { kind: "blob", digest: *blob }) }
    }

    /// Checks that a checkout is what its tree says: nothing missing, nothing more, and the content of all files that are
    /// no links to blobs, which are those but the first of several with the same content.
    fn check_checkout(&self, digest: &Digest, tree: &Tree) -> Result<(), StoreError> {
        let checkout = self.root().join("checkouts").join(digest.to_string());
        if !checkout.exists() {
            return Ok(());
        }
        let mut there = 0;
        let mut folders = vec![checkout.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).doing("read", &folder)? {
                let entry = entry.doing("read", &folder)?;
                there += 1;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
            }
        }
        for (at, entry) in tree.entries() {
            let path = checkout.join(at.as_path());
            let reason = match fs::symlink_metadata(&path) {
                Err(_) => Some("it is missing"),
                Ok(found) => self.differs(&path, entry, &found)?,
            };
            if let Some(reason) = reason {
                return Err(StoreError::Corrupt { path, reason: reason.to_owned() });
            }
        }
        if there == tree.len() {
            return Ok(());
        }
        let reason = format!("it has {there} files and folders, and should have {}", tree.len());
        Err(StoreError::Corrupt { path: checkout, reason })
    }

    /// How something in a checkout isn't what its tree says.
    fn differs(
        &self,
        path: &Path,
        entry: &Entry,
        found: &fs::Metadata,
    ) -> Result<Option<&'static str>, StoreError> {
        let has_mode = |mode: &Mode| found.mode() & 0o7777 == mode.bits();
        let is_right = match entry {
            Entry::Folder { mode } => found.is_dir() && has_mode(mode),
            Entry::Symlink { target } => {
                found.is_symlink()
                    && fs::read_link(path).is_ok_and(|to| to.as_os_str().as_bytes() == &**target)
            }
            Entry::File { mode, .. } => found.is_file() && has_mode(mode),
        };
        if !is_right {
            return Ok(Some("it is another thing, or has another mode"));
        }
        let Entry::File { mode, blob, .. } = entry else { return Ok(None) };
        let is_link = fs::symlink_metadata(self.variant(blob, *mode))
            .is_ok_and(|linked| (linked.dev(), linked.ino()) == (found.dev(), found.ino()));
        if is_link || digest_of(path)? == *blob {
            return Ok(None);
        }
        Ok(Some("its content has another digest"))
    }
}

fn digest_of(path: &Path) -> Result<Digest, StoreError> {
    let mut hasher = exflow_content::Hasher::new();
    let mut file = File::open(path).doing("open", path)?;
    io::copy(&mut file, &mut hasher).doing("read", path)?;
    Ok(hasher.finish())
}
