//! Images into a registry: only what the repository lacks of them.

use super::Image;
use crate::places::Places;
use crate::report::{Failure, io_failed};
use crate::session::store_failed;
use crate::ui::{Shown, Ui, size};
use exflow_content::{Digest, Encoder, Sha256};
use exflow_fetch::Cancel;
use exflow_registry::{ImageReference, Push, Registry, RegistryError};
use exflow_store::{Record, Store};
use serde_json::json;
use std::path::Path;

/// The media type of a manifest (OCI image specification, "Media Types").
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes an image under these tags.
pub(super) fn push(
    ui: &Ui,
    store: &Store,
    places: &Places,
    image: &Image<'_>,
    name: &str,
    tags: &[String],
    cancel: &Cancel,
) -> Result<(), Failure> {
    let to: ImageReference = name.parse().map_err(|error| {
        Failure::Usage(format!("`{name}` is no name of an image in a registry: {error}"))
    })?;
    let registry = Registry::new(&places.registries(), cancel.clone())
        .map_err(|error| io_failed("push to", Path::new(name), &error))?;
    let parts = image.parts()?;
    let manifest =
        image.read_manifest().map_err(|error| io_failed("read", &image.layout, &error))?;
    let mut blobs: Vec<(Sha256, u64)> =
        parts.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    blobs.push((parts.config, parts.config_size));
    blobs.sort();
    blobs.dedup();
    let push = Push {
        manifest: &manifest,
        media_type: MANIFEST,
        blobs: &blobs,
        open: &|digest| image.open(digest),
        elsewhere: &|digest| {
            let record = store.record(&pushed_key(to.registry(), digest)).ok()??;
            String::from_utf8(record.data).ok()
        },
    };
    let pushed = registry.push(&to, tags, &push, &Shown(ui)).map_err(|error| match error {
        RegistryError::Cancelled => Failure::Interrupted,
        _ if cancel.is_cancelled() => Failure::Interrupted,
        other => exflow_registry::diagnose(&other).into(),
    })?;
    for (digest, _) in &blobs {
        let data = to.repository().as_bytes().to_vec();
        let record = Record { trees: Vec::new(), data };
        store.put_record(&pushed_key(to.registry(), digest), &record).map_err(store_failed)?;
    }
    for tag in tags {
        let reference = to.with_tag(tag).to_string();
        let sent = size(pushed.sent);
        ui.tell("pushed", &format!("{reference}: {sent} sent"));
        ui.event(&json!({
            "event": "pushed",
            "project": image.built.project,
            "reference": reference,
            "digest": image.built.packed.digest,
            "sent_bytes": pushed.sent,
        }));
    }
    Ok(())
}

/// Where a blob was pushed to, for the next repository of the same registry that wants it.
///
/// # Encoding
/// Tag `exflow pushed blob 1`; the registry; the blob's sha256.
fn pushed_key(registry: &str, digest: &Sha256) -> Digest {
    let mut encoder = Encoder::new("exflow pushed blob 1");
    encoder.text(registry).text(&digest.to_string());
    encoder.digest_of()
}
