//! Blobs: the content of files.
//!
//! A checked-out file is a hard link to its blob, and links share their mode. So a blob may be
//! there in several variants: the plain one, and one for each other mode that was needed. The
//! plain one (mode 0644) or the executable one (0755) always exists, and both can be read.

use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{Digest, Entry, Hasher, Mode, STEP_MTIME, Tree};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const BUFFER: usize = 64 << 10;

/// Writes a blob whose digest is known only when all of it has been written.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
    finished: bool,
}

impl Store {
    /// Begins a blob.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let path = self.new_file()?;
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .doing("create", &path)?;
        let store = self.clone();
        Ok(BlobWriter { store, path, file, hasher: Hasher::new(), size: 0, finished: false })
    }

    /// Keeps `bytes`.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.has_blob(&digest, bytes.len() as u64) {
            return Ok(digest);
        }
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).doing("write", &writer.path.clone())?;
        writer.finish().map(|(digest, _)| digest)
    }

    /// Whether the blob is there, with this length.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        self.readable_variants(digest)
            .iter()
            .any(|path| fs::metadata(path).is_ok_and(|found| found.len() == size))
    }

    /// Whether every blob of `tree` is there.
    pub fn has_blobs(&self, tree: &Tree) -> bool {
        tree.entries().all(|(_, entry)| match entry {
            Entry::File { blob, size, .. } => self.has_blob(blob, *size),
            _ => true,
        })
    }

    /// Opens a blob to read it.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        self.open_variant(digest).map(|(_, file)| file)
    }

    /// Opens the longest variant of a blob: of one that is damaged, that is the best guess.
    pub(crate) fn open_variant(&self, digest: &Digest) -> Result<(PathBuf, File), StoreError> {
        let there = self.readable_variants(digest).into_iter().filter_map(|path| {
            let length = fs::metadata(&path).ok()?.len();
            Some((length, path))
        });
        let (_, path) = there
            .max_by_key(|(length, _)| *length)
            .ok_or(StoreError::Missing { kind: "blob", digest: *digest })?;
        let file = File::open(&path).doing("open", &path)?;
        Ok((path, file))
    }

    /// Reads a blob of at most `limit` bytes, and checks it against its digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let (path, file) = self.open_variant(digest)?;
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).doing("read", &path)?;
        if bytes.len() as u64 > limit {
            let error = io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than expected");
            return Err(error).doing("read", &path);
        }
        if Digest::of(&bytes) != *digest {
            let _ = fs::remove_file(&path);
            let reason = "its content has another digest".to_owned();
            return Err(StoreError::Corrupt { path, reason });
        }
        Ok(bytes)
    }

    /// Keeps the file at `path`, as an entry with the given mode. A file in this store's `tmp` is
    /// moved; any other is copied.
    pub fn check_in_file(&self, path: &Path, mode: Mode) -> Result<Entry, StoreError> {
        let mut file = File::open(path).doing("open", path)?;
        // Most of what a step leaves is there already, so it is worth reading it before it is written.
        let mut hasher = Hasher::new();
        let size = copy(&mut file, &mut hasher).doing("read", path)?;
        let blob = hasher.finish();
        if self.has_blob(&blob, size) {
            return Ok(Entry::File { mode, blob, size });
        }
        if path.starts_with(self.root().join("tmp")) {
            self.adopt(path, &blob, mode)?;
            return Ok(Entry::File { mode, blob, size });
        }
        self.copy_in(path, mode)
    }

    /// Copies the file at `path` into the store, as an entry with the given mode: what is not there yet.
    pub(crate) fn copy_in(&self, path: &Path, mode: Mode) -> Result<Entry, StoreError> {
        let mut file = File::open(path).doing("open", path)?;
        let mut writer = self.blob_writer()?;
        copy(&mut file, &mut writer).doing("copy", path)?;
        let (blob, size) = writer.finish_as(mode)?;
        Ok(Entry::File { mode, blob, size })
    }

    /// Makes a finished file the blob `digest`.
    fn adopt(&self, file: &Path, digest: &Digest, mode: Mode) -> Result<(), StoreError> {
        let variant = if mode == Mode::EXECUTABLE { mode } else { Mode::FILE };
        settle(file, variant)?;
        let path = self.variant(digest, variant);
        fs::rename(file, &path).doing("write", &path)
    }

    /// The blob as a file with this mode, to be linked to. It is made where it is missing.
    pub(crate) fn blob_with_mode(
        &self,
        digest: &Digest,
        size: u64,
        mode: Mode,
    ) -> Result<PathBuf, StoreError> {
        let path = self.variant(digest, mode);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.len() == size => return Ok(path),
            Ok(_) => {
                let _ = fs::remove_file(&path);
            }
            Err(_) => {}
        }
        let (source_path, mut source) = self.open_variant(digest)?;
        let new = self.new_file()?;
        let mut copied = File::create_new(&new).doing("create", &new)?;
        let length = io::copy(&mut source, &mut copied).doing("copy", &new)?;
        if length != size {
            let _ = fs::remove_file(&new);
            let _ = fs::remove_file(&source_path);
            let reason = format!("it has {length} bytes and should have {size}");
            return Err(StoreError::Corrupt { path: source_path, reason });
        }
        // On the disk before it has its name: what links to it is believed.
        copied.sync_all().doing("write", &new)?;
        drop(copied);
        settle(&new, mode)?;
        fs::rename(&new, &path).doing("write", &path)?;
        Ok(path)
    }

    /// Writes a copy of the blob to `path`.
    pub(crate) fn copy_blob(
        &self,
        digest: &Digest,
        size: u64,
        mode: Mode,
        path: &Path,
    ) -> Result<(), StoreError> {
        let (source_path, mut source) = self.open_variant(digest)?;
        let mut copied = File::create_new(path).doing("create", path)?;
        // In the kernel, and on some file systems without moving a byte.
        let length = io::copy(&mut source, &mut copied).doing("copy", path)?;
        drop(copied);
        if length != size {
            let _ = fs::remove_file(&source_path);
            let reason = format!("it has {length} bytes and should have {size}");
            return Err(StoreError::Corrupt { path: source_path, reason });
        }
        settle(path, mode)
    }

    /// The file of a blob with this mode, where it is there and no folder has a link to it.
    pub(crate) fn unlinked_blob(&self, digest: &Digest, size: u64, mode: Mode) -> Option<PathBuf> {
        let path = self.variant(digest, mode);
        let found = fs::symlink_metadata(&path).ok()?;
        (found.len() == size && found.nlink() == 1).then_some(path)
    }

    pub(crate) fn variant(&self, digest: &Digest, mode: Mode) -> PathBuf {
        let path = self.path("blobs", digest);
        if mode == Mode::FILE {
            return path;
        }
        let mut name = path.into_os_string().into_vec();
        name.extend_from_slice(format!(".{:o}", mode.bits()).as_bytes());
        std::ffi::OsString::from_vec(name).into()
    }

    fn readable_variants(&self, digest: &Digest) -> [PathBuf; 2] {
        [self.variant(digest, Mode::FILE), self.variant(digest, Mode::EXECUTABLE)]
    }
}

/// Gives a finished file the mode and the time that steps see.
pub(crate) fn settle(file: &Path, mode: Mode) -> Result<(), StoreError> {
    fs::set_permissions(file, fs::Permissions::from_mode(mode.bits()))
        .doing("set the mode of", file)?;
    utimensat(CWD, file, &STEP_TIMES, AtFlags::SYMLINK_NOFOLLOW).doing("set the time of", file)
}

/// The times of everything that a step sees.
pub(crate) const STEP_TIMES: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: STEP_MTIME.cast_signed(), tv_nsec: 0 },
    last_modification: Timespec { tv_sec: STEP_MTIME.cast_signed(), tv_nsec: 0 },
};

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(length) => {
                to.write_all(&buffer[..length])?;
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl BlobWriter {
    /// Ends the blob: its digest and its length.
    pub fn finish(self) -> Result<(Digest, u64), StoreError> {
        self.finish_as(Mode::FILE)
    }

    /// Ends the blob, which will be used with this mode. That is only a hint, which spares a copy.
    pub fn finish_as(mut self, mode: Mode) -> Result<(Digest, u64), StoreError> {
        let digest = self.hasher.finish();
        if !self.store.has_blob(&digest, self.size) {
            self.store.adopt(&self.path, &digest, mode)?;
            self.finished = true;
        }
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}
