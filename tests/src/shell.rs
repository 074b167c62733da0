//! A shell that needs nothing else.

use crate::mirror::{keep, upstream};
use exflow_content::Entry;
use exflow_fetch::debian::{Keyring, fetch_base, load_catalog};
use exflow_fetch::{Cancel, Client, HttpOptions};
use exflow_lock::{Platform, RequestedDebian};
use exflow_store::Store;
use std::path::{Path, PathBuf};

/// A statically linked busybox: the host's, or else the one of Debian's package `busybox-static`,
/// kept in `cache`.
pub fn busybox(cache: &Path) -> PathBuf {
    let host = Path::new("/bin/busybox");
    if host.is_file() {
        return host.to_owned();
    }
    let kept = cache.join("busybox");
    if !kept.is_file() {
        std::fs::create_dir_all(cache).unwrap();
        keep(&kept, &fetch());
    }
    kept
}

fn fetch() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let client = Client::new(HttpOptions::default(), Cancel::new());
    let mirrors = upstream();
    let platform =
        if cfg!(target_arch = "aarch64") { Platform::LinuxArm64 } else { Platform::LinuxAmd64 };
    let catalog =
        load_catalog(&client, &store, &mirrors, "bookworm", &platform, &Keyring::debian(), &())
            .unwrap();
    let requested = RequestedDebian {
        suite: "bookworm".into(),
        slim: true,
        packages: vec!["busybox-static".into()],
    };
    let locked = exflow_packages::debian::resolve(&requested, &catalog, None).unwrap();
    let tree = fetch_base(&client, &store, &locked, true, &platform, &mirrors, &()).unwrap();
    let tree = store.tree(&tree).unwrap();
    let found = tree.entries().find_map(|(path, entry)| match entry {
        Entry::File { blob, size, .. } if path.name() == Some(b"busybox") && *size > 500_000 => {
            Some((*blob, *size))
        }
        _ => None,
    });
    let (blob, size) = found.unwrap();
    store.read_blob(&blob, size).unwrap()
}
