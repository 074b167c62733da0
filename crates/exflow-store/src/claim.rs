use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::Digest;
use std::fs::{self, File, TryLockError};

/// Work that nobody else does meanwhile, in this process or another. It ends when this is dropped,
/// or its process dies.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "holds the lock")] File);

impl Store {
    /// Claims the work with this key; none while someone else has it.
    ///
    /// Keys share 256 locks, so never claim a second while holding one.
    pub fn try_claim(&self, key: &Digest) -> Result<Option<Claim>, StoreError> {
        let folder = self.root().join("claims");
        let path = folder.join(&key.to_string()[..2]);
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder).doing("create", &folder)?;
                open().doing("open", &path)?
            }
            other => other.doing("open", &path)?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).doing("lock", &path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let key = Digest::of(b"work");
        let claim = store.try_claim(&key).unwrap();
        assert!(claim.is_some());
        assert!(store.try_claim(&key).unwrap().is_none());
        drop(claim);
        assert!(store.try_claim(&key).unwrap().is_some());
    }
}
