use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{Sha256, Sha256Hasher};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

impl Store {
    /// A finished download, which has been checked against its digest when it was finished.
    pub fn download(&self, digest: &Sha256, size: u64) -> Option<PathBuf> {
        let path = self.root().join("downloads").join(digest.to_string());
        fs::metadata(&path).is_ok_and(|found| found.len() == size).then_some(path)
    }

    /// The same, of one whose length nobody has said, and which is at most `limit` long. What the kernel
    /// had not written when the power went may be missing of it: whoever reads it looks at its digest.
    pub fn download_within(&self, digest: &Sha256, limit: u64) -> Option<PathBuf> {
        let path = self.root().join("downloads").join(digest.to_string());
        fs::metadata(&path).is_ok_and(|found| found.len() <= limit).then_some(path)
    }

    /// Where a download grows until it is whole. It may be there from an interrupted one.
    ///
    /// Other processes may want the same: whoever writes to it holds its lock (flock(2)) until it
    /// is finished, and once they have the lock looks whether the path still leads to the file.
    pub fn partial_download(&self, digest: &Sha256) -> PathBuf {
        self.root().join("downloads").join(format!("{digest}.partial"))
    }

    /// Checks a download that is whole, and makes it one that can be used. Who calls this holds the
    /// lock of the partial file.
    ///
    /// # Errors
    /// [`StoreError::WrongDigest`] where it has another digest; it is then removed.
    pub fn finish_download(&self, digest: &Sha256) -> Result<PathBuf, StoreError> {
        let partial = self.partial_download(digest);
        let mut file = File::open(&partial).doing("open", &partial)?;
        let mut hasher = Sha256Hasher::new();
        io::copy(&mut file, &mut hasher).doing("read", &partial)?;
        let found = hasher.finish();
        if found != *digest {
            fs::remove_file(&partial).doing("remove", &partial)?;
            return Err(StoreError::WrongDigest { path: partial, found, expected: *digest });
        }
        let path = self.root().join("downloads").join(digest.to_string());
        fs::rename(&partial, &path).doing("write", &path)?;
        Ok(path)
    }

    /// Keeps bytes as a finished download. Whoever calls this has computed their digest.
    pub fn put_download(&self, digest: &Sha256, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_whole(&self.root().join("downloads").join(digest.to_string()), bytes)
    }

    /// Takes a file of the caller's own, which is on the store's disk, as a finished download: its digest, and its length
    /// in bytes. The file is gone from where it was.
    pub fn take_download(&self, file: &Path) -> Result<(Sha256, u64), StoreError> {
        let mut content = File::open(file).doing("open", file)?;
        let mut hasher = Sha256Hasher::new();
        let size = io::copy(&mut content, &mut hasher).doing("read", file)?;
        let digest = hasher.finish();
        let path = self.root().join("downloads").join(digest.to_string());
        fs::rename(file, &path).doing("write", &path)?;
        Ok((digest, size))
    }

    /// Removes a finished download, for one that will not be needed again.
    pub fn drop_download(&self, digest: &Sha256) {
        let _ = fs::remove_file(self.root().join("downloads").join(digest.to_string()));
    }
}
