#![expect(
    clippy::disallowed_types,
    reason = "the types of oci-spec hold hash maps; `canonical` sorts what comes of them"
)]

use crate::config::{canonical, descriptor};
use exflow_content::Sha256;
use exflow_plan::ImageSettings;
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, Descriptor, ImageIndex, ImageIndexBuilder, MediaType, Os, PlatformBuilder,
};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// The annotation that names an image in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that containerd takes an image's name from.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// What the file `oci-layout` of a layout says.
pub const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Why an index can't be written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The one that is there already can't be read.
    #[error("the `index.json` that is there is none: {0}")]
    Existing(serde_json::Error),
    /// It can't be made.
    #[error(transparent)]
    Spec(#[from] OciSpecError),
}

/// Whether these bytes are an `index.json` that [`index`] can add an image to.
pub fn check_index(bytes: &[u8]) -> Result<(), IndexError> {
    serde_json::from_slice::<ImageIndex>(bytes).map(drop).map_err(IndexError::Existing)
}

/// The `index.json` of a layout that holds the image `name` with this manifest, and the other images
/// of `existing`, the `index.json` that is there.
pub fn index(
    existing: Option<&[u8]>,
    name: &str,
    settings: &ImageSettings,
    manifest: (&Sha256, u64),
) -> Result<Vec<u8>, IndexError> {
    let mut manifests = match existing {
        Some(bytes) => {
            let index: ImageIndex = serde_json::from_slice(bytes).map_err(IndexError::Existing)?;
            index.manifests().clone()
        }
        None => Vec::new(),
    };
    let named = |descriptor: &Descriptor| {
        descriptor.annotations().as_ref().and_then(|all| all.get(NAME).cloned())
    };
    manifests.retain(|descriptor| named(descriptor).as_deref() != Some(name));
    let mut descriptor = described(manifest.0, manifest.1, settings)?;
    descriptor.set_annotations(Some(HashMap::from([(NAME.to_owned(), name.to_owned())])));
    manifests.push(descriptor);
    manifests.sort_by_key(named);
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()?;
    Ok(canonical(&index)?.0)
}

/// Writes an archive that `docker load` reads, and that is an OCI layout, too, as `docker save`
/// writes it since version 25. `blobs` are configuration, layers and manifest, by digest; `open`
/// gives their bytes.
pub fn write_archive<R: Read>(
    name: &str,
    settings: &ImageSettings,
    manifest: &[u8],
    blobs: &[(Sha256, u64)],
    open: impl Fn(&Sha256) -> io::Result<R>,
    out: impl Write,
) -> io::Result<()> {
    let parsed: oci_spec::image::ImageManifest =
        serde_json::from_slice(manifest).map_err(io::Error::other)?;
    let at = |digest: &dyn std::fmt::Display| format!("blobs/sha256/{digest}");
    let name = reference(name);
    // Docker's containerd store takes the name from here, and wants it whole.
    let index = index_of(manifest, settings, |descriptor| {
        descriptor.set_annotations(Some(HashMap::from([
            (CONTAINERD_NAME.to_owned(), format!("docker.io/library/{name}:latest")),
            (NAME.to_owned(), "latest".to_owned()),
        ])));
    })
    .map_err(io::Error::other)?;
    let listed = json!([{
        "Config": at(&parsed.config().digest().digest()),
        "Layers": parsed.layers().iter().map(|layer| at(&layer.digest().digest())).collect::<Vec<_>>(),
        "RepoTags": [format!("{name}:latest")],
    }]);
    let mut archive = Builder::new(out);
    for (path, bytes) in [
        ("oci-layout", LAYOUT.to_vec()),
        ("index.json", index),
        ("manifest.json", serde_json::to_vec(&listed).map_err(io::Error::other)?),
    ] {
        archive.append_data(&mut header(bytes.len() as u64), path, bytes.as_slice())?;
    }
    let mut sorted: Vec<&(Sha256, u64)> = blobs.iter().collect();
    sorted.sort();
    sorted.dedup();
    for (digest, size) in sorted {
        archive.append_data(&mut header(*size), at(digest), open(digest)?)?;
    }
    archive.into_inner()?.flush()
}

/// The index of one image.
fn index_of(
    manifest: &[u8],
    settings: &ImageSettings,
    name: impl FnOnce(&mut Descriptor),
) -> Result<Vec<u8>, OciSpecError> {
    let digest = Sha256::of(manifest);
    let mut descriptor = described(&digest, manifest.len() as u64, settings)?;
    name(&mut descriptor);
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![descriptor])
        .build()?;
    Ok(canonical(&index)?.0)
}

/// A manifest as an index names it.
fn described(
    digest: &Sha256,
    size: u64,
    settings: &ImageSettings,
) -> Result<Descriptor, OciSpecError> {
    let mut descriptor = descriptor(MediaType::ImageManifest, digest, size)?;
    let platform = PlatformBuilder::default()
        .architecture(Arch::from(settings.platform.oci_architecture()))
        .os(Os::Linux);
    descriptor.set_platform(Some(platform.build()?));
    Ok(descriptor)
}

/// A project's name as the name of an image: there, `_` and `-` stand only between other letters,
/// and `_` at most twice in a row (the distribution specification, "Pulling manifests").
fn reference(name: &str) -> String {
    let words: Vec<&str> = name.split(['_', '-']).filter(|word| !word.is_empty()).collect();
    let plain = words.join("-");
    let is_one = |name: &str| {
        !name.contains("___")
            && !name.contains("_-")
            && !name.contains("-_")
            && !name.ends_with(['_', '-'])
            && !name.starts_with(['_', '-'])
    };
    if is_one(name) { name.to_owned() } else { plain }
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
