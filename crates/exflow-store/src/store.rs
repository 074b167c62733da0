use crate::error::Context;
use crate::temp::Session;
use crate::{StoreError, TempDir};
use exflow_content::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const FORMAT: &str = "exflow store 1";
/// What is made when a store is laid out.
const FOLDERS: [&str; 6] = ["blobs", "trees", "checkouts", "records", "downloads", "tmp"];

/// What a mode allows to others than the owner.
const OTHERS: u32 = 0o077;
/// What it allows them to write.
const OTHERS_WRITE: u32 = 0o022;

/// A store on disk. Cloning it is cheap, and every clone is the same store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    session: Session,
    /// Numbers the files that this process is writing.
    counter: AtomicU64,
    /// A turn for each checkout that was made in this process.
    turns: Mutex<BTreeMap<Digest, Arc<Mutex<()>>>>,
}

impl Store {
    /// Opens the store at `root`, which is made where it is missing, and closed to others: the
    /// folder is the store's alone.
    ///
    /// # Errors
    /// [`StoreError::Owner`] where it is another user's; [`StoreError::OpenToOthers`] where others
    /// could have written to it; [`StoreError::Occupied`] where it is a folder of something else's;
    /// [`StoreError::Format`] where another version of exflow has laid it
    /// out; [`StoreError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).doing("create", &root)?;
        let owner = fs::metadata(&root).doing("read", &root)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(StoreError::Owner { path: root, owner });
        }
        let format = root.join("format");
        let found = match fs::read_to_string(&format) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_nothing_else(&root)?;
                None
            }
            Err(error) => return Err(error).doing("read", &format),
        };
        close_to_others(&root)?;
        match found {
            None => Self::lay_out_store(&root)?,
            // Whoever wants room may have taken a folder away.
            Some(found) if found.trim_end() == FORMAT => {
                if FOLDERS.iter().any(|folder| !root.join(folder).exists()) {
                    Self::lay_out_store(&root)?;
                }
            }
            Some(found) => {
                let found = found.trim_end().chars().take(80).collect();
                return Err(StoreError::Format { path: root, found, expected: FORMAT });
            }
        }
        let session = Session::new(root.join("tmp"));
        Ok(Self(Arc::new(Inner {
            root,
            session,
            counter: AtomicU64::new(0),
            turns: Mutex::new(BTreeMap::new()),
        })))
    }

    fn lay_out_store(root: &Path) -> Result<(), StoreError> {
        for folder in FOLDERS {
            let folder = root.join(folder);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.doing("create", &folder)?,
            }
        }
        for folder in ["blobs", "trees", "records"] {
            for byte in 0..=255u8 {
                let folder = root.join(folder).join(format!("{byte:02x}"));
                match fs::create_dir(&folder) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => other.doing("create", &folder)?,
                }
            }
        }
        // Last, so that a store that is only half laid out is laid out again.
        let format = root.join("format");
        let new = root.join("tmp").join(format!("format.{}", std::process::id()));
        fs::write(&new, format!("{FORMAT}\n")).doing("write", &new)?;
        fs::rename(&new, &format).doing("write", &format)
    }

    /// The folder that the store is in.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// A new folder of this process's own, on the store's file system.
    pub fn temp_dir(&self) -> Result<TempDir, StoreError> {
        self.0.session.temp_dir()
    }

    /// Whose turn it is to check out a tree.
    pub(crate) fn turn(&self, tree: &Digest) -> Arc<Mutex<()>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(*tree).or_default())
    }

    /// Removes a folder while other work goes on, and at the latest when this process is done with the store.
    pub fn remove_meanwhile(&self, folder: TempDir) {
        self.0.session.remove_meanwhile(folder);
    }

    /// Flushes all that was written so far to the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        let root = fs::File::open(self.root()).doing("open", self.root())?;
        rustix::fs::syncfs(root).doing("flush", self.root())
    }

    /// A path of this process's own for a file that will be renamed.
    pub(crate) fn new_file(&self) -> Result<PathBuf, StoreError> {
        let number = self.0.counter.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.session.folder()?.join(format!("file-{number}")))
    }

    /// Writes `bytes` to `path`, all or nothing.
    pub(crate) fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let new = self.new_file()?;
        let written = fs::write(&new, bytes)
            .doing("write", &new)
            .and_then(|()| fs::rename(&new, path).doing("write", path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Where the file named `digest` is in `folder`.
    pub(crate) fn path(&self, folder: &str, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (first, rest) = name.split_at(2);
        let mut path = self.root().join(folder);
        path.push(first);
        path.push(rest);
        path
    }
}

/// Closes the folder to everyone but its owner. Where others could write to it, that is too late,
/// unless there is nothing in it yet: what they have put there would be believed, and run.
fn close_to_others(root: &Path) -> Result<(), StoreError> {
    let mode = || fs::metadata(root).map(|found| found.mode()).doing("read", root);
    if mode()? & OTHERS == 0 {
        return Ok(());
    }
    // In this order: whoever lays the store out at this moment closes it before anything is in it.
    let is_empty = fs::read_dir(root).doing("read", root)?.next().is_none();
    let found = mode()?;
    if found & OTHERS_WRITE == 0 || is_empty {
        let closed = fs::Permissions::from_mode(found & !OTHERS);
        let _ = fs::set_permissions(root, closed);
    }
    // Some file systems have no modes, and show the same one for everything.
    if mode()? & OTHERS_WRITE != 0 {
        return Err(StoreError::OpenToOthers { path: root.to_owned() });
    }
    Ok(())
}

/// Whether a folder without a store holds nothing but what is left of one that was being laid out:
/// everything in a store's `tmp` is swept away, and nobody must lose a folder of theirs to that.
fn check_nothing_else(root: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(root).doing("read", root)? {
        let name = entry.doing("read", root)?.file_name();
        // The top of a file system of its own has the last one.
        let is_ours = FOLDERS.iter().chain(&["lost+found"]).any(|known| name == *known);
        if !is_ours {
            let name = name.to_string_lossy().into_owned();
            return Err(StoreError::Occupied { path: root.to_owned(), name });
        }
    }
    Ok(())
}
