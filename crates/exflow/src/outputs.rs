//! Images to the places that the user names.

use crate::cli::ImageOutput;
use crate::engine::Built;
use crate::prepare::Prepared;
use crate::report::{Failure, io_failed};
use crate::session::store_failed;
use exflow_content::{Sha256, Sha256Hasher};
use exflow_diagnostics::Diagnostic;
use exflow_fetch::Cancel;
use exflow_image::{LAYOUT, check_index, index, write_archive};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The file by which builds that write to the same layout wait for each other.
const LOCK: &str = ".exflow-lock";

const NOT_A_LAYOUT: &str = "exflow::output::not-a-layout";

/// The folder in the store that is the image's layout.
pub(crate) fn place(prepared: &Prepared, built: &Built) -> Result<PathBuf, Failure> {
    prepared.store.checkout(&built.packed.layout).map_err(store_failed)
}

/// Says what can be said before anything is built: whether the outputs can hold what will be.
pub(crate) fn check(prepared: &Prepared, outputs: &[ImageOutput]) -> Result<(), Failure> {
    for output in outputs {
        match output {
            ImageOutput::DockerArchive(path) if prepared.images.len() != 1 => {
                return Err(Failure::Usage(format!(
                    "`docker-archive={}` holds one image, and {} are built: name a project",
                    path.display(),
                    prepared.images.len()
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
        }
    }
    Ok(())
}

/// Writes every image to every output.
pub(crate) fn write(
    prepared: &Prepared,
    images: &[Built],
    outputs: &[ImageOutput],
    cancel: &Cancel,
) -> Result<(), Failure> {
    for built in images {
        let layout = place(prepared, built)?;
        for output in outputs {
            if cancel.is_cancelled() {
                return Err(Failure::Interrupted);
            }
            match output {
                ImageOutput::Oci(folder) => write_layout(prepared, built, &layout, folder)?,
                ImageOutput::DockerArchive(file) => write_docker(prepared, built, &layout, file)?,
            }
        }
    }
    Ok(())
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

fn write_layout(
    prepared: &Prepared,
    built: &Built,
    layout: &Path,
    folder: &Path,
) -> Result<(), Failure> {
    let failed = |source: io::Error| io_failed("write the image to", folder, &source);
    existing_index(folder)?;
    // Another build may add an image of its own at the same time. The lock ends with the process.
    fs::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(folder.join(LOCK)).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(failed)?;
    let old = existing_index(folder)?;
    let image = &prepared.plan.images[built.image];
    let manifest = digest(built)?;
    let index = index(
        old.as_deref(),
        &built.project,
        &image.settings,
        (&manifest, built.packed.manifest_bytes),
    )
    .map_err(|error| failed(io::Error::other(error)))?;
    let write = || -> io::Result<()> {
        let to = folder.join("blobs/sha256");
        fs::create_dir_all(&to)?;
        for (name, size) in blobs(layout)? {
            let target = to.join(&name);
            if is_whole(&target, &name, size) {
                continue;
            }
            write_whole(&target, |out| {
                io::copy(&mut File::open(layout.join("blobs/sha256").join(&name))?, out).map(drop)
            })?;
        }
        write_whole(&folder.join("oci-layout"), |out| out.write_all(LAYOUT))?;
        // Last: what it names is there by then.
        write_whole(&folder.join("index.json"), |out| out.write_all(&index))
    };
    write().map_err(failed)
}

fn write_docker(
    prepared: &Prepared,
    built: &Built,
    layout: &Path,
    file: &Path,
) -> Result<(), Failure> {
    let failed = |source: io::Error| io_failed("write the image to", file, &source);
    let manifest = digest(built)?;
    let image = &prepared.plan.images[built.image];
    let blob = |digest: &Sha256| layout.join("blobs/sha256").join(digest.to_string());
    let write = || -> io::Result<()> {
        let document = fs::read(blob(&manifest))?;
        let blobs: Vec<(Sha256, u64)> = blobs(layout)?
            .into_iter()
            .filter_map(|(name, size)| Some((name.parse().ok()?, size)))
            .collect();
        write_whole(file, |out| {
            let open = |digest: &Sha256| File::open(blob(digest));
            write_archive(&built.project, &image.settings, &document, &blobs, open, out)
        })
    };
    write().map_err(failed)
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

fn digest(built: &Built) -> Result<Sha256, Failure> {
    let digest = built.packed.digest.strip_prefix("sha256:").and_then(|digest| digest.parse().ok());
    digest.ok_or_else(|| {
        let reason = io::Error::other("the image's record in the store is damaged");
        io_failed("write the image of", Path::new(&built.project), &reason)
    })
}
