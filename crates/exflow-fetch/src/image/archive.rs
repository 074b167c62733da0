//! Images in archives: layouts, and what `docker save` writes (Docker Image Specification 1.2, "Combined
//! Image JSON + Filesystem Changeset Format").

use super::{LayerFile, LayerSource, bad, layout};
use crate::{Client, FetchError, Progress};
use exflow_content::{RelPath, Sha256, Sha256Hasher};
use exflow_image::{Configuration, DocumentError, MAX_DOCUMENT};
use exflow_lock::{AddedPackages, Compression, LockedImage, LockedLayer, Platform};
use exflow_store::Store;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// How many files an archive may have. An image of as many layers as there may be has a few hundred.
const MAX_FILES: usize = 100_000;
/// How many links lead to a layer at most. `docker save` makes one where two layers are the same.
const MAX_LINKS: usize = 4;

/// A file that is an archive of images.
#[derive(Debug)]
pub struct ImageArchive {
    path: PathBuf,
    /// What it is called in messages.
    shown: String,
    files: BTreeMap<RelPath, Place>,
}

/// What is at a path of the archive.
#[derive(Debug, Clone)]
enum Place {
    File { offset: u64, size: u64 },
    Link(RelPath),
}

/// An image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl ImageArchive {
    /// Opens the archive at `path`, which messages call `shown`, and notes where everything is in it.
    pub fn open(path: PathBuf, shown: String) -> Result<Self, FetchError> {
        let local = |source| FetchError::Local { path: shown.clone(), source };
        let mut archive = tar::Archive::new(File::open(&path).map_err(local)?);
        let mut files = BTreeMap::new();
        for entry in archive.entries_with_seek().map_err(local)? {
            let entry = entry.map_err(local)?;
            let Ok(name) = RelPath::clean(entry.path_bytes()) else { continue };
            let place = match entry.header().entry_type() {
                kind if kind.is_file() => {
                    Place::File { offset: entry.raw_file_position(), size: entry.size() }
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let folder = name.parent().unwrap_or_default();
                    let target = [folder.as_bytes(), b"/", &target].concat();
                    let target = if entry.header().entry_type() == tar::EntryType::Link {
                        entry.link_name_bytes().unwrap_or_default().into_owned()
                    } else {
                        target
                    };
                    let begin = target.iter().take_while(|byte| **byte == b'/').count();
                    let Ok(target) = RelPath::clean(&target[begin..]) else { continue };
                    Place::Link(target)
                }
                _ => continue,
            };
            files.insert(name, place);
            if files.len() > MAX_FILES {
                let reason = format!("it holds more than {MAX_FILES} files");
                return Err(local(io::Error::other(reason)));
            }
        }
        Ok(Self { path, shown, files })
    }

    /// The image called `name`, or the only one.
    pub fn find(&self, name: Option<&str>, platform: &Platform) -> Result<LockedImage, FetchError> {
        let Some(saved) = self.saved()? else {
            return layout::find(name, platform, |path| Ok((self.read(path)?, self.shown.clone())));
        };
        let image = self.named(&saved, name)?;
        let config_bytes = self.read(&image.config)?;
        let config = Configuration::read(&config_bytes).map_err(bad(&*self.shown))?;
        config.check(platform).map_err(bad(&*self.shown))?;
        let names = image.layers.as_deref().unwrap_or_default();
        if names.len() != config.diff_ids.len() {
            let reason = format!(
                "its configuration has {} layers, and its manifest {}",
                config.diff_ids.len(),
                names.len()
            );
            return Err(bad(&*self.shown)(DocumentError::Invalid(reason)));
        }
        let layers = names.iter().zip(&config.diff_ids).map(|(name, diff_id)| {
            let (offset, size) = self.place(name)?;
            let (digest, compression) = self.look_at(offset, size)?;
            Ok(LockedLayer { digest, diff_id: *diff_id, size, compression })
        });
        Ok(LockedImage {
            index: None,
            manifest: None,
            config: Sha256::of(&config_bytes),
            layers: layers.collect::<Result<_, FetchError>>()?,
            defaults: config.defaults,
            packages: AddedPackages::None,
        })
    }

    /// What `docker save` says of its images; none where it is a layout and nothing else.
    fn saved(&self) -> Result<Option<Vec<Saved>>, FetchError> {
        if self.place("manifest.json").is_err() {
            return Ok(None);
        }
        let bytes = self.read("manifest.json")?;
        let saved = serde_json::from_slice(&bytes);
        saved
            .map(Some)
            .map_err(|error| bad(&*self.shown)(DocumentError::Invalid(error.to_string())))
    }

    fn named<'a>(&self, saved: &'a [Saved], name: Option<&str>) -> Result<&'a Saved, FetchError> {
        let tags = |image: &'a Saved| image.repo_tags.iter().flatten().map(String::as_str);
        let found = match (name, saved) {
            (None, [only]) => return Ok(only),
            (None, _) => None,
            (Some(name), _) => {
                let latest = format!("{name}:latest");
                saved.iter().find(|image| tags(image).any(|tag| tag == name || tag == latest))
            }
        };
        found.ok_or_else(|| {
            let names: Vec<String> =
                saved.iter().flat_map(tags).take(8).map(|tag| format!("`{tag}`")).collect();
            let found = match &names[..] {
                [] => "none that has a name".to_owned(),
                names => names.join(", "),
            };
            bad(&*self.shown)(match name {
                Some(name) => DocumentError::NoSuchImage { name: name.to_owned(), found },
                None => DocumentError::Ambiguous(found),
            })
        })
    }

    /// Where a file's bytes are.
    fn place(&self, name: &str) -> Result<(u64, u64), FetchError> {
        let missing = || FetchError::Local {
            path: format!("{}: {name}", self.shown),
            source: io::ErrorKind::NotFound.into(),
        };
        let mut at = RelPath::clean(name).map_err(|_| missing())?;
        for _ in 0..=MAX_LINKS {
            match self.files.get(&at) {
                Some(Place::File { offset, size }) => return Ok((*offset, *size)),
                Some(Place::Link(target)) => at = target.clone(),
                None => break,
            }
        }
        Err(missing())
    }

    fn part(&self, offset: u64, size: u64) -> io::Result<io::Take<File>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file.take(size))
    }

    fn local(&self, source: io::Error) -> FetchError {
        FetchError::Local { path: self.shown.clone(), source }
    }

    /// A document in the archive.
    fn read(&self, name: &str) -> Result<Vec<u8>, FetchError> {
        let (offset, size) = self.place(name)?;
        if size > MAX_DOCUMENT {
            let url = format!("{}: {name}", self.shown);
            return Err(FetchError::TooLarge { url, limit: MAX_DOCUMENT });
        }
        let mut bytes = Vec::new();
        let read = self.part(offset, size).and_then(|mut part| part.read_to_end(&mut bytes));
        read.map_err(|error| self.local(error))?;
        Ok(bytes)
    }

    /// What a layer's bytes are: their digest, and how they are compressed, which nothing else says.
    fn look_at(&self, offset: u64, size: u64) -> Result<(Sha256, Compression), FetchError> {
        let look = || -> io::Result<(Sha256, Compression)> {
            let mut part = self.part(offset, size)?;
            let mut begin = Vec::with_capacity(4);
            (&mut part).take(4).read_to_end(&mut begin)?;
            let compression = match begin[..] {
                [0x1f, 0x8b, ..] => Compression::Gzip,
                [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
                _ => Compression::None,
            };
            let mut hasher = Sha256Hasher::new();
            hasher.update(&begin);
            if begin.len() as u64 + io::copy(&mut part, &mut hasher)? < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((hasher.finish(), compression))
        };
        look().map_err(|error| self.local(error))
    }
}

impl LayerSource for ImageArchive {
    fn layer(
        &self,
        _: &Client,
        _: &Store,
        layer: &LockedLayer,
        _: &dyn Progress,
    ) -> Result<LayerFile, FetchError> {
        let blob = self.place(&format!("blobs/sha256/{}", layer.digest));
        let (offset, size) = match (blob, self.saved()?) {
            (Ok(place), _) => place,
            (Err(error), None) => return Err(error),
            // It isn't called by its digest there.
            (Err(error), Some(saved)) => {
                let names = saved.iter().flat_map(|image| image.layers.iter().flatten());
                let mut places = names.filter_map(|name| self.place(name).ok());
                let same = |place: &(u64, u64)| {
                    place.1 == layer.size
                        && self.look_at(place.0, place.1).is_ok_and(|found| found.0 == layer.digest)
                };
                places.find(same).ok_or(error)?
            }
        };
        if size != layer.size {
            let source = io::Error::other("it is not what was locked");
            return Err(self.local(source));
        }
        Ok(LayerFile { path: self.path.clone(), offset })
    }
}
