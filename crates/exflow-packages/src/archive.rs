//! Tar archives from elsewhere, which nobody has to believe.
//!
//! Nothing is reserved by a size that an archive claims, each header, path and content is bounded, and
//! paths are those of a [`Tree`], which nothing can leave. Times and owners are dropped.

use crate::Metered;
use exflow_content::{Digest, Entry, Mode, PathError, RelPath, Tree, TreeError};
use std::io::{self, Read};

/// How much the description of one file may take in a tar archive, extensions for long names
/// included, in bytes.
const MAX_HEADERS: u64 = 1 << 20;

/// The longest path, and the longest target of a link, in bytes: Linux's `PATH_MAX`.
const MAX_PATH: usize = 4096;

/// How many names a path may have. Each but the last is a folder, whether the archive has it or not.
const MAX_DEPTH: usize = 128;

/// How much all paths and targets of a package may take, in bytes. They are kept in memory.
const MAX_NAMES: usize = 64 << 20;

/// How much memory the decoder of xz may take, in bytes. The largest preset (`xz -9`) needs 65 MiB.
const XZ_MEMORY: u64 = 80 << 20;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It can't be read, or is cut short or damaged.
    #[error("it can't be read: {0}")]
    Read(#[from] io::Error),
    /// A path leaves the root.
    #[error("it holds a path that is not allowed: {0}")]
    Path(#[from] PathError),
    /// A path goes through something that is not a folder.
    #[error("it holds a path that is not allowed: {0}")]
    Tree(#[from] TreeError),
    /// A symbolic link leads nowhere, or has no text for a target.
    #[error("it holds `{0}`, which is an empty link")]
    EmptyLink(RelPath),
    /// A hard link leads to something that is not a file of the archive.
    #[error("it holds a hard link `{0}` to `{1}`, which is not a file of it")]
    HardLink(RelPath, String),
    /// A device, a pipe, or something stranger.
    #[error("it holds `{0}`, which is neither file, folder nor link")]
    Kind(RelPath),
    /// It is larger than any of its kind should be.
    #[error("it holds more than {0}")]
    TooLarge(String),
}

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The sum of its files in bytes.
    pub bytes: u64,
    /// The number of its files and folders, those that it only implies included.
    pub entries: u64,
    /// Whether a path may begin with `/`, which is the root of the archive then.
    pub absolute: bool,
}

/// What an entry of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// Another name of a file.
    HardLink,
    /// A device, a pipe, or something stranger.
    Other,
}

/// What takes the content of a file, which will have this mode: the name of its blob, and its length.
pub type Keep<'a> = dyn FnMut(Mode, &mut dyn Read) -> io::Result<(Digest, u64)> + 'a;

/// A decoder of gzip. A file may have several members, as those of parallel compressors do: what
/// stands behind the first is not to be lost in silence.
pub fn ungz<R: Read>(reader: R) -> flate2::read::MultiGzDecoder<R> {
    flate2::read::MultiGzDecoder::new(reader)
}

/// A decoder of xz, whose memory is bounded: what it needs is decided by the archive. A file may
/// have several streams here, too.
pub fn unxz<R: Read>(reader: R) -> io::Result<liblzma::read::XzDecoder<R>> {
    let flags = liblzma::stream::CONCATENATED;
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
    Ok(liblzma::read::XzDecoder::new_stream(reader, stream))
}

/// One file of a tar archive, its path checked.
pub struct Item<'a, R: Read> {
    /// Where it is.
    pub path: RelPath,
    /// What it is.
    pub kind: EntryKind,
    /// Its permissions.
    pub mode: Mode,
    /// Where it leads, if it is a link: as written in it.
    pub link: Option<Vec<u8>>,
    /// Its content.
    pub content: tar::Entry<'a, R>,
    /// See [`Bounds::absolute`].
    absolute: bool,
}

/// What an archive may still hold.
pub struct Left {
    bytes: u64,
    entries: u64,
    names: usize,
    /// What it may hold in all.
    bounds: Bounds,
}

impl<R: Read> Item<'_, R> {
    /// Where a symbolic link leads.
    pub fn symlink_target(&self) -> Result<Vec<u8>, ArchiveError> {
        let target = self.link.clone().unwrap_or_default();
        if target.is_empty() || target.contains(&0) {
            return Err(ArchiveError::EmptyLink(self.path.clone()));
        }
        Ok(target)
    }

    /// The path, in the same archive or below it, of the file that a hard link is another name of.
    pub fn hard_link_target(&self) -> Result<RelPath, ArchiveError> {
        let target = self.link.as_deref().unwrap_or_default();
        let inside = target.strip_prefix(b"./").unwrap_or(target);
        let inside = if self.absolute { trim_root(inside) } else { inside };
        RelPath::new(inside).ok().filter(|path| !path.is_root()).ok_or_else(|| {
            let shown = String::from_utf8_lossy(target).chars().take(200).collect();
            ArchiveError::HardLink(self.path.clone(), shown)
        })
    }
}

/// A path without the `/` that it begins with.
fn trim_root(path: &[u8]) -> &[u8] {
    let begin = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    &path[begin..]
}

impl Left {
    fn new(bounds: Bounds) -> Self {
        Self { bytes: bounds.bytes, entries: bounds.entries, names: MAX_NAMES, bounds }
    }

    /// Takes one entry, whose path and target are `names` bytes long.
    pub fn take(&mut self, names: usize) -> Result<(), ArchiveError> {
        self.entries = self
            .entries
            .checked_sub(1)
            .ok_or_else(|| ArchiveError::TooLarge(format!("{} files", self.bounds.entries)))?;
        self.names = self
            .names
            .checked_sub(names)
            .ok_or_else(|| ArchiveError::TooLarge(format!("{MAX_NAMES} bytes of paths")))?;
        Ok(())
    }

    /// Takes the folders above `path` that `tree` doesn't have yet: they will be made with it.
    pub fn take_folders_above(&mut self, path: &RelPath, tree: &Tree) -> Result<(), ArchiveError> {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|at| !at.is_root() && tree.get(at).is_none()) {
            self.take(folder.as_bytes().len())?;
            above = folder.parent();
        }
        Ok(())
    }
}

/// Goes through a tar archive, bounding what each header and all contents together may take. What
/// is done with an item says how many bytes of content it had.
pub fn each<R: Read, E: From<ArchiveError>>(
    reader: R,
    bounds: Bounds,
    mut item: impl FnMut(Item<'_, Metered<R>>, &mut Left) -> Result<u64, E>,
) -> Result<(), E> {
    let too_large = |what| E::from(ArchiveError::TooLarge(what));
    let mut left = Left::new(bounds);
    let metered = Metered::new(reader, MAX_HEADERS);
    let allowance = metered.allowance();
    let mut archive = tar::Archive::new(metered);
    for entry in archive.entries().map_err(ArchiveError::from)? {
        let entry = entry.map_err(ArchiveError::from)?;
        let raw = entry.path_bytes();
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let link_length = link.as_ref().map_or(0, Vec::len);
        if raw.len() > MAX_PATH || link_length > MAX_PATH {
            return Err(too_large(format!("{MAX_PATH} bytes in one path")));
        }
        left.take(raw.len() + link_length)?;
        let raw = raw.strip_prefix(b"./").unwrap_or(&raw);
        let raw = if bounds.absolute { trim_root(raw) } else { raw };
        if raw.split(|byte| *byte == b'/').any(|name| name == b"..") {
            let shown = String::from_utf8_lossy(raw).chars().take(200).collect();
            return Err(ArchiveError::from(PathError::Escapes(shown)).into());
        }
        let path = RelPath::clean(raw).map_err(ArchiveError::from)?;
        if path.names().count() > MAX_DEPTH {
            return Err(too_large(format!("{MAX_DEPTH} names in one path")));
        }
        let header = entry.header();
        let size = entry.size();
        if size > left.bytes {
            return Err(too_large(format!("{} bytes", bounds.bytes)));
        }
        let mut mode = header.mode().map_err(ArchiveError::from)?;
        // Owners are dropped. A program that runs as its owner must not become root's by that.
        if !header.uid().is_ok_and(|user| user == 0) {
            mode &= !0o4000;
        }
        if !header.gid().is_ok_and(|group| group == 0) {
            mode &= !0o2000;
        }
        let mode = Mode::new(mode);
        let kind = match header.entry_type() {
            kind if kind.is_file() => EntryKind::File,
            tar::EntryType::Directory => EntryKind::Folder,
            tar::EntryType::Symlink => EntryKind::Symlink,
            tar::EntryType::Link => EntryKind::HardLink,
            _ => EntryKind::Other,
        };
        // The content and its padding; what is left over is for the next header.
        allowance.set(size.saturating_add(512 + MAX_HEADERS));
        let used = item(
            Item { path, kind, mode, link, content: entry, absolute: bounds.absolute },
            &mut left,
        )?;
        left.bytes -= used.min(left.bytes);
        allowance.set(allowance.get().max(MAX_HEADERS));
    }
    // The end of the compressed stream has a checksum, which nobody has looked at yet.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(ArchiveError::from)?;
    Ok(())
}

/// Reads an archive as a tree. Each file's content goes to `keep`.
pub fn read_tree(
    reader: impl Read,
    bounds: Bounds,
    keep: &mut Keep<'_>,
) -> Result<Tree, ArchiveError> {
    let mut tree = Tree::new();
    each::<_, ArchiveError>(reader, bounds, |mut item, left| {
        left.take_folders_above(&item.path, &tree)?;
        let entry = match item.kind {
            EntryKind::File => {
                let expected = item.content.size();
                let (blob, size) = keep(item.mode, &mut item.content)?;
                if size != expected {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                tree.insert(item.path, Entry::File { mode: item.mode, blob, size })?;
                return Ok(size);
            }
            EntryKind::Folder => Entry::Folder { mode: item.mode },
            EntryKind::Symlink => Entry::Symlink { target: item.symlink_target()?.into() },
            EntryKind::HardLink => {
                let target = item.hard_link_target()?;
                match tree.get(&target) {
                    Some(entry @ Entry::File { .. }) => entry.clone(),
                    _ => return Err(ArchiveError::HardLink(item.path, target.to_string())),
                }
            }
            EntryKind::Other => return Err(ArchiveError::Kind(item.path)),
        };
        tree.insert(item.path, entry)?;
        Ok(0)
    })?;
    Ok(tree)
}
