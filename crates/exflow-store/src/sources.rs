//! The files of a workspace, by content.
//!
//! Hashing every file in every build would be the slowest part of a build that has nothing to do.
//! So the digest of each is remembered with all that the file system says of it; a file about
//! which it says the same is not read again. A file that was changed a moment before it was read
//! is never remembered: it could change once more without a trace, as far as the clock of the
//! file system goes (git calls such entries *racily clean*).

use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{Decoder, Digest, Encoder, Entry, Hasher, Mode, RelPath, Tree};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The tag and version of the file that remembers.
const TAG: &str = "exflow sources 1";

/// How long a file must have been left alone before its digest is remembered. Two seconds is the
/// coarsest clock of a file system in use (FAT).
const SETTLED: i128 = 2_000_000_000;

/// What the file system says of a file: if it still says the same, so does the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: i128,
    changed: i128,
    inode: u64,
    size: u64,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    stamp: Stamp,
    blob: Digest,
}

impl Store {
    /// Reads the files of the workspace at `root` by content.
    ///
    /// Left out are `.git` and what the workspace's own `.gitignore` and `.exflowignore` files
    /// leave out, so that everyone who has the same commit has the same sources; the user's
    /// global ignore rules don't matter. Modes are 0755 where the owner may execute the file and
    /// 0644 elsewhere, as in git. Blobs are *not* put into the store.
    pub fn sources(&self, root: &Path) -> Result<Tree, StoreError> {
        let memory = self.sources_memory(root);
        let old = memory.as_ref().map(|path| remembered(path)).unwrap_or_default();
        let mut new = BTreeMap::new();
        let mut tree = Tree::new();
        let mut read_any = false;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX));
        let own = fs::canonicalize(self.root()).unwrap_or_else(|_| self.root().to_owned());
        let walk = ignore::WalkBuilder::new(root)
            .standard_filters(false)
            .git_ignore(true)
            .require_git(false)
            .add_custom_ignore_filename(".exflowignore")
            // The store may be in the workspace, and is none of its sources.
            .filter_entry(move |entry| entry.file_name() != ".git" && entry.path() != own)
            .build();
        for entry in walk {
            let entry = match entry {
                Ok(entry) => entry,
                // A file that went away while we looked was never there.
                Err(error) if is_gone(&error) => continue,
                Err(error) => {
                    return Err(io::Error::other(error.to_string())).doing("read", root);
                }
            };
            if entry.depth() == 0 || entry.file_type().is_none_or(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            let below = path.strip_prefix(root).expect("a walk stays below its root");
            let at = RelPath::new(below.as_os_str().as_bytes()).expect("a walk gives clean paths");
            let metadata = match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.doing("read", path)?,
            };
            let kept = if metadata.file_type().is_symlink() {
                let target = fs::read_link(path).doing("read", path)?;
                Entry::Symlink { target: target.into_os_string().into_vec().into() }
            } else if metadata.is_file() {
                let stamp = Stamp::of(&metadata);
                let blob = match old.get(&at) {
                    Some(known) if known.stamp == stamp => known.blob,
                    _ => {
                        read_any = true;
                        digest(path)?
                    }
                };
                if now - stamp.modified.max(stamp.changed) > SETTLED {
                    new.insert(at.clone(), Remembered { stamp, blob });
                }
                let executable = metadata.mode() & 0o100 != 0;
                let mode = if executable { Mode::EXECUTABLE } else { Mode::FILE };
                Entry::File { mode, blob, size: metadata.len() }
            } else {
                // A socket or a pipe that a running program left there is no source.
                continue;
            };
            tree.insert(at, kept)
                .map_err(|source| StoreError::Tree { path: path.to_owned(), source })?;
        }
        if let Some(memory) = memory
            && (read_any || new.len() != old.len())
        {
            // Only speed is lost where it can't be written.
            let _ = remember(self, &memory, &new);
        }
        Ok(tree)
    }

    /// Puts the blobs of `tree`, which was read from the workspace at `root`, into the store.
    ///
    /// # Errors
    /// [`StoreError::SourceChanged`] where a file is not what it was when it was read.
    pub fn keep_sources(&self, root: &Path, tree: &Tree) -> Result<(), StoreError> {
        for (at, entry) in tree.entries() {
            let Entry::File { mode, blob, size } = entry else { continue };
            if self.has_blob(blob, *size) {
                continue;
            }
            let path = root.join(at.as_path());
            match self.copy_in(&path, *mode) {
                Ok(kept) if kept == *entry => {}
                Ok(_) => return Err(StoreError::SourceChanged { path }),
                Err(StoreError::Io { path: of, source, .. })
                    if of == path && source.kind() == io::ErrorKind::NotFound =>
                {
                    return Err(StoreError::SourceChanged { path });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where the digests of the workspace at `root` are remembered.
    fn sources_memory(&self, root: &Path) -> Option<std::path::PathBuf> {
        let root = fs::canonicalize(root).ok()?;
        let mut encoder = Encoder::new(TAG);
        encoder.bytes(root.as_os_str().as_bytes());
        Some(self.path("records", &encoder.digest_of()).with_extension("sources"))
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            size: metadata.len(),
        }
    }
}

fn is_gone(error: &ignore::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn digest(path: &Path) -> Result<Digest, StoreError> {
    let mut file = File::open(path).doing("open", path)?;
    let mut hasher = Hasher::new();
    io::copy(&mut file, &mut hasher).doing("read", path)?;
    Ok(hasher.finish())
}

/// What was remembered; nothing where the file is missing or isn't sound.
fn remembered(memory: &Path) -> BTreeMap<RelPath, Remembered> {
    fs::read(memory).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default()
}

fn remember(
    store: &Store,
    memory: &Path,
    files: &BTreeMap<RelPath, Remembered>,
) -> Result<(), StoreError> {
    let mut encoder = Encoder::new(TAG);
    encoder.list(files.iter(), |encoder, (path, file)| {
        encoder.bytes(path.as_bytes());
        encoder.bytes(&file.stamp.modified.to_le_bytes());
        encoder.bytes(&file.stamp.changed.to_le_bytes());
        encoder.number(file.stamp.inode).number(file.stamp.size).digest(&file.blob);
    });
    let seal = encoder.digest_of();
    encoder.digest(&seal);
    store.write_whole(memory, &encoder.finish())
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<RelPath, Remembered>> {
    let (body, seal) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Digest::of(body).as_bytes() != seal {
        return None;
    }
    let mut decoder = Decoder::new(body, TAG).ok()?;
    let mut files = BTreeMap::new();
    for _ in 0..decoder.number().ok()? {
        let path = RelPath::new(decoder.bytes().ok()?).ok()?;
        let mut time = || Some(i128::from_le_bytes(decoder.bytes().ok()?.try_into().ok()?));
        let (modified, changed) = (time()?, time()?);
        let (inode, size) = (decoder.number().ok()?, decoder.number().ok()?);
        let blob = decoder.digest().ok()?;
        let stamp = Stamp { modified, changed, inode, size };
        files.insert(path, Remembered { stamp, blob });
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is remembered is in users' stores: tag; the list of files by path, each with its path, the
    /// times of its content and its inode in nanoseconds as byte strings of 16 bytes, its inode, its
    /// size and the digest of its blob; and last the digest of all that stands before. If this fails,
    /// the encoding has changed: give it a new version in `TAG`.
    #[test]
    fn the_encoding_of_what_is_remembered_is_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let memory = folder.path().join("store/memory");
        let stamp = Stamp { modified: -1, changed: 1 << 70, inode: 7, size: 9 };
        let file = Remembered { stamp, blob: Digest::of(b"content") };
        let files = BTreeMap::from([(RelPath::new("lib/a.ex").unwrap(), file)]);
        remember(&store, &memory, &files).unwrap();
        let bytes = fs::read(&memory).unwrap();
        assert_eq!(
            Digest::of(&bytes).to_string(),
            "38e214a643e3dfc719d059d0ef2eb7dcca0db7d8acbe1a3c5e10f33cfbc885cc"
        );
        let known = decode(&bytes).unwrap();
        let (path, known) = known.first_key_value().unwrap();
        assert_eq!(path.to_string(), "lib/a.ex");
        assert_eq!((known.stamp, known.blob), (stamp, file.blob));
    }
}
