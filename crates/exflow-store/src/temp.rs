//! Folders that processes work in.
//!
//! Each process has one folder in `tmp/`, made when it is first needed, and holds a lock on it as
//! long as it lives. A process that makes its folder removes those whose lock is free: their
//! owners are dead, however they died.

use crate::error::Context;
use crate::{StoreError, leads_to, remove};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// The folder of this process.
#[derive(Debug)]
pub(crate) struct Session {
    tmp: PathBuf,
    open: Mutex<Option<Open>>,
    counter: AtomicU64,
    /// Who removes folders meanwhile.
    removing: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Open {
    folder: PathBuf,
    /// The lock; held until the process ends or the store is dropped.
    _lock: File,
}

impl Session {
    pub(crate) fn new(tmp: PathBuf) -> Self {
        Self {
            tmp,
            open: Mutex::new(None),
            counter: AtomicU64::new(0),
            removing: Mutex::new(Vec::new()),
        }
    }

    /// This process's folder.
    pub(crate) fn folder(&self) -> Result<PathBuf, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*open {
            return Ok(open.folder.clone());
        }
        self.sweep();
        let pid = std::process::id();
        for attempt in 0u32.. {
            let folder = self.tmp.join(format!("{pid}-{attempt}"));
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                other => other.doing("create", &folder)?,
            }
            let path = folder.join("lock");
            let lock = File::create(&path).doing("create", &path)?;
            // Someone else's sweep may have come between: then the folder is theirs to remove.
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
                && leads_to(&path, &lock)
            {
                *open = Some(Open { folder: folder.clone(), _lock: lock });
                return Ok(folder);
            }
        }
        unreachable!("attempts have no end")
    }

    /// Removes the folders of dead processes. What can't be removed now is left for the next.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.tmp) else { return };
        for entry in entries.flatten() {
            let folder = entry.path();
            // Held until the folder is gone: whoever is just making it must not get the lock.
            let lock = File::open(folder.join("lock"));
            let free = match &lock {
                Ok(lock) => flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
                // Made a moment ago, or its maker died in that moment: decided by its age.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => entry
                    .metadata()
                    .and_then(|metadata| metadata.modified())
                    .ok()
                    .and_then(|modified| modified.elapsed().ok())
                    .is_some_and(|age| age.as_secs() > 60),
                // Nothing can be told of it.
                Err(_) => false,
            };
            if free {
                let _ = remove::remove(&folder);
            }
        }
    }

    pub(crate) fn temp_dir(&self) -> Result<TempDir, StoreError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = self.folder()?.join(format!("dir-{number}"));
        fs::create_dir(&path).doing("create", &path)?;
        Ok(TempDir(path))
    }
}

impl Session {
    pub(crate) fn remove_meanwhile(&self, folder: TempDir) {
        let mut removing = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        removing.retain(|thread| !thread.is_finished());
        removing.push(std::thread::spawn(move || drop(folder)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let removing = self.removing.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in removing.drain(..) {
            let _ = thread.join();
        }
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            let _ = remove::remove(&open.folder);
        }
    }
}

/// A folder that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What stays is swept later, with the folder of this process.
        let _ = remove::remove(&self.0);
    }
}
