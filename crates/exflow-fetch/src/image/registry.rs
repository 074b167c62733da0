//! Images in registries (OCI distribution specification 1.1, "Pull").

use super::{LayerFile, LayerSource, bad, checked};
use crate::http::shown;
use crate::{Client, Credentials, Download, FetchError, Progress, Size};
use exflow_content::Sha256;
use exflow_image::{Document, DocumentError, MAX_DOCUMENT, Manifest, choose, component_of};
use exflow_lock::{LockedImage, LockedLayer, Platform};
use exflow_store::Store;

/// What a manifest or an index may be.
const DOCUMENTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A registry, or a mirror of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its host, and its port if it has one.
    pub host: String,
    /// It has no TLS.
    pub plain_http: bool,
}

/// A repository of a registry.
pub struct Repository<'a> {
    /// Where it is: the mirror first, if there is one.
    pub endpoints: Vec<Endpoint>,
    /// The repository: `library/debian`.
    pub repository: String,
    /// Who tells them who we are.
    pub credentials: &'a dyn Credentials,
}

/// Who keeps the list of what refers to a manifest (OCI distribution specification 1.1, "Listing Referrers").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referrers {
    /// The registry does by itself.
    Listed,
    /// Whoever pushes does, under a tag: the list as it is, if there is one.
    Tagged(Option<Vec<u8>>),
}

impl Repository<'_> {
    pub(crate) fn urls(&self, kind: &str, name: &str) -> Vec<String> {
        let repository = &self.repository;
        let url = |Endpoint { host, plain_http }: &Endpoint| {
            let scheme = if *plain_http { "http" } else { "https" };
            format!("{scheme}://{host}/v2/{repository}/{kind}/{name}")
        };
        self.endpoints.iter().map(url).collect()
    }

    /// Finds an image by its tag, or by the digest of an index or a manifest, and says what it is for
    /// `platform`.
    pub fn find(
        &self,
        client: &Client,
        reference: &str,
        platform: &Platform,
    ) -> Result<LockedImage, FetchError> {
        let (bytes, url) = self.document(client, "manifests", reference, None)?;
        let mut digest = Sha256::of(&bytes);
        if let Some(expected) = Sha256::from_oci(reference) {
            checked(bytes.clone(), &expected, &url)?;
        }
        let mut index = None;
        let mut found = (Document::read(&bytes).map_err(bad(&*url))?, url);
        // An index may name another one; more than that, nobody does.
        for _ in 0..2 {
            let (Document::Index(indexed), url) = &found else { break };
            let chosen = choose(indexed, platform).map_err(bad(&**url))?;
            index.get_or_insert(digest);
            digest = chosen.digest;
            let name = format!("sha256:{digest}");
            let (bytes, url) = self.document(client, "manifests", &name, Some(&digest))?;
            found = (Document::read(&bytes).map_err(bad(&*url))?, url);
        }
        let (Document::Manifest(manifest), url) = found else {
            let reason = DocumentError::Invalid("its indexes lead to further ones".to_owned());
            return Err(bad(found.1)(reason));
        };
        self.lock(client, index, digest, &manifest, platform).map_err(|error| match error {
            FetchError::Document { source, .. } => bad(url)(source),
            other => other,
        })
    }

    /// Where the component of the artifact under this tag or digest is: its digest, and its length in bytes.
    pub fn component(&self, client: &Client, reference: &str) -> Result<(Sha256, u64), FetchError> {
        let expected = Sha256::from_oci(reference);
        let (bytes, url) = self.document(client, "manifests", reference, expected.as_ref())?;
        component_of(&bytes).map_err(bad(url))
    }

    /// What the registry says of the artifacts that refer to a manifest.
    pub fn referrers(&self, client: &Client, subject: &Sha256) -> Result<Referrers, FetchError> {
        let get = |kind: &str, name: &str| -> Result<Option<Vec<u8>>, FetchError> {
            for url in self.urls(kind, name) {
                let got = client.get_as(&url, MAX_DOCUMENT, DOCUMENTS, self.credentials)?;
                if got.is_some() {
                    return Ok(got);
                }
            }
            Ok(None)
        };
        if get("referrers", &format!("sha256:{subject}"))?.is_some() {
            return Ok(Referrers::Listed);
        }
        Ok(Referrers::Tagged(get("manifests", &format!("sha256-{subject}"))?))
    }

    fn lock(
        &self,
        client: &Client,
        index: Option<Sha256>,
        digest: Sha256,
        manifest: &Manifest,
        platform: &Platform,
    ) -> Result<LockedImage, FetchError> {
        let name = format!("sha256:{}", manifest.config);
        let (config, url) = self.document(client, "blobs", &name, Some(&manifest.config))?;
        manifest.lock(index, digest, &config, platform).map_err(bad(url))
    }

    /// A document, and where it was. Each place is tried in turn.
    fn document(
        &self,
        client: &Client,
        kind: &str,
        name: &str,
        expected: Option<&Sha256>,
    ) -> Result<(Vec<u8>, String), FetchError> {
        let mut last = None;
        for url in self.urls(kind, name) {
            let got = client.get_as(&url, MAX_DOCUMENT, DOCUMENTS, self.credentials);
            let bytes = match got {
                Ok(Some(bytes)) => match expected {
                    Some(expected) => checked(bytes, expected, &shown(&url)),
                    None => Ok(bytes),
                },
                Ok(None) => Err(FetchError::NotFound { url: shown(&url) }),
                Err(error @ FetchError::Cancelled) => return Err(error),
                Err(error) => Err(error),
            };
            match bytes {
                Ok(bytes) => return Ok((bytes, shown(&url))),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| FetchError::NotFound { url: self.repository.clone() }))
    }
}

impl LayerSource for Repository<'_> {
    fn layer(
        &self,
        client: &Client,
        store: &Store,
        layer: &LockedLayer,
        progress: &dyn Progress,
    ) -> Result<LayerFile, FetchError> {
        let digest = format!("sha256:{}", layer.digest);
        let urls = self.urls("blobs", &digest);
        let name = format!("{} {}", self.repository, &layer.digest.to_string()[..12]);
        let wanted = Download {
            name: &name,
            urls: &urls,
            sha256: layer.digest,
            size: Size::Exactly(layer.size),
            credentials: Some(self.credentials),
        };
        let path = client.download(store, wanted, progress)?;
        Ok(LayerFile { path, offset: 0 })
    }
}
