//! Layers in the store: each is made once, and known by what is in it.

use exflow_content::{Digest, Encoder, Entry, RelPath, Sha256, Tree};
use exflow_fetch::image::files_bytes;
use exflow_image::{ASSEMBLY_VERSION, Layer, LayerDigests, compress_layer, write_layer};
use exflow_lock::{Compression, LockedLayer};
use exflow_store::{Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// A layer whose bytes are in the store.
#[derive(Debug, Clone)]
pub(super) struct StoredLayer {
    pub(super) digests: LayerDigests,
    pub(super) blob: Digest,
    /// The length of its files in bytes.
    pub(super) files_bytes: u64,
    /// The key to record it under, where it was made just now.
    unrecorded: Option<Digest>,
}

/// What is kept of a layer that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LayerRecord {
    diff_id: String,
    digest: String,
    size: u64,
    unpacked: u64,
    blob: String,
}

/// The layers of a base that an image hands on: as they came, but compressed where they were not.
/// `bytes` has them by the sha256 of their bytes.
pub(super) fn keep_layers(
    store: &Store,
    layers: &[LockedLayer],
    bytes: &Tree,
) -> Result<Vec<StoredLayer>, StoreError> {
    let kept = layers.iter().map(|layer| {
        let at = RelPath::new(layer.digest.to_string()).expect("a clean path");
        let Some(Entry::File { blob, .. }) = bytes.get(&at) else {
            unreachable!("a base has the layers that it is locked to")
        };
        let files_bytes = files_bytes(store, layer)?.unwrap_or(layer.size);
        if layer.compression == Compression::None {
            return made(store, &compressed_key(layer), files_bytes, |out| {
                compress_layer(store.open_checked(blob).map_err(io::Error::other)?, out)
            });
        }
        let digests = LayerDigests {
            compression: layer.compression,
            diff_id: layer.diff_id,
            digest: layer.digest,
            size: layer.size,
            unpacked: 0,
        };
        Ok(StoredLayer { digests, blob: *blob, files_bytes, unrecorded: None })
    });
    kept.collect()
}

/// # Encoding
/// The key of a layer that came without compression: tag `exflow compressed layer 1`; the version of the
/// assembly; the digest of its archive.
fn compressed_key(layer: &LockedLayer) -> Digest {
    let mut encoder = Encoder::new("exflow compressed layer 1");
    encoder.number(ASSEMBLY_VERSION.into()).sha256(&layer.diff_id);
    encoder.digest_of()
}

/// Makes the layers that the store doesn't have, side by side.
pub(super) fn store_layers(
    store: &Store,
    layers: &[Layer],
) -> Result<Vec<StoredLayer>, StoreError> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            layers.iter().map(|layer| scope.spawn(|| store_layer(store, &layer.tree))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a layer's thread does not panic"))
            .collect()
    })
}

/// # Encoding
/// The key of a layer: tag `exflow layer 1`; the version of the assembly; the digest of its tree.
fn store_layer(store: &Store, tree: &Tree) -> Result<StoredLayer, StoreError> {
    let mut encoder = Encoder::new("exflow layer 1");
    encoder.number(ASSEMBLY_VERSION.into()).digest(&tree.digest());
    let open = |blob: &Digest| store.open_checked(blob).map_err(io::Error::other);
    made(store, &encoder.digest_of(), tree.size(), |out| write_layer(tree, open, out))
}

/// The layer with `key`, made by `write` where the store doesn't have it.
fn made(
    store: &Store,
    key: &Digest,
    files_bytes: u64,
    write: impl FnOnce(&mut dyn Write) -> io::Result<LayerDigests>,
) -> Result<StoredLayer, StoreError> {
    if let Some((digests, blob)) = store.record(key)?.and_then(|record| recorded(&record.data))
        && store.has_blob(&blob, digests.size)
    {
        return Ok(StoredLayer { digests, blob, files_bytes, unrecorded: None });
    }
    let mut writer = store.blob_writer()?;
    let path = store.root().to_owned();
    let written = write(&mut io::BufWriter::with_capacity(1 << 16, &mut writer));
    // Damage to the store is said as such, whoever's reader found it.
    let digests = written.map_err(|error| match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(source) => StoreError::Io { action: "write a layer to", path, source },
    })?;
    writer.flush().map_err(|source| StoreError::Io {
        action: "write a layer to",
        path: store.root().to_owned(),
        source,
    })?;
    let (blob, _) = writer.finish()?;
    Ok(StoredLayer { digests, blob, files_bytes, unrecorded: Some(*key) })
}

/// Records a layer that was made. What it is has to be on the disk by then.
pub(super) fn record_layer(store: &Store, layer: &StoredLayer) -> Result<(), StoreError> {
    let Some(key) = &layer.unrecorded else { return Ok(()) };
    let record = LayerRecord {
        diff_id: layer.digests.diff_id.to_string(),
        digest: layer.digests.digest.to_string(),
        size: layer.digests.size,
        unpacked: layer.digests.unpacked,
        blob: layer.blob.to_string(),
    };
    let data = serde_json::to_vec(&record).unwrap_or_default();
    store.put_record(key, &Record { trees: Vec::new(), data })
}

fn recorded(data: &[u8]) -> Option<(LayerDigests, Digest)> {
    let layer: LayerRecord = serde_json::from_slice(data).ok()?;
    let digests = LayerDigests {
        compression: Compression::Gzip,
        diff_id: layer.diff_id.parse::<Sha256>().ok()?,
        digest: layer.digest.parse::<Sha256>().ok()?,
        size: layer.size,
        unpacked: layer.unpacked,
    };
    Some((digests, layer.blob.parse().ok()?))
}
