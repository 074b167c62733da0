//! Bases that are images.
//!
//! An image is found and described once, when it is locked ([`Repository::find`], [`ImageLayout::find`],
//! [`ImageArchive::find`]).
//! From then on its layers are all that is fetched, by their digests, from whichever [`LayerSource`]
//! has them: [`fetch_image`].

mod archive;
mod layout;
mod registry;

pub use archive::ImageArchive;
pub use layout::ImageLayout;
pub use registry::{Endpoint, Referrers, Repository};

use crate::workshop::{Finished, Workshop, known_tree, side_by_side};
use crate::{Client, FetchError, Progress};
use exflow_content::{Digest, Encoder, Entry, Mode, RelPath, Sha256, Sha256Hasher, Tree};
use exflow_image::{LayerContents, LayerLimits, decompress, read_layer};
use exflow_lock::{LockedImage, LockedLayer};
use exflow_store::{Record, Store, StoreError};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the files of all layers of an image may take together, in bytes.
const MAX_IMAGE: u64 = 32 << 30;
/// How many files and folders all layers of an image may have together.
const MAX_ENTRIES: u64 = 2_000_000;

/// Who has the layers of an image.
pub trait LayerSource: Sync {
    /// A file that holds the bytes of a layer, and perhaps lies. It stays there while this does.
    fn layer(
        &self,
        client: &Client,
        store: &Store,
        layer: &LockedLayer,
        progress: &dyn Progress,
    ) -> Result<LayerFile, FetchError>;
}

/// The bytes of a layer as a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFile {
    /// The file.
    pub path: PathBuf,
    /// Where in it they begin.
    pub offset: u64,
}

/// What an image is, in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedImage {
    /// Its files.
    pub tree: Tree,
    /// A tree that holds the bytes of its layers, each by the sha256 of its bytes.
    pub layers: Tree,
}

/// Brings the layers of an image into the store that it doesn't have, and lays them over one another.
///
/// They are fetched and unpacked side by side. Each is kept as it came, because images that stand on
/// this one hand it on, and as the tree that it holds.
pub fn fetch_image(
    client: &Client,
    store: &Store,
    image: &LockedImage,
    source: &dyn LayerSource,
    progress: &dyn Progress,
) -> Result<FetchedImage, FetchError> {
    let (unpacked, entries) = (AtomicU64::new(0), AtomicU64::new(0));
    // Taken from the end: the lowest, which is the largest as a rule, first.
    let mut jobs: Vec<(usize, &LockedLayer)> = image.layers.iter().enumerate().collect();
    jobs.reverse();
    let mut layers = side_by_side(client, store, jobs, |workshop, (number, layer)| {
        let unpacked_layer = fetch_layer(workshop, layer, source, progress)?;
        let size = unpacked_layer.contents.tree().size();
        if unpacked.fetch_add(size, Ordering::SeqCst).saturating_add(size) > MAX_IMAGE {
            return Err(FetchError::ImageTooLarge { limit: "32 GiB" });
        }
        let length = unpacked_layer.contents.tree().len() as u64;
        if entries.fetch_add(length, Ordering::SeqCst).saturating_add(length) > MAX_ENTRIES {
            return Err(FetchError::ImageTooLarge { limit: "2,000,000 files" });
        }
        Ok((number, unpacked_layer))
    })?;
    layers.sort_by_key(|(number, _)| *number);
    let mut fetched = FetchedImage { tree: Tree::new(), layers: Tree::new() };
    for ((_, unpacked), layer) in layers.iter().zip(&image.layers) {
        unpacked
            .contents
            .apply(&mut fetched.tree)
            .map_err(|source| FetchError::Layer { layer: layer.digest, source })?;
        let name = RelPath::new(layer.digest.to_string()).expect("a clean path");
        let entry = Entry::File { mode: Mode::FILE, blob: unpacked.bytes, size: layer.size };
        fetched.layers.insert(name, entry).expect("a file at the root");
    }
    Ok(fetched)
}

/// A layer in the store.
struct UnpackedLayer {
    contents: LayerContents,
    /// The blob that it is as it came.
    bytes: Digest,
}

fn fetch_layer(
    workshop: &Workshop<'_>,
    layer: &LockedLayer,
    source: &dyn LayerSource,
    progress: &dyn Progress,
) -> Result<UnpackedLayer, FetchError> {
    let store = workshop.store;
    let key = layer_key(layer);
    if let Some(known) = known(store, layer, &key)? {
        return Ok(known);
    }
    let claim = workshop.claim(&key)?;
    if let Some(known) = known(store, layer, &key)? {
        return Ok(known);
    }
    let file = source.layer(&workshop.client, store, layer, progress)?;
    let bytes = keep_bytes(workshop, layer, &file)?;
    let mut found = None;
    let read = workshop.unpack(store.open_blob(&bytes)?, |reader, keep| {
        let mut hashed =
            Hashed { inner: decompress(layer.compression, reader), hasher: Sha256Hasher::new() };
        let contents = read_layer(&mut hashed, layer.size, LayerLimits::default(), keep);
        found = Some(hashed.hasher.finish());
        contents
    });
    let contents = match read {
        Ok(contents) => contents,
        Err(source) => {
            let source = workshop.blame(source)?;
            return Err(FetchError::Layer { layer: layer.digest, source });
        }
    };
    if found != Some(layer.diff_id) {
        let found = found.unwrap_or(layer.digest);
        return Err(FetchError::OtherFiles { layer: layer.digest, found, expected: layer.diff_id });
    }
    let tree = store.put_tree(contents.tree())?;
    let record = Record { trees: vec![tree], data: encode(&bytes, &contents) };
    workshop.finished(Finished { key, record, download: layer.digest, claim });
    Ok(UnpackedLayer { contents, bytes })
}

/// Brings the bytes of a layer into the store, and checks them meanwhile.
fn keep_bytes(
    workshop: &Workshop<'_>,
    layer: &LockedLayer,
    file: &LayerFile,
) -> Result<Digest, FetchError> {
    let shown = || file.path.display().to_string();
    let local = |source| FetchError::Local { path: shown(), source };
    let mut opened = std::fs::File::open(&file.path).map_err(local)?;
    io::Seek::seek(&mut opened, io::SeekFrom::Start(file.offset)).map_err(local)?;
    let mut writer = workshop.store.blob_writer()?;
    let mut hashed = Hashed { inner: opened.take(layer.size), hasher: Sha256Hasher::new() };
    workshop.copy(&mut hashed, &mut writer).map_err(|error| {
        if workshop.client.cancel().is_cancelled() {
            return FetchError::Cancelled;
        }
        match error.downcast::<StoreError>() {
            Ok(error) => FetchError::Store(error),
            Err(error) => local(error),
        }
    })?;
    let length = layer.size - hashed.inner.limit();
    let found = hashed.hasher.finish();
    if found == layer.digest && length != layer.size {
        return Err(FetchError::OtherLength {
            layer: layer.digest,
            found: length,
            expected: layer.size,
        });
    }
    if found != layer.digest {
        workshop.store.drop_download(&layer.digest);
        return Err(FetchError::WrongDigest { url: shown(), found, expected: layer.digest });
    }
    Ok(writer.finish()?.0)
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hasher: Sha256Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.write_all(&buffer[..read])?;
        Ok(read)
    }
}

/// The layer, if it has been unpacked before and nothing of it was lost since.
fn known(
    store: &Store,
    layer: &LockedLayer,
    key: &Digest,
) -> Result<Option<UnpackedLayer>, FetchError> {
    let Some((record, tree)) = known_tree(store, key)? else { return Ok(None) };
    let known = decode(&record.data, tree);
    Ok(known.filter(|known| store.has_blob(&known.bytes, layer.size)))
}

/// What the files of a layer take that was unpacked, in bytes; none where it isn't known.
pub fn files_bytes(store: &Store, layer: &LockedLayer) -> Result<Option<u64>, StoreError> {
    Ok(known_tree(store, &layer_key(layer))?.map(|(_, tree)| tree.size()))
}

/// The keys under which the layers of an image are kept.
pub fn layer_keys(image: &LockedImage) -> impl Iterator<Item = Digest> {
    image.layers.iter().map(layer_key)
}

/// # Encoding
/// The key of an unpacked layer: tag `exflow layer files 1`; the sha256 of its bytes; that of the
/// archive before compression.
fn layer_key(layer: &LockedLayer) -> Digest {
    let mut encoder = Encoder::new("exflow layer files 1");
    encoder.sha256(&layer.digest).sha256(&layer.diff_id);
    encoder.digest_of()
}

const TAG: &str = "exflow kept layer 1";

/// # Encoding
/// What is kept of a layer besides its tree: tag `exflow kept layer 1`; the blob of its bytes; what else it
/// does, as [`LayerContents::encode_changes`] has it.
fn encode(bytes: &Digest, contents: &LayerContents) -> Vec<u8> {
    let mut encoder = Encoder::new(TAG);
    encoder.digest(bytes).bytes(&contents.encode_changes());
    encoder.finish()
}

fn decode(data: &[u8], tree: Tree) -> Option<UnpackedLayer> {
    let mut decoder = exflow_content::Decoder::new(data, TAG).ok()?;
    let bytes = decoder.digest().ok()?;
    let changes = decoder.bytes().ok()?;
    let contents = LayerContents::decode(changes, tree).ok()?;
    decoder.end().ok()?;
    Some(UnpackedLayer { contents, bytes })
}

/// What is wrong with a document.
fn bad(what: impl Into<String>) -> impl FnOnce(exflow_image::DocumentError) -> FetchError {
    let what = what.into();
    |source| FetchError::Document { what, source }
}

/// Checks that a document is what its digest says.
fn checked(bytes: Vec<u8>, expected: &Sha256, from: &str) -> Result<Vec<u8>, FetchError> {
    let found = Sha256::of(&bytes);
    if found != *expected {
        let url = from.to_owned();
        return Err(FetchError::WrongDigest { url, found, expected: *expected });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
