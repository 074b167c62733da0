//! Components of plugins: files of the web, and artifacts in registries.

use crate::http::shown;
use crate::image::Repository;
use crate::{Client, Download, FetchError, Progress, Size};
use exflow_content::Sha256;
use exflow_store::{Store, StoreError};
use std::fs;
use std::path::PathBuf;

/// What a component begins with (WebAssembly's component model, "Binary Format Explainer"): a core module has another
/// version and layer.
const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// Where a component is.
pub enum ComponentPlace<'a> {
    /// At an address of `https` or `http`.
    Address(&'a str),
    /// In a repository, under a tag or a digest.
    Registry(Repository<'a>, String),
}

impl ComponentPlace<'_> {
    /// The component that is there now, of at most `limit` bytes. It is in the store when this is done.
    pub fn find(
        &self,
        client: &Client,
        store: &Store,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Address(url) => {
                progress.begin(&shown(url), 0);
                let got = client.get(url, limit);
                progress.end(&shown(url));
                let bytes = got?.ok_or_else(|| FetchError::NotFound { url: shown(url) })?;
                // A page that says that there is nothing is not to be pinned.
                if !bytes.starts_with(HEADER) {
                    return Err(FetchError::NoComponent { url: shown(url) });
                }
                store.put_download(&Sha256::of(&bytes), &bytes)?;
                Ok(bytes)
            }
            Self::Registry(repository, version) => {
                let (sha256, size) = repository.component(client, version)?;
                if size > limit {
                    let url = format!("{}@sha256:{sha256}", repository.repository);
                    return Err(FetchError::TooLarge { url, limit });
                }
                let path = self.fetch(client, store, sha256, size, progress)?;
                let read = fs::read(&path);
                let bytes =
                    read.map_err(|source| StoreError::Io { action: "read", path, source })?;
                if !bytes.starts_with(HEADER) {
                    let url = format!("{}@sha256:{sha256}", repository.repository);
                    return Err(FetchError::NoComponent { url });
                }
                Ok(bytes)
            }
        }
    }

    /// The file of the component that was locked, which is in the store when this is done.
    pub fn fetch(
        &self,
        client: &Client,
        store: &Store,
        sha256: Sha256,
        size: u64,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        let (urls, name, credentials) = match self {
            Self::Address(url) => (vec![(*url).to_owned()], shown(url), None),
            Self::Registry(repository, _) => (
                repository.urls("blobs", &format!("sha256:{sha256}")),
                repository.repository.clone(),
                Some(repository.credentials),
            ),
        };
        let size = Size::Exactly(size);
        client.download(
            store,
            Download { name: &name, urls: &urls, sha256, size, credentials },
            progress,
        )
    }
}
