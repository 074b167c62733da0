//! Trees: folders by content.

use crate::{DecodeError, Decoder, Digest, Encoder, PathError, RelPath};
use std::collections::BTreeMap;
use std::fmt;

/// The tag and version of a tree's canonical encoding.
const TAG: &str = "exflow tree 1";

/// The permission bits of a file or folder: the low twelve bits of a Unix mode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    /// A plain file: `rw-r--r--`.
    pub const FILE: Self = Self(0o644);
    /// An executable file: `rwxr-xr-x`.
    pub const EXECUTABLE: Self = Self(0o755);
    /// A folder: `rwxr-xr-x`.
    pub const FOLDER: Self = Self(0o755);

    /// The permission bits of `mode`; the bits that name a file's type are dropped.
    pub const fn new(mode: u32) -> Self {
        Self((mode & 0o7777) as u16)
    }

    /// The bits as a number.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// What stands at one path of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A folder. It may be empty.
    Folder {
        /// Its permissions.
        mode: Mode,
    },
    /// A file.
    File {
        /// Its permissions.
        mode: Mode,
        /// Its content.
        blob: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// A symbolic link. Its target may be any bytes, and may dangle or lead outside: what it
    /// means is decided where the tree is mounted.
    Symlink {
        /// Where it leads, as written in it.
        target: Box<[u8]>,
    },
}

/// A content-addressed folder: names, modes, symbolic links and blobs. No times, no owners.
///
/// Every folder above an entry is an entry too; the root is not one (its mode is always
/// [`Mode::FOLDER`]). Hard links are files with the same blob. Devices, sockets and pipes have no
/// place in a tree.
///
/// # Encoding
/// Tag `exflow tree 1`, then the list of entries in the order of their paths: the path as a byte
/// string, the variant (0 folder, 1 file, 2 symlink), then
/// folder: mode; file: mode, size, blob digest; symlink: target as a byte string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: BTreeMap<RelPath, Entry>,
}

/// Why something can't be put into a tree, or bytes are not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A folder and something else claim the same path.
    #[error("`{0}` is a folder in one place and not in another")]
    NotAFolder(RelPath),
    /// Bytes that should be a tree's encoding are not.
    #[error("it is not a tree: {0}")]
    Decode(#[from] DecodeError),
    /// A path in an encoding is not clean.
    #[error("it is not a tree: {0}")]
    Path(#[from] PathError),
    /// The entries of an encoding are not in order, or one lacks its folder.
    #[error("it is not a tree: `{0}` is out of order or stands in no folder")]
    Order(RelPath),
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `entry` at `path`, and the folders above it where they are missing, replacing what was
    /// there. A folder over a folder only changes the mode; anything else over a folder removes
    /// what is below it.
    ///
    /// # Errors
    /// [`TreeError::NotAFolder`] where something above `path` is not a folder, or `path` is the
    /// root and `entry` is not a folder.
    pub fn insert(&mut self, path: RelPath, entry: Entry) -> Result<(), TreeError> {
        let is_folder = matches!(entry, Entry::Folder { .. });
        if path.is_root() {
            return if is_folder { Ok(()) } else { Err(TreeError::NotAFolder(path)) };
        }
        self.insert_folders_above(&path)?;
        if !is_folder && matches!(self.entries.get(&path), Some(Entry::Folder { .. })) {
            self.remove(&path);
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    fn insert_folders_above(&mut self, path: &RelPath) -> Result<(), TreeError> {
        // Most entries arrive in order, next to their siblings: look at the parent first.
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else {
            return Ok(());
        };
        match self.entries.get(&parent) {
            Some(Entry::Folder { .. }) => return Ok(()),
            Some(_) => return Err(TreeError::NotAFolder(parent)),
            None => {}
        }
        self.insert_folders_above(&parent)?;
        self.entries.insert(parent, Entry::Folder { mode: Mode::FOLDER });
        Ok(())
    }

    /// Takes away what is at `path`, and all below it.
    pub fn remove(&mut self, path: &RelPath) {
        let below: Vec<RelPath> = self.within(path).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.entries.remove(&path);
        }
    }

    /// What is at `path`.
    pub fn get(&self, path: &RelPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries, in the order of their paths: each folder before what is in it.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&RelPath, &Entry)> {
        self.entries.iter()
    }

    /// The entry at `path` and all below it, in order.
    pub fn within(&self, path: &RelPath) -> impl Iterator<Item = (&RelPath, &Entry)> {
        let start = path.clone();
        self.entries.range(start.clone()..).take_while(move |(path, _)| path.is_within(&start))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of the lengths of its files, in bytes; files that share a blob count each.
    pub fn size(&self) -> u64 {
        self.entries
            .values()
            .map(|entry| if let Entry::File { size, .. } = entry { *size } else { 0 })
            .sum()
    }

    /// Lays `other` over this at `path`: folders are merged, anything else is replaced.
    ///
    /// # Errors
    /// [`TreeError::NotAFolder`] where something above `path` is not a folder.
    pub fn merge(&mut self, path: &RelPath, other: &Self) -> Result<(), TreeError> {
        if !path.is_root() && !matches!(self.get(path), Some(Entry::Folder { .. })) {
            self.insert(path.clone(), Entry::Folder { mode: Mode::FOLDER })?;
        }
        for (below, entry) in other.entries() {
            let at = path.join(below);
            // A folder from `other` replaces a file or link; below it, nothing can be in the way.
            self.insert(at, entry.clone())?;
        }
        Ok(())
    }

    /// Resolves the symbolic links of `path` within the tree, as a file system whose root is this
    /// tree does, the last name included.
    ///
    /// None where a link loops, where something on the way is missing or is not a folder.
    /// `..` at the root stays at the root.
    pub fn resolve(&self, path: &RelPath) -> Option<RelPath> {
        const MAX_LINKS: usize = 40; // as Linux does
        let mut links = 0;
        let mut todo: Vec<Vec<u8>> = path.names().rev().map(<[u8]>::to_vec).collect();
        let mut at = RelPath::root();
        while let Some(name) = todo.pop() {
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    at = at.parent().unwrap_or_default();
                    continue;
                }
                _ => {}
            }
            let next = at.join(&RelPath::new(&name).ok()?);
            match self.get(&next)? {
                Entry::Symlink { target } => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.first() == Some(&b'/') {
                        at = RelPath::root();
                    }
                    todo.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                }
                Entry::File { .. } if !todo.is_empty() => return None,
                Entry::File { .. } | Entry::Folder { .. } => at = next,
            }
        }
        Some(at)
    }

    /// Where `path` is once the links above it are followed, and not the last name. What leads nowhere
    /// stays as it is.
    #[must_use]
    pub fn place(&self, path: &RelPath) -> RelPath {
        match (path.parent(), path.name().map(RelPath::new)) {
            (Some(parent), Some(Ok(name))) if !parent.is_root() => {
                self.resolve(&parent).map_or_else(|| path.clone(), |parent| parent.join(&name))
            }
            _ => path.clone(),
        }
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        self.encoder().finish()
    }

    /// The tree's digest: that of its canonical encoding.
    pub fn digest(&self) -> Digest {
        self.encoder().digest_of()
    }

    fn encoder(&self) -> Encoder {
        let mut encoder = Encoder::new(TAG);
        encoder.list(self.entries.iter(), |encoder, (path, entry)| {
            encoder.bytes(path.as_bytes());
            match entry {
                Entry::Folder { mode } => {
                    encoder.variant(0).number(mode.bits().into());
                }
                Entry::File { mode, blob, size } => {
                    encoder.variant(1).number(mode.bits().into()).number(*size).digest(blob);
                }
                Entry::Symlink { target } => {
                    encoder.variant(2).bytes(target);
                }
            }
        });
        encoder
    }

    /// Reads a canonical encoding back. Only what [`Tree::encode`] gives is accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut decoder = Decoder::new(bytes, TAG)?;
        let mode = |decoder: &mut Decoder<'_>| match decoder.number()? {
            bits @ 0..=0o7777 => Ok(Mode(bits as u16)),
            _ => Err(DecodeError::Field("mode")),
        };
        let mut tree = Self::new();
        for _ in 0..decoder.number()? {
            let path = RelPath::new(decoder.bytes()?)?;
            let entry = match decoder.variant()? {
                0 => Entry::Folder { mode: mode(&mut decoder)? },
                1 => Entry::File {
                    mode: mode(&mut decoder)?,
                    size: decoder.number()?,
                    blob: decoder.digest()?,
                },
                2 => Entry::Symlink { target: decoder.bytes()?.into() },
                _ => return Err(DecodeError::Field("kind of entry").into()),
            };
            let in_order = tree.entries.last_key_value().is_none_or(|(last, _)| *last < path);
            let in_folder = path.parent().is_some_and(|parent| {
                parent.is_root() || matches!(tree.get(&parent), Some(Entry::Folder { .. }))
            });
            if !in_order || !in_folder {
                return Err(TreeError::Order(path));
            }
            tree.entries.insert(path, entry);
        }
        decoder.end()?;
        Ok(tree)
    }
}

#[cfg(test)]
mod tests;
