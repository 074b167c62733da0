//! Images in folders (OCI image specification 1.1, "Image Layout").

use super::{LayerFile, LayerSource, bad, checked};
use crate::{Client, FetchError, Progress};
use exflow_content::Sha256;
use exflow_image::{Document, DocumentError, MAX_DOCUMENT, choose, named};
use exflow_lock::{LockedImage, LockedLayer, Platform};
use exflow_store::Store;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// A folder that is an image layout.
#[derive(Debug, Clone)]
pub struct ImageLayout {
    /// The folder.
    pub root: PathBuf,
}

impl ImageLayout {
    /// The image called `name`, or the only one.
    pub fn find(&self, name: Option<&str>, platform: &Platform) -> Result<LockedImage, FetchError> {
        find(name, platform, |path| {
            let path = self.root.join(path);
            let shown = path.display().to_string();
            let mut bytes = Vec::new();
            let read = File::open(&path)
                .and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes));
            match read {
                Ok(_) if bytes.len() as u64 > MAX_DOCUMENT => {
                    Err(FetchError::TooLarge { url: shown, limit: MAX_DOCUMENT })
                }
                Ok(_) => Ok((bytes, shown)),
                Err(source) => Err(FetchError::Local { path: shown, source }),
            }
        })
    }
}

/// The image called `name` in a layout, or the only one. `read` gives the document at a path of the
/// layout, and what it is called in a message.
pub(super) fn find(
    name: Option<&str>,
    platform: &Platform,
    read: impl Fn(&str) -> Result<(Vec<u8>, String), FetchError>,
) -> Result<LockedImage, FetchError> {
    let blob = |digest: &Sha256| -> Result<(Vec<u8>, String), FetchError> {
        let (bytes, shown) = read(&format!("blobs/sha256/{digest}"))?;
        Ok((checked(bytes, digest, &shown)?, shown))
    };
    let (bytes, shown) = read("index.json")?;
    let Document::Index(images) = Document::read(&bytes).map_err(bad(&*shown))? else {
        let reason = DocumentError::Invalid("it is no index".to_owned());
        return Err(bad(shown)(reason));
    };
    let mut chosen = named(&images, name).map_err(bad(&*shown))?.clone();
    let mut index = None;
    for _ in 0..3 {
        let (bytes, shown) = blob(&chosen.digest)?;
        match Document::read(&bytes).map_err(bad(&*shown))? {
            Document::Index(indexed) => {
                index.get_or_insert(chosen.digest);
                chosen = choose(&indexed, platform).map_err(bad(shown))?.clone();
            }
            Document::Manifest(manifest) => {
                let (config, shown) = blob(&manifest.config)?;
                return manifest.lock(index, chosen.digest, &config, platform).map_err(bad(shown));
            }
        }
    }
    let reason = DocumentError::Invalid("its indexes lead to further ones".to_owned());
    Err(bad(shown)(reason))
}

impl LayerSource for ImageLayout {
    fn layer(
        &self,
        _: &Client,
        _: &Store,
        layer: &LockedLayer,
        _: &dyn Progress,
    ) -> Result<LayerFile, FetchError> {
        let path = self.root.join(format!("blobs/sha256/{}", layer.digest));
        if !path.is_file() {
            let source = io::ErrorKind::NotFound.into();
            return Err(FetchError::Local { path: path.display().to_string(), source });
        }
        Ok(LayerFile { path, offset: 0 })
    }
}
