//! Looks whether a release can run on its base, before it is packed.

use crate::pack::PackError;
use exflow_content::{Digest, Encoder, Tree};
use exflow_plan::PlannedImage;
use exflow_preflight::{Blobs, Names, PREFLIGHT_VERSION, Subject, check, diagnose};
use exflow_store::{Record, Store, StoreError};
use std::fs::File;

/// The bases of an image, as the manifest calls them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bases<'a> {
    /// The one that it stands on.
    pub(crate) base: &'a str,
    /// The one that its release was built in, and its files, where it is known.
    pub(crate) builder: Option<(&'a str, Digest)>,
}

/// The trees that are compared.
pub(crate) struct Trees<'a> {
    pub(crate) base: (&'a Digest, &'a Tree),
    pub(crate) release: (&'a Digest, &'a Tree),
    /// The release laid over the base.
    pub(crate) whole: &'a Tree,
}

struct StoredBlobs<'a>(&'a Store);

impl Blobs for StoredBlobs<'_> {
    type Error = StoreError;
    type Reader = File;

    fn open(&self, blob: &Digest) -> Result<File, StoreError> {
        self.0.open_blob(blob)
    }
}

/// Says what keeps the release from running on the base. That nothing does is remembered.
pub(crate) fn preflight(
    store: &Store,
    image: &PlannedImage,
    bases: &Bases<'_>,
    trees: &Trees<'_>,
) -> Result<(), PackError> {
    let key = key(image, trees);
    if store.record(&key)?.is_some() {
        return Ok(());
    }
    let settings = &image.settings;
    let env = |name: &str| settings.env.get(name).map(String::as_str);
    let subject = Subject {
        base: trees.base.1,
        release: trees.release.1,
        at: &settings.at,
        whole: trees.whole,
        platform: settings.platform.clone(),
        library_path: env("LD_LIBRARY_PATH"),
        path: env("PATH"),
        // As the script of a release understands it.
        is_distributed: env("RELEASE_DISTRIBUTION") != Some("none"),
    };
    let findings = check(&subject, &StoredBlobs(store), || match &bases.builder {
        Some((_, digest)) if store.has_tree(digest) => store.tree(digest).map(Some),
        _ => Ok(None),
    })?;
    if findings.mismatches.is_empty() {
        store.put_record(&key, &Record::default())?;
        return Ok(());
    }
    let names = Names {
        base: bases.base,
        builder: bases.builder.map(|(name, _)| name),
        platform: &settings.platform,
    };
    Err(PackError::Problems(diagnose(&findings, &names, image.site.as_ref())))
}

/// The key of a check that found nothing.
///
/// # Encoding
/// Tag `exflow preflight 1`; the version of the check; the digests of the base's tree and the release's; where
/// the release is; the platform; `LD_LIBRARY_PATH`, `PATH` and `RELEASE_DISTRIBUTION`, each as an optional
/// text.
fn key(image: &PlannedImage, trees: &Trees<'_>) -> Digest {
    let settings = &image.settings;
    let mut encoder = Encoder::new("exflow preflight 1");
    encoder
        .number(PREFLIGHT_VERSION.into())
        .digest(trees.base.0)
        .digest(trees.release.0)
        .bytes(settings.at.as_bytes())
        .text(&settings.platform.to_string());
    for name in ["LD_LIBRARY_PATH", "PATH", "RELEASE_DISTRIBUTION"] {
        encoder.optional(settings.env.get(name), |encoder, value| {
            encoder.text(value);
        });
    }
    encoder.digest_of()
}
