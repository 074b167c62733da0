//! Images to the places that the user names.

mod daemon;
mod registry;

use crate::cli::{BuildArgs, ImageName, ImageOutput, PROJECT};
use crate::engine::Built;
use crate::prepare::Prepared;
use crate::report::{Failure, io_failed, store_failed};
use crate::ui::Ui;
use exflow_content::{Sha256, Sha256Hasher};
use exflow_diagnostics::Diagnostic;
use exflow_docker::Daemon;
use exflow_fetch::Cancel;
use exflow_image::{
    Configuration, LAYOUT, Manifest, check_index, image_name, index, write_archive,
};
use exflow_lock::{LockedLayer, Platform};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The file by which builds that write to the same layout wait for each other.
const LOCK: &str = ".exflow-lock";

const NOT_A_LAYOUT: &str = "exflow::output::not-a-layout";

/// The folder in the store that is the image's layout.
pub(crate) fn place(prepared: &Prepared, built: &Built) -> Result<PathBuf, Failure> {
    prepared.store.checkout(&built.packed.layout).map_err(store_failed)
}

/// An image that was built, as its layout has it.
pub(crate) struct Image<'a> {
    built: &'a Built,
    platform: &'a Platform,
    /// The folder that its layout is in.
    layout: PathBuf,
    manifest: Sha256,
}

impl<'a> Image<'a> {
    pub(crate) fn new(prepared: &'a Prepared, built: &'a Built) -> Result<Self, Failure> {
        let layout = place(prepared, built)?;
        let platform = &prepared.plan.images[built.image].settings.platform;
        Ok(Self { built, platform, layout, manifest: built.digest()? })
    }

    fn open(&self, digest: &Sha256) -> io::Result<File> {
        File::open(self.layout.join("blobs/sha256").join(digest.to_string()))
    }

    fn manifest_size(&self) -> u64 {
        self.built.packed.manifest_bytes
    }

    fn read_manifest(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(&self.manifest)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What it consists of.
    pub(crate) fn parts(&self) -> Result<Parts, Failure> {
        let read = || -> io::Result<Parts> {
            let manifest = Manifest::read(&self.read_manifest()?).map_err(io::Error::other)?;
            let mut config = Vec::new();
            self.open(&manifest.config)?.read_to_end(&mut config)?;
            let configuration = Configuration::read(&config).map_err(io::Error::other)?;
            let layers = manifest.layers(&configuration.diff_ids).map_err(io::Error::other)?;
            let Manifest { config, config_size, .. } = manifest;
            Ok(Parts { config, config_size, configuration, layers })
        };
        read().map_err(|error| io_failed("read the image in", &self.layout, &error))
    }
}

/// What an image consists of.
pub(crate) struct Parts {
    /// The digest of its configuration.
    pub(crate) config: Sha256,
    /// The length of its configuration in bytes.
    config_size: u64,
    pub(crate) configuration: Configuration,
    /// Its layers, the lowest first.
    layers: Vec<LockedLayer>,
}

/// What outputs need besides the image.
#[derive(Default)]
pub(crate) struct Ready {
    daemon: Option<Daemon>,
}

/// Says what can be said before anything is built: whether the outputs can hold what will be.
pub(crate) fn check(prepared: &Prepared, args: &BuildArgs) -> Result<Ready, Failure> {
    let mut ready = Ready::default();
    let images = prepared.images.len();
    let named = args
        .outputs
        .iter()
        .any(|output| matches!(output, ImageOutput::Docker(_) | ImageOutput::Registry(_)));
    if !args.tags.is_empty() && !named {
        return Err(Failure::Usage(
            "`--tag` is for a daemon or a registry: add `--output docker` or `registry=NAME`"
                .into(),
        ));
    }
    for output in &args.outputs {
        match output {
            ImageOutput::DockerArchive(path) if images != 1 => {
                return Err(Failure::Usage(format!(
                    "`docker-archive={}` holds one image, and {images} are built: name a project",
                    path.display(),
                )));
            }
            ImageOutput::DockerArchive(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                if folder.is_some_and(|folder| !folder.is_dir()) {
                    let reason = io::Error::other("its folder is not there");
                    return Err(io_failed("write the image to", path, &reason));
                }
            }
            ImageOutput::Oci(folder) => drop(existing_index(folder)?),
            ImageOutput::Docker(Some(name)) | ImageOutput::Registry(name)
                if images != 1 && !name.name.contains(PROJECT) =>
            {
                return Err(Failure::Usage(format!(
                    "`{}` names one image, and {images} are built: name a project, or put \
                     `{PROJECT}` into the name",
                    name.name
                )));
            }
            ImageOutput::Registry(_) => {}
            ImageOutput::Docker(_) if ready.daemon.is_some() => {}
            ImageOutput::Docker(_) => ready.daemon = Some(daemon::connect()?),
        }
    }
    Ok(ready)
}

/// Writes every image to every output.
pub(crate) fn write(
    ui: &Ui,
    prepared: &Prepared,
    images: &[Built],
    args: &BuildArgs,
    ready: &Ready,
    cancel: &Cancel,
) -> Result<(), Failure> {
    for built in images {
        let image = Image::new(prepared, built)?;
        for output in &args.outputs {
            if cancel.is_cancelled() {
                return Err(Failure::Interrupted);
            }
            match output {
                ImageOutput::Oci(folder) => write_layout(&image, folder)?,
                ImageOutput::DockerArchive(file) => write_docker(&image, file)?,
                ImageOutput::Docker(name) => {
                    let (name, tags) = called(built, name.as_ref(), &args.tags);
                    let daemon = ready.daemon.as_ref().expect("it was connected to by `check`");
                    daemon::load(ui, daemon, &image, &names(&name, &tags))?;
                }
                ImageOutput::Registry(name) => {
                    let (name, tags) = called(built, Some(name), &args.tags);
                    let to = registry::Target { name: &name, tags: &tags };
                    let pushed = registry::push(ui, prepared, &image, to, cancel)?;
                    if !args.no_statements {
                        registry::attach(ui, prepared, &image, &pushed, cancel)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The name and the tags of an image.
fn called(built: &Built, name: Option<&ImageName>, tags: &[String]) -> (String, Vec<String>) {
    let project = image_name(&built.project);
    let mut all: Vec<String> = name.and_then(|name| name.tag.clone()).into_iter().collect();
    all.extend(tags.iter().cloned());
    if all.is_empty() {
        all.push("latest".to_owned());
    }
    (name.map_or(project.clone(), |name| name.name.replace(PROJECT, &project)), all)
}

/// A name with each tag.
fn names(name: &str, tags: &[String]) -> Vec<String> {
    tags.iter().map(|tag| format!("{name}:{tag}")).collect()
}

/// The `index.json` of a layout that is there already; none where there is nothing yet.
fn existing_index(folder: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let path = folder.join("index.json");
    match fs::read(&path) {
        Ok(bytes) => match check_index(&bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) => Err(Diagnostic::error(
                NOT_A_LAYOUT,
                format!("`{}` is no OCI image layout: {error}", folder.display()),
            )
            .help("remove the folder, or name another one")
            .into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_full = fs::read_dir(folder)
                .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != LOCK));
            if !is_full {
                return Ok(None);
            }
            Err(Failure::Usage(format!(
                "`{}` is not empty, and no OCI image layout: name another folder",
                folder.display()
            )))
        }
        Err(error) => Err(io_failed("read", &path, &error)),
    }
}

/// The blobs of a layout, by name.
fn blobs(layout: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut blobs = Vec::new();
    for entry in fs::read_dir(layout.join("blobs/sha256"))? {
        let entry = entry?;
        blobs.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
    }
    blobs.sort();
    Ok(blobs)
}

/// Writes a file that is there whole, or not at all.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    // A device or a pipe is written to, and stays what it is.
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return write(&mut File::options().write(true).open(path)?);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::create(&temporary).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.flush()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_layout(image: &Image<'_>, folder: &Path) -> Result<(), Failure> {
    let failed = |source: io::Error| io_failed("write the image to", folder, &source);
    existing_index(folder)?;
    // Another build may add an image of its own at the same time. The lock ends with the process.
    fs::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(folder.join(LOCK)).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(failed)?;
    let old = existing_index(folder)?;
    let index = index(
        old.as_deref(),
        &image.built.project,
        image.platform,
        (&image.manifest, image.manifest_size()),
    )
    .map_err(|error| failed(io::Error::other(error)))?;
    let write = || -> io::Result<()> {
        let to = folder.join("blobs/sha256");
        fs::create_dir_all(&to)?;
        for (name, size) in blobs(&image.layout)? {
            let target = to.join(&name);
            if is_whole(&target, &name, size) {
                continue;
            }
            write_whole(&target, |out| {
                let from = image.layout.join("blobs/sha256").join(&name);
                io::copy(&mut File::open(from)?, out).map(drop)
            })?;
        }
        write_whole(&folder.join("oci-layout"), |out| out.write_all(LAYOUT))?;
        // Last: what it names is there by then.
        write_whole(&folder.join("index.json"), |out| out.write_all(&index))
    };
    write().map_err(failed)
}

fn write_docker(image: &Image<'_>, file: &Path) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let document = image.read_manifest()?;
        let blobs: Vec<(Sha256, u64)> = blobs(&image.layout)?
            .into_iter()
            .filter_map(|(name, size)| Some((name.parse().ok()?, size)))
            .collect();
        write_whole(file, |out| {
            let copy = |digest: &Sha256, out: &mut dyn Write| {
                io::copy(&mut image.open(digest)?, out).map(drop)
            };
            let (name, tags) = called(image.built, None, &[]);
            write_archive(&names(&name, &tags), image.platform, &document, &blobs, copy, out)
                .map(drop)
        })
    };
    write().map_err(|source| io_failed("write the image to", file, &source))
}

/// Whether a blob that is there already is what its name says.
fn is_whole(path: &Path, digest: &str, size: u64) -> bool {
    if !fs::metadata(path).is_ok_and(|found| found.len() == size) {
        return false;
    }
    let mut hasher = Sha256Hasher::new();
    File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)).is_ok()
        && hasher.finish().to_string() == digest
}
