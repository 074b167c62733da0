use crate::{ImageReference, Registry, RegistryError, credentials};
use bytes::Bytes;
use exflow_content::Sha256;
use exflow_fetch::Progress;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use std::io::{self, Read};

/// How many blobs are sent at a time.
const AT_A_TIME: usize = 4;
/// How much is read of one at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// An image that is sent.
pub struct Push<'a> {
    /// Its manifest.
    pub manifest: &'a [u8],
    /// The media type of its manifest.
    pub media_type: &'a str,
    /// What its manifest names, each with its length in bytes: configuration and layers.
    pub blobs: &'a [(Sha256, u64)],
    /// Opens one of them, from its start; again where sending it is tried again.
    pub open: &'a (dyn Fn(&Sha256) -> io::Result<Box<dyn Read + Send>> + Sync),
    /// A repository of the same registry that is likely to have one.
    pub elsewhere: &'a (dyn Fn(&Sha256) -> Option<String> + Sync),
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    /// How many bytes of blobs were sent.
    pub sent: u64,
    /// How many blobs were there already.
    pub there: usize,
    /// How many were taken from another repository.
    pub mounted: usize,
}

impl Registry {
    /// Sends an artifact under no tag: who wants it knows its digest.
    pub fn push_untagged(
        &self,
        to: &ImageReference,
        push: &Push<'_>,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let by_digest = to.with_digest(&Sha256::of(push.manifest));
        self.push_to(to, &[by_digest], push, progress)
    }

    /// Sends an image to one or several tags of a repository: what the repository lacks of it, and
    /// at last its manifest.
    pub fn push(
        &self,
        to: &ImageReference,
        tags: &[String],
        push: &Push<'_>,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let references: Vec<ImageReference> = tags.iter().map(|tag| to.with_tag(tag)).collect();
        self.push_to(to, &references, push, progress)
    }

    fn push_to(
        &self,
        to: &ImageReference,
        references: &[ImageReference],
        push: &Push<'_>,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let credentials = credentials::of(to.registry())?;
        self.runtime.block_on(async {
            let registry = to.registry();
            let auth = self.try_to(registry, "let us in", || {
                self.client.auth(&to.0, &credentials, RegistryOperation::Push)
            });
            auth.await?;
            let blobs = push.blobs.iter().map(|blob| self.send(to, *blob, push, progress));
            let sent: Vec<Pushed> =
                stream::iter(blobs).buffer_unordered(AT_A_TIME).try_collect().await?;
            for to in references {
                self.try_to(registry, "take a manifest", || {
                    let kind = push.media_type.parse().map_err(|_| {
                        OciDistributionError::GenericError(Some("a bad media type".to_owned()))
                    });
                    let manifest = push.manifest.to_vec();
                    async move { self.client.push_manifest_raw(&to.0, manifest, kind?).await }
                })
                .await?;
            }
            Ok(sent.into_iter().fold(Pushed::default(), |all, one| Pushed {
                sent: all.sent + one.sent,
                there: all.there + one.there,
                mounted: all.mounted + one.mounted,
            }))
        })
    }

    async fn send(
        &self,
        to: &ImageReference,
        (digest, size): (Sha256, u64),
        push: &Push<'_>,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let (registry, name) = (to.registry(), format!("sha256:{digest}"));
        let is_there =
            self.try_to(registry, "say what it has", || self.client.blob_exists(&to.0, &name));
        if is_there.await? {
            return Ok(Pushed { there: 1, ..Pushed::default() });
        }
        if let Some(repository) = (push.elsewhere)(&digest)
            && repository != to.repository()
        {
            let from = oci_client::Reference::with_tag(
                registry.to_owned(),
                repository,
                "latest".to_owned(),
            );
            // Where it can't, it is sent.
            if self.client.mount_blob(&to.0, &from, &name).await.is_ok() {
                return Ok(Pushed { mounted: 1, ..Pushed::default() });
            }
        }
        let shown = format!("{} to {registry}", &name[..name.len().min(19)]);
        progress.begin(&shown, size);
        let sent = self.try_to(registry, "take a layer", || self.upload(to, &digest, size, push));
        let sent = sent.await;
        progress.advance(&shown, size);
        progress.end(&shown);
        sent.map(|()| Pushed { sent: size, ..Pushed::default() })
    }

    async fn upload(
        &self,
        to: &ImageReference,
        digest: &Sha256,
        size: u64,
        push: &Push<'_>,
    ) -> Result<(), OciDistributionError> {
        let blob = (push.open)(digest)?;
        let cancel = self.cancel.clone();
        let chunks = stream::unfold(Some(blob), move |blob| {
            let next = blob.and_then(|mut blob| {
                if cancel.is_cancelled() {
                    return Some((Err(io::Error::other("stopped").into()), None));
                }
                let mut chunk = vec![0; CHUNK];
                match read_full(&mut blob, &mut chunk) {
                    Ok(0) => None,
                    Ok(length) => {
                        chunk.truncate(length);
                        Some((Ok(Bytes::from(chunk)), Some(blob)))
                    }
                    Err(error) => Some((Err(error.into()), None)),
                }
            });
            std::future::ready(next)
        });
        let name = format!("sha256:{digest}");
        self.client.push_blob_stream(&to.0, chunks, &name, Some(size)).await.map(drop)
    }
}

fn read_full(blob: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match blob.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
