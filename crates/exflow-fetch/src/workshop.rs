//! Where what is fetched is unpacked: several things side by side, each kept as soon as it is finished.

use crate::{Client, Download, FetchError, Progress};
use exflow_content::{Digest, Mode, Sha256, Tree};
use exflow_packages::archive::{ArchiveError, Keep};
use exflow_packages::hex::TarballError;
use exflow_store::{Claim, Record, Store, StoreError};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// How many things are unpacked at a time, in the whole process: a decoder may take some 80 MiB.
const UNPACKERS: usize = 4;
/// How many downloads are under way at a time.
pub(crate) const CONNECTIONS: usize = 8;
/// How often it is looked whether all are done, or something is to be flushed.
const PAUSE: Duration = Duration::from_millis(20);
/// How long what was unpacked waits for others, to be flushed to the disk with them.
const SETTLING: Duration = Duration::from_secs(2);

/// What all jobs of [`side_by_side`] work with.
pub(crate) struct Workshop<'a> {
    /// Stops with the first job that fails.
    pub(crate) client: Client,
    pub(crate) store: &'a Store,
    unsettled: Mutex<Vec<Unsettled>>,
}

/// Something that is in the store, and perhaps not on the disk yet.
pub(crate) struct Finished {
    pub(crate) key: Digest,
    pub(crate) record: Record,
    /// What it was unpacked from, and won't be needed again.
    pub(crate) download: Sha256,
    /// Others wait for the record rather than do it again.
    pub(crate) claim: Claim,
}

struct Unsettled {
    finished: Finished,
    since: Instant,
}

/// Does jobs side by side, the last first; what came of them, in any order.
///
/// Where one fails, the others are stopped, and what is finished is kept all the same.
pub(crate) fn side_by_side<J: Send, T: Send>(
    client: &Client,
    store: &Store,
    jobs: Vec<J>,
    work: impl Fn(&Workshop<'_>, J) -> Result<T, FetchError> + Sync,
) -> Result<Vec<T>, FetchError> {
    let number = jobs.len();
    let jobs = Mutex::new(jobs);
    let done = Mutex::new(Vec::with_capacity(number));
    let failed = Mutex::new(None);
    let stop = client.cancel().part();
    let client = client.stopping_with(stop.clone());
    let workshop = Workshop::new(client, store);
    let fail = |error| {
        // The first is the reason: the others only stopped.
        lock(&failed).get_or_insert(error);
        stop.cancel();
    };
    let worker = || {
        loop {
            if lock(&failed).is_some() {
                return;
            }
            let Some(job) = lock(&jobs).pop() else { return };
            match work(&workshop, job) {
                Ok(result) => lock(&done).push(result),
                Err(error) => return fail(error),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS.min(number)).map(|_| scope.spawn(worker)).collect();
        // Meanwhile, whatever they are waiting for: others may wait for what we have finished.
        while !workers.iter().all(ScopedJoinHandle::is_finished) {
            std::thread::sleep(PAUSE);
            if let Err(error) = workshop.settle(SETTLING) {
                fail(error.into());
            }
        }
    });
    // What is finished is kept, whatever became of the others.
    let settled = workshop.settle(Duration::ZERO);
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    settled?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known under `key`, and its first tree, if nothing of that was lost.
pub(crate) fn known_tree(
    store: &Store,
    key: &Digest,
) -> Result<Option<(Record, Tree)>, StoreError> {
    let Some(record) = store.record(key)? else { return Ok(None) };
    let Some(tree) = record.trees.first() else { return Ok(None) };
    let tree = match store.tree(tree) {
        Ok(tree) => tree,
        Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(store.has_blobs(&tree).then_some((record, tree)))
}

impl<'a> Workshop<'a> {
    pub(crate) fn new(client: Client, store: &'a Store) -> Self {
        Self { client, store, unsettled: Mutex::default() }
    }

    /// The tree that is known under `key`, or else what `make` makes, which gives the digest of the download that
    /// is needed no more, if there is one. It is on the disk and recorded when this returns; whoever wants the same meanwhile waits.
    pub(crate) fn tree_of(
        &self,
        key: Digest,
        make: impl FnOnce() -> Result<(Tree, Option<Sha256>), FetchError>,
    ) -> Result<Digest, FetchError> {
        let known = || known_tree(self.store, &key).map(|known| Some(known?.0.trees[0]));
        if let Some(tree) = known()? {
            return Ok(tree);
        }
        let _claim = self.claim(&key)?;
        if let Some(tree) = known()? {
            return Ok(tree);
        }
        let (tree, download) = make()?;
        let tree = self.store.put_tree(&tree)?;
        // On the disk first: a record is believed.
        self.store.sync()?;
        self.store.put_record(&key, &Record { trees: vec![tree], data: Vec::new() })?;
        if let Some(download) = download {
            self.store.drop_download(&download);
        }
        Ok(tree)
    }

    /// Waits until nobody else works on what has this key.
    pub(crate) fn claim(&self, key: &Digest) -> Result<Claim, FetchError> {
        let claim = self.store.claim(key, || self.client.cancel().is_cancelled())?;
        claim.ok_or(FetchError::Cancelled)
    }

    /// Reads a download with `read`. One that was damaged on the disk since it was checked is fetched once more,
    /// and none that is of no use is kept.
    pub(crate) fn read_download<T>(
        &self,
        wanted: Download<'_>,
        progress: &dyn Progress,
        read: impl Fn(&Path) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut again = true;
        loop {
            let result = read(&self.client.download(self.store, wanted, progress)?);
            let (is_useless, is_damaged) = match &result {
                Err(FetchError::WrongDigest { .. }) => (true, true),
                Err(FetchError::HexTarball(error)) => {
                    (true, matches!(error, TarballError::Outer { .. }))
                }
                _ => (false, false),
            };
            if is_useless {
                self.store.drop_download(&wanted.sha256);
            }
            if !(is_damaged && again) {
                return result;
            }
            again = false;
        }
    }

    /// Unpacks a file with `read`, which gives contents of files to the store.
    pub(crate) fn unpack<T>(
        &self,
        file: File,
        read: impl FnOnce(BufReader<File>, &mut Keep<'_>) -> T,
    ) -> T {
        let _permit = Permits::of_process().take();
        let reader = BufReader::with_capacity(64 << 10, file);
        read(reader, &mut |mode, content| self.keep(mode, content))
    }

    fn keep(&self, mode: Mode, content: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut writer = self.store.blob_writer().map_err(io::Error::other)?;
        self.copy(content, &mut writer)?;
        writer.finish_as(mode).map_err(io::Error::other)
    }

    /// Copies into the store. An error in writing is the store's, and one in reading is not.
    pub(crate) fn copy(&self, from: &mut dyn Read, to: &mut impl Write) -> io::Result<()> {
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

    /// Who is to blame where an archive wasn't unpacked: the archive, or someone else. Failures of the
    /// store reach us through an I/O error.
    pub(crate) fn blame(&self, error: ArchiveError) -> Result<ArchiveError, FetchError> {
        if self.client.cancel().is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        match error {
            ArchiveError::Read(error) => match error.downcast::<StoreError>() {
                Ok(store) => Err(FetchError::Store(store)),
                Err(error) => Ok(ArchiveError::Read(error)),
            },
            other => Ok(other),
        }
    }

    /// Takes what is finished, to be recorded when it is on the disk.
    pub(crate) fn finished(&self, finished: Finished) {
        lock(&self.unsettled).push(Unsettled { finished, since: Instant::now() });
    }

    /// Flushes what was unpacked to the disk and then records it, once the first of it has waited
    /// for so long: a record is believed, and a flush for each thing would take too long.
    pub(crate) fn settle(&self, waiting: Duration) -> Result<(), StoreError> {
        let settled = {
            let mut unsettled = lock(&self.unsettled);
            if unsettled.first().is_none_or(|first| first.since.elapsed() < waiting) {
                return Ok(());
            }
            std::mem::take(&mut *unsettled)
        };
        self.store.sync()?;
        for Unsettled { finished, .. } in settled {
            self.store.put_record(&finished.key, &finished.record)?;
            self.store.drop_download(&finished.download);
            drop(finished.claim);
        }
        Ok(())
    }
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
