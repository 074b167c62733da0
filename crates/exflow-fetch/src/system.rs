//! What manages the packages of an image.

use crate::alpine::AlpineSystem;
use crate::debian::{Mirrors, fetch_packages};
use crate::{Client, FetchError, Progress};
use exflow_content::{Digest, Entry, RelPath, Tree};
use exflow_lock::{LockedDebian, Platform};
use exflow_packages::debian::{Installed, MAX_READ, STATUS, STATUS_FOLDER, add_packages, system};
use exflow_store::Store;

/// The longest database of packages that is read, in bytes. That of a whole desktop takes 5 MB.
pub(crate) const MAX_DATABASE: u64 = 64 << 20;

/// What manages the packages of an image.
#[derive(Debug)]
pub enum System {
    /// dpkg, of Debian.
    Debian {
        /// The suite that it is of: `bookworm`.
        suite: String,
        /// What is installed.
        installed: Installed,
    },
    /// apk, of Alpine.
    Alpine(Box<AlpineSystem>),
}

impl System {
    /// Looks at the files of an image.
    pub fn of(store: &Store, tree: &Tree, platform: &Platform) -> Result<Self, FetchError> {
        let text = |at: &str| -> Result<Option<String>, FetchError> {
            let bytes = read(store, tree, at, MAX_DATABASE)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let release = match text("etc/os-release")? {
            Some(release) => Some(release),
            None => text("usr/lib/os-release")?,
        };
        let (id, codename) = system(&release.unwrap_or_default());
        match (id.as_deref(), codename) {
            (Some("debian"), Some(suite)) if is_suite(&suite) => {
                let installed = installed(store, tree, platform, text(STATUS)?)?;
                Ok(Self::Debian { suite, installed })
            }
            (Some("alpine"), _) => {
                AlpineSystem::of(store, tree, platform).map(|system| Self::Alpine(Box::new(system)))
            }
            (id, _) => {
                let found = match id {
                    Some("debian") => "of Debian without saying which suite".to_owned(),
                    Some(id) => format!("`{}`", id.chars().take(60).collect::<String>()),
                    None => "nothing that is said".to_owned(),
                };
                Err(FetchError::System { found })
            }
        }
    }
}

fn installed(
    store: &Store,
    tree: &Tree,
    platform: &Platform,
    status: Option<String>,
) -> Result<Installed, FetchError> {
    let unreadable = |at: &str| {
        let what = at.to_owned();
        move |error: exflow_packages::debian::ControlError| FetchError::Database {
            what,
            reason: error.to_string(),
        }
    };
    let mut installed = Installed::default();
    if let Some(status) = status {
        installed.add(&status, None, platform).map_err(unreadable(STATUS))?;
    }
    let folder = RelPath::new(STATUS_FOLDER).expect("a clean path");
    let mut is_there = tree.resolve(&RelPath::new(STATUS).expect("a clean path")).is_some();
    for (path, _) in tree.within(&folder) {
        // Beside each file is one with its checksums.
        let at = path.to_string();
        if at == STATUS_FOLDER || at.ends_with(".md5sums") {
            continue;
        }
        if let Some(bytes) = read(store, tree, &at, MAX_READ)? {
            let text = String::from_utf8_lossy(&bytes);
            installed.add(&text, Some(path), platform).map_err(unreadable(&at))?;
            is_there = true;
        }
    }
    if !is_there {
        // What is there can't be told, and all of it would be laid over it once more.
        let reason = "there is none".to_owned();
        return Err(FetchError::Database { what: STATUS.to_owned(), reason });
    }
    Ok(installed)
}

/// Whether a text can be the name of a suite. It becomes part of an address.
fn is_suite(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A file of a tree, its links followed; none where there is none.
pub(crate) fn read(
    store: &Store,
    tree: &Tree,
    at: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, FetchError> {
    let path = RelPath::new(at).expect("a clean path");
    match tree.resolve(&path).and_then(|path| tree.get(&path)) {
        Some(Entry::File { size, .. }) if *size > limit => {
            Err(FetchError::TooLarge { url: format!("/{at}"), limit })
        }
        Some(Entry::File { blob, .. }) => Ok(Some(store.read_blob(blob, limit)?)),
        _ => Ok(None),
    }
}

/// Fetches Debian packages that the store doesn't have, and adds them to the files of an image: the digest
/// of what comes of it.
pub fn add_debian(
    client: &Client,
    store: &Store,
    image: &Tree,
    debian: &LockedDebian,
    platform: &Platform,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    let System::Debian { installed, .. } = System::of(store, image, platform)? else {
        return Err(FetchError::System { found: "not Debian, as it is locked".to_owned() });
    };
    let packages = fetch_packages(client, store, debian, mirrors, progress)?;
    let read = |digest: &Digest| Ok(store.read_blob(digest, MAX_READ)?);
    let added = add_packages::<FetchError>(image, &installed, packages, platform, &read)?;
    for blob in &added.new_blobs {
        store.put_blob(blob)?;
    }
    Ok(store.put_tree(&added.tree)?)
}
