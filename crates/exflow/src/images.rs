//! Images that bases are made of, wherever they are.

use crate::executors::docker_endpoint;
use crate::places::Places;
use exflow_content::Sha256;
use exflow_docker::{Daemon, DockerError};
use exflow_fetch::image::{ImageArchive, ImageLayout, LayerFile, LayerSource, Repository};
use exflow_fetch::{Client, FetchError, Progress};
use exflow_lock::{ImageSource, LocalImage, LockedImage, LockedLayer, Platform};
use exflow_registry::{BaseReference, Login};
use exflow_store::{Store, TempDir};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// An image that can be asked for what it is, and for its layers. Nothing is fetched before.
pub(crate) enum OpenImage<'a> {
    Registry(Repository<'a>, String),
    Layout(ImageLayout, Option<String>),
    Archive(Archive),
    Daemon(InDaemon),
}

/// An archive that is opened when it is needed.
pub(crate) struct Archive {
    image: LocalImage,
    root: std::path::PathBuf,
    open: Mutex<Option<ImageArchive>>,
}

/// An image of a Docker daemon, which is saved when it is needed.
pub(crate) struct InDaemon {
    name: String,
    /// What it was when it was locked.
    id: Option<Sha256>,
    saved: Mutex<Option<(ImageArchive, TempDir)>>,
}

impl<'a> OpenImage<'a> {
    /// The image at `source`; `id` is the digest of its configuration, where it is locked.
    pub(crate) fn open(
        source: &ImageSource,
        places: &Places,
        login: &'a Login,
        id: Option<Sha256>,
    ) -> Result<Self, FetchError> {
        Ok(match source {
            ImageSource::Registry(name) => {
                let reference: BaseReference = name.parse().map_err(|error| {
                    // The manifest's was checked; a lock may have another one.
                    let reason = format!("it is no reference to an image: {error}");
                    FetchError::Unreachable { url: name.clone(), reason }
                })?;
                let repository = places.repository(&reference, login);
                Self::Registry(repository, reference.version().to_owned())
            }
            ImageSource::Layout(LocalImage { path, name }) => {
                Self::Layout(ImageLayout { root: places.root.join(path) }, name.clone())
            }
            ImageSource::Archive(image) => Self::Archive(Archive {
                image: image.clone(),
                root: places.root.clone(),
                open: Mutex::default(),
            }),
            ImageSource::Daemon(name) => {
                Self::Daemon(InDaemon { name: name.clone(), id, saved: Mutex::default() })
            }
        })
    }

    /// What it is today; or, where it is locked for another platform already, what it was then: the one for
    /// this platform that the same index has.
    pub(crate) fn find(
        &self,
        client: &Client,
        store: &Store,
        platform: &Platform,
        index: Option<&Sha256>,
    ) -> Result<LockedImage, FetchError> {
        match self {
            Self::Registry(repository, version) => match index {
                Some(index) => repository.find(client, &format!("sha256:{index}"), platform),
                None => repository.find(client, version, platform),
            },
            Self::Layout(layout, name) => layout.find(name.as_deref(), platform),
            Self::Archive(archive) => {
                archive.with(|open| open.find(archive.image.name.as_deref(), platform))
            }
            Self::Daemon(image) => image.with(store, |saved| saved.find(None, platform)),
        }
    }
}

impl LayerSource for OpenImage<'_> {
    fn layer(
        &self,
        client: &Client,
        store: &Store,
        layer: &LockedLayer,
        progress: &dyn Progress,
    ) -> Result<LayerFile, FetchError> {
        match self {
            Self::Registry(repository, _) => repository.layer(client, store, layer, progress),
            Self::Layout(layout, _) => layout.layer(client, store, layer, progress),
            Self::Archive(archive) => {
                archive.with(|open| open.layer(client, store, layer, progress))
            }
            Self::Daemon(image) => {
                image.with(store, |saved| saved.layer(client, store, layer, progress))
            }
        }
    }
}

impl Archive {
    fn with<T>(
        &self,
        work: impl FnOnce(&ImageArchive) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            let path = self.root.join(&self.image.path);
            *open = Some(ImageArchive::open(path, self.image.path.clone())?);
        }
        work(open.as_ref().expect("it has just been opened"))
    }
}

impl InDaemon {
    fn with<T>(
        &self,
        store: &Store,
        work: impl FnOnce(&ImageArchive) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.is_none() {
            let folder = store.temp_dir()?;
            let path = folder.path().join("image.tar");
            self.save(&path)?;
            *saved = Some((ImageArchive::open(path, self.name.clone())?, folder));
        }
        let (archive, _) = saved.as_ref().expect("it has just been saved");
        work(archive)
    }

    fn save(&self, path: &Path) -> Result<(), FetchError> {
        let failed = |error: DockerError| FetchError::Daemon { reason: error.to_string() };
        let endpoint = docker_endpoint().map_err(failed)?;
        let daemon = Daemon::connect(&endpoint).map_err(failed)?;
        let local = |source| FetchError::Local { path: path.display().to_string(), source };
        let save = |image: &str| {
            let mut out = BufWriter::new(File::create(path).map_err(local)?);
            match daemon.save(image, &mut out) {
                Ok(()) => out.flush().map(|()| true).map_err(local),
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(failed(error)),
            }
        };
        // Its name may be another image's by now. Not every store of Docker's knows an image by its
        // configuration, and then layers are compared with what is locked.
        let by_id = match &self.id {
            Some(id) => save(&format!("sha256:{id}"))?,
            None => false,
        };
        if by_id || save(&self.name)? {
            return Ok(());
        }
        let known = match &self.id {
            Some(id) => {
                format!("it has no image `{}`, and none with the ID sha256:{id}", self.name)
            }
            None => format!("it has no image `{}`", self.name),
        };
        Err(FetchError::Daemon { reason: known })
    }
}
