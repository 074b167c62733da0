use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{Digest, Hasher, Mode};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// A blob that is checked while it is read.
#[derive(Debug)]
pub struct CheckedBlob {
    file: File,
    path: PathBuf,
    expected: Digest,
    hasher: Hasher,
    has_ended: bool,
}

impl Store {
    /// Opens a blob to read all of it, for something that will be believed. Where its bytes aren't
    /// those that its digest says, the read that finds the end fails with a [`StoreError::Corrupt`]
    /// inside, and the blob is taken out of the store.
    pub fn open_checked(&self, digest: &Digest) -> Result<CheckedBlob, StoreError> {
        let (path, file) = self.open_variant(digest)?;
        Ok(CheckedBlob::new(file, path, *digest))
    }

    /// The same of the file that a blob is with this mode, if there is one.
    pub(crate) fn open_checked_as(
        &self,
        digest: &Digest,
        mode: Mode,
    ) -> Result<Option<CheckedBlob>, StoreError> {
        let path = self.variant(digest, mode);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => {
                other.doing("open", &path).map(|file| Some(CheckedBlob::new(file, path, *digest)))
            }
        }
    }
}

impl CheckedBlob {
    fn new(file: File, path: PathBuf, expected: Digest) -> Self {
        Self { file, path, expected, hasher: Hasher::new(), has_ended: false }
    }
}

impl Read for CheckedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.hasher.write_all(&buffer[..length])?;
        if length == 0 && !buffer.is_empty() && !self.has_ended {
            self.has_ended = true;
            let found = std::mem::replace(&mut self.hasher, Hasher::new()).finish();
            if found != self.expected {
                let _ = fs::remove_file(&self.path);
                let reason = "its content has another digest".to_owned();
                let error = StoreError::Corrupt { path: self.path.clone(), reason };
                return Err(io::Error::other(error));
            }
        }
        Ok(length)
    }
}
