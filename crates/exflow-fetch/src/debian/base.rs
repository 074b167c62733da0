//! A base from its locked packages.

use super::Mirrors;
use crate::workshop::{Finished, Workshop, known_tree, side_by_side};
use crate::{Client, Download, FetchError, Progress, Size};
use exflow_content::{DecodeError, Decoder, Digest, Encoder, Sha256};
use exflow_lock::{LockedDebian, LockedPackage, Platform};
use exflow_packages::debian::{
    Control, DebError, Limits, MAX_READ, UnpackedPackage, assemble, read_deb,
};
use exflow_store::{Record, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::File;

/// Fetches and unpacks the packages of a base that the store doesn't have, and lays them out: the
/// digest of its tree.
///
/// Packages are fetched side by side, and each is unpacked straight into the store as it arrives;
/// its result is recorded as soon as it is on the disk, so that nothing finished is done again,
/// whatever happens next, and bases that share a package share its blobs.
pub fn fetch_base(
    client: &Client,
    store: &Store,
    debian: &LockedDebian,
    slim: bool,
    platform: &Platform,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    let packages = fetch_packages(client, store, debian, mirrors, progress)?;
    let read = |digest: &Digest| Ok(store.read_blob(digest, MAX_READ)?);
    let base = assemble::<FetchError>(packages, slim, platform, &read)?;
    for blob in &base.new_blobs {
        store.put_blob(blob)?;
    }
    Ok(store.put_tree(&base.tree)?)
}

/// Fetches and unpacks the packages that the store doesn't have, side by side.
pub(crate) fn fetch_packages(
    client: &Client,
    store: &Store,
    debian: &LockedDebian,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<Vec<UnpackedPackage>, FetchError> {
    // The large ones first: none of them is then left for the end, alone.
    let mut todo: Vec<&LockedPackage> = debian.packages.iter().collect();
    todo.sort_by_key(|package| package.size);
    side_by_side(client, store, todo, |workshop, package| {
        fetch_package(workshop, package, &debian.snapshot, mirrors, progress)
    })
}

fn fetch_package(
    workshop: &Workshop<'_>,
    package: &LockedPackage,
    snapshot: &str,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<UnpackedPackage, FetchError> {
    let store = workshop.store;
    let key = deb_key(&package.sha256);
    if let Some(known) = known(store, package, &key)? {
        return Ok(known);
    }
    // Another base, or another process, may be fetching the same package.
    let claim = workshop.claim(&key)?;
    if let Some(known) = known(store, package, &key)? {
        return Ok(known);
    }
    let urls = mirrors.urls(&package.archive, &package.path, snapshot);
    let wanted = Download {
        name: &package.name,
        urls: &urls,
        sha256: package.sha256,
        size: Size::Exactly(package.size),
        credentials: None,
    };
    let path = match workshop.client.download(store, wanted, progress) {
        Err(error) if may_be_elsewhere(&error) => {
            // No mirror has it any more, nor is it where the snapshot archive has it by its date.
            let urls = by_hash(&workshop.client, mirrors, package)?;
            if urls.is_empty() {
                return Err(error);
            }
            let wanted = Download { urls: &urls, ..wanted };
            match workshop.client.download(store, wanted, progress) {
                Ok(path) => path,
                Err(other) if !may_be_elsewhere(&other) => return Err(other),
                // What the mirrors say tells more.
                Err(_) => return Err(error),
            }
        }
        other => other?,
    };
    let file = File::open(&path).map_err(|source| StoreError::Io {
        action: "open",
        path: path.clone(),
        source,
    })?;
    let deb = workshop
        .unpack(file, |reader, keep| read_deb(reader, &Limits::default(), keep))
        .map_err(|source| unpack_error(workshop, package, source))?;
    let tree = store.put_tree(&deb.tree)?;
    let record = Record { trees: vec![tree], data: encode_control(&deb.control) };
    workshop.finished(Finished { key, record, download: package.sha256, claim });
    Ok(UnpackedPackage { locked: package.clone(), control: deb.control, tree: deb.tree })
}

/// Whether it may still be had from somewhere else.
fn may_be_elsewhere(error: &FetchError) -> bool {
    !matches!(error, FetchError::Cancelled | FetchError::Store(_) | FetchError::Offline { .. })
}

/// The longest answer of the snapshot archive that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// How many files one version of a package may be: it was built anew, or for several archives.
const MAX_HASHES: usize = 8;

/// Where the snapshot archive has a package by its hash, whichever archive and date it was of; nowhere where it doesn't
/// know it. It says which hash that is by SHA-1; what comes is checked by sha256 as all else is.
fn by_hash(
    client: &Client,
    mirrors: &Mirrors,
    package: &LockedPackage,
) -> Result<Vec<String>, FetchError> {
    let Some((question, files)) = mirrors.by_hash(&package.name, &package.version) else {
        return Ok(Vec::new());
    };
    let answer = match client.get(&question, MAX_ANSWER) {
        Err(error @ (FetchError::Cancelled | FetchError::Store(_))) => return Err(error),
        other => other.ok().flatten().unwrap_or_default(),
    };
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
    let listed = answer["result"].as_array().into_iter().flatten();
    let hashes = listed
        .filter(|file| file["architecture"] == package.architecture.as_str())
        .filter_map(|file| file["hash"].as_str())
        .filter(|hash| hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Ok(hashes.take(MAX_HASHES).map(|hash| format!("{files}{hash}")).collect())
}

/// The package, if it has been unpacked before and nothing of it was lost since.
fn known(
    store: &Store,
    package: &LockedPackage,
    key: &Digest,
) -> Result<Option<UnpackedPackage>, FetchError> {
    let Some((record, tree)) = known_tree(store, key)? else { return Ok(None) };
    let control = decode_control(&record.data).ok();
    Ok(control.map(|control| UnpackedPackage { locked: package.clone(), control, tree }))
}

/// Failures of the store reach us through an I/O error: they are not the package's fault.
fn unpack_error(workshop: &Workshop<'_>, package: &LockedPackage, source: DebError) -> FetchError {
    let source = match source {
        DebError::Archive(source) => match workshop.blame(source) {
            Ok(source) => source.into(),
            Err(error) => return error,
        },
        other => other,
    };
    // Perhaps it was damaged on the disk: the next time it is fetched again.
    workshop.store.drop_download(&package.sha256);
    FetchError::Package { package: package.name.clone(), source }
}

/// The keys under which the packages of a base are kept.
pub fn package_keys(debian: &LockedDebian) -> impl Iterator<Item = Digest> {
    debian.packages.iter().map(|package| deb_key(&package.sha256))
}

/// The key of an unpacked package.
fn deb_key(sha256: &Sha256) -> Digest {
    let mut encoder = Encoder::new("exflow deb 2");
    encoder.sha256(sha256);
    encoder.digest_of()
}

const CONTROL_TAG: &str = "exflow deb control 1";

fn encode_control(control: &Control) -> Vec<u8> {
    let mut encoder = Encoder::new(CONTROL_TAG);
    encoder.text(&control.fields);
    encoder.list(control.files.iter(), |encoder, (name, content)| {
        encoder.text(name).bytes(content);
    });
    encoder.finish()
}

fn decode_control(bytes: &[u8]) -> Result<Control, DecodeError> {
    let mut decoder = Decoder::new(bytes, CONTROL_TAG)?;
    let fields = decoder.text()?.to_owned();
    let mut files = BTreeMap::new();
    for _ in 0..decoder.number()? {
        files.insert(decoder.text()?.to_owned(), decoder.bytes()?.to_vec());
    }
    decoder.end()?;
    Ok(Control { fields, files })
}

#[cfg(test)]
mod tests;
