use crate::error::Context;
use crate::{Store, StoreError, side_by_side};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

impl Store {
    /// Keeps `tree`, whose blobs must be in the store already.
    pub fn put_tree(&self, tree: &Tree) -> Result<Digest, StoreError> {
        let bytes = tree.encode();
        let digest = Digest::of(&bytes);
        let path = self.path("trees", &digest);
        let there = fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64);
        if !there {
            self.write_whole(&path, &bytes)?;
        }
        Ok(digest)
    }

    /// Whether the tree is there.
    pub fn has_tree(&self, digest: &Digest) -> bool {
        self.path("trees", digest).exists()
    }

    /// Takes the tree and its checkout out of the store where it, or one of its blobs, is missing or
    /// damaged, so that it is made again. Whether that was so.
    pub fn discard_if_damaged(&self, digest: &Digest) -> Result<bool, StoreError> {
        match self.tree(digest) {
            Ok(tree) if self.has_blobs(&tree) => return Ok(false),
            Err(error) if !error.is_damage() => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.discard(digest)?;
        Ok(true)
    }

    /// Takes a tree and its checkout out of the store.
    pub(crate) fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        let tree = self.path("trees", digest);
        let checkout = self.root().join("checkouts").join(digest.to_string());
        // Another process may have the checkout mounted: it goes out of the way, and is removed
        // with all that this process has worked on, when it ends.
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        gone(fs::rename(&checkout, self.new_file()?)).doing("take away", &checkout)?;
        gone(fs::remove_file(&tree)).doing("remove", &tree)
    }

    /// Reads a tree.
    pub fn tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        let path = self.path("trees", digest);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { kind: "tree", digest: *digest });
            }
            other => other.doing("read", &path)?,
        };
        let corrupt = |reason: String| {
            let _ = fs::remove_file(&path);
            StoreError::Corrupt { path: path.clone(), reason }
        };
        if Digest::of(&bytes) != *digest {
            return Err(corrupt("its content has another digest".into()));
        }
        Tree::decode(&bytes).map_err(|error| corrupt(error.to_string()))
    }

    /// Reads the folder at `folder` into the store. Files of a folder in this store's `tmp` are
    /// moved, any others are copied. Times, owners and extended attributes are not kept.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] where it holds a device, a pipe or a socket.
    pub fn check_in(&self, folder: &Path) -> Result<Tree, StoreError> {
        let mut tree = Tree::new();
        let mut files = Vec::new();
        let mut folders = vec![(folder.to_owned(), RelPath::root())];
        while let Some((folder, at)) = folders.pop() {
            let mut entries = Vec::new();
            for entry in read_dir(&folder)? {
                entries.push(entry.doing("read", &folder)?);
            }
            for entry in entries {
                let path = entry.path();
                let name = RelPath::new(entry.file_name().as_bytes()).expect("a name in a folder");
                let at = at.join(&name);
                let metadata = fs::symlink_metadata(&path).doing("read", &path)?;
                let kind = metadata.file_type();
                let mode = Mode::new(metadata.permissions().mode());
                let kept = if kind.is_dir() {
                    folders.push((path.clone(), at.clone()));
                    Entry::Folder { mode }
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).doing("read", &path)?;
                    Entry::Symlink { target: target.into_os_string().into_vec().into() }
                } else if kind.is_file() {
                    files.push((path, at, mode));
                    continue;
                } else {
                    let kind = if kind.is_fifo() {
                        "pipe"
                    } else if kind.is_socket() {
                        "socket"
                    } else {
                        "device"
                    };
                    return Err(StoreError::Unsupported { path, kind });
                };
                tree.insert(at, kept).map_err(|source| StoreError::Tree { path, source })?;
            }
        }
        let kept = side_by_side(&files, |(path, _, mode)| self.check_in_file(path, *mode));
        for ((path, at, mode), entry) in files.into_iter().zip(kept) {
            let entry = match entry {
                Err(error) if error.is_denied() => self.check_in_closed(&path, mode)?,
                other => other?,
            };
            tree.insert(at, entry).map_err(|source| StoreError::Tree { path, source })?;
        }
        Ok(tree)
    }
}

/// Lists a folder, which its owner may have closed to themselves.
fn read_dir(folder: &Path) -> Result<fs::ReadDir, StoreError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
                .doing("open up", folder)?;
            fs::read_dir(folder).doing("read", folder)
        }
        other => other.doing("read", folder),
    }
}

impl Store {
    /// Keeps a file that its owner has closed to themselves. It is closed again afterwards: it may have
    /// other names, which is why these are not kept side by side.
    fn check_in_closed(&self, path: &Path, mode: Mode) -> Result<Entry, StoreError> {
        let set = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set(0o600).doing("open up", path)?;
        let entry = self.check_in_file(path, mode);
        // Where it was moved, there is nothing left to close.
        let _ = set(mode.bits());
        entry
    }
}
