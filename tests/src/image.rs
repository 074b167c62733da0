//! Images of made-up files, as registries, folders and archives hold them.

use crate::archive::{entry, tar_of};
use exflow_content::Sha256;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use tar::EntryType;

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squeeze {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By Zstandard.
    Zstd,
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Of each layer, its archive, and its bytes as they are sent.
    layers: Vec<(Vec<u8>, Vec<u8>)>,
    squeeze: Squeeze,
    config: Value,
    architecture: &'static str,
}

fn oci(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(bytes))
}

fn json_bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// This machine's architecture, as OCI names it.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

impl Image {
    /// An image without layers, for this machine.
    pub fn new(squeeze: Squeeze) -> Self {
        Self { layers: Vec::new(), squeeze, config: json!({}), architecture: ARCHITECTURE }
    }

    /// With another layer on top, of these entries.
    #[must_use]
    pub fn layer(self, entries: &[Vec<u8>]) -> Self {
        self.raw_layer(tar_of(entries))
    }

    /// The same, of an archive's bytes.
    #[must_use]
    pub fn raw_layer(mut self, archive: Vec<u8>) -> Self {
        let bytes = match self.squeeze {
            Squeeze::None => archive.clone(),
            Squeeze::Zstd => compress_to_vec(&archive[..], CompressionLevel::Fastest),
            Squeeze::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
                encoder.write_all(&archive).unwrap();
                encoder.finish().unwrap()
            }
        };
        self.layers.push((archive, bytes));
        self
    }

    /// With this in its configuration: `Env`, `User`.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// For another machine.
    #[must_use]
    pub fn architecture(mut self, architecture: &'static str) -> Self {
        self.architecture = architecture;
        self
    }

    /// The digests of its layers as they are sent: `sha256:…`.
    pub fn layer_digests(&self) -> Vec<String> {
        self.layers.iter().map(|(_, bytes)| oci(bytes)).collect()
    }

    /// The bytes of a layer, as they are sent.
    pub fn layer_bytes(&self, number: usize) -> &[u8] {
        &self.layers[number].1
    }

    fn configuration(&self) -> Vec<u8> {
        json_bytes(&json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": {
                "type": "layers",
                "diff_ids": self.layers.iter().map(|(archive, _)| oci(archive)).collect::<Vec<_>>(),
            },
            "history": [],
        }))
    }

    fn manifest(&self) -> Vec<u8> {
        let kind = match self.squeeze {
            Squeeze::None => "application/vnd.oci.image.layer.v1.tar",
            Squeeze::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Squeeze::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        };
        let config = self.configuration();
        let layers = self.layers.iter().map(
            |(_, bytes)| json!({"mediaType": kind, "digest": oci(bytes), "size": bytes.len()}),
        );
        json_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": oci(&config),
                "size": config.len(),
            },
            "layers": layers.collect::<Vec<_>>(),
        }))
    }

    /// The digest of its manifest: `sha256:…`.
    pub fn digest(&self) -> String {
        oci(&self.manifest())
    }

    /// The digest of its configuration: `sha256:…`.
    pub fn id(&self) -> String {
        oci(&self.configuration())
    }

    fn descriptor(&self) -> Value {
        let manifest = self.manifest();
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": oci(&manifest),
            "size": manifest.len(),
            "platform": {"os": "linux", "architecture": self.architecture},
        })
    }

    /// Everything that it consists of, by digest.
    fn blobs(&self) -> BTreeMap<String, Vec<u8>> {
        let documents = [self.manifest(), self.configuration()];
        let all = self.layers.iter().map(|(_, bytes)| bytes.clone()).chain(documents);
        all.map(|bytes| (oci(&bytes), bytes)).collect()
    }

    /// The files of a layout that holds it under this name.
    pub fn layout(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let mut descriptor = self.descriptor();
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        let mut files: BTreeMap<String, Vec<u8>> = self
            .blobs()
            .into_iter()
            .map(|(digest, bytes)| (format!("blobs/{}", digest.replace(':', "/")), bytes))
            .collect();
        files.insert("index.json".into(), json_bytes(&index));
        files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        files
    }

    /// What `docker save` writes of it, as it was before version 25.
    pub fn saved(&self, name: &str) -> Vec<u8> {
        let config = self.configuration();
        let config_name = format!("{}.json", Sha256::of(&config));
        let names: Vec<String> =
            (0..self.layers.len()).map(|number| format!("{number}/layer.tar")).collect();
        let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
        let layers = names.iter().zip(&self.layers).map(|(name, (_, bytes))| file(name, bytes));
        let documents =
            [file(&config_name, &config), file("manifest.json", &json_bytes(&manifest))];
        tar_of(&layers.chain(documents).collect::<Vec<_>>())
    }
}

/// Writes the files of a layout.
pub fn write_files(files: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// An archive of the files of a layout.
pub fn archive_of(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    tar_of(&files.iter().map(|(path, bytes)| file(path, bytes)).collect::<Vec<_>>())
}

fn file(path: &str, content: &[u8]) -> Vec<u8> {
    entry(path, EntryType::Regular, "", 0o644, content)
}

/// What a registry serves that has these images: repository, tag, and the image for each platform.
pub fn registry(images: &[(&str, &str, &[&Image])]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (repository, tag, images) in images {
        let at = |kind: &str, name: &str| format!("v2/{repository}/{kind}/{name}");
        for image in *images {
            for (digest, bytes) in image.blobs() {
                files.insert(at("blobs", &digest), bytes);
            }
            files.insert(at("manifests", &image.digest()), image.manifest());
        }
        let listed = match images {
            [only] => only.manifest(),
            many => json_bytes(&json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": many.iter().map(|image| image.descriptor()).collect::<Vec<_>>(),
            })),
        };
        files.insert(at("manifests", &oci(&listed)), listed.clone());
        files.insert(at("manifests", tag), listed);
    }
    files
}
