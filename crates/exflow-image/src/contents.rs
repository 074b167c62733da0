//! What a layer of an image from elsewhere holds, and what it makes of the layers below it.

use crate::unzstd::Unzstd;
use exflow_content::{DecodeError, Decoder, Encoder, Entry, Mode, PathError, RelPath, Tree};
use exflow_lock::Compression;
use exflow_packages::Metered;
use exflow_packages::archive::{ArchiveError, Bounds, EntryKind, Keep, each, ungz};
use std::collections::BTreeSet;
use std::io::{self, Read};

/// The tag and version of the encoding of [`LayerContents`].
const TAG: &str = "exflow layer contents 1";

/// What a file is called that says that its namesake below is gone (OCI image specification 1.1,
/// "Image Layer Filesystem Changeset", "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// The file that says that all that a folder had below is gone.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// How the notes begin that AUFS leaves to itself. They mean nothing.
const AUFS: &[u8] = b".wh..wh.";

/// How much a layer may hold.
#[derive(Debug, Clone, Copy)]
pub struct LayerLimits {
    /// The sum of its files, unpacked, in bytes.
    pub unpacked: u64,
    /// The number of its files and folders, those that it only implies included.
    pub entries: u64,
    /// How many bytes may come of each byte that was sent: of all that is compressed well, some 20 do,
    /// and gzip can make 1000 of nothing but zeros.
    pub ratio: u64,
}

impl Default for LayerLimits {
    fn default() -> Self {
        Self { unpacked: 8 << 30, entries: 500_000, ratio: 200 }
    }
}

/// What may come of a layer in any case, however short it was, in bytes.
const ALWAYS: u64 = 256 << 20;
/// What headers and padding may take beside the files: for each entry, in bytes.
const BESIDE: u64 = 2048;

impl LayerLimits {
    /// What may come of a layer of which `size` bytes were sent.
    fn of(self, size: u64) -> Bounds {
        let by_ratio = size.saturating_mul(self.ratio).saturating_add(ALWAYS);
        Bounds { bytes: self.unpacked.min(by_ratio), entries: self.entries, absolute: true }
    }
}

/// What a layer does to those below it: takes away, and lays over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerContents {
    /// Its files and folders.
    tree: Tree,
    /// What is gone from below.
    removed: BTreeSet<RelPath>,
    /// The folders that have nothing left from below.
    emptied: BTreeSet<RelPath>,
    /// The folders that it doesn't have, and that are above something that it has.
    implied: BTreeSet<RelPath>,
    /// Hard links to files that are below: where, and to what.
    links: Vec<(RelPath, RelPath)>,
}

/// A decoder for the bytes of a layer.
pub fn decompress<'a>(compression: Compression, reader: impl Read + 'a) -> Box<dyn Read + 'a> {
    match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(ungz(reader)),
        Compression::Zstd => Box::new(Unzstd::new(reader)),
    }
}

/// Reads the archive that a layer of `size` bytes is. Each file's content goes to `keep`.
///
/// What the archive claims is not believed: see [`archive`](exflow_packages::archive). Devices and pipes
/// below `/dev` are left out, because every step has a `/dev` of its own; anywhere else they are an
/// error.
pub fn read_layer(
    reader: impl Read,
    size: u64,
    limits: LayerLimits,
    keep: &mut Keep<'_>,
) -> Result<LayerContents, ArchiveError> {
    let bounds = limits.of(size);
    // Headers may be as long as files.
    let beside = bounds.entries.saturating_mul(BESIDE).min(bounds.bytes) + ALWAYS;
    let reader = Metered::new(reader, bounds.bytes.saturating_add(beside));
    let mut contents = LayerContents::default();
    each::<_, ArchiveError>(reader, bounds, |mut item, left| {
        let LayerContents { tree, implied, .. } = &mut contents;
        let name = item.path.name().unwrap_or_default();
        if name.starts_with(WHITEOUT) {
            let folder = item.path.parent().unwrap_or_default();
            if name == OPAQUE {
                contents.emptied.insert(folder);
            } else if !name.starts_with(AUFS) {
                let gone = RelPath::new(&name[WHITEOUT.len()..])?;
                if gone.is_root() {
                    let shown = item.path.to_string().chars().take(200).collect();
                    return Err(PathError::Unclean(shown).into());
                }
                contents.removed.insert(folder.join(&gone));
            }
            return Ok(0);
        }
        left.take_folders_above(&item.path, tree)?;
        let mut above = item.path.parent();
        while let Some(folder) = above.filter(|at| !at.is_root() && tree.get(at).is_none()) {
            above = folder.parent();
            implied.insert(folder);
        }
        implied.remove(&item.path);
        let entry = match item.kind {
            EntryKind::File => {
                let expected = item.content.size();
                let (blob, size) = keep(item.mode, &mut item.content)?;
                if size != expected {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                let entry = Entry::File { mode: item.mode, blob, size };
                tree.insert(item.path, entry)?;
                return Ok(size);
            }
            EntryKind::Folder => Entry::Folder { mode: item.mode },
            EntryKind::Symlink => Entry::Symlink { target: item.symlink_target()?.into() },
            EntryKind::HardLink => {
                let target = item.hard_link_target()?;
                match tree.get(&target) {
                    Some(entry @ (Entry::File { .. } | Entry::Symlink { .. })) => entry.clone(),
                    Some(_) => return Err(ArchiveError::HardLink(item.path, target.to_string())),
                    // It is below, or nowhere.
                    None => {
                        contents.links.push((item.path, target));
                        return Ok(0);
                    }
                }
            }
            EntryKind::Other if item.path.names().next() == Some(b"dev") => return Ok(0),
            EntryKind::Other => return Err(ArchiveError::Kind(item.path)),
        };
        tree.insert(item.path, entry)?;
        Ok(0)
    })?;
    Ok(contents)
}

impl LayerContents {
    /// Its files and folders.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Lays it over what is below.
    ///
    /// A folder that it only implies may be a link below: what is in it goes where the link leads. In
    /// all else a layer replaces what it finds, except that folders are merged.
    ///
    /// # Errors
    /// Where a hard link leads to no file.
    pub fn apply(&self, below: &mut Tree) -> Result<(), ArchiveError> {
        // Before anything is changed: a hard link leads to what was below.
        let mut links = Vec::with_capacity(self.links.len());
        for (at, target) in &self.links {
            let place = below.place(target);
            match below.get(&place) {
                Some(entry @ (Entry::File { .. } | Entry::Symlink { .. })) => {
                    links.push((at, entry.clone()));
                }
                _ => return Err(ArchiveError::HardLink(at.clone(), target.to_string())),
            }
        }
        for folder in &self.emptied {
            if self.replaces_link(below, folder) {
                continue;
            }
            let folder = below.resolve(folder).unwrap_or_else(|| folder.clone());
            let children: Vec<RelPath> = below
                .within(&folder)
                .map(|(at, _)| at)
                .filter(|at| at.parent().as_ref() == Some(&folder))
                .cloned()
                .collect();
            for child in children {
                below.remove(&child);
            }
        }
        for gone in &self.removed {
            if gone.parent().is_some_and(|folder| self.replaces_link(below, &folder)) {
                continue;
            }
            let gone = below.place(gone);
            below.remove(&gone);
        }
        for (at, entry) in self.tree.entries() {
            let is_there = |at: RelPath| matches!(below.get(&at), Some(Entry::Folder { .. }));
            if self.implied.contains(at) && below.resolve(at).is_some_and(is_there) {
                continue;
            }
            let place = below.place(at);
            below.insert(place, entry.clone())?;
        }
        for (at, entry) in links {
            let place = below.place(at);
            below.insert(place, entry)?;
        }
        Ok(())
    }

    /// Whether a folder, or one above it, takes the place of a link: then nothing is below it.
    fn replaces_link(&self, below: &Tree, folder: &RelPath) -> bool {
        folder.parents().chain([folder.clone()]).any(|at| {
            matches!(self.tree.get(&at), Some(Entry::Folder { .. }))
                && !self.implied.contains(&at)
                && matches!(below.get(&below.place(&at)), Some(Entry::Symlink { .. }))
        })
    }

    /// The encoding that [`LayerContents::decode`] reads: all but the tree.
    ///
    /// # Encoding
    /// Tag `exflow layer contents 1`; the lists of paths that are removed, emptied and implied; the list of
    /// hard links: where, and to what. Each path is a byte string.
    pub fn encode_changes(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(TAG);
        for paths in [&self.removed, &self.emptied, &self.implied] {
            encoder.list(paths.iter(), |encoder, path| {
                encoder.bytes(path.as_bytes());
            });
        }
        encoder.list(self.links.iter(), |encoder, (at, target)| {
            encoder.bytes(at.as_bytes()).bytes(target.as_bytes());
        });
        encoder.finish()
    }

    /// Reads what [`LayerContents::encode_changes`] gives; `tree` is the rest.
    pub fn decode(bytes: &[u8], tree: Tree) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes, TAG)?;
        let path = |decoder: &mut Decoder<'_>| {
            RelPath::new(decoder.bytes()?).map_err(|_| DecodeError::Field("path"))
        };
        let mut sets = [const { BTreeSet::new() }; 3];
        for set in &mut sets {
            for _ in 0..decoder.number()? {
                set.insert(path(&mut decoder)?);
            }
        }
        let mut links = Vec::new();
        for _ in 0..decoder.number()? {
            links.push((path(&mut decoder)?, path(&mut decoder)?));
        }
        decoder.end()?;
        let [removed, emptied, implied] = sets;
        Ok(Self { tree, removed, emptied, implied, links })
    }
}

/// What has to be laid over `before` to make `after` of it: a layer, with whiteouts for what is gone.
pub fn changes(before: &Tree, after: &Tree) -> Tree {
    let mut layer = Tree::new();
    let mut put = |path: RelPath, entry: Entry| {
        for folder in path.parents() {
            if let (None, Some(Entry::Folder { mode })) = (layer.get(&folder), after.get(&folder)) {
                let _ = layer.insert(folder.clone(), Entry::Folder { mode: *mode });
            }
        }
        // The folders above are those of a tree, where nothing is below a file.
        let _ = layer.insert(path, entry);
    };
    for (path, entry) in after.entries() {
        if before.get(path) != Some(entry) {
            put(path.clone(), entry.clone());
        }
    }
    for (path, _) in before.entries() {
        let is_topmost = path.parent().is_none_or(|folder| {
            folder.is_root() || matches!(after.get(&folder), Some(Entry::Folder { .. }))
        });
        if after.get(path).is_none()
            && is_topmost
            && let Some(name) = path.name()
            && let Ok(name) = RelPath::new([WHITEOUT, name].concat())
        {
            let whiteout = path.parent().unwrap_or_default().join(&name);
            let blob = exflow_content::Digest::of(b"");
            put(whiteout, Entry::File { mode: Mode::FILE, blob, size: 0 });
        }
    }
    layer
}

#[cfg(test)]
mod tests;
