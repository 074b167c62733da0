//! A socket that leads to another, counts what goes through, and can be cut.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A socket in front of another one.
#[derive(Debug)]
pub struct Relay {
    folder: tempfile::TempDir,
    sent: Arc<AtomicU64>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

impl Relay {
    /// One that leads to the socket at `to`.
    pub fn new(to: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let relay = Self { folder, sent: sent.clone(), streams: streams.clone() };
        let to = to.to_owned();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = UnixStream::connect(&to) else { continue };
                streams.lock().unwrap().push(near.try_clone().unwrap());
                streams.lock().unwrap().push(far.try_clone().unwrap());
                let counted = sent.clone();
                pass(near.try_clone().unwrap(), far.try_clone().unwrap(), Some(counted));
                pass(far, near, None);
            }
        });
        relay
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// How many bytes were sent to the one behind it.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Ends every connection.
    pub fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, counted: Option<Arc<AtomicU64>>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            if let Some(counted) = &counted {
                counted.fetch_add(length as u64, Ordering::SeqCst);
            }
        }
        // What is half closed on one side is half closed on the other.
        let _ = to.shutdown(Shutdown::Write);
    });
}
