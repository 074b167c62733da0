//! What a store has, looked at byte by byte.

use crate::error::Context;
use crate::import::{blobs, damage};
use crate::{Store, StoreError, side_by_side};
use exflow_content::{Digest, Entry, Mode, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
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
            } else if let Err(error) = self.check_copies(digest, tree) {
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

    /// Checks the files of a checkout that are no links to blobs: all but the first of several with the same content.
    fn check_copies(&self, digest: &Digest, tree: &Tree) -> Result<(), StoreError> {
        let checkout = self.root().join("checkouts").join(digest.to_string());
        if !checkout.exists() {
            return Ok(());
        }
        for (at, entry) in tree.entries() {
            let Entry::File { mode, blob, .. } = entry else { continue };
            let path = checkout.join(at.as_path());
            let corrupt = |reason: &str| {
                Err(StoreError::Corrupt { path: path.clone(), reason: reason.to_owned() })
            };
            let Ok(found) = fs::symlink_metadata(&path) else { return corrupt("it is missing") };
            let linked = fs::symlink_metadata(self.variant(blob, *mode));
            if linked.is_ok_and(|linked| (linked.dev(), linked.ino()) == (found.dev(), found.ino()))
            {
                continue;
            }
            if digest_of(&path)? != *blob {
                return corrupt("its content has another digest");
            }
        }
        Ok(())
    }
}

fn digest_of(path: &Path) -> Result<Digest, StoreError> {
    let mut hasher = exflow_content::Hasher::new();
    let mut file = File::open(path).doing("open", path)?;
    io::copy(&mut file, &mut hasher).doing("read", path)?;
    Ok(hasher.finish())
}
