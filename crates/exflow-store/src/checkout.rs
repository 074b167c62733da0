use crate::blobs::{STEP_TIMES, settle};
use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use rustix::fs::{AtFlags, CWD, utimensat};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// How often a blob may be replaced while it is linked to.
const REPLACED: u32 = 100;

impl Store {
    /// The tree as a folder: every file a hard link to its blob, every time the one that steps
    /// see. It is laid out once, and is never to be written to.
    pub fn checkout(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.root().join("checkouts").join(digest.to_string());
        if path.exists() {
            return Ok(path);
        }
        // Two steps of this process may be the first on a base.
        let turn = self.turn(digest);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return Ok(path);
        }
        let tree = self.tree(digest)?;
        let temp = self.temp_dir()?;
        let new = temp.path().join("tree");
        let mut linked = BTreeSet::new();
        Self::lay_out_by(&tree, &new, |blob, size, mode, path| {
            if linked.insert((*blob, mode)) {
                return link(&self.blob_with_mode(blob, size, mode)?, path, mode);
            }
            self.copy_blob(blob, size, mode, path)?;
            flush(path)
        })?;
        match fs::rename(&new, &path) {
            // Another process was faster.
            Err(_) if path.exists() => Ok(path),
            other => other.doing("write", &path).map(|()| path),
        }
    }

    /// Lays `tree` out as the new folder `root`, for a while, beside checkouts, and never to be written
    /// to: a file is a hard link to its blob where that is in no other folder yet.
    pub fn lay_out(&self, tree: &Tree, root: &Path) -> Result<(), StoreError> {
        Self::lay_out_by(tree, root, |blob, size, mode, path| {
            match self.unlinked_blob(blob, size, mode) {
                Some(file) => link(&file, path, mode),
                None => self.copy_blob(blob, size, mode, path),
            }
        })
    }

    /// `place` puts a file at its path. Where two names led to one inode, a program that compares
    /// inodes would take them for one file, and refuse to copy one over the other. So of all folders
    /// that a step sees, one name at most is a link to a blob, and the others are copies.
    fn lay_out_by(
        tree: &Tree,
        root: &Path,
        mut place: impl FnMut(&Digest, u64, Mode, &Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        fs::create_dir(root).doing("create", root)?;
        for (at, entry) in tree.entries() {
            let path = below(root, at);
            match entry {
                Entry::Folder { .. } => fs::create_dir(&path).doing("create", &path)?,
                Entry::File { mode, blob, size } => place(blob, *size, *mode, &path)?,
                Entry::Symlink { target } => {
                    symlink(OsStr::from_bytes(target), &path).doing("create", &path)?;
                    set_time(&path)?;
                }
            }
        }
        // Folders last and from within, since entries change their times, and a mode may close
        // them to their owner.
        let mut folders: Vec<_> = tree
            .entries()
            .filter_map(|(at, entry)| match entry {
                Entry::Folder { mode } => Some((below(root, at), *mode)),
                _ => None,
            })
            .collect();
        folders.insert(0, (root.to_owned(), Mode::FOLDER));
        for (path, mode) in folders.iter().rev() {
            set_time(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode.bits()))
                .doing("set the mode of", path)?;
        }
        Ok(())
    }
}

fn below(root: &Path, at: &RelPath) -> PathBuf {
    root.join(at.as_path())
}

fn set_time(path: &Path) -> Result<(), StoreError> {
    utimensat(CWD, path, &STEP_TIMES, AtFlags::SYMLINK_NOFOLLOW).doing("set the time of", path)
}

/// A hard link; a copy where the file system allows none: the file has as many as it can have, or
/// it is another user's (proc(5), `protected_hardlinks`).
fn link(blob: &Path, path: &Path, mode: Mode) -> Result<(), StoreError> {
    // The kernel finds nothing to link to where someone puts the same file into the place of the blob
    // meanwhile, since what it has looked up has no name any more.
    let mut linked = fs::hard_link(blob, path);
    for _ in 0..REPLACED {
        match &linked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                linked = fs::hard_link(blob, path);
            }
            _ => break,
        }
    }
    match linked {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::TooManyLinks
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::Unsupported
            ) =>
        {
            fs::copy(blob, path).doing("copy", path)?;
            settle(path, mode)?;
            flush(path)
        }
        other => other.doing("link", path),
    }
}

/// Flushes a file of a folder that is believed once it is there.
fn flush(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).doing("write", path)
}
