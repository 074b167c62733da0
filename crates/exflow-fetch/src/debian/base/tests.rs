use super::*;
use crate::workshop::CONNECTIONS;
use crate::{Cancel, HttpOptions};
use exflow_packages::archive::ArchiveError;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn package(name: &str, bytes: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1".into(),
        architecture: "all".into(),
        archive: "debian".into(),
        path: format!("pool/{name}.deb"),
        size: bytes.len() as u64,
        sha256: Sha256::of(bytes),
    }
}

fn deb(name: &str) -> Vec<u8> {
    deb_with(name, &format!("usr/share/{name}"))
}

/// A package with a file whose content is the package's name.
fn deb_with(name: &str, file: &str) -> Vec<u8> {
    let tar = |path: &str, content: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        builder.into_inner().unwrap()
    };
    let mut builder = ar::Builder::new(Vec::new());
    for (member, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar("control", &format!("Package: {name}\nVersion: 1\n"))),
        ("data.tar", tar(file, name)),
    ] {
        let header = ar::Header::new(member.into(), content.len() as u64);
        builder.append(&header, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A mirror in a folder, with these files in its pool.
fn mirror(root: &std::path::Path, files: &[(&str, &[u8])]) -> Mirrors {
    std::fs::create_dir_all(root.join("pool")).unwrap();
    for (name, content) in files {
        std::fs::write(root.join(format!("pool/{name}.deb")), content).unwrap();
    }
    Mirrors { debian: vec![format!("file://{}", root.display())], ..Mirrors::default() }
}

fn fetch(
    store: &Store,
    mirrors: &Mirrors,
    packages: Vec<LockedPackage>,
) -> Result<Digest, FetchError> {
    let options = HttpOptions { retries: 0, ..HttpOptions::default() };
    let client = Client::new(options, Cancel::new());
    let debian = LockedDebian { snapshot: "20261101T000000Z".into(), packages };
    fetch_base(&client, store, &debian, true, &Platform::LinuxAmd64, mirrors, &())
}

const STAMP: &str = "20261101T000000Z";

/// A record is believed: what it names has to be on the disk before. Until then the download stays.
#[test]
fn nothing_is_recorded_before_it_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let bytes = deb("aa");
    let mirrors = mirror(folder.path(), &[("aa", &bytes)]);
    let locked = package("aa", &bytes);
    let key = deb_key(&locked.sha256);
    let client = Client::new(HttpOptions::default(), Cancel::new());
    let workshop = Workshop::new(client, &store);
    fetch_package(&workshop, &locked, STAMP, &mirrors, &()).unwrap();
    let is_downloaded = || store.download(&locked.sha256, locked.size).is_some();
    assert!(store.record(&key).unwrap().is_none() && is_downloaded());
    assert!(store.try_claim(&key).unwrap().is_none(), "nobody unpacks it meanwhile");
    workshop.settle(Duration::ZERO).unwrap();
    assert!(store.record(&key).unwrap().is_some() && !is_downloaded());
    assert!(store.try_claim(&key).unwrap().is_some());
}

/// Each opens the store anew, as processes do. Each holds packages that the others wait for.
#[test]
fn bases_that_share_packages_share_the_work() {
    struct Counting(AtomicUsize);
    impl Progress for Counting {
        fn begin(&self, _: &str, _: u64) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn advance(&self, _: &str, _: u64) {}
        fn end(&self, _: &str) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    Store::open(&root).unwrap();
    let files: Vec<(String, Vec<u8>)> = (0..20)
        .map(|number| format!("aa{number:02}"))
        .map(|name| (name.clone(), deb(&name)))
        .collect();
    let listed: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    let mirrors = &mirror(folder.path(), &listed);
    let packages: Vec<_> = listed.iter().map(|(name, bytes)| package(name, bytes)).collect();
    let client = &Client::new(HttpOptions::default(), Cancel::new());
    let progress = &Counting(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for rotation in [0, 7, 14] {
            let mut packages = packages.clone();
            packages.rotate_left(rotation);
            let store = Store::open(&root).unwrap();
            scope.spawn(move || {
                let debian = LockedDebian { snapshot: STAMP.into(), packages };
                let platform = Platform::LinuxAmd64;
                fetch_base(client, &store, &debian, true, &platform, mirrors, progress).unwrap();
            });
        }
    });
    assert_eq!(progress.0.load(Ordering::SeqCst), packages.len(), "each is fetched once");
}

#[test]
fn what_is_finished_is_kept_where_another_fails() {
    /// The one that fails begins when the other has long been finished.
    struct Late;
    impl Progress for Late {
        fn begin(&self, name: &str, _: u64) {
            if name == "missing" {
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        fn advance(&self, _: &str, _: u64) {}
        fn end(&self, _: &str) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let bytes = deb("aa");
    let mirrors = mirror(folder.path(), &[("aa", &bytes)]);
    let locked = package("aa", &bytes);
    let packages = vec![locked.clone(), package("missing", b"x")];
    let debian = LockedDebian { snapshot: STAMP.into(), packages };
    let client = Client::new(HttpOptions::default(), Cancel::new());
    let error = fetch_base(&client, &store, &debian, true, &Platform::LinuxAmd64, &mirrors, &Late)
        .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
    assert!(store.record(&deb_key(&locked.sha256)).unwrap().is_some());
}

/// A base whose users are only made up would be recorded, and believed for good.
#[test]
fn a_file_that_can_not_be_read_is_not_taken_for_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let bytes = deb_with("base-passwd", "usr/share/base-passwd/passwd.master");
    let mirrors = mirror(folder.path(), &[("base-passwd", &bytes)]);
    let locked = package("base-passwd", &bytes);
    let whole = fetch(&store, &mirrors, vec![locked.clone()]).unwrap();
    let blob = Digest::of(b"base-passwd").to_string();
    let file = store.root().join("blobs").join(&blob[..2]).join(&blob[2..]);
    std::fs::write(&file, "BASE-PASSWD").unwrap();
    let error = fetch(&store, &mirrors, vec![locked.clone()]).unwrap_err();
    assert!(matches!(&error, FetchError::Store(store) if store.is_damage()), "{error:?}");
    // It is gone now, and so fetched again.
    assert_eq!(fetch(&store, &mirrors, vec![locked]).unwrap(), whole);
}

#[test]
fn the_key_is_pinned() {
    assert_eq!(
        deb_key(&Sha256::of(b"")).to_string(),
        "b7f13583761559e6fb6f5f9c2d66152d809fa5deee79cb014261250b3748f13e"
    );
}

/// What is kept of a package besides its files: tag; the text of `control`; the list of the other
/// files by name, each with its name and its content. It is in users' stores: if this fails, the
/// encoding has changed, and needs a new version in `CONTROL_TAG`.
#[test]
fn the_encoding_of_what_a_package_says_is_pinned() {
    let control = Control {
        fields: "Package: aa\nVersion: 1\n".into(),
        files: [("postinst", &b"#!/bin/sh\n"[..]), ("md5sums", b"\xff")]
            .map(|(name, content)| (name.to_owned(), content.to_vec()))
            .into(),
    };
    let bytes = encode_control(&control);
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "130dad8c0a1771a5db2db2af785a1980166836523c2ffd2cf7585ce4567d0403"
    );
    let read = decode_control(&bytes).unwrap();
    assert_eq!((read.fields, read.files), (control.fields, control.files));
}

/// A download that was checked once may be damaged later.
#[test]
fn a_download_that_was_damaged_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let good = deb("aa");
    let mirrors = mirror(folder.path(), &[("aa", &good)]);
    let locked = package("aa", &good);
    let damaged = folder.path().join(format!("store/downloads/{}", locked.sha256));
    std::fs::create_dir_all(damaged.parent().unwrap()).unwrap();
    std::fs::write(&damaged, vec![0; good.len()]).unwrap();
    let error = fetch(&store, &mirrors, vec![locked.clone()]).unwrap_err();
    assert!(matches!(error, FetchError::Package { .. }), "{error:?}");
    assert!(!damaged.exists());
    fetch(&store, &mirrors, vec![locked]).unwrap();
}

#[test]
fn what_the_store_does_not_take_is_not_the_fault_of_the_package() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let client = Client::new(HttpOptions::default(), Cancel::new());
    let one = Workshop::new(client, &store);
    let locked = package("aa", b"x");
    let error = one.copy(&mut &b"content"[..], &mut Full).unwrap_err();
    let error = unpack_error(&one, &locked, ArchiveError::Read(error).into());
    assert!(matches!(&error, FetchError::Store(store) if store.is_disk_full()), "{error:?}");
    let error =
        unpack_error(&one, &locked, ArchiveError::Read(io::ErrorKind::UnexpectedEof.into()).into());
    assert!(matches!(error, FetchError::Package { .. }), "{error:?}");
}

/// Eight are fetched at once. Where one fails, the others are not waited for.
#[test]
fn when_one_fails_the_others_stop() {
    struct Slow(AtomicUsize);
    impl Progress for Slow {
        fn begin(&self, name: &str, _: u64) {
            self.0.fetch_add(1, Ordering::SeqCst);
            // All but the one that fails begin late.
            if name != "bad" {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        fn advance(&self, _: &str, _: u64) {}
        fn end(&self, _: &str) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("aa{number:02}")).collect();
    let files: Vec<(String, Vec<u8>)> =
        names.iter().map(|name| (name.clone(), deb(name))).collect();
    let listed: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    let mirrors = mirror(folder.path(), &listed);
    let mut packages: Vec<_> = listed.iter().map(|(name, bytes)| package(name, bytes)).collect();
    // The largest: it is first.
    packages.push(package("bad", &vec![b'x'; 100_000]));
    let debian = LockedDebian { snapshot: "20261101T000000Z".into(), packages };
    let client = Client::new(HttpOptions::default(), Cancel::new());
    let progress = Slow(AtomicUsize::new(0));
    let error =
        fetch_base(&client, &store, &debian, true, &Platform::LinuxAmd64, &mirrors, &progress)
            .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
    assert!(progress.0.load(Ordering::SeqCst) <= CONNECTIONS);
    assert!(!client.cancel().is_cancelled());
    // What the others had begun was given up.
    let kept = std::fs::read_dir(folder.path().join("store/downloads")).unwrap().flatten();
    assert!(
        kept.into_iter().all(|entry| entry.file_name().to_string_lossy().ends_with(".partial"))
    );
}
