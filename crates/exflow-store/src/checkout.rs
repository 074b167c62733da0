use crate::blobs::STEP_TIMES;
use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use rustix::fs::{AtFlags, CWD, utimensat};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

impl Store {
    /// The tree as a folder: every file a hard link to its blob, every time the one that steps
    /// see. It is laid out once, and is never to be written to.
    pub fn checkout(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.root().join("checkouts").join(digest.to_string());
        if path.exists() {
            return Ok(path);
        }
        let tree = self.tree(digest)?;
        let temp = self.temp_dir()?;
        let new = temp.path().join("tree");
        self.lay_out(&tree, &new)?;
        match fs::rename(&new, &path) {
            // Another process was faster.
            Err(_) if path.exists() => Ok(path),
            other => other.doing("write", &path).map(|()| path),
        }
    }

    /// Lays `tree` out as the new folder `root`, as [`Store::checkout`] does for one of the store's
    /// own. It must be on the store's file system.
    pub fn lay_out(&self, tree: &Tree, root: &Path) -> Result<(), StoreError> {
        fs::create_dir(root).doing("create", root)?;
        for (at, entry) in tree.entries() {
            let path = below(root, at);
            match entry {
                Entry::Folder { .. } => fs::create_dir(&path).doing("create", &path)?,
                Entry::File { mode, blob, size } => {
                    let blob = self.blob_with_mode(blob, *size, *mode)?;
                    link(&blob, &path)?;
                }
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
    root.join(OsStr::from_bytes(at.as_bytes()))
}

fn set_time(path: &Path) -> Result<(), StoreError> {
    utimensat(CWD, path, &STEP_TIMES, AtFlags::SYMLINK_NOFOLLOW).doing("set the time of", path)
}

/// A hard link; a copy where the file has as many links as the file system allows.
fn link(blob: &Path, path: &Path) -> Result<(), StoreError> {
    match fs::hard_link(blob, path) {
        Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
            fs::copy(blob, path).doing("copy", path)?;
            set_time(path)
        }
        other => other.doing("link", path),
    }
}
