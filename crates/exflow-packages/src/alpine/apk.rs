//! Packages: apk-v2(5), a tar archive in three segments.

use super::checksum::Checksum;
use super::pkginfo::PkgInfo;
use super::segment::{last_segment, segment};
use super::signature::{SignatureError, read_signatures};
use crate::archive::{ArchiveError, Bounds, EntryKind, Keep, each, read_tree};
use crate::debian::Limits;
use exflow_content::{Digest, Mode, RelPath, Sha256, Sha256Hasher, Tree};
use sha1::Sha1;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

/// A package, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apk {
    /// What describes it.
    pub info: PkgInfo,
    /// Its scripts by name: `post-install`, `trigger`. They are never run.
    pub scripts: BTreeMap<String, Vec<u8>>,
    /// Its files.
    pub tree: Tree,
    /// What apk calls the contents of its files by, by blob.
    pub checksums: BTreeMap<Digest, Checksum>,
}

/// Why a package is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ApkError {
    /// One of its segments is no good.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It lacks a segment, or has one where it doesn't belong.
    #[error("it is not an Alpine package: {0}")]
    Format(String),
    /// It is not the one that the index describes.
    #[error(
        "it is another package than its repository's index says: it is {found}, not {expected}"
    )]
    Control {
        /// What the index calls it by.
        expected: Checksum,
        /// What it is.
        found: Checksum,
    },
    /// Its files are not those that it was made with.
    #[error("its files are others than its description says")]
    Data,
}

impl From<io::Error> for ApkError {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// Reads a package without writing a file. Each file's content goes to `keep`, with the mode that
/// it will have; it says what the blob is called and how long it was.
///
/// What is unpacked is what `expected` names, or it is an error: the index, which is signed, has
/// the checksum of the control segment, and that has the digest of the data segment. As with apk, the
/// package's own signature then has nothing to add, and is not looked at. Contents have been
/// kept before that error is found.
///
/// Times, owners and extended attributes are dropped, and with an owner other than root the
/// set-user-ID bit; likewise for groups. As with apk 2, what begins with a dot in the root of a package
/// is no file of it, nor is what is called `.keep_…` anywhere.
pub fn read_apk(
    reader: impl Read,
    expected: &Checksum,
    limits: &Limits,
    keep: &mut Keep<'_>,
) -> Result<Apk, ApkError> {
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    read_signatures(&mut reader).map_err(|error| match error {
        SignatureError::Archive(error) => ApkError::Archive(error),
        other => ApkError::Format(other.to_string()),
    })?;

    let mut sha1 = Sha1::default();
    let mut tap = |bytes: &[u8]| sha1::Digest::update(&mut sha1, bytes);
    let (info, scripts) = read_control(segment(&mut reader, &mut tap), limits)?;
    let found = Checksum::from_bytes(sha1::Digest::finalize(sha1).into());
    if found != *expected {
        return Err(ApkError::Control { expected: *expected, found });
    }
    let hash: Sha256 = info
        .field("datahash")
        .and_then(|hash| hash.parse().ok())
        .ok_or_else(|| ApkError::Format("its description has no digest of its files".into()))?;

    let mut sha256 = Sha256Hasher::new();
    let mut tap = |bytes: &[u8]| sha256.update(bytes);
    let mut checksums = BTreeMap::new();
    let mut keep = |mode: Mode, content: &mut dyn Read| {
        let mut hashed = Hashed { inner: content, sha1: Sha1::default() };
        let (blob, size) = keep(mode, &mut hashed)?;
        checksums.insert(blob, Checksum::from_bytes(sha1::Digest::finalize(hashed.sha1).into()));
        Ok((blob, size))
    };
    let bounds = Bounds { bytes: limits.unpacked, entries: limits.entries, absolute: false };
    let mut tree = read_tree(last_segment(&mut reader, &mut tap), bounds, &mut keep)?;
    if sha256.finish() != hash {
        return Err(ApkError::Data);
    }
    // They would end lines of apk's own list. apk leaves such files out, and says so.
    if let Some(path) = tree.entries().map(|(path, _)| path).find(|path| has_control(path)) {
        return Err(ApkError::Format(format!("it holds {path:?}, which is no name of a file")));
    }
    let none: Vec<RelPath> =
        tree.entries().map(|(path, _)| path).filter(|path| is_none(path)).cloned().collect();
    for path in none {
        tree.remove(&path);
    }
    Ok(Apk { info, scripts, tree, checksums })
}

/// The description and the scripts of a control segment.
fn read_control(
    reader: impl Read,
    limits: &Limits,
) -> Result<(PkgInfo, BTreeMap<String, Vec<u8>>), ApkError> {
    let mut info = None;
    let mut scripts = BTreeMap::new();
    let bounds = Bounds { bytes: limits.control, entries: 1000, absolute: false };
    each::<_, ApkError>(reader, bounds, |mut item, _| {
        let shown = item.path.to_string().chars().take(200).collect::<String>();
        let name =
            item.path.as_str().filter(|name| item.kind == EntryKind::File && !name.contains('/'));
        let Some(name) = name.and_then(|name| name.strip_prefix('.')).map(str::to_owned) else {
            return Err(ApkError::Format(format!("`{shown}` stands among what describes it")));
        };
        if name.starts_with("SIGN.") {
            return Err(ApkError::Format("its signatures stand where they sign nothing".into()));
        }
        let mut bytes = Vec::new();
        item.content.read_to_end(&mut bytes)?;
        let length = bytes.len() as u64;
        if name != "PKGINFO" {
            scripts.insert(name, bytes);
        } else if info.is_some() {
            return Err(ApkError::Format("it is described twice".into()));
        } else {
            let text = String::from_utf8(bytes)
                .map_err(|_| ApkError::Format("its description is not UTF-8".into()))?;
            info = Some(PkgInfo::new(text));
        }
        Ok(length)
    })?;
    let info = info.ok_or_else(|| ApkError::Format("it has no description".into()))?;
    Ok((info, scripts))
}

/// Whether apk takes a path of a package for no file of it.
fn is_none(path: &RelPath) -> bool {
    path.as_bytes().starts_with(b".") || path.name().is_some_and(|name| name.starts_with(b".keep_"))
}

fn has_control(path: &RelPath) -> bool {
    path.as_bytes().iter().any(u8::is_ascii_control)
}

/// Computes the checksum of what is read.
struct Hashed<'a> {
    inner: &'a mut dyn Read,
    sha1: Sha1,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        sha1::Digest::update(&mut self.sha1, &buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
