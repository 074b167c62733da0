//! A mirror of Debian's archives on loopback that remembers, so that tests may build with an empty
//! store again and again and fetch each package once.

use crate::Server;
use exflow_fetch::debian::{Mirrors, NamedMirrors, SNAPSHOT, apt_sources, find_mirrors};
use exflow_fetch::{Cancel, Client, HttpOptions};
use std::fs;
use std::path::{Path, PathBuf};

/// The largest file that is passed on, in bytes.
const LARGEST: u64 = 256 << 20;

/// A mirror, until it is dropped. It finds Debian as exflow does: by `EXFLOW_DEBIAN_MIRROR`, by the
/// host's own apt sources, or in the snapshot archive.
#[derive(Debug)]
pub struct Mirror {
    server: Server,
}

impl Mirror {
    /// A mirror that keeps what it has fetched in `cache`. Only packages are kept; indexes are
    /// fetched anew by each mirror.
    pub fn new(cache: &Path) -> Self {
        fs::create_dir_all(cache).unwrap();
        let cache = cache.to_owned();
        let mirrors = upstream();
        let client = Client::new(HttpOptions::default(), Cancel::new());
        let server = Server::finding(std::sync::Arc::new(move |path| {
            let keeps = path.contains("/pool/") && !path.contains("..");
            let kept = cache.join(path.replace('/', "%"));
            if keeps && let Ok(bytes) = fs::read(&kept) {
                return Some(bytes);
            }
            let (archive, file) = path.split_once('/')?;
            let urls = mirrors.urls(archive, file, "20261101T000000Z");
            let bytes = urls.iter().find_map(|url| client.get(url, LARGEST).ok().flatten())?;
            if keeps {
                keep(&kept, &bytes);
            }
            Some(bytes)
        }));
        Self { server }
    }

    /// What to set so that exflow uses this mirror and no other.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let url = self.server.url();
        [
            ("EXFLOW_DEBIAN_MIRROR", format!("{url}/debian")),
            ("EXFLOW_DEBIAN_SECURITY_MIRROR", format!("{url}/debian-security")),
            // Nothing listens there.
            ("EXFLOW_DEBIAN_SNAPSHOT", "http://127.0.0.1:1".to_owned()),
        ]
    }

    /// The server behind it.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

/// Where Debian is.
pub(crate) fn upstream() -> Mirrors {
    let named = std::env::var("EXFLOW_DEBIAN_MIRROR").ok();
    let security = std::env::var("EXFLOW_DEBIAN_SECURITY_MIRROR").ok();
    find_mirrors(
        NamedMirrors { debian: named.as_deref(), security: security.as_deref() },
        NamedMirrors::default(),
        &apt_sources(Path::new("/etc/apt")),
        Some(SNAPSHOT),
    )
}

/// All of it or nothing: several test programs may share the folder.
pub(crate) fn keep(path: &PathBuf, bytes: &[u8]) {
    let folder = path.parent().unwrap();
    let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    file.persist(path).unwrap();
}
