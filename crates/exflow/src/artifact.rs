//! The parts of an artifact while it is sent to a registry.

use crate::report::{Failure, io_failed};
use crate::session::store_failed;
use exflow_content::Sha256;
use exflow_diagnostics::Diagnostic;
use exflow_fetch::Cancel;
use exflow_registry::RegistryError;
use exflow_store::{Store, TempDir};
use std::fs::File;
use std::io;

/// Why something wasn't sent.
pub(crate) fn not_sent(
    error: &RegistryError,
    cancel: &Cancel,
    say: impl FnOnce(Diagnostic) -> Diagnostic,
) -> Failure {
    match error {
        RegistryError::Cancelled => Failure::Interrupted,
        _ if cancel.is_cancelled() => Failure::Interrupted,
        other => say(exflow_registry::diagnose(other)).into(),
    }
}

/// The parts of an artifact as files, each called by its sha256.
pub(crate) struct ArtifactFiles {
    folder: TempDir,
    blobs: Vec<(Sha256, u64)>,
}

impl ArtifactFiles {
    pub(crate) fn new(store: &Store, parts: &[&[u8]]) -> Result<Self, Failure> {
        let folder = store.temp_dir().map_err(store_failed)?;
        let mut blobs = Vec::new();
        for part in parts {
            let digest = Sha256::of(part);
            let path = folder.path().join(digest.to_string());
            std::fs::write(&path, part).map_err(|error| io_failed("write", &path, &error))?;
            blobs.push((digest, part.len() as u64));
        }
        Ok(Self { folder, blobs })
    }

    /// The digest of each, and its length in bytes.
    pub(crate) fn blobs(&self) -> &[(Sha256, u64)] {
        &self.blobs
    }

    pub(crate) fn open(&self, digest: &Sha256) -> io::Result<File> {
        File::open(self.folder.path().join(digest.to_string()))
    }
}
