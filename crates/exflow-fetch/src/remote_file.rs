//! Single files of the web.

use crate::http::{Transfer, shown};
use crate::workshop::Workshop;
use crate::{Client, Download, FetchError, Progress, Size};
use exflow_content::{Digest, Entry, Sha256, Sha256Hasher, Tree};
use exflow_packages::{MAX_REMOTE_FILE, RemoteFile};
use exflow_store::{Store, StoreError};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Fetches a file, unless the store has it: the digest of the tree that has nothing else.
///
/// What comes of it is on the disk and recorded under the file's key when this returns. Whoever wants
/// the same meanwhile waits for it.
pub fn fetch_remote_file(
    client: &Client,
    store: &Store,
    file: &RemoteFile,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    let workshop = Workshop::new(client.clone(), store);
    workshop
        .tree_of(file.key(), || fetch(&workshop, file, progress))
        .map_err(FetchError::of_remote_file)
}

/// Fetches a file to be locked: its digest, and its length in bytes. It is `expected` where somebody has said what it
/// has to be, and otherwise whatever is there. The store has it as a finished download then, because it is wanted next.
pub fn find_remote_file(
    client: &Client,
    store: &Store,
    url: &str,
    expected: Option<Sha256>,
    progress: &dyn Progress,
) -> Result<(Sha256, u64), FetchError> {
    let found = match expected {
        Some(sha256) => known(client, store, url, sha256, progress).map(|size| (sha256, size)),
        None => unknown(client, store, url, progress),
    };
    found.map_err(FetchError::of_remote_file)
}

fn download<'a>(name: &'a str, urls: &'a [String], sha256: Sha256) -> Download<'a> {
    let size = Size::AtMost(MAX_REMOTE_FILE);
    Download { name, urls, sha256, size, credentials: None }
}

fn known(
    client: &Client,
    store: &Store,
    url: &str,
    sha256: Sha256,
    progress: &dyn Progress,
) -> Result<u64, FetchError> {
    let (name, urls) = (shown(url), [url.to_owned()]);
    let path = client.download(store, download(&name, &urls, sha256), progress)?;
    let metadata = path.metadata();
    Ok(metadata.map_err(|source| StoreError::Io { action: "read", path, source })?.len())
}

fn unknown(
    client: &Client,
    store: &Store,
    url: &str,
    progress: &dyn Progress,
) -> Result<(Sha256, u64), FetchError> {
    let folder = store.temp_dir()?;
    let path = folder.path().join("file");
    let name = shown(url);
    let wanted = Transfer {
        name: &name,
        size: Size::AtMost(MAX_REMOTE_FILE),
        credentials: None,
        resumes: false,
    };
    client.download_unpinned(&path, wanted, &[url.to_owned()], progress, |_| Ok(()))?;
    let (sha256, size) = store.take_download(&path)?;
    if let Some(download) = store.download(&sha256, size) {
        client.share(&download, &sha256, url);
    }
    Ok((sha256, size))
}

fn fetch(
    workshop: &Workshop<'_>,
    file: &RemoteFile,
    progress: &dyn Progress,
) -> Result<(Tree, Option<Sha256>), FetchError> {
    let name = shown(&file.url);
    let wanted = download(&name, std::slice::from_ref(&file.url), file.sha256);
    let (blob, size) = workshop.read_download(wanted, progress, |path| {
        let (found, kept) = keep(workshop, file, path)?;
        if found == file.sha256 {
            return Ok(kept);
        }
        Err(FetchError::WrongDigest { url: shown(&file.url), found, expected: file.sha256 })
    })?;
    let mut tree = Tree::new();
    let entry = Entry::File { mode: file.mode(), blob, size };
    tree.insert(file.name.clone(), entry).expect("it is the only one");
    Ok((tree, Some(file.sha256)))
}

/// Copies a download into the store: its sha256, and what it is there.
fn keep(
    workshop: &Workshop<'_>,
    file: &RemoteFile,
    path: &Path,
) -> Result<(Sha256, (Digest, u64)), FetchError> {
    let io = |source| StoreError::Io { action: "read", path: path.to_owned(), source };
    let mut content = File::open(path).map_err(io)?;
    let mut hashed = Hashed(workshop.store.blob_writer()?, Sha256Hasher::new());
    workshop.copy(&mut content, &mut hashed).map_err(|error| {
        match error.downcast::<StoreError>() {
            Ok(error) => FetchError::Store(error),
            Err(_) if workshop.client.cancel().is_cancelled() => FetchError::Cancelled,
            Err(error) => FetchError::Store(io(error)),
        }
    })?;
    Ok((hashed.1.finish(), hashed.0.finish_as(file.mode())?))
}

/// Counts what is written in the sha256, too.
struct Hashed<W>(W, Sha256Hasher);

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests;
