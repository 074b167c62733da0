//! The documents of images from elsewhere: indexes, manifests and configurations.

use exflow_content::{Digest, Encoder, Sha256};
use exflow_lock::{
    AddedPackages, Compression, ImageDefaults, LockedImage, LockedLayer, MAX_LAYER_SIZE,
    MAX_LAYERS, Platform,
};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;

/// The annotation that names an image in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";

/// The largest document that is read, in bytes (OCI distribution specification 1.1, "Pushing Manifests").
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Why a document of an image can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is not what the specification says.
    #[error("it is not valid: {0}")]
    Invalid(String),
    /// It is in a format from before there were digests of content.
    #[error("it is in the first version of Docker's format, which nothing can be pinned by")]
    Outdated,
    /// It is for other platforms.
    #[error("it is not for {wanted}, but for {found}")]
    Platform {
        /// What was looked for.
        wanted: Platform,
        /// What it is for, with commas.
        found: String,
    },
    /// A layer is something that can't be read.
    #[error("a layer is of the kind `{0}`, which exflow can't read")]
    Layer(String),
    /// There are several images.
    #[error("it holds {0}, and doesn't say which is meant")]
    Ambiguous(String),
    /// There is no image of this name.
    #[error("it holds no image `{name}`, but {found}")]
    NoSuchImage {
        /// The name.
        name: String,
        /// The names that there are.
        found: String,
    },
}

/// What a digest in a registry or a layout may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A list of images: the same one for several platforms, or those of a layout.
    Index(Vec<Indexed>),
    /// One image.
    Manifest(Manifest),
}

/// A document that an index names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Its digest.
    pub digest: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// What it is for, as `os/architecture` or `os/architecture/variant`, if that is said.
    pub platform: Option<String>,
    /// What it is called in a layout.
    pub name: Option<String>,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of the configuration.
    pub config: Sha256,
    /// Its length in bytes.
    pub config_size: u64,
    /// The layers, the lowest first.
    pub layers: Vec<ManifestLayer>,
}

/// A layer as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestLayer {
    /// The digest of its bytes.
    pub digest: Sha256,
    /// Their length.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// What a configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What it is for, as `os/architecture`.
    pub platform: String,
    /// The digests of the layers before compression, the lowest first.
    pub diff_ids: Vec<Sha256>,
    /// What a container gets.
    pub defaults: ImageDefaults,
}

impl Document {
    /// Reads a document of OCI's or of Docker's (OCI image specification 1.1; Docker Image Manifest
    /// Version 2, Schema 2).
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            schema_version: Option<u32>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let kind: Kind = json(bytes)?;
        if kind.schema_version == Some(1) {
            return Err(DocumentError::Outdated);
        }
        if kind.manifests.is_none() {
            return Manifest::read(bytes).map(Self::Manifest);
        }
        let index: ImageIndex = json(bytes)?;
        let indexed = index.manifests().iter().map(Indexed::of);
        Ok(Self::Index(indexed.collect::<Result<_, _>>()?))
    }
}

impl Indexed {
    fn of(descriptor: &Descriptor) -> Result<Self, DocumentError> {
        let platform = descriptor.platform().as_ref();
        Ok(Self {
            digest: sha256(descriptor.digest().as_ref())?,
            size: descriptor.size(),
            platform: platform.map(|one| {
                let name = format!("{}/{}", one.os(), one.architecture());
                match one.variant() {
                    Some(variant) => format!("{name}/{variant}"),
                    None => name,
                }
            }),
            name: descriptor.annotations().as_ref().and_then(|all| all.get(NAME).cloned()),
        })
    }
}

/// The one among `indexed` that is for `platform`. One that doesn't say what it is for may be, where
/// it is alone.
pub fn choose<'a>(
    indexed: &'a [Indexed],
    platform: &Platform,
) -> Result<&'a Indexed, DocumentError> {
    // The variants that every machine of the platform runs (OCI image specification 1.1, "Image Index").
    let plain = match platform {
        Platform::LinuxAmd64 => ["linux/amd64", "linux/amd64/v1"],
        Platform::LinuxArm64 => ["linux/arm64", "linux/arm64/v8"],
    };
    if let [only @ Indexed { platform: None, .. }] = indexed {
        return Ok(only);
    }
    let is_plain = |one: &&Indexed| one.platform.as_deref().is_some_and(|it| plain.contains(&it));
    indexed.iter().find(is_plain).ok_or_else(|| {
        // What builders say of themselves is listed as for a platform that nobody knows.
        let known = indexed.iter().filter_map(|one| one.platform.as_deref());
        let found = listed(known.filter(|platform| *platform != "unknown/unknown"));
        DocumentError::Platform { wanted: platform.clone(), found }
    })
}

/// The one among the images of a layout that is called `name`, or the only one.
pub fn named<'a>(indexed: &'a [Indexed], name: Option<&str>) -> Result<&'a Indexed, DocumentError> {
    let names = || listed(indexed.iter().filter_map(|one| one.name.as_deref()));
    match (name, indexed) {
        (Some(name), _) => indexed
            .iter()
            .find(|one| one.name.as_deref() == Some(name))
            .ok_or_else(|| DocumentError::NoSuchImage { name: name.to_owned(), found: names() }),
        (None, [only]) => Ok(only),
        (None, _) => Err(DocumentError::Ambiguous(names())),
    }
}

/// Names in a sentence.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut all: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    all.dedup();
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    if all.is_empty() { "none that has a name".to_owned() } else { all.join(", ") }
}

impl Manifest {
    /// Reads a manifest.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let manifest: ImageManifest = json(bytes)?;
        if manifest.layers().len() > MAX_LAYERS {
            let reason = format!("it has more than {MAX_LAYERS} layers");
            return Err(DocumentError::Invalid(reason));
        }
        if let Some(layer) = manifest.layers().iter().find(|layer| layer.size() > MAX_LAYER_SIZE) {
            let reason = format!("a layer is said to have {} bytes", layer.size());
            return Err(DocumentError::Invalid(reason));
        }
        let layers = manifest.layers().iter().map(|layer| {
            Ok(ManifestLayer {
                digest: sha256(layer.digest().as_ref())?,
                size: layer.size(),
                compression: compression(layer.media_type())?,
            })
        });
        Ok(Self {
            config: sha256(manifest.config().digest().as_ref())?,
            config_size: manifest.config().size(),
            layers: layers.collect::<Result<_, DocumentError>>()?,
        })
    }

    /// The layers, with what the configuration calls them.
    pub fn layers(&self, diff_ids: &[Sha256]) -> Result<Vec<LockedLayer>, DocumentError> {
        if diff_ids.len() != self.layers.len() {
            let reason = format!(
                "its configuration has {} layers, and its manifest {}",
                diff_ids.len(),
                self.layers.len()
            );
            return Err(DocumentError::Invalid(reason));
        }
        let layers = self.layers.iter().zip(diff_ids).map(|(layer, diff_id)| LockedLayer {
            digest: layer.digest,
            diff_id: *diff_id,
            size: layer.size,
            compression: layer.compression,
        });
        Ok(layers.collect())
    }

    /// What is locked of the image that this is the manifest of. `index` and `manifest` are digests,
    /// `config` is the document that [`Manifest::config`] names.
    pub fn lock(
        &self,
        index: Option<Sha256>,
        manifest: Sha256,
        config: &[u8],
        platform: &Platform,
    ) -> Result<LockedImage, DocumentError> {
        let config = Configuration::read(config)?;
        config.check(platform)?;
        Ok(LockedImage {
            index,
            manifest: Some(manifest),
            config: self.config,
            layers: self.layers(&config.diff_ids)?,
            defaults: config.defaults,
            packages: AddedPackages::None,
        })
    }
}

impl Configuration {
    /// Reads a configuration.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let parsed: ImageConfiguration = json(bytes)?;
        let diff_ids = parsed.rootfs().diff_ids().iter().map(|diff_id| sha256(diff_id));
        let mut defaults = ImageDefaults::default();
        if let Some(config) = parsed.config() {
            let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            let sorted = |list: &Option<Vec<String>>| {
                let mut list = list.clone().unwrap_or_default();
                list.sort();
                list.dedup();
                list
            };
            let env = config.env().iter().flatten().filter_map(|pair| pair.split_once('='));
            defaults.env = env
                .filter(|(name, value)| {
                    !name.is_empty() && !name.contains('\0') && !value.contains('\0')
                })
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            defaults.user = set(config.user());
            defaults.ports = sorted(config.exposed_ports());
            defaults.volumes = sorted(config.volumes());
            defaults.labels = config.labels().clone().into_iter().flatten().collect();
            defaults.stop_signal = set(config.stop_signal());
        }
        Ok(Self {
            platform: format!("{}/{}", parsed.os(), parsed.architecture()),
            diff_ids: diff_ids.collect::<Result<_, _>>()?,
            defaults,
        })
    }

    /// Whether it is for `platform`.
    pub fn check(&self, platform: &Platform) -> Result<(), DocumentError> {
        if self.platform == platform.to_string() {
            return Ok(());
        }
        let found = listed(std::iter::once(&*self.platform));
        Err(DocumentError::Platform { wanted: platform.clone(), found })
    }
}

/// The key of a base that is an image: the digest of everything that can affect what comes of it. `named`
/// are the packages that were asked for.
///
/// # Encoding
/// Tag `exflow image base 1`; platform; the list of layers: digest, `diff_id`; the packages that are
/// added: variant 0 none, 1 dpkg's, 2 apk's, and the list of them: name, version, architecture, sha256; of
/// apk's also size and checksum of each, and the list of what was asked for.
pub fn image_base_key(image: &LockedImage, named: &[String], platform: &Platform) -> Digest {
    let mut encoder = Encoder::new("exflow image base 1");
    encoder.text(&platform.to_string());
    encoder.list(image.layers.iter(), |encoder, layer| {
        encoder.sha256(&layer.digest).sha256(&layer.diff_id);
    });
    match &image.packages {
        AddedPackages::None => {
            encoder.variant(0);
        }
        AddedPackages::Debian(debian) => {
            encoder.variant(1).list(debian.packages.iter(), |encoder, package| {
                encoder.text(&package.name).text(&package.version).text(&package.architecture);
                encoder.sha256(&package.sha256);
            });
        }
        AddedPackages::Alpine(alpine) => {
            encoder.variant(2).list(alpine.packages.iter(), |encoder, package| {
                encoder.text(&package.name).text(&package.version).text(&package.architecture);
                encoder.sha256(&package.sha256).number(package.size).text(&package.checksum);
            });
            encoder.list(named.iter(), |encoder, name| {
                encoder.text(name);
            });
        }
    }
    encoder.digest_of()
}

pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|error| DocumentError::Invalid(error.to_string()))
}

pub(crate) fn sha256(digest: &str) -> Result<Sha256, DocumentError> {
    Sha256::from_oci(digest).ok_or_else(|| {
        let shown: String = digest.chars().take(80).collect();
        DocumentError::Invalid(format!("`{shown}` is not a sha256 digest"))
    })
}

/// How a layer of this media type is compressed: one of OCI's, or one of Docker's (Docker Image
/// Manifest Version 2, Schema 2, "Media Types").
fn compression(kind: &MediaType) -> Result<Compression, DocumentError> {
    match kind {
        MediaType::ImageLayer | MediaType::ImageLayerNonDistributable => Ok(Compression::None),
        MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip => {
            Ok(Compression::Gzip)
        }
        MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd => {
            Ok(Compression::Zstd)
        }
        other => match other.as_ref() {
            "application/vnd.docker.image.rootfs.diff.tar" => Ok(Compression::None),
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Compression::Gzip),
            "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
            other => Err(DocumentError::Layer(other.chars().take(120).collect())),
        },
    }
}

#[cfg(test)]
mod tests;
