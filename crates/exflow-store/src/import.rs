//! What one store has, brought into another; and what a store has, looked at byte by byte.

use crate::{Store, StoreError, side_by_side};
use exflow_content::{Digest, Entry, Mode, Tree};
use std::collections::BTreeSet;
use std::io;

impl Store {
    /// Brings a tree over from another store, with all of its blobs. Every byte is checked on the way.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::Corrupt`] of the other store.
    pub fn import_tree(&self, from: &Self, digest: &Digest) -> Result<(), StoreError> {
        let tree = from.tree(digest)?;
        let copied = side_by_side(&blobs(&tree), |(blob, size, mode)| {
            if self.has_blob(blob, *size) {
                return Ok(());
            }
            let mut writer = self.blob_writer()?;
            let copied = io::copy(&mut from.open_checked(blob)?, &mut writer);
            copied.map_err(|error| damage(error, from))?;
            writer.finish_as(*mode).map(drop)
        });
        copied.into_iter().collect::<Result<(), _>>()?;
        self.put_tree(&tree).map(drop)
    }

    /// Reads every byte of a tree's blobs, in every mode that it has them with, and compares them with what they are
    /// named. `seen` has those that were looked at before, and won't be again.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::Corrupt`]: what is damaged is taken out of the store.
    pub fn check_tree(
        &self,
        digest: &Digest,
        seen: &mut BTreeSet<(Digest, Mode)>,
    ) -> Result<(), StoreError> {
        let tree = self.tree(digest)?;
        let mut todo = blobs(&tree);
        todo.retain(|(blob, _, mode)| seen.insert((*blob, *mode)));
        let checked = side_by_side(&todo, |(blob, size, mode)| {
            if !self.has_blob(blob, *size) {
                // Where it is there and has another length, reading it says so.
                self.open_variant(blob)?;
            }
            // Each of them is laid out where its mode is asked for.
            for mode in BTreeSet::from([Mode::FILE, Mode::EXECUTABLE, *mode]) {
                let Some(read) = self.open_checked_as(blob, mode)? else { continue };
                io::copy(&mut { read }, &mut io::sink()).map_err(|error| damage(error, self))?;
            }
            Ok(())
        });
        checked.into_iter().collect()
    }
}

/// The blobs of a tree, each once with each mode that it is used with, and its length.
fn blobs(tree: &Tree) -> Vec<(Digest, u64, Mode)> {
    let mut seen = BTreeSet::new();
    let files = tree.entries().filter_map(|(_, entry)| match entry {
        Entry::File { mode, blob, size } => Some((*blob, *size, *mode)),
        Entry::Folder { .. } | Entry::Symlink { .. } => None,
    });
    files.filter(|(blob, _, mode)| seen.insert((*blob, *mode))).collect()
}

/// What a checked blob says through an I/O error.
fn damage(error: io::Error, store: &Store) -> StoreError {
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(source) => StoreError::Io { action: "read", path: store.root().to_owned(), source },
    }
}
