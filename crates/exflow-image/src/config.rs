#![expect(
    clippy::disallowed_types,
    reason = "the types of oci-spec hold hash maps; `canonical` sorts what comes of them"
)]

use exflow_content::Sha256;
use exflow_lock::Compression;
use exflow_plan::ImageSettings;
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, ConfigBuilder, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder, Sha256Digest,
};
use serde::Serialize;
use std::collections::HashMap;
use std::str::FromStr;

/// The media type of a layer that is compressed like this, as the OCI image specification names it.
fn media_type(compression: Compression) -> MediaType {
    match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}

/// What the bytes of a layer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDigests {
    /// How it is compressed.
    pub compression: Compression,
    /// The digest of the archive before compression, by which a configuration names it.
    pub diff_id: Sha256,
    /// The digest of the compressed archive, by which a manifest names it.
    pub digest: Sha256,
    /// The length of the compressed archive in bytes.
    pub size: u64,
    /// The length of the archive in bytes.
    pub unpacked: u64,
}

/// The documents of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The configuration, and its digest.
    pub config: (Vec<u8>, Sha256),
    /// The manifest, and its digest, which is the image's.
    pub manifest: (Vec<u8>, Sha256),
    /// The lengths of the manifest, the configuration and all layers together, in bytes.
    pub size: u64,
}

/// Makes the configuration and the manifest of an image, as the OCI image specification 1.1 defines
/// them. `user` is the resolved one. Layers are given by their names and what their bytes are.
pub fn describe(
    settings: &ImageSettings,
    user: Option<&str>,
    layers: &[(&str, LayerDigests)],
) -> Result<Described, OciSpecError> {
    let mut config = ConfigBuilder::default()
        .env(settings.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
        .working_dir(format!("/{}", settings.workdir.as_str().unwrap_or_default()))
        .entrypoint(settings.entrypoint.clone())
        .cmd(settings.command.clone());
    if let Some(user) = user {
        config = config.user(user);
    }
    if !settings.ports.is_empty() {
        config = config.exposed_ports(settings.ports.clone());
    }
    if !settings.labels.is_empty() {
        config = config.labels(settings.labels.clone().into_iter().collect::<HashMap<_, _>>());
    }
    if !settings.volumes.is_empty() {
        config = config.volumes(settings.volumes.clone());
    }
    if let Some(signal) = &settings.stop_signal {
        config = config.stop_signal(signal.clone());
    }
    let history = layers
        .iter()
        .map(|(name, _)| HistoryBuilder::default().created_by(format!("exflow: {name}")).build());
    let config = ImageConfigurationBuilder::default()
        .architecture(Arch::from(settings.platform.oci_architecture()))
        .os(Os::Linux)
        .config(config.build()?)
        .rootfs(
            RootFsBuilder::default()
                .typ("layers")
                .diff_ids(
                    layers
                        .iter()
                        .map(|(_, layer)| format!("sha256:{}", layer.diff_id))
                        .collect::<Vec<_>>(),
                )
                .build()?,
        )
        .history(history.collect::<Result<Vec<_>, _>>()?)
        .build()?;
    let config = canonical(&config)?;
    let described = |(bytes, digest): &(Vec<u8>, Sha256), kind: MediaType| {
        descriptor(kind, digest, bytes.len() as u64)
    };
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(described(&config, MediaType::ImageConfig)?)
        .layers(
            layers
                .iter()
                .map(|(_, layer)| {
                    descriptor(media_type(layer.compression), &layer.digest, layer.size)
                })
                .collect::<Result<Vec<_>, _>>()?,
        )
        .build()?;
    let manifest = canonical(&manifest)?;
    let documents = (config.0.len() + manifest.0.len()) as u64;
    let size = documents + layers.iter().map(|(_, layer)| layer.size).sum::<u64>();
    Ok(Described { config, manifest, size })
}

pub(crate) fn descriptor(
    kind: MediaType,
    digest: &Sha256,
    size: u64,
) -> Result<oci_spec::image::Descriptor, OciSpecError> {
    DescriptorBuilder::default()
        .media_type(kind)
        .digest(Sha256Digest::from_str(&digest.to_string())?)
        .size(size)
        .build()
}

/// JSON with sorted keys and without white space: some types of the specification hold hash maps.
pub(crate) fn canonical(value: &impl Serialize) -> Result<(Vec<u8>, Sha256), OciSpecError> {
    let value = serde_json::to_value(value).map_err(OciSpecError::from)?;
    let bytes = serde_json::to_vec(&value).map_err(OciSpecError::from)?;
    let digest = Sha256::of(&bytes);
    Ok((bytes, digest))
}
