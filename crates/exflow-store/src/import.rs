//! What one store has, brought into another.

use crate::error::Context;
use crate::{Store, StoreError, side_by_side};
use exflow_content::{Digest, Entry, Mode, Tree};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};

const BUFFER: usize = 64 << 10;

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
            let mut read = from.open_checked(blob)?;
            let mut writer = self.blob_writer()?;
            let mut buffer = vec![0; BUFFER];
            loop {
                match read.read(&mut buffer).map_err(|error| damage(error, from))? {
                    0 => return writer.finish_as(*mode).map(drop),
                    length => {
                        writer.write_all(&buffer[..length]).doing("write to", self.root())?;
                    }
                }
            }
        });
        copied.into_iter().collect::<Result<(), _>>()?;
        self.put_tree(&tree).map(drop)
    }
}

/// The blobs of a tree, each once with each mode that it is used with, and its length.
pub(crate) fn blobs(tree: &Tree) -> Vec<(Digest, u64, Mode)> {
    let mut seen = BTreeSet::new();
    let files = tree.entries().filter_map(|(_, entry)| match entry {
        Entry::File { mode, blob, size } => Some((*blob, *size, *mode)),
        Entry::Folder { .. } | Entry::Symlink { .. } => None,
    });
    files.filter(|(blob, _, mode)| seen.insert((*blob, *mode))).collect()
}

/// What a checked blob says through an I/O error.
pub(crate) fn damage(error: io::Error, store: &Store) -> StoreError {
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(source) => StoreError::Io { action: "read", path: store.root().to_owned(), source },
    }
}
