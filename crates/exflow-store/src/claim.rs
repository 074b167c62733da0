use crate::error::Context;
use crate::{Store, StoreError, leads_to};
use exflow_content::Digest;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Work that nobody else does meanwhile, in this process or another. It ends when this is dropped,
/// or its process dies.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// The lock; held until the file is gone.
    _lock: File,
}

/// How often it is looked whether someone else is done.
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Claims the work with this key, once nobody else has it; none where `is_cancelled` meanwhile.
    pub fn claim(
        &self,
        key: &Digest,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Option<Claim>, StoreError> {
        loop {
            if let Some(claim) = self.try_claim(key)? {
                return Ok(Some(claim));
            }
            if is_cancelled() {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Claims the work with this key; none while someone else has it.
    pub fn try_claim(&self, key: &Digest) -> Result<Option<Claim>, StoreError> {
        let folder = self.root().join("claims");
        let path = folder.join(key.to_string());
        loop {
            let open = || File::options().create(true).truncate(false).write(true).open(&path);
            let file = match open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&folder).doing("create", &folder)?;
                    open().doing("open", &path)?
                }
                other => other.doing("open", &path)?,
            };
            match file.try_lock() {
                // Whoever had it may have taken the file away since it was opened: then a lock of it
                // keeps nobody out.
                Ok(()) if !leads_to(&path, &file) => {}
                Ok(()) => return Ok(Some(Claim { path, _lock: file })),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error).doing("lock", &path),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While the lock is held: afterwards the file may be someone else's.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        (folder, store)
    }

    #[test]
    fn only_one_has_it() {
        let (_folder, store) = store();
        let key = Digest::of(b"work");
        let claim = store.try_claim(&key).unwrap();
        assert!(claim.is_some());
        assert!(store.try_claim(&key).unwrap().is_none());
        // Nobody waits longer than they want to.
        assert!(store.claim(&key, || true).unwrap().is_none());
        drop(claim);
        assert!(store.try_claim(&key).unwrap().is_some());
        assert!(store.claim(&key, || true).unwrap().is_some());
    }

    #[test]
    fn other_work_is_not_kept_waiting() {
        let (_folder, store) = store();
        // More than there are first bytes.
        let keys = (0..300u32).map(|number| Digest::of(&number.to_le_bytes()));
        let claims: Vec<_> = keys.map(|key| store.try_claim(&key).unwrap()).collect();
        assert!(claims.iter().all(Option::is_some));
        drop(claims);
        assert_eq!(fs::read_dir(store.root().join("claims")).unwrap().count(), 0);
    }

    /// The file comes and goes while others look for it.
    #[test]
    fn never_two_at_once() {
        let (_folder, store) = store();
        let key = Digest::of(b"work");
        let (working, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while done.load(Ordering::SeqCst) < 1000 {
                        let Some(claim) = store.try_claim(&key).unwrap() else { continue };
                        assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0);
                        done.fetch_add(1, Ordering::SeqCst);
                        // Long enough for the others to open the file.
                        std::thread::sleep(std::time::Duration::from_micros(50));
                        working.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
    }
}
