//! Files that are downloaded into the store, or into one of the caller's own.

use super::{Client, Credentials, Manner, PAUSE, Pace, Trouble, passing, shown};
use crate::{FetchError, Progress};
use exflow_content::Sha256;
use exflow_packages::without_secrets;
use exflow_store::{Store, StoreError, leads_to};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Something to be downloaded, by content.
#[derive(Clone, Copy)]
pub struct Download<'a> {
    /// What progress is reported as.
    pub name: &'a str,
    /// Where it may be, the best place first.
    pub urls: &'a [String],
    /// Its digest.
    pub sha256: Sha256,
    /// Its length.
    pub size: Size,
    /// Who tells servers who we are, if they want to know.
    pub credentials: Option<&'a dyn Credentials>,
}

/// How long something is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Just so long.
    Exactly(u64),
    /// Nobody has said; longer than this is nothing of its kind.
    AtMost(u64),
}

impl Size {
    /// The most that it may be.
    fn limit(self) -> u64 {
        match self {
            Self::Exactly(size) | Self::AtMost(size) => size,
        }
    }

    /// What it is, as far as that is known; else 0.
    fn known(self) -> u64 {
        match self {
            Self::Exactly(size) => size,
            Self::AtMost(_) => 0,
        }
    }

    /// Whether all of it is there when so much is.
    fn is_exactly(self, length: u64) -> bool {
        self == Self::Exactly(length)
    }
}

impl Download<'_> {
    fn finished(&self, store: &Store) -> Option<PathBuf> {
        match self.size {
            Size::Exactly(size) => store.download(&self.sha256, size),
            Size::AtMost(limit) => store.download_within(&self.sha256, limit),
        }
    }

    fn transfer(&self) -> Transfer<'_> {
        Transfer { name: self.name, size: self.size, credentials: self.credentials, resumes: true }
    }
}

/// Numbers the files that this process is putting there.
static SHARED: AtomicU64 = AtomicU64::new(0);

/// Puts a copy of a download that was checked at its place in the shared folder. It is only for others: where that fails,
/// nothing is lost.
fn share(download: &Path, place: &Path) {
    let Some((folder, name)) = place.parent().zip(place.file_name()) else { return };
    let number = SHARED.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let new = folder.join(format!(".{}.{process}-{number}", name.to_string_lossy()));
    // Others are to read it, whatever the store's files are.
    let readable = std::fs::Permissions::from_mode(0o644);
    let shared = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::copy(download, &new))
        .and_then(|_| std::fs::set_permissions(&new, readable))
        .and_then(|()| std::fs::rename(&new, place));
    if shared.is_err() {
        let _ = std::fs::remove_file(&new);
    }
}

/// Something that is sent, whatever its digest.
#[derive(Clone, Copy)]
pub(crate) struct Transfer<'a> {
    pub(crate) name: &'a str,
    pub(crate) size: Size,
    pub(crate) credentials: Option<&'a dyn Credentials>,
    /// Whether it goes on behind what broke off. Where nobody knows what comes of it, the rest may be of another file.
    pub(crate) resumes: bool,
}

/// How much a failure says where another place failed, too: that something was altered more than that
/// nobody answered, and that more than that there was nothing.
fn says(error: &FetchError) -> u8 {
    match error {
        FetchError::Offline { .. } => 0,
        FetchError::NotFound { .. } => 1,
        FetchError::Unreachable { .. } => 2,
        FetchError::Denied { .. } => 3,
        _ => 4,
    }
}

/// Where the part that was sent begins.
fn begins_at(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    if response.status() != 206 {
        return None;
    }
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

impl Client {
    /// Downloads `wanted` into the store, unless it is there already.
    ///
    /// The shared folder comes first, then each address in turn. What an interrupted download left is continued. Nothing is
    /// believed before its digest has been checked. Where someone else is downloading the same,
    /// theirs is waited for.
    pub fn download(
        &self,
        store: &Store,
        wanted: Download<'_>,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        if let Some(path) = wanted.finished(store) {
            return Ok(path);
        }
        let mut last = FetchError::Offline { what: wanted.name.into() };
        progress.begin(wanted.name, wanted.size.known());
        let shared = self.shared(&wanted.sha256);
        let in_folder = shared.iter().filter(|path| path.is_file());
        let in_folder: Vec<String> =
            in_folder.filter_map(|path| Some(format!("file://{}", path.to_str()?))).collect();
        for url in in_folder.iter().chain(wanted.urls) {
            if self.options.offline && !url.starts_with("file://") {
                continue;
            }
            match self.download_from(store, &wanted, url, progress) {
                Ok(path) => {
                    progress.end(wanted.name);
                    // What may be private is nobody else's business.
                    let is_private = wanted.credentials.is_some_and(Credentials::is_private);
                    if !is_private && !in_folder.contains(url) {
                        self.share(&path, &wanted.sha256, url);
                    }
                    return Ok(path);
                }
                Err(error @ (FetchError::Cancelled | FetchError::Store(_))) => {
                    progress.end(wanted.name);
                    return Err(error);
                }
                Err(error) => {
                    if says(&error) >= says(&last) {
                        last = error;
                    }
                }
            }
        }
        progress.end(wanted.name);
        Err(last)
    }

    /// Puts what anybody can download from `url` into the shared folder, if there is one.
    pub(crate) fn share(&self, download: &Path, sha256: &Sha256, url: &str) {
        // Who has a signed address, or a password in it, is not anybody.
        let is_open = without_secrets(url) == url;
        if let Some(place) = self.shared(sha256).filter(|_| is_open) {
            share(download, &place);
        }
    }

    /// Where a download is in the shared folder, or would be.
    fn shared(&self, sha256: &Sha256) -> Option<PathBuf> {
        let folder = self.options.shared.as_ref()?;
        Some(std::path::absolute(folder).ok()?.join(sha256.to_string()))
    }

    fn download_from(
        &self,
        store: &Store,
        wanted: &Download<'_>,
        url: &str,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        let path = store.partial_download(&wanted.sha256);
        let failed = |action, source| StoreError::Io { action, path: path.clone(), source };
        let mut again = true;
        loop {
            let Some(mut file) = self.lock(store, wanted, &path)? else {
                // Someone else has finished it in the meantime.
                return wanted
                    .finished(store)
                    .ok_or_else(|| failed("open", io::ErrorKind::NotFound.into()).into());
            };
            let length = file.metadata().map_err(|error| failed("read", error))?.len();
            // Longer than it should be: nothing of it can be trusted to be the beginning.
            let resumed = if length > wanted.size.limit() { 0 } else { length };
            progress.advance(wanted.name, resumed);
            let done = self.transfer(&mut file, resumed, wanted.transfer(), url, progress)?;
            file.set_len(done).map_err(|error| failed("write", error))?;
            // The lock is held until the file has its name: nobody writes to what was checked.
            match store.finish_download(&wanted.sha256) {
                // What was there from before may be to blame, and it is gone now.
                Err(StoreError::WrongDigest { .. }) if resumed > 0 && again => again = false,
                Err(StoreError::WrongDigest { found, expected, .. }) => {
                    return Err(FetchError::WrongDigest { url: shown(url), found, expected });
                }
                other => return Ok(other?),
            }
        }
    }

    /// Downloads something into a file of the caller's own, whatever it is, from the first of these places
    /// that has it and whose content `accept` takes. What comes is checked by nobody but the caller.
    pub(crate) fn download_unpinned<T>(
        &self,
        path: &Path,
        wanted: Transfer<'_>,
        urls: &[String],
        progress: &dyn Progress,
        accept: impl Fn(File) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let failed = |action, source| StoreError::Io { action, path: path.to_owned(), source };
        let mut last = FetchError::Offline { what: wanted.name.into() };
        for url in urls {
            if self.options.offline && !url.starts_with("file://") {
                continue;
            }
            let mut options = File::options();
            options.create(true).truncate(true).read(true).write(true);
            let mut file = options.open(path).map_err(|error| failed("create", error))?;
            progress.begin(wanted.name, wanted.size.known());
            let sent = self.transfer(&mut file, 0, wanted, url, progress);
            progress.end(wanted.name);
            let accepted = sent.and_then(|_| {
                file.rewind().map_err(|error| failed("read", error))?;
                accept(file)
            });
            match accepted {
                Ok(accepted) => return Ok(accepted),
                Err(error @ (FetchError::Cancelled | FetchError::Store(_))) => return Err(error),
                Err(error) => {
                    if says(&error) >= says(&last) {
                        last = error;
                    }
                }
            }
        }
        Err(last)
    }

    /// Has the rest of something sent, behind what a file has of it already, and again where it breaks
    /// off: the length of it all.
    fn transfer(
        &self,
        file: &mut File,
        resumed: u64,
        wanted: Transfer<'_>,
        url: &str,
        progress: &dyn Progress,
    ) -> Result<u64, FetchError> {
        let mut done = resumed;
        let mut furthest = done;
        self.patiently(url, |reached| {
            if wanted.size.is_exactly(done) {
                return Ok(());
            }
            let (before, begun) = (furthest, Instant::now());
            let appended = self.append(file, &mut done, wanted, url, progress);
            furthest = furthest.max(done);
            appended.map_err(|trouble| match trouble {
                // It got on before it broke off: that was no failure, unless it took too long.
                Trouble::Passing(reason, _)
                    if wanted.resumes
                        && done > before
                        && !self.options.is_slow(done - before, begun.elapsed()) =>
                {
                    *reached = done;
                    Trouble::Passing(reason, Some(Duration::ZERO))
                }
                other => other,
            })
        })?;
        Ok(done)
    }

    /// Opens the file that a download grows in, and locks it; none where the download has been
    /// finished by someone else.
    fn lock(
        &self,
        store: &Store,
        wanted: &Download<'_>,
        path: &Path,
    ) -> Result<Option<File>, FetchError> {
        let failed = |action, source| StoreError::Io { action, path: path.to_owned(), source };
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)
                .map_err(|error| failed("open", error))?;
            loop {
                match file.try_lock() {
                    Ok(()) => break,
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(failed("lock", error).into()),
                }
                if self.cancel.is_cancelled() {
                    return Err(FetchError::Cancelled);
                }
                std::thread::sleep(PAUSE);
            }
            if wanted.finished(store).is_some() {
                // Perhaps made just now, beside the finished one.
                if leads_to(path, &file) {
                    let _ = std::fs::remove_file(path);
                }
                return Ok(None);
            }
            // Whoever had the lock has taken the file away: the next one is another.
            if leads_to(path, &file) {
                return Ok(Some(file));
            }
        }
    }

    /// Downloads from where the file ends to where it should.
    fn append(
        &self,
        file: &mut File,
        done: &mut u64,
        wanted: Transfer<'_>,
        url: &str,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let stored = |source| {
            Trouble::Lasting(FetchError::Store(StoreError::Io {
                action: "write",
                path: PathBuf::from(wanted.name),
                source,
            }))
        };
        if !wanted.resumes {
            *done = 0;
        }
        let mut response;
        let mut local;
        let reader: &mut dyn Read = if let Some(path) = url.strip_prefix("file://") {
            local = File::open(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Trouble::Missing,
                _ => passing(&error),
            })?;
            *done = 0;
            &mut local
        } else {
            let manner = Manner { accept: None, credentials: wanted.credentials };
            response = self.request(url, *done, manner)?;
            // Another part than the one that was asked for, or a file that ends before it begins.
            if *done > 0 && response.status() != 200 && begins_at(&response) != Some(*done) {
                *done = 0;
                response = self.request(url, 0, manner)?;
            }
            // A server that knows no ranges sends all of it.
            if response.status() == 200 {
                *done = 0;
            }
            &mut response.body_mut().as_reader()
        };
        file.set_len(*done).and_then(|()| file.seek(SeekFrom::Start(*done))).map_err(stored)?;
        let mut buffer = vec![0; 64 << 10];
        let mut pace = Pace::default();
        loop {
            let length = self.read(reader, &mut buffer, &mut pace)?;
            if length == 0 {
                break;
            }
            if *done + length as u64 > wanted.size.limit() {
                // Nothing of such a file is worth being continued.
                *done = 0;
                file.set_len(0).map_err(stored)?;
                let error = FetchError::TooLarge { url: shown(url), limit: wanted.size.limit() };
                return Err(Trouble::Lasting(error));
            }
            file.write_all(&buffer[..length]).map_err(stored)?;
            *done += length as u64;
            progress.advance(wanted.name, length as u64);
        }
        // Where nobody has said how long it is, the server has: then reading ends in an error.
        if let Size::Exactly(size) = wanted.size
            && *done < size
        {
            let reason = format!("it broke off after {done} of {size} bytes");
            return Err(Trouble::Passing(reason, None));
        }
        Ok(())
    }
}
