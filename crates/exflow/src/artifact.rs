//! What is sent to a registry and is no image.

use crate::report::Failure;
use exflow_content::Sha256;
use exflow_diagnostics::Diagnostic;
use exflow_fetch::Cancel;
use exflow_registry::RegistryError;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

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

/// The parts of an artifact that is in memory.
pub(crate) struct Parts {
    parts: Vec<Arc<[u8]>>,
    blobs: Vec<(Sha256, u64)>,
}

impl Parts {
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        let blobs = parts.iter().map(|part| (Sha256::of(part), part.len() as u64));
        Self { blobs: blobs.collect(), parts: parts.iter().map(|part| Arc::from(*part)).collect() }
    }

    /// The digest of each, and its length in bytes.
    pub(crate) fn blobs(&self) -> &[(Sha256, u64)] {
        &self.blobs
    }

    pub(crate) fn open(&self, digest: &Sha256) -> io::Result<Box<dyn Read + Send>> {
        let index = self.blobs.iter().position(|(known, _)| known == digest);
        let part = index.ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(Arc::clone(&self.parts[part]))))
    }
}
