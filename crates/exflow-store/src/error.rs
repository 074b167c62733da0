use exflow_content::{Digest, Sha256, TreeError};
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system failed.
    #[error("can't {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `write`, `rename`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// Something is not in the store.
    #[error("the store has no {kind} {digest}")]
    Missing {
        /// `blob`, `tree`.
        kind: &'static str,
        /// Its name.
        digest: Digest,
    },
    /// Something in the store is not what its name says. It has been taken out of the store.
    #[error("`{}` in the store was damaged, and has been removed: {reason}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A download is not what it should be. It has been removed.
    #[error("`{}` has the sha256 {found} and should have {expected}", path.display())]
    WrongDigest {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: Sha256,
        /// What it should be.
        expected: Sha256,
    },
    /// A file that has no place in a tree.
    #[error("`{}` is a {kind}, which an output can't hold", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it is: `device`, `socket`.
        kind: &'static str,
    },
    /// A folder doesn't make a tree.
    #[error("can't keep `{}`: {source}", path.display())]
    Tree {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        source: TreeError,
    },
    /// The store is another user's. What the two wrote could not be shared between them.
    #[error("the store at `{}` belongs to user {owner}", path.display())]
    Owner {
        /// Which store.
        path: PathBuf,
        /// Their number.
        owner: u32,
    },
    /// The folder holds something else, which a store would sweep away.
    #[error("`{}` is no store, and not empty: it holds `{name}`", path.display())]
    Occupied {
        /// Which folder.
        path: PathBuf,
        /// Something in it.
        name: String,
    },
    /// Others can write to the store, so nothing in it can be believed.
    #[error("others can write to the store at `{}`", path.display())]
    OpenToOthers {
        /// Which store.
        path: PathBuf,
    },
    /// A file of the workspace is not what it was when the build began.
    #[error("`{}` has changed since it was first read", path.display())]
    SourceChanged {
        /// Which file.
        path: PathBuf,
    },
    /// The store was laid out by another version of exflow.
    #[error("the store at `{}` has the format `{found}`, and this exflow needs `{expected}`", path.display())]
    Format {
        /// Which store.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this version reads and writes.
        expected: &'static str,
    },
}

impl StoreError {
    /// Whether something in the store is missing or damaged, so that it has to be made again.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Corrupt { .. })
    }

    /// Whether something may not be read or written.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the disk, or the user's share of it, is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }
}

/// Adds what was tried, and on what, to an error of the file system.
pub(crate) trait Context<T> {
    /// `action` is a verb: `write`.
    fn doing(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}
