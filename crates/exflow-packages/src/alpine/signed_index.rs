//! The index of a repository: `APKINDEX.tar.gz`.

use super::segment::last_segment;
use super::signature::{Keys, SignatureError, read_signatures};
use crate::archive::{ArchiveError, Bounds, EntryKind, each};
use std::io::Read;

/// The largest index, unpacked, in bytes. Those of Alpine's are below 10 MB.
const MAX_INDEX: u64 = 64 << 20;

/// Why an index can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Nobody who is trusted signed it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is no archive, or too large.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It holds no list of packages, or one that is no text.
    #[error("it is not an index: {0}")]
    Format(&'static str),
}

/// The list of packages in an `APKINDEX.tar.gz`, which one of `keys` must have signed. Nothing of
/// it but the signature is unpacked before that is known.
pub fn read_index(bytes: &[u8], keys: &Keys) -> Result<String, IndexError> {
    let mut rest = bytes;
    let signatures = read_signatures(&mut rest)?;
    keys.verify(&signatures, rest)?;
    let mut index = None;
    let bounds = Bounds { bytes: MAX_INDEX, entries: 100, absolute: false };
    each::<_, IndexError>(last_segment(&mut rest, &mut |_| {}), bounds, |mut item, _| {
        if item.path.as_bytes() != b"APKINDEX" || item.kind != EntryKind::File {
            return Ok(0);
        }
        if index.is_some() {
            return Err(IndexError::Format("it has two lists of packages"));
        }
        let mut text = Vec::new();
        item.content.read_to_end(&mut text).map_err(ArchiveError::from)?;
        let length = text.len() as u64;
        index = Some(text);
        Ok(length)
    })?;
    let index = index.ok_or(IndexError::Format("it has no list of packages"))?;
    String::from_utf8(index).map_err(|_| IndexError::Format("its list of packages is not UTF-8"))
}

#[cfg(test)]
mod tests;
