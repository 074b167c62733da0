//! Images into a Docker daemon: only what it lacks of them.

use super::{Image, Parts};
use crate::executors::docker_endpoint;
use crate::report::Failure;
use crate::ui::{Ui, size};
use exflow_content::Sha256;
use exflow_docker::{Daemon, DockerError};
use exflow_image::write_archive;
use std::io::{self, Write};

/// What is sent sooner than looked for, in bytes: an answer takes a millisecond.
const NOT_MUCH: u64 = 1 << 20;
/// How many of a daemon's images are looked at for layers that they have in common with ours.
const LOOKED_AT: usize = 100;

/// Connects to the daemon that `docker` would talk to.
pub(super) fn connect() -> Result<Daemon, Failure> {
    docker_endpoint()
        .and_then(|endpoint| Daemon::connect(&endpoint))
        .map_err(|error| failed(&error))
}

fn failed(error: &DockerError) -> Failure {
    exflow_docker::diagnose(error).into()
}

/// Loads an image under these names: `shop:latest`.
pub(super) fn load(
    ui: &Ui,
    daemon: &Daemon,
    image: &Image<'_>,
    names: &[String],
) -> Result<(), Failure> {
    let parts = image.parts()?;
    // The one store of images goes by the configuration, the other by the manifest.
    let ids = [parts.config, image.manifest].map(|digest| format!("sha256:{digest}"));
    for id in &ids {
        if daemon.layers(id).map_err(|error| failed(&error))?.is_some() {
            for name in names {
                let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
                daemon.tag(id, repository, tag).map_err(|error| failed(&error))?;
            }
            ui.tell("loaded", &format!("{}: the daemon has it already", names.join(", ")));
            return Ok(());
        }
    }
    let known = known(daemon, &parts, names).map_err(|error| failed(&error))?;
    let sent = match send(daemon, image, &parts, names, known) {
        // Not every daemon takes an archive without the layers that it has.
        Err(DockerError::Refused { .. }) if known > 0 => send(daemon, image, &parts, names, 0),
        other => other,
    };
    let sent = sent.map_err(|error| failed(&error))?;
    ui.tell("loaded", &format!("{}: {} sent", names.join(", "), size(sent)));
    Ok(())
}

/// How many of the lowest layers the daemon has, in an image of the same name or in another one.
fn known(daemon: &Daemon, parts: &Parts, names: &[String]) -> Result<usize, DockerError> {
    let wanted: Vec<String> =
        parts.layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
    let mut most = 0;
    let mut look = |image: &str| -> Result<bool, DockerError> {
        let layers = daemon.layers(image)?.unwrap_or_default();
        let same = layers.iter().zip(&wanted).take_while(|(found, wanted)| found == wanted);
        most = most.max(same.count());
        let missing: u64 = parts.layers[most..].iter().map(|layer| layer.size).sum();
        Ok(missing <= NOT_MUCH)
    };
    for name in names {
        if look(name)? {
            return Ok(most);
        }
    }
    for image in daemon.all_images()?.iter().take(LOOKED_AT) {
        if look(&image.id)? {
            break;
        }
    }
    Ok(most)
}

/// Sends an image without its lowest `known` layers; how many bytes of layers that were.
fn send(
    daemon: &Daemon,
    image: &Image<'_>,
    parts: &Parts,
    names: &[String],
    known: usize,
) -> Result<u64, DockerError> {
    let layers = &parts.layers[known..];
    let sent = layers.iter().map(|layer| layer.size).sum();
    let mut blobs: Vec<(Sha256, u64)> =
        layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    blobs.push((parts.config, parts.config_size));
    blobs.push((image.manifest, image.manifest_size()));
    daemon.load(|out| {
        let copy = |digest: &Sha256, out: &mut dyn Write| {
            io::copy(&mut image.open(digest)?, out).map(drop)
        };
        let document = image.read_manifest()?;
        write_archive(names, image.platform, &document, &blobs, copy, out).map(drop)
    })?;
    Ok(sent)
}
