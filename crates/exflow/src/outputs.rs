//! Images to the places that the user names.

use crate::build::{Built, Prepared, io_failed};
use crate::cli::ImageOutput;
use crate::report::Failure;
use crate::session::store_failed;
use exflow_content::Sha256;
use exflow_image::{LAYOUT, index, write_archive};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The folder in the store that is the image's layout.
pub(crate) fn place(prepared: &Prepared, built: &Built) -> Result<PathBuf, Failure> {
    prepared.store.checkout(&built.packed.layout).map_err(store_failed)
}

/// Writes every image to every output.
pub(crate) fn write(
    prepared: &Prepared,
    images: &[Built],
    outputs: &[ImageOutput],
) -> Result<(), Failure> {
    if let Some(ImageOutput::DockerArchive(path)) =
        outputs.iter().find(|output| matches!(output, ImageOutput::DockerArchive(_)))
        && images.len() != 1
    {
        return Err(Failure::Usage(format!(
            "`docker-archive={}` holds one image, and {} were built: name a project",
            path.display(),
            images.len()
        )));
    }
    for built in images {
        let layout = place(prepared, built)?;
        for output in outputs {
            match output {
                ImageOutput::Oci(folder) => write_layout(prepared, built, &layout, folder)?,
                ImageOutput::DockerArchive(file) => write_docker(prepared, built, &layout, file)?,
            }
        }
    }
    Ok(())
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
fn write_whole(
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
    let old = match fs::read(folder.join("index.json")) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let full = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if old.is_none() && full {
        return Err(Failure::Usage(format!(
            "`{}` is not empty, and no OCI image layout: name another folder",
            folder.display()
        )));
    }
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
            if fs::metadata(&target).is_ok_and(|found| found.len() == size) {
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
    let index =
        index(None, &built.project, &image.settings, (&manifest, built.packed.manifest_bytes))
            .map_err(|error| failed(io::Error::other(error)))?;
    let blob = |digest: &Sha256| layout.join("blobs/sha256").join(digest.to_string());
    let write = || -> io::Result<()> {
        let document = fs::read(blob(&manifest))?;
        let blobs: Vec<(Sha256, u64)> = blobs(layout)?
            .into_iter()
            .filter_map(|(name, size)| Some((name.parse().ok()?, size)))
            .collect();
        write_whole(file, |out| {
            let open = |digest: &Sha256| File::open(blob(digest));
            write_archive(&built.project, &index, &document, &blobs, open, out)
        })
    };
    write().map_err(failed)
}

fn digest(built: &Built) -> Result<Sha256, Failure> {
    let digest = built.packed.digest.strip_prefix("sha256:").and_then(|digest| digest.parse().ok());
    digest.ok_or_else(|| Failure::Usage("the image's record in the store is damaged".to_owned()))
}
