use crate::filters::by_label;
use crate::{Daemon, DockerError};
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use tokio::sync::mpsc;

/// How much of an archive is sent at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// An image that a daemon has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonImage {
    /// What it is called by: `sha256:…`.
    pub id: String,
    /// Its names.
    pub tags: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Daemon {
    /// The images that have a label.
    pub fn images(&self, label: &str) -> Result<Vec<DaemonImage>, DockerError> {
        self.list(ListImagesOptionsBuilder::default().filters(&by_label(label)))
    }

    /// All images, the newest first.
    pub fn all_images(&self) -> Result<Vec<DaemonImage>, DockerError> {
        self.list(ListImagesOptionsBuilder::default())
    }

    fn list(&self, options: ListImagesOptionsBuilder) -> Result<Vec<DaemonImage>, DockerError> {
        let listed = self.docker.list_images(Some(options.build()));
        let images = self.ask("list its images", listed)?;
        let images = images.into_iter().map(|image| DaemonImage {
            id: image.id,
            tags: image.repo_tags,
            labels: image.labels.into_iter().collect(),
        });
        Ok(images.collect())
    }

    /// The digests of an image's layers before compression, the lowest first; none where there is
    /// no such image.
    pub fn layers(&self, image: &str) -> Result<Option<Vec<String>>, DockerError> {
        match self.ask("look at an image", self.docker.inspect_image(image)) {
            Ok(found) => Ok(found.root_fs.and_then(|root| root.layers)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an image as the archive that `docker save` gives.
    pub fn save(&self, image: &str, out: &mut dyn Write) -> Result<(), DockerError> {
        const ACTION: &str = "save an image";
        self.runtime.block_on(async {
            let mut chunks = Box::pin(self.docker.export_image(image));
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| DockerError::of(ACTION, error))?;
                out.write_all(&chunk)
                    .map_err(|source| DockerError::Read { action: ACTION, source })?;
            }
            Ok(())
        })
    }

    /// Loads an archive as `docker load` takes it. `write` writes it; what it fails with is
    /// [`DockerError::Read`].
    pub fn load(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
    ) -> Result<(), DockerError> {
        let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(4);
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let mut out = BufWriter::with_capacity(CHUNK, Sending(&sender));
                let written = write(&mut out).and_then(|()| out.flush());
                drop(out);
                if let Err(error) = &written {
                    // The daemon must not take what has been sent for all.
                    let broken = io::Error::new(error.kind(), error.to_string());
                    let _ = sender.blocking_send(Err(broken));
                }
                written
            });
            let body = stream::unfold(receiver, async |mut receiver| {
                receiver.recv().await.map(|chunk| (chunk, receiver))
            });
            let options = ImportImageOptionsBuilder::default().quiet(true).build();
            let answered = self.runtime.block_on(async {
                let mut answers = Box::pin(self.docker.import_image(
                    options,
                    bollard::body_try_stream(body),
                    None,
                ));
                while let Some(answer) = answers.next().await {
                    answer?;
                }
                Ok(())
            });
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (answered, written) {
                (Ok(()), Ok(())) => Ok(()),
                // Where the daemon hung up, writing failed for that.
                (Err(error), Err(broken)) if broken.kind() == io::ErrorKind::BrokenPipe => {
                    Err(DockerError::of("load an image", error))
                }
                (_, Err(source)) => Err(DockerError::Read { action: "send an image", source }),
                (Err(error), Ok(())) => Err(DockerError::of("load an image", error)),
            }
        })
    }

    /// Removes an image, or a name of one; whether it is gone. One that is in use is left alone.
    pub fn remove_image(&self, image: &str) -> bool {
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        let removed = self.docker.remove_image(image, Some(options), None);
        match self.ask("remove an image", removed) {
            Ok(_) => true,
            Err(error) => error.is_not_found(),
        }
    }

    /// Gives an image another name.
    pub fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), DockerError> {
        let options =
            bollard::query_parameters::TagImageOptionsBuilder::default().repo(repository).tag(tag);
        self.ask("tag an image", self.docker.tag_image(image, Some(options.build())))
    }
}

/// Passes what is written on to the one who sends it.
struct Sending<'a>(&'a mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
