use exflow_content::Sha256;
use oci_spec::image::{ImageConfiguration, ImageManifest};
use std::io;

/// What an image consists of, as its manifest and its configuration say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The digest of its configuration.
    pub config: Sha256,
    /// The length of its configuration in bytes.
    pub config_size: u64,
    /// Its layers, the lowest first.
    pub layers: Vec<Part>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The digest of the archive before compression.
    pub diff_id: Sha256,
    /// The digest of its bytes.
    pub digest: Sha256,
    /// Their length.
    pub size: u64,
}

impl Parts {
    /// Reads a manifest, and the configuration that it names, whose bytes `config` gives.
    ///
    /// # Errors
    /// Where either is not what the OCI image specification says, or they don't fit each other.
    pub fn read(
        manifest: &[u8],
        config: impl FnOnce(&Sha256) -> io::Result<Vec<u8>>,
    ) -> io::Result<Self> {
        let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
        let manifest: ImageManifest = serde_json::from_slice(manifest)?;
        let sha256 =
            |digest: &str| Sha256::from_oci(digest).ok_or_else(|| invalid("a digest is no sha256"));
        let described = manifest.config();
        let digest = sha256(described.digest().as_ref())?;
        let config: ImageConfiguration = serde_json::from_slice(&config(&digest)?)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(invalid("its configuration has another number of layers"));
        }
        let layers = manifest.layers().iter().zip(diff_ids).map(|(layer, diff_id)| {
            Ok(Part {
                diff_id: sha256(diff_id)?,
                digest: sha256(layer.digest().as_ref())?,
                size: layer.size(),
            })
        });
        Ok(Self {
            config: digest,
            config_size: described.size(),
            layers: layers.collect::<io::Result<_>>()?,
        })
    }
}
