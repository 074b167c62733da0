//! The store as its users see it.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

use exflow_content::{Digest, Entry, Mode, RelPath, STEP_MTIME, Sha256, Tree};
use exflow_diagnostics as _;
use exflow_store::{Record, Store, StoreError};
use ignore as _;
use proptest as _;
use rustix as _;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use thiserror as _;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn sample(store: &Store) -> Tree {
    let mut tree = Tree::new();
    for (at, mode) in [("a/plain", 0o644), ("a/run", 0o755), ("secret", 0o600), ("su", 0o4755)] {
        let blob = store.put_blob(b"same").unwrap();
        tree.insert(path(at), Entry::File { mode: Mode::new(mode), blob, size: 4 }).unwrap();
    }
    tree.insert(path("link"), Entry::Symlink { target: (*b"a/run").into() }).unwrap();
    tree.insert(path("tmp"), Entry::Folder { mode: Mode::new(0o1777) }).unwrap();
    tree
}

#[test]
fn a_checkout_checks_in_as_the_same_tree() {
    let (_folder, store) = store();
    let tree = sample(&store);
    let digest = store.put_tree(&tree).unwrap();
    let laid_out = store.checkout(&digest).unwrap();
    assert_eq!(store.check_in(&laid_out).unwrap(), tree);
    let run = fs::metadata(laid_out.join("a/run")).unwrap();
    assert_eq!((run.mtime(), run.mode() & 0o7777), (STEP_MTIME.cast_signed(), 0o755));
    assert_eq!(fs::metadata(laid_out.join("su")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(fs::metadata(laid_out.join("a")).unwrap().mtime(), STEP_MTIME.cast_signed());
    assert_eq!(store.checkout(&digest).unwrap(), laid_out);
}

#[test]
fn one_tree_is_checked_out_by_many_at_once() {
    for _ in 0..10 {
        let (folder, store) = store();
        let mut tree = Tree::new();
        for number in 0..40 {
            let content = format!("program {number}");
            let blob = store.put_blob(content.as_bytes()).unwrap();
            let entry = Entry::File { mode: Mode::new(0o4755), blob, size: content.len() as u64 };
            tree.insert(path(&format!("bin/{number}")), entry).unwrap();
        }
        let digest = store.put_tree(&tree).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                // As another process would.
                let other = Store::open(folder.path().join("store")).unwrap();
                scope.spawn(move || {
                    for store in [other.clone(), other] {
                        store.checkout(&digest).unwrap();
                    }
                });
            }
        });
        let laid_out = store.checkout(&digest).unwrap();
        assert_eq!(store.check_in(&laid_out).unwrap(), tree);
    }
}

#[test]
fn files_of_a_checkout_are_links() {
    let (_folder, store) = store();
    let digest = store.put_tree(&sample(&store)).unwrap();
    let laid_out = store.checkout(&digest).unwrap();
    assert!(fs::metadata(laid_out.join("a/plain")).unwrap().nlink() >= 2);
}

#[test]
fn a_folder_of_the_users_is_copied() {
    let (folder, store) = store();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("lib/empty")).unwrap();
    fs::write(source.join("lib/a.ex"), "a").unwrap();
    symlink("nowhere", source.join("dangling")).unwrap();
    let tree = store.check_in(&source).unwrap();
    assert_eq!(tree.len(), 4);
    assert_eq!(fs::read_to_string(source.join("lib/a.ex")).unwrap(), "a");
    assert_eq!(fs::metadata(source.join("lib/a.ex")).unwrap().nlink(), 1);
}

#[test]
fn closed_files_and_folders_are_read_with_their_modes() {
    let (_folder, store) = store();
    let temp = store.temp_dir().unwrap();
    let closed = temp.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("file"), "x").unwrap();
    fs::set_permissions(closed.join("file"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    let tree = store.check_in(temp.path()).unwrap();
    let Some(Entry::File { mode, .. }) = tree.get(&path("closed/file")) else { panic!() };
    assert_eq!(mode.bits(), 0);
    assert_eq!(tree.get(&path("closed")), Some(&Entry::Folder { mode: Mode::new(0) }));
}

#[test]
fn a_pipe_is_refused_by_name() {
    let (_folder, store) = store();
    let temp = store.temp_dir().unwrap();
    let pipe = temp.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let error = store.check_in(temp.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Unsupported { path, kind: "pipe" } if *path == pipe));
}

#[test]
fn damage_is_found_and_not_believed() {
    let (_folder, store) = store();
    let tree = sample(&store);
    let digest = store.put_tree(&tree).unwrap();
    let name = digest.to_string();
    let file = store.root().join("trees").join(&name[..2]).join(&name[2..]);
    fs::write(&file, "garbage").unwrap();
    assert!(matches!(store.tree(&digest), Err(StoreError::Corrupt { .. })));
    assert!(matches!(store.tree(&digest), Err(StoreError::Missing { .. })));
    assert_eq!(store.put_tree(&tree).unwrap(), digest);
    assert_eq!(store.tree(&digest).unwrap(), tree);
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn what_is_damaged_is_discarded() {
    let (_folder, store) = store();
    let digest = store.put_tree(&sample(&store)).unwrap();
    let checkout = store.checkout(&digest).unwrap();
    assert!(!store.discard_if_damaged(&digest).unwrap());
    assert!(checkout.exists() && store.has_tree(&digest));
    for file in files(&store.root().join("blobs")) {
        fs::remove_file(file).unwrap();
    }
    assert!(store.discard_if_damaged(&digest).unwrap());
    assert!(!checkout.exists() && !store.has_tree(&digest));
    // Someone may have it mounted: it is out of the way, and not yet removed.
    let tmp = store.root().join("tmp");
    let there = || files(&tmp).iter().filter(|file| file.ends_with("a/run")).count();
    assert_eq!(there(), 1);
    assert!(store.discard_if_damaged(&digest).unwrap(), "what isn't there is damaged");
    drop(store);
    assert_eq!(there(), 0);
}

#[test]
fn what_can_not_be_looked_at_is_not_discarded() {
    let (_folder, store) = store();
    let digest = store.put_tree(&sample(&store)).unwrap();
    let name = digest.to_string();
    let file = store.root().join("trees").join(&name[..2]).join(&name[2..]);
    // Not even root can read a folder as a file.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let checkout = store.root().join("checkouts").join(&name);
    fs::create_dir(&checkout).unwrap();
    assert!(matches!(store.discard_if_damaged(&digest), Err(StoreError::Io { .. })));
    assert!(checkout.exists());
}

fn blob_file(store: &Store, digest: &Digest) -> std::path::PathBuf {
    let name = digest.to_string();
    store.root().join("blobs").join(&name[..2]).join(&name[2..])
}

#[test]
fn a_short_blob_is_never_checked_out() {
    let (_folder, store) = store();
    let tree = sample(&store);
    let digest = store.put_tree(&tree).unwrap();
    fs::write(blob_file(&store, &Digest::of(b"same")), "").unwrap();
    assert!(store.checkout(&digest).is_err());
    store.put_blob(b"same").unwrap();
    store.checkout(&digest).unwrap();
}

#[test]
fn an_altered_blob_is_not_read() {
    let (_folder, store) = store();
    let digest = store.put_blob(b"same").unwrap();
    fs::write(blob_file(&store, &digest), "sAme").unwrap();
    assert!(matches!(store.read_blob(&digest, 10), Err(StoreError::Corrupt { .. })));
}

#[test]
fn records_are_sealed_with_their_key() {
    let (_folder, store) = store();
    let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
    let record = Record { trees: vec![Digest::of(b"t")], data: b"data".to_vec() };
    store.put_record(&key, &record).unwrap();
    assert_eq!(store.record(&key).unwrap(), Some(record));
    assert_eq!(store.record(&other).unwrap(), None);
    let file = |key: &Digest| {
        let name = key.to_string();
        store.root().join("records").join(&name[..2]).join(&name[2..])
    };
    fs::copy(file(&key), file(&other)).unwrap();
    assert_eq!(store.record(&other).unwrap(), None);
    let bytes = fs::read(file(&key)).unwrap();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        fs::write(file(&key), &altered).unwrap();
        assert_eq!(store.record(&key).unwrap(), None, "byte {at}");
        fs::write(file(&key), &bytes[..at]).unwrap();
        assert_eq!(store.record(&key).unwrap(), None, "cut at {at}");
    }
}

#[test]
fn a_wrong_download_is_removed() {
    let (_folder, store) = store();
    let digest = Sha256::of(b"right");
    fs::write(store.partial_download(&digest), "wrong").unwrap();
    assert!(matches!(store.finish_download(&digest), Err(StoreError::WrongDigest { .. })));
    assert!(!store.partial_download(&digest).exists());
    fs::write(store.partial_download(&digest), "right").unwrap();
    store.finish_download(&digest).unwrap();
    assert!(store.download(&digest, 5).is_some());
    assert!(store.download(&digest, 6).is_none());
}

#[test]
fn what_dead_processes_left_is_swept() {
    let (folder, store) = store();
    let dead = store.root().join("tmp/999999-0");
    fs::create_dir_all(dead.join("dir-0/upper")).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    let living = Store::open(folder.path().join("store")).unwrap();
    let kept = living.temp_dir().unwrap();
    assert!(!dead.exists());
    let temp = store.temp_dir().unwrap();
    assert!(kept.path().exists() && temp.path().exists());
    let gone = temp.path().to_owned();
    drop(temp);
    assert!(!gone.exists());
}

#[test]
fn a_store_is_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let mode = || fs::metadata(&root).unwrap().mode() & 0o7777;
    let set = |mode| fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
    Store::open(&root).unwrap();
    assert_eq!(mode(), 0o700);
    // One that others could only read is closed without a word.
    set(0o755);
    Store::open(&root).unwrap();
    assert_eq!(mode(), 0o700);
    // What others may have written is not believed, before the user says so.
    for open in [0o777, 0o770, 0o720, 0o702, 0o1777] {
        set(open);
        let error = Store::open(&root).unwrap_err();
        assert!(matches!(&error, StoreError::OpenToOthers { path } if *path == root), "{error:?}");
        assert_eq!(mode(), open);
    }
    set(0o700);
    Store::open(&root).unwrap();
    // In an empty folder there is nothing to be believed.
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    set(0o777);
    Store::open(&root).unwrap();
    assert_eq!(mode(), 0o700);
}

/// What a step sees is not copied, and no two names of it are one file.
#[test]
fn a_file_that_is_laid_out_is_a_link_once() {
    let (folder, store) = store();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let blob = store.put_blob(b"content").unwrap();
    let entry = Entry::File { mode: Mode::FILE, blob, size: 7 };
    let mut tree = Tree::new();
    for name in ["a", "b"] {
        tree.insert(RelPath::new(name).unwrap(), entry.clone()).unwrap();
    }
    let out = folder.path().join("store/tmp/out");
    store.lay_out(&tree, &out).unwrap();
    let name = blob.to_string();
    let own = store.root().join("blobs").join(&name[..2]).join(&name[2..]);
    assert_eq!(inode(&out.join("a")), inode(&own));
    assert_ne!(inode(&out.join("b")), inode(&own));
    assert_eq!(fs::read(out.join("b")).unwrap(), b"content");
    // Nor is one of them a file of a base's.
    let base = store.checkout(&store.put_tree(&tree).unwrap()).unwrap();
    let beside = folder.path().join("store/tmp/beside");
    store.lay_out(&tree, &beside).unwrap();
    let mut inodes: Vec<u64> = [&base, &beside]
        .iter()
        .flat_map(|folder| ["a", "b"].map(|name| inode(&folder.join(name))))
        .collect();
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 4);
}

/// Whoever names a folder of theirs as the store loses nothing by it.
#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mine");
    fs::create_dir_all(root.join("tmp/precious")).unwrap();
    fs::write(root.join("letter"), "").unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let error = Store::open(&root).unwrap_err();
    assert!(matches!(&error, StoreError::Occupied { name, .. } if name == "letter"), "{error:?}");
    assert!(root.join("tmp/precious").exists() && !root.join("blobs").exists());
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn another_format_is_refused() {
    let (_folder, store) = store();
    fs::write(store.root().join("format"), "exflow store 99\n").unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(error.to_string().contains("exflow store 99"), "{error}");
}

#[test]
fn a_blob_that_is_given_up_leaves_nothing() {
    let (_folder, store) = store();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    let left = |folder: &Path| -> usize {
        fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| fs::read_dir(entry.path()).unwrap().count())
            .sum()
    };
    assert_eq!(left(&store.root().join("blobs")), 0);
    assert_eq!(left(&store.root().join("tmp")), 1, "only the lock");
}

fn workspace(folder: &TempDir) -> std::path::PathBuf {
    let root = folder.path().join("workspace");
    fs::create_dir_all(root.join("lib")).unwrap();
    fs::create_dir_all(root.join("_build")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(root.join(".gitignore"), "/_build\n").unwrap();
    fs::write(root.join("_build/x"), "x").unwrap();
    fs::write(root.join(".git/HEAD"), "x").unwrap();
    fs::write(root.join("lib/a.ex"), "a").unwrap();
    root
}

/// Makes a file look as if it had been left alone for long.
fn age(file: &Path, seconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, file, &times, rustix::fs::AtFlags::empty()).unwrap();
}

#[test]
fn sources_leave_out_what_git_leaves_out() {
    let (folder, store) = store();
    let tree = store.sources(&workspace(&folder)).unwrap();
    let files: Vec<_> = tree.entries().map(|(at, _)| at.to_string()).collect();
    assert_eq!(files, [".gitignore", "lib", "lib/a.ex"]);
}

#[test]
fn a_changed_source_is_read_again() {
    let (folder, store) = store();
    let root = workspace(&folder);
    let file = root.join("lib/a.ex");
    age(&file, 1_000_000_000);
    let first = store.sources(&root).unwrap();
    assert_eq!(store.sources(&root).unwrap(), first);
    // Same length and same modification time: only the inode's change time tells.
    fs::write(&file, "b").unwrap();
    age(&file, 1_000_000_000);
    let second = store.sources(&root).unwrap();
    assert_ne!(second, first);
    fs::write(&file, "c").unwrap();
    assert_ne!(store.sources(&root).unwrap(), second);
}

#[test]
fn a_source_that_changes_under_a_build_is_an_error() {
    let (folder, store) = store();
    let root = workspace(&folder);
    let tree = store.sources(&root).unwrap();
    fs::write(root.join("lib/a.ex"), "other").unwrap();
    let file = root.join("lib/a.ex");
    let changed =
        |error: &StoreError| matches!(error, StoreError::SourceChanged { path } if *path == file);
    let error = store.keep_sources(&root, &tree).unwrap_err();
    assert!(changed(&error), "{error:?}");
    fs::remove_file(&file).unwrap();
    let error = store.keep_sources(&root, &tree).unwrap_err();
    assert!(changed(&error), "{error:?}");
    fs::write(&file, "other").unwrap();
    let tree = store.sources(&root).unwrap();
    store.keep_sources(&root, &tree).unwrap();
    let digest = store.put_tree(&tree).unwrap();
    assert_eq!(fs::read(store.checkout(&digest).unwrap().join("lib/a.ex")).unwrap(), b"other");
}

#[test]
fn a_folder_that_was_taken_away_is_made_again() {
    let (folder, store) = store();
    let (key, record) = (Digest::of(b"key"), Record::default());
    store.put_record(&key, &record).unwrap();
    drop(store);
    let root = folder.path().join("store");
    fs::remove_dir_all(root.join("records")).unwrap();
    let store = Store::open(&root).unwrap();
    assert_eq!(store.record(&key).unwrap(), None);
    store.put_record(&key, &record).unwrap();
    assert_eq!(store.record(&key).unwrap(), Some(record));
}

#[test]
fn a_tree_is_brought_over_and_every_byte_is_checked_on_the_way() {
    let (_folder, from) = store();
    let (_other, to) = store();
    let digest = from.put_tree(&sample(&from)).unwrap();
    to.import_tree(&from, &digest).unwrap();
    assert_eq!(to.tree(&digest).unwrap(), sample(&from));
    assert!(to.has_blobs(&to.tree(&digest).unwrap()));
    // Nothing is shared: what befalls one leaves the other as it is.
    let damaged = damage_a_blob(&from);
    assert!(to.check_trees(&BTreeSet::from([digest])).unwrap().is_empty());
    let (_third, third) = store();
    let error = third.import_tree(&from, &digest).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { path, .. } if *path == damaged), "{error}");
    assert!(!third.has_tree(&digest));
}

#[test]
fn a_changed_byte_is_found_and_all_that_has_it_is_taken_away() {
    let (_folder, store) = store();
    let digest = store.put_tree(&sample(&store)).unwrap();
    // Another tree with the same file, and one without.
    let mut other = Tree::new();
    let blob = store.put_blob(b"same").unwrap();
    other.insert(path("b"), Entry::File { mode: Mode::EXECUTABLE, blob, size: 4 }).unwrap();
    let other = store.put_tree(&other).unwrap();
    let mut third = Tree::new();
    let blob = store.put_blob(b"third").unwrap();
    third.insert(path("c"), Entry::File { mode: Mode::FILE, blob, size: 5 }).unwrap();
    let third = store.put_tree(&third).unwrap();
    let all = BTreeSet::from([digest, other, third]);
    let checkouts: Vec<PathBuf> = all.iter().map(|tree| store.checkout(tree).unwrap()).collect();
    assert!(store.check_trees(&all).unwrap().is_empty());
    // In one of its modes: the other ones are as they should be.
    let damaged = damage_a_blob(&store);
    let found = store.check_trees(&all).unwrap();
    assert!(
        matches!(&found[..], [StoreError::Corrupt { path, .. }] if *path == damaged),
        "{found:?}"
    );
    assert!(!damaged.exists() && !store.has_tree(&digest) && !store.has_tree(&other));
    assert!(store.has_tree(&third));
    assert_eq!(checkouts.iter().filter(|checkout| checkout.exists()).count(), 1);
    assert!(store.check_trees(&BTreeSet::from([third])).unwrap().is_empty());
    assert_eq!(store.check_trees(&BTreeSet::from([digest])).unwrap().len(), 1);
}

#[test]
fn a_changed_byte_of_a_copy_is_found() {
    let (_folder, store) = store();
    let mut tree = Tree::new();
    let blob = store.put_blob(b"same").unwrap();
    for at in ["a", "b"] {
        tree.insert(path(at), Entry::File { mode: Mode::FILE, blob, size: 4 }).unwrap();
    }
    let digest = store.put_tree(&tree).unwrap();
    let checkout = store.checkout(&digest).unwrap();
    assert!(store.check_trees(&BTreeSet::from([digest])).unwrap().is_empty());
    fs::write(checkout.join("b"), b"sAme").unwrap();
    let found = store.check_trees(&BTreeSet::from([digest])).unwrap();
    assert!(
        matches!(&found[..], [StoreError::Corrupt { path, .. }] if path.ends_with("b")),
        "{found:?}"
    );
    assert!(!checkout.exists());
    // Something that isn't in the tree, something that is gone, and another mode.
    for tamper in [
        (|checkout: &Path| fs::write(checkout.join("c"), "more").unwrap()) as fn(&Path),
        |checkout| fs::remove_file(checkout.join("a")).unwrap(),
        |checkout| {
            fs::set_permissions(checkout.join("b"), fs::Permissions::from_mode(0o4755)).unwrap();
        },
    ] {
        store.put_tree(&tree).unwrap();
        let checkout = store.checkout(&digest).unwrap();
        assert!(store.check_trees(&BTreeSet::from([digest])).unwrap().is_empty());
        tamper(&checkout);
        assert_eq!(store.check_trees(&BTreeSet::from([digest])).unwrap().len(), 1);
        assert!(!checkout.exists());
    }
}

/// Changes a byte of the last of all blobs, and leaves its length: the file that it was.
fn damage_a_blob(store: &Store) -> PathBuf {
    let folders = fs::read_dir(store.root().join("blobs")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| fs::metadata(file).unwrap().len() > 0);
    files.sort();
    let file = files.pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 1;
    let mode = fs::metadata(&file).unwrap().permissions();
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    fs::set_permissions(&file, mode).unwrap();
    file
}
