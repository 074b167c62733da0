//! Assembles images in the store: each is an OCI layout, kept as a tree.

mod layers;

use crate::preflight::{Bases, Trees, preflight};
use exflow_content::{Digest, Encoder, Entry, Mode, RelPath, Tree};
use exflow_diagnostics::{Diagnostic, Diagnostics, did_you_mean};
use exflow_image::{LAYOUT, LayerDigests, describe, index, resolve_user, split};
use exflow_plan::{ImageSettings, PlannedImage};
use exflow_store::{Record, Store, StoreError};
use layers::{StoredLayer, keep_layers, record_layer, store_layers};
use serde::{Deserialize, Serialize};

const UNKNOWN_USER: &str = "exflow::image::unknown-user";
const FAILED: &str = "exflow::image::failed";
const OVERLAP: &str = "exflow::image::overlap";
/// The longest `/etc/passwd` that is read, in bytes.
const MAX_PASSWD: u64 = 4 << 20;

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packed {
    /// The digest of its manifest: `sha256:…`.
    pub(crate) digest: String,
    /// Its length in bytes, as it is sent: manifest, configuration and compressed layers.
    pub(crate) size_bytes: u64,
    /// The length of its files in bytes.
    pub(crate) unpacked_bytes: u64,
    /// Its layers, the lowest first.
    pub(crate) layers: Vec<PackedLayer>,
    /// The length of its manifest in bytes.
    pub(crate) manifest_bytes: u64,
    /// The digest of the tree that is its layout.
    #[serde(skip, default = "unknown_layout")]
    pub(crate) layout: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedLayer {
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    pub(crate) unpacked_bytes: u64,
}

/// A record's trees say which it is.
fn unknown_layout() -> Digest {
    Digest::of(b"")
}

/// Why an image wasn't assembled.
#[derive(Debug)]
pub(crate) enum PackError {
    /// The store failed.
    Store(StoreError),
    /// It can't be.
    Problem(Box<Diagnostic>),
    /// It would not run.
    Problems(Diagnostics),
}

impl From<StoreError> for PackError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Diagnostic> for PackError {
    fn from(problem: Diagnostic) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// The key of what is kept of an image: of the image itself, and of its name, which is in its layout.
///
/// # Encoding
/// Tag `exflow packed image 1`; the image's key; the project's name.
pub(crate) fn key(image: &PlannedImage, base: &Digest, release: &Digest) -> Digest {
    let mut encoder = Encoder::new("exflow packed image 1");
    encoder.digest(&image.settings.key(base, release)).text(&image.project);
    encoder.digest_of()
}

/// The image with `key`, if it has been assembled before.
pub(crate) fn known(store: &Store, key: &Digest) -> Result<Option<Packed>, StoreError> {
    let Some(record) = store.record(key)? else { return Ok(None) };
    let Some(layout) = record.trees.first() else { return Ok(None) };
    // A handful of files, of which none may be missing when it is handed on.
    if !store.tree(layout).is_ok_and(|tree| store.has_blobs(&tree)) {
        return Ok(None);
    }
    let packed = serde_json::from_slice::<Packed>(&record.data).ok();
    Ok(packed.map(|packed| Packed { layout: *layout, ..packed }))
}

/// The trees of a base.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaseTrees {
    /// Its files.
    pub(crate) tree: Digest,
    /// Of an image: the bytes of its layers, and what they make.
    image: Option<(Digest, Digest)>,
}

impl BaseTrees {
    /// From what its step gives: see [`PlannedBase::outputs`](exflow_plan::PlannedBase::outputs).
    pub(crate) fn of(outputs: &[Digest]) -> Self {
        match outputs {
            [tree, layers, files] => Self { tree: *tree, image: Some((*layers, *files)) },
            _ => Self { tree: outputs[0], image: None },
        }
    }
}

/// Assembles an image of `base` and `release`, and records it under `key`.
pub(crate) fn pack(
    store: &Store,
    image: &PlannedImage,
    key: &Digest,
    trees: &BaseTrees,
    release_digest: &Digest,
    bases: &Bases<'_>,
) -> Result<Packed, PackError> {
    let settings = &image.settings;
    let base = store.tree(&trees.tree)?;
    let release = store.tree(release_digest)?;
    let user = user(store, image, &base)?;
    let whole = laid_over(&base, &release, settings).map_err(|reason| {
        let message = format!("the release does not fit onto the base: {reason}");
        at(image, Diagnostic::error(OVERLAP, message)).help(
            "the plugin decides where the release goes: tell its author, or take another base",
        )
    })?;
    if let Some(path) = whiteout(&whole) {
        let message = format!("`/{path}` can't be in an image");
        return Err(at(image, Diagnostic::error(FAILED, message))
            .help("in a layer, a name that begins with `.wh.` removes what has the rest of it as its name")
            .into());
    }
    let compared =
        Trees { base: (&trees.tree, &base), release: (release_digest, &release), whole: &whole };
    preflight(store, image, bases, &compared)?;
    let (mut kept, mut files) = (Vec::new(), None);
    if let Some((bytes, tree)) = &trees.image {
        kept = keep_layers(store, &settings.kept, &store.tree(bytes)?)?;
        files = Some(store.tree(tree)?);
    }
    let layers = split(&base, files.as_ref(), &release, settings);
    let made = store_layers(store, &layers)?;
    let kept = kept.into_iter().map(|layer| ("base", layer));
    let stored: Vec<(&str, StoredLayer)> =
        kept.chain(layers.iter().map(|layer| &*layer.name).zip(made)).collect();
    let described: Vec<(&str, LayerDigests)> =
        stored.iter().map(|(name, layer)| (*name, layer.digests.clone())).collect();
    let failed = |reason: &dyn std::fmt::Display| {
        let message = format!("the image can't be assembled: {reason}");
        at(image, Diagnostic::error(FAILED, message))
            .help("a name or value in stage `runtime` is not allowed in an image's configuration")
    };
    let documents =
        describe(settings, user.as_deref(), &described).map_err(|error| failed(&error))?;
    let manifest_bytes = documents.manifest.0.len() as u64;
    let index =
        index(None, &image.project, &settings.platform, (&documents.manifest.1, manifest_bytes))
            .map_err(|error| failed(&error))?;
    let mut layout = Tree::new();
    let mut keep = |at: String, blob: Digest, size: u64| {
        let path = RelPath::new(&at).expect("a clean path");
        layout
            .insert(path, Entry::File { mode: Mode::FILE, blob, size })
            .expect("folders above a file");
    };
    for (digest, bytes) in [
        (format!("blobs/sha256/{}", documents.config.1), documents.config.0.as_slice()),
        (format!("blobs/sha256/{}", documents.manifest.1), &documents.manifest.0),
        ("index.json".to_owned(), &index),
        ("oci-layout".to_owned(), LAYOUT),
    ] {
        keep(digest, store.put_blob(bytes)?, bytes.len() as u64);
    }
    for (_, StoredLayer { digests, blob, .. }) in &stored {
        keep(format!("blobs/sha256/{}", digests.digest), *blob, digests.size);
    }
    let layout = store.put_tree(&layout)?;
    let packed = Packed {
        digest: format!("sha256:{}", documents.manifest.1),
        size_bytes: documents.size,
        unpacked_bytes: whole.size(),
        layers: stored
            .iter()
            .map(|(name, layer)| PackedLayer {
                name: (*name).to_owned(),
                size_bytes: layer.digests.size,
                unpacked_bytes: layer.files_bytes,
            })
            .collect(),
        manifest_bytes,
        layout,
    };
    let data = serde_json::to_vec(&packed).map_err(|error| failed(&error))?;
    // Once for all: flushing takes longer than the rest.
    store.sync()?;
    for (_, layer) in &stored {
        record_layer(store, layer)?;
    }
    store.put_record(key, &Record { trees: vec![layout], data })?;
    Ok(packed)
}

/// A path that would not be there, but take something away (OCI image specification 1.1, "Whiteouts").
fn whiteout(tree: &Tree) -> Option<&RelPath> {
    let mut paths = tree.entries().map(|(path, _)| path);
    paths.find(|path| path.name().is_some_and(|name| name.starts_with(b".wh.")))
}

/// The files of an image: the release laid over the base.
///
/// # Errors
/// Where the release would take the place of a link, or of anything else that is no folder: a base
/// without its `/lib` starts nothing.
pub(crate) fn laid_over(
    base: &Tree,
    release: &Tree,
    settings: &ImageSettings,
) -> Result<Tree, String> {
    for folder in settings.at.parents().chain([settings.at.clone()]) {
        if base.get(&folder).is_some_and(|entry| !matches!(entry, Entry::Folder { .. })) {
            return Err(format!("`/{folder}` is no folder there"));
        }
    }
    let mut whole = base.clone();
    whole.merge(&settings.at, release).map_err(|error| error.to_string())?;
    Ok(whole)
}

fn at(image: &PlannedImage, diagnostic: Diagnostic) -> Diagnostic {
    diagnostic.at_known(image.site.as_ref(), "asked for here")
}

/// The image's user, by number.
fn user(store: &Store, image: &PlannedImage, base: &Tree) -> Result<Option<String>, PackError> {
    let Some(user) = &image.settings.user else { return Ok(None) };
    let text = |at: &str| -> Result<String, StoreError> {
        let path = base.resolve(&RelPath::new(at).expect("a clean path"));
        match path.and_then(|path| base.get(&path).cloned()) {
            Some(Entry::File { blob, size, .. }) if size <= MAX_PASSWD => {
                Ok(String::from_utf8_lossy(&store.read_blob(&blob, MAX_PASSWD)?).into_owned())
            }
            _ => Ok(String::new()),
        }
    };
    let (passwd, group) = (text("etc/passwd")?, text("etc/group")?);
    resolve_user(user, &passwd, &group).map(Some).map_err(|error| {
        let help = match did_you_mean(user, error.known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "take a user of the base, or a number: `user \"65534\"`".to_owned(),
        };
        at(image, Diagnostic::error(UNKNOWN_USER, error.to_string()).help(help)).into()
    })
}
