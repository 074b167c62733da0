use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether `path` still leads to this file. Who has locked a file that others may take away looks:
/// the lock of one that is gone keeps nobody out.
pub fn leads_to(path: &Path, file: &File) -> bool {
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (fs::metadata(path), file.metadata()) {
        (Ok(path), Ok(file)) => id(path) == id(file),
        _ => false,
    }
}
