//! A base from its locked packages.

use super::Mirrors;
use crate::{Client, FetchError, Progress, Wanted};
use exflow_content::{DecodeError, Decoder, Digest, Encoder, Sha256};
use exflow_lock::{LockedDebian, LockedPackage, Platform};
use exflow_packages::debian::{
    Control, DebError, Limits, MAX_READ, UnpackedPackage, assemble, read_deb,
};
use exflow_store::{Claim, Record, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// How many packages are unpacked at a time, in the whole process: a decoder may take some 80 MiB.
const UNPACKERS: usize = 4;
/// How many downloads are under way at a time.
const CONNECTIONS: usize = 8;
/// How often it is looked whether someone is done with a package.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a package that was unpacked waits for others, to be flushed to the disk with them.
const SETTLING: Duration = Duration::from_secs(2);

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

fn fetch_packages(
    client: &Client,
    store: &Store,
    debian: &LockedDebian,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<Vec<UnpackedPackage>, FetchError> {
    // The large ones first: none of them is then left for the end, alone.
    let mut todo: Vec<&LockedPackage> = debian.packages.iter().collect();
    todo.sort_by_key(|package| package.size);
    let todo = Mutex::new(todo);
    let unpacked = Mutex::new(Vec::with_capacity(debian.packages.len()));
    let failed = Mutex::new(None);
    // Where one fails, nothing that the others do is needed now.
    let stop = client.cancel().part();
    let client = &client.stopping_with(stop.clone());
    let fetch = Fetch { client, store, mirrors, progress, unsettled: Mutex::default() };
    let fail = |error| {
        // The first is the reason: the others only stopped.
        lock(&failed).get_or_insert(error);
        stop.cancel();
    };
    let work = || {
        loop {
            if lock(&failed).is_some() {
                return;
            }
            let Some(package) = lock(&todo).pop() else { return };
            match fetch.package(package, &debian.snapshot) {
                Ok(package) => lock(&unpacked).push(package),
                Err(error) => return fail(error),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..CONNECTIONS.min(debian.packages.len())).map(|_| scope.spawn(work)).collect();
        // Meanwhile, whatever they are waiting for: others may wait for what we have finished.
        while !workers.iter().all(ScopedJoinHandle::is_finished) {
            std::thread::sleep(PAUSE);
            if let Err(error) = fetch.settle(SETTLING) {
                fail(error.into());
            }
        }
    });
    // What is finished is kept, whatever became of the others.
    let settled = fetch.settle(Duration::ZERO);
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    settled?;
    Ok(unpacked.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Fetch<'a> {
    client: &'a Client,
    store: &'a Store,
    mirrors: &'a Mirrors,
    progress: &'a dyn Progress,
    unsettled: Mutex<Vec<Unsettled>>,
}

/// A package that is in the store, and perhaps not on the disk yet.
struct Unsettled {
    key: Digest,
    record: Record,
    sha256: Sha256,
    since: Instant,
    /// Others wait for the record rather than unpack it again.
    _claim: Claim,
}

impl Fetch<'_> {
    fn package(
        &self,
        package: &LockedPackage,
        snapshot: &str,
    ) -> Result<UnpackedPackage, FetchError> {
        let key = deb_key(&package.sha256);
        if let Some(known) = self.known(package, &key)? {
            return Ok(known);
        }
        // Another base, or another process, may be fetching the same package.
        let claim = loop {
            if let Some(claim) = self.store.try_claim(&key)? {
                break claim;
            }
            if self.client.cancel().is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            std::thread::sleep(PAUSE);
        };
        if let Some(known) = self.known(package, &key)? {
            return Ok(known);
        }
        let urls = self.mirrors.urls(&package.archive, &package.path, snapshot);
        let wanted =
            Wanted { name: &package.name, urls: &urls, sha256: package.sha256, size: package.size };
        let path = self.client.download(self.store, wanted, self.progress)?;
        let permit = Permits::of_process().take();
        let failed = |source| StoreError::Io { action: "open", path: path.clone(), source };
        let reader = BufReader::with_capacity(64 << 10, File::open(&path).map_err(failed)?);
        let deb = read_deb(reader, &Limits::default(), &mut |mode, content| {
            let mut writer = self.store.blob_writer().map_err(io::Error::other)?;
            self.copy(content, &mut writer)?;
            writer.finish_as(mode).map_err(io::Error::other)
        })
        .map_err(|source| self.unpack_error(package, source))?;
        drop(permit);
        let tree = self.store.put_tree(&deb.tree)?;
        let record = Record { trees: vec![tree], data: encode_control(&deb.control) };
        lock(&self.unsettled).push(Unsettled {
            key,
            record,
            sha256: package.sha256,
            since: Instant::now(),
            _claim: claim,
        });
        Ok(UnpackedPackage { locked: package.clone(), control: deb.control, tree: deb.tree })
    }

    /// Flushes what was unpacked to the disk and then records it, once the first of it has waited
    /// for so long: a record is believed, and a flush for each package would take too long.
    fn settle(&self, waiting: Duration) -> Result<(), StoreError> {
        let settled = {
            let mut unsettled = lock(&self.unsettled);
            if unsettled.first().is_none_or(|first| first.since.elapsed() < waiting) {
                return Ok(());
            }
            std::mem::take(&mut *unsettled)
        };
        self.store.sync()?;
        for one in settled {
            self.store.put_record(&one.key, &one.record)?;
            // It will not be needed again.
            self.store.drop_download(&one.sha256);
        }
        Ok(())
    }

    /// The package, if it has been unpacked before and nothing of it was lost since.
    fn known(
        &self,
        package: &LockedPackage,
        key: &Digest,
    ) -> Result<Option<UnpackedPackage>, FetchError> {
        let Some(record) = self.store.record(key)? else { return Ok(None) };
        let (Some(tree), Ok(control)) = (record.trees.first(), decode_control(&record.data)) else {
            return Ok(None);
        };
        let tree = match self.store.tree(tree) {
            Ok(tree) => tree,
            Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !self.store.has_blobs(&tree) {
            return Ok(None);
        }
        Ok(Some(UnpackedPackage { locked: package.clone(), control, tree }))
    }

    /// Copies what a package holds into the store. An error in writing is the store's, and one in
    /// reading is the package's.
    fn copy(&self, from: &mut dyn Read, to: &mut impl Write) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if self.client.cancel().is_cancelled() {
                return Err(io::Error::other("stopped"));
            }
            let length = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            to.write_all(&buffer[..length]).map_err(|source| {
                let path = self.store.root().to_owned();
                io::Error::other(StoreError::Io { action: "write to", path, source })
            })?;
        }
    }

    /// Failures of the store reach us through an I/O error: they are not the package's fault.
    fn unpack_error(&self, package: &LockedPackage, source: DebError) -> FetchError {
        if self.client.cancel().is_cancelled() {
            return FetchError::Cancelled;
        }
        let source = match source {
            DebError::Read(error) => match error.downcast::<StoreError>() {
                Ok(store) => return FetchError::Store(store),
                Err(error) => DebError::Read(error),
            },
            other => other,
        };
        // Perhaps it was damaged on the disk: the next time it is fetched again.
        self.store.drop_download(&package.sha256);
        FetchError::Package { package: package.name.clone(), source }
    }
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

/// A number of permits, for work that keeps a core busy.
struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

struct Permit<'a>(&'a Permits);

impl Permits {
    fn new(number: usize) -> Self {
        Self { free: Mutex::new(number), returned: Condvar::new() }
    }

    /// Those of this process, which may fetch several bases at once.
    fn of_process() -> &'static Self {
        static PERMITS: LazyLock<Permits> = LazyLock::new(|| {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            Permits::new(cores.min(UNPACKERS))
        });
        &PERMITS
    }

    fn take(&self) -> Permit<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.returned.notify_one();
    }
}

#[cfg(test)]
mod tests;
