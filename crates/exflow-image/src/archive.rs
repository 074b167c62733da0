#![expect(
    clippy::disallowed_types,
    reason = "the types of oci-spec hold hash maps; `canonical` sorts what comes of them"
)]

use crate::config::{canonical, descriptor};
use exflow_content::Sha256;
use exflow_lock::Platform;
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
    platform: &Platform,
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
    let mut descriptor = described(manifest.0, manifest.1, platform)?;
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
/// writes it since version 25. `names` are what the image is called there: `shop:latest`. `blobs`
/// are those that go into it, of manifest, configuration and layers; whoever reads the archive has
/// the others. `write` writes the bytes of one.
pub fn write_archive<W: Write>(
    names: &[String],
    platform: &Platform,
    manifest: &[u8],
    blobs: &[(Sha256, u64)],
    mut write: impl FnMut(&Sha256, &mut dyn Write) -> io::Result<()>,
    out: W,
) -> io::Result<W> {
    let parsed: oci_spec::image::ImageManifest =
        serde_json::from_slice(manifest).map_err(io::Error::other)?;
    let at = |digest: &dyn std::fmt::Display| format!("blobs/sha256/{digest}");
    let index = index_of(manifest, platform, names).map_err(io::Error::other)?;
    let listed = json!([{
        "Config": at(&parsed.config().digest().digest()),
        "Layers": parsed.layers().iter().map(|layer| at(&layer.digest().digest())).collect::<Vec<_>>(),
        "RepoTags": names,
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
        let mut header = header(*size);
        header.set_path(at(digest))?;
        header.set_cksum();
        let out = archive.get_mut();
        out.write_all(header.as_bytes())?;
        let mut counted = Counted { out: &mut *out, left: *size };
        write(digest, &mut counted)?;
        if counted.left > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a blob is too short"));
        }
        // An entry ends at a multiple of a block.
        let padding = (BLOCK - size % BLOCK) % BLOCK;
        io::copy(&mut io::repeat(0).take(padding), out)?;
    }
    let mut out = archive.into_inner()?;
    out.flush()?;
    Ok(out)
}

/// The length of a block of a tar archive, in bytes.
const BLOCK: u64 = 512;

/// Takes so many bytes and not one more.
struct Counted<'a, W> {
    out: &'a mut W,
    left: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a blob is too long"));
        }
        let written = self.out.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The index of one image by these names.
fn index_of(
    manifest: &[u8],
    platform: &Platform,
    names: &[String],
) -> Result<Vec<u8>, OciSpecError> {
    let digest = Sha256::of(manifest);
    let described = names.iter().map(|name| {
        let mut descriptor = described(&digest, manifest.len() as u64, platform)?;
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        // Docker's containerd store takes the name from here, and wants it whole.
        descriptor.set_annotations(Some(HashMap::from([
            (CONTAINERD_NAME.to_owned(), whole_name(name)),
            (NAME.to_owned(), tag.to_owned()),
        ])));
        Ok(descriptor)
    });
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(described.collect::<Result<Vec<_>, OciSpecError>>()?)
        .build()?;
    Ok(canonical(&index)?.0)
}

/// An image's name with its registry, as Docker completes one.
fn whole_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

/// A manifest as an index names it.
fn described(digest: &Sha256, size: u64, platform: &Platform) -> Result<Descriptor, OciSpecError> {
    let mut descriptor = descriptor(MediaType::ImageManifest, digest, size)?;
    let platform = PlatformBuilder::default()
        .architecture(Arch::from(platform.oci_architecture()))
        .os(Os::Linux);
    descriptor.set_platform(Some(platform.build()?));
    Ok(descriptor)
}

/// A project's name as the name of an image: there, `_` and `-` stand only between other letters,
/// and `_` at most twice in a row (the distribution specification, "Pulling manifests").
pub fn image_name(name: &str) -> String {
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
