use crate::LayerDigests;
use crate::contents::changes;
use exflow_content::{Digest, Entry, Mode, RelPath, Sha256, Sha256Hasher, Tree};
use exflow_lock::Compression;
use exflow_plan::ImageSettings;
use flate2::GzBuilder;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// Fixed, as all else: another level gives other bytes.
const LEVEL: u32 = 6;

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What is in it: `base`, `otp`, `deps`, `app`, `rest`.
    pub name: String,
    /// Its files, relative to the image's root.
    pub tree: Tree,
}

/// Cuts an image into layers, from what changes least to what changes most: the base, the layers
/// that `settings` names, and what is left. Empty ones are left out.
///
/// Where the base keeps the layers of an image, `kept` is what those make, and instead of the base there
/// is a layer of what was added to them.
///
/// Each file is in one layer. The folders above a file are in each layer that has a file of theirs,
/// and an empty folder is in the last one.
pub fn split(
    base: &Tree,
    kept: Option<&Tree>,
    release: &Tree,
    settings: &ImageSettings,
) -> Vec<Layer> {
    let mut layers = match kept {
        None => vec![Layer { name: "base".into(), tree: base.clone() }],
        Some(kept) if kept == base => Vec::new(),
        Some(kept) => vec![Layer { name: "packages".into(), tree: changes(kept, base) }],
    };
    let mut names: Vec<String> = settings.layers.iter().map(|(name, _)| name.clone()).collect();
    names.push("rest".into());
    let mut trees = vec![Tree::new(); names.len()];
    let place = |path: &RelPath| {
        settings.layers.iter().position(|(_, files)| files.matches(path)).unwrap_or(names.len() - 1)
    };
    let mut below: Option<&RelPath> = None;
    let entries: Vec<(&RelPath, &Entry)> = release.entries().collect();
    // From the end, so that a folder is known to be empty when it is reached.
    for (path, entry) in entries.into_iter().rev() {
        let empty = below.is_none_or(|below| !below.is_within(path));
        below = Some(path);
        if matches!(entry, Entry::Folder { .. }) && !empty {
            continue;
        }
        let layer =
            if matches!(entry, Entry::Folder { .. }) { names.len() - 1 } else { place(path) };
        for folder in path.parents() {
            if let Some(Entry::Folder { mode }) = release.get(&folder) {
                put(
                    &mut trees[layer],
                    base,
                    settings.at.join(&folder),
                    Entry::Folder { mode: *mode },
                );
            }
        }
        put(&mut trees[layer], base, settings.at.join(path), entry.clone());
    }
    layers.extend(
        names
            .into_iter()
            .zip(trees)
            .filter(|(_, tree)| !tree.is_empty())
            .map(|(name, tree)| Layer { name, tree }),
    );
    layers
}

fn put(tree: &mut Tree, base: &Tree, path: RelPath, entry: Entry) {
    for folder in path.parents() {
        if tree.get(&folder).is_none() {
            // A folder of the base stays as it is.
            let mode = match base.get(&folder) {
                Some(Entry::Folder { mode }) => *mode,
                _ => Mode::FOLDER,
            };
            let _ = tree.insert(folder, Entry::Folder { mode });
        }
    }
    // The paths come from a tree, where nothing is below a file.
    let _ = tree.insert(path, entry);
}

/// Writes the layer that holds `tree`: a compressed archive. `open` gives the bytes of a blob.
pub fn write_layer<R: Read>(
    tree: &Tree,
    open: impl Fn(&Digest) -> io::Result<R>,
    out: impl Write,
) -> io::Result<LayerDigests> {
    let compressed = Hashing { out, hasher: Sha256Hasher::new(), size: 0 };
    let gzip = GzBuilder::new().write(compressed, flate2::Compression::new(LEVEL));
    let (gzip, diff_id, unpacked) = write_tar(tree, 0, open, gzip)?;
    let (mut out, digest, size) = gzip.finish()?.done();
    out.flush()?;
    Ok(LayerDigests { compression: Compression::Gzip, diff_id, digest, size, unpacked })
}

/// Compresses an archive that is a layer already, as [`write_layer`] does.
pub fn compress_layer(mut archive: impl Read, out: impl Write) -> io::Result<LayerDigests> {
    let compressed = Hashing { out, hasher: Sha256Hasher::new(), size: 0 };
    let gzip = GzBuilder::new().write(compressed, flate2::Compression::new(LEVEL));
    let mut hashed = Hashing { out: gzip, hasher: Sha256Hasher::new(), size: 0 };
    io::copy(&mut archive, &mut hashed)?;
    let (gzip, diff_id, unpacked) = hashed.done();
    let (mut out, digest, size) = gzip.finish()?.done();
    out.flush()?;
    Ok(LayerDigests { compression: Compression::Gzip, diff_id, digest, size, unpacked })
}

/// Writes the archive that holds `tree`, everything in it last modified at `mtime`, in seconds. Gives
/// back where it was written to, its digest, and its length in bytes.
pub fn write_tar<W: Write, R: Read>(
    tree: &Tree,
    mtime: u64,
    open: impl Fn(&Digest) -> io::Result<R>,
    out: W,
) -> io::Result<(W, Sha256, u64)> {
    let mut archive = Builder::new(Hashing { out, hasher: Sha256Hasher::new(), size: 0 });
    for (path, entry) in tree.entries() {
        let mut header = Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(mtime);
        header.set_size(0);
        let name = os_path(path.as_bytes());
        match entry {
            Entry::Folder { mode } => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(mode.bits());
                let name = os_path(&[path.as_bytes(), b"/"].concat());
                archive.append_data(&mut header, name, io::empty())?;
            }
            Entry::File { mode, blob, size } => {
                header.set_entry_type(EntryType::Regular);
                header.set_mode(mode.bits());
                header.set_size(*size);
                if *size == 0 {
                    archive.append_data(&mut header, name, io::empty())?;
                    continue;
                }
                let mut exact = Exact { inner: open(blob)?, left: *size };
                archive.append_data(&mut header, name, &mut exact)?;
            }
            Entry::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                archive.append_link(&mut header, name, os_path(target))?;
            }
        }
    }
    Ok(archive.into_inner()?.done())
}

/// A path of any bytes.
fn os_path(bytes: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes.to_vec()).into()
}

/// Exactly so many bytes: a file that is shorter or longer than its tree says is an error, not an
/// archive that is broken behind it.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)? as u64;
        if read > self.left || (read == 0 && self.left > 0 && !buffer.is_empty()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a blob has another length than its tree says",
            ));
        }
        self.left -= read;
        Ok(read as usize)
    }
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    out: W,
    hasher: Sha256Hasher,
    size: u64,
}

impl<W> Hashing<W> {
    fn done(self) -> (W, Sha256, u64) {
        (self.out, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.write_all(&bytes[..written])?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
