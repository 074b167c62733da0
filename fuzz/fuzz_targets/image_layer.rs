#![no_main]
//! A layer of an image comes from a registry; its documents, too.

use exflow_content::{Digest, Tree};
use exflow_image::{Configuration, Document, LayerContents, LayerLimits, decompress, read_layer};
use exflow_lock::Compression;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Document::read(bytes);
    let _ = Configuration::read(bytes);
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let compression = match kind % 3 {
        0 => Compression::None,
        1 => Compression::Gzip,
        _ => Compression::Zstd,
    };
    let limits = LayerLimits { unpacked: 1 << 20, entries: 1000, ratio: 200 };
    let size = bytes.len() as u64;
    let read = read_layer(decompress(compression, bytes), size, limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    });
    let Ok(layer) = read else { return };
    let kept = LayerContents::decode(&layer.encode_changes(), layer.tree().clone()).unwrap();
    assert_eq!(kept, layer);
    // Over itself: what it takes away is there then.
    let mut tree = Tree::new();
    if layer.apply(&mut tree).is_ok() {
        let _ = layer.apply(&mut tree);
        assert_eq!(Tree::decode(&tree.encode()).unwrap(), tree);
    }
});
