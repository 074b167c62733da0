//! Downloads over HTTP: with retries, resumed where they broke off, checked before they are kept.

use crate::{Cancel, FetchError, Progress};
use exflow_content::Sha256;
use exflow_packages::without_secrets;
use exflow_store::{Store, StoreError, leads_to};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How patient a client is.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long a connection may take, and how long a server may send nothing.
    pub patience: Duration,
    /// How many bytes a second a server must send on average. One that sends a byte now and then
    /// is never silent, and never done.
    pub slowest: u64,
    /// Over how long that is averaged.
    pub slowest_over: Duration,
    /// How often a request that fails is tried again in a row.
    pub retries: u32,
    /// How long the first pause before another try is; each further one is twice as long.
    pub pause: Duration,
    /// Use no network: whatever is not in the store is an error.
    pub offline: bool,
    /// A folder that holds downloads, each called by its sha256, and gets those that it lacks. Others may write to it:
    /// whatever is taken from it is checked.
    pub shared: Option<PathBuf>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            slowest: 1 << 10,
            slowest_over: Duration::from_mins(1),
            retries: 4,
            pause: Duration::from_millis(300),
            offline: false,
            shared: None,
        }
    }
}

impl HttpOptions {
    /// Whether so many bytes in this time are too few.
    fn is_slow(&self, bytes: u64, time: Duration) -> bool {
        u128::from(bytes) * 1000 < u128::from(self.slowest) * time.as_millis()
    }
}

/// How fast a server has been sending lately.
#[derive(Default)]
struct Pace {
    bytes: u64,
    /// How long was waited for them. What we do with them is not the server's fault.
    waited: Duration,
}

/// How often it is looked whether someone else is done with a download.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest pause that a server can ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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

/// Tells servers who we are.
pub trait Credentials: Sync {
    /// What the header `Authorization` of a request for `url` is to be; none where nothing is known.
    ///
    /// `refused` is what the server has just refused, which may be nothing: then it is asked how to prove
    /// who we are, which may take a while, unless that has been found out meanwhile.
    fn authorization(
        &self,
        url: &str,
        refused: Option<Option<&str>>,
    ) -> Result<Option<String>, FetchError>;

    /// Whether there are any that may be shown. What is had without them is anybody's.
    fn are_any(&self) -> bool {
        true
    }
}

/// How something is asked for.
#[derive(Clone, Copy, Default)]
struct Manner<'a> {
    /// The media types that are understood.
    accept: Option<&'a str>,
    credentials: Option<&'a dyn Credentials>,
}

/// An HTTP client. Its clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    options: HttpOptions,
    cancel: Cancel,
}

/// How one request failed.
enum Trouble {
    /// Another try may help, after a pause that the server may have asked for.
    Passing(String, Option<Duration>),
    /// It isn't there.
    Missing,
    /// Another try won't help.
    Lasting(FetchError),
}

impl Client {
    /// A client. Proxies are taken from the environment, as other programs do.
    pub fn new(options: HttpOptions, cancel: Cancel) -> Self {
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("exflow/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(options.patience))
            .timeout_recv_response(Some(options.patience))
            // A limit for silence: a body as a whole may take as long as it takes, unless it comes
            // too slowly (`Pace`).
            .timeout_per_read(Some(options.patience))
            .http_status_as_error(false)
            .max_redirects(5)
            // Whoever it is sent on to is not told who we are.
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::Never)
            .build();
        Self { agent: config.new_agent(), options, cancel }
    }

    /// Whether the network is not to be used.
    pub(crate) fn is_offline(&self) -> bool {
        self.options.offline
    }

    /// The wish to stop that this client looks at.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The same client, with another wish to stop that it looks at.
    #[must_use]
    pub fn stopping_with(&self, cancel: Cancel) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// A text of at most `limit` bytes, whose content isn't known beforehand; none where there is
    /// nothing.
    pub fn get(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.get_in(url, limit, Manner::default())
    }

    /// The same, of one of the media types in `accept`, from a server that may want to know who we are.
    pub fn get_as(
        &self,
        url: &str,
        limit: u64,
        accept: &str,
        credentials: &dyn Credentials,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let credentials = Some(credentials);
        self.get_in(url, limit, Manner { accept: Some(accept), credentials })
    }

    fn get_in(
        &self,
        url: &str,
        limit: u64,
        manner: Manner<'_>,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let too_large = || FetchError::TooLarge { url: shown(url), limit };
        if let Some(path) = url.strip_prefix("file://") {
            let mut bytes = Vec::new();
            let read = File::open(path)
                .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
            return match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => {
                    Err(FetchError::Unreachable { url: shown(url), reason: error.to_string() })
                }
                Ok(_) if bytes.len() as u64 > limit => Err(too_large()),
                Ok(_) => Ok(Some(bytes)),
            };
        }
        if self.options.offline {
            return Err(FetchError::Offline { what: shown(url) });
        }
        let body = self.patiently(url, |_| {
            let mut body = Vec::new();
            let mut response = self.request(url, 0, manner)?;
            let mut reader = response.body_mut().as_reader();
            let mut buffer = vec![0; 64 << 10];
            let mut pace = Pace::default();
            loop {
                match self.read(&mut reader, &mut buffer, &mut pace)? {
                    0 => return Ok(body),
                    length => body.extend_from_slice(&buffer[..length]),
                }
                if body.len() as u64 > limit {
                    return Err(Trouble::Lasting(too_large()));
                }
            }
        });
        match body {
            Err(FetchError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

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
                    let is_public =
                        wanted.credentials.is_none_or(|credentials| !credentials.are_any());
                    let may_share = is_public && !in_folder.contains(url);
                    if let Some(shared) = shared.filter(|_| may_share) {
                        share(&path, &shared);
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

    /// Puts a download that is known to be public into the shared folder, if there is one.
    pub(crate) fn share(&self, download: &Path, sha256: &Sha256) {
        if let Some(place) = self.shared(sha256).filter(|place| !place.is_file()) {
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
                    if done > before && !self.options.is_slow(done - before, begun.elapsed()) =>
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

    /// Reads what there is, unless someone wishes to stop, or it comes too slowly.
    fn read(
        &self,
        reader: &mut dyn Read,
        buffer: &mut [u8],
        pace: &mut Pace,
    ) -> Result<usize, Trouble> {
        if pace.waited >= self.options.slowest_over {
            if self.options.is_slow(pace.bytes, pace.waited) {
                let reason = format!("it sent less than {} bytes a second", self.options.slowest);
                return Err(Trouble::Passing(reason, None));
            }
            *pace = Pace::default();
        }
        let begun = Instant::now();
        loop {
            if self.cancel.is_cancelled() {
                return Err(Trouble::Lasting(FetchError::Cancelled));
            }
            match reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(passing(&error)),
                Ok(length) => {
                    pace.bytes += length as u64;
                    pace.waited += begun.elapsed();
                    return Ok(length);
                }
            }
        }
    }

    /// Asks for a file, or for the rest of it from a byte on. The answer has status 200, or where a
    /// rest was asked for 206 or 416.
    fn request(
        &self,
        url: &str,
        from: u64,
        manner: Manner<'_>,
    ) -> Result<ureq::http::Response<ureq::Body>, Trouble> {
        let authorization = |refused: Option<Option<&str>>| match manner.credentials {
            Some(credentials) => {
                credentials.authorization(url, refused).map_err(|error| match error {
                    FetchError::Unreachable { reason, .. } => Trouble::Passing(reason, None),
                    other => Trouble::Lasting(other),
                })
            }
            None => Ok(None),
        };
        let first = authorization(None)?;
        let mut response = self.request_with(url, from, manner, first.as_deref())?;
        if response.status() == 401
            && let Some(header) = authorization(Some(first.as_deref()))?
        {
            response = self.request_with(url, from, manner, Some(&header))?;
        }
        let status = response.status();
        match status.as_u16() {
            200 => Ok(response),
            206 | 416 if from > 0 => Ok(response),
            401 | 403 if manner.credentials.is_some() => {
                let reason = format!("the server answered {status}");
                Err(Trouble::Lasting(FetchError::Denied { url: shown(url), reason }))
            }
            404 | 410 => Err(Trouble::Missing),
            429 | 500..=599 => {
                let pause = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok())
                    .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
                Err(Trouble::Passing(format!("the server answered {status}"), pause))
            }
            _ => {
                let reason = format!("the server answered {status}");
                Err(Trouble::Lasting(FetchError::Unreachable { url: shown(url), reason }))
            }
        }
    }

    /// Asks once, whatever the answer is.
    fn request_with(
        &self,
        url: &str,
        from: u64,
        manner: Manner<'_>,
        authorization: Option<&str>,
    ) -> Result<ureq::http::Response<ureq::Body>, Trouble> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        if let Some(accept) = manner.accept {
            request = request.header("accept", accept);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
                let reason = error.to_string().replace(url, &shown(url));
                Trouble::Lasting(FetchError::Unreachable { url: shown(url), reason })
            }
            error => Trouble::Passing(error.to_string().replace(url, &shown(url)), None),
        })
    }

    /// Tries until it works, won't work, or has failed too often without getting on. `attempt` is
    /// given a number of its own to remember how far it was.
    fn patiently<T>(
        &self,
        url: &str,
        mut attempt: impl FnMut(&mut u64) -> Result<T, Trouble>,
    ) -> Result<T, FetchError> {
        let mut failures = 0;
        let mut reached = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let before = reached;
            match attempt(&mut reached) {
                Ok(value) => return Ok(value),
                Err(Trouble::Missing) => return Err(FetchError::NotFound { url: shown(url) }),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(reason, asked)) => {
                    failures = if reached > before { 1 } else { failures + 1 };
                    if failures > self.options.retries {
                        return Err(FetchError::Unreachable { url: shown(url), reason });
                    }
                    let doubled = self.options.pause * 2u32.saturating_pow(failures - 1);
                    self.sleep(asked.unwrap_or(doubled).min(LONGEST_PAUSE));
                }
            }
        }
    }

    /// Sleeps, unless someone wishes to stop.
    fn sleep(&self, pause: Duration) {
        let step = Duration::from_millis(50);
        let mut left = pause;
        while !left.is_zero() && !self.cancel.is_cancelled() {
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
    }
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

fn passing(error: &io::Error) -> Trouble {
    Trouble::Passing(error.to_string(), None)
}

/// Where the part that was sent begins.
fn begins_at(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    if response.status() != 206 {
        return None;
    }
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// An address as it may be shown: without the name and the password that may be in it, and without its query, which may be
/// a token.
pub(crate) fn shown(url: &str) -> String {
    let query = match url.find(['?', '#']) {
        Some(at) if url[at..].len() > 1 => "?…",
        _ => "",
    };
    without_secrets(url) + query
}

#[cfg(test)]
mod tests;
