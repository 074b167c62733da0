use super::*;
use proptest::prelude::*;

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("clean")
}

fn file(text: &str) -> Entry {
    Entry::File { mode: Mode::FILE, blob: Digest::of(text.as_bytes()), size: text.len() as u64 }
}

fn link(target: &str) -> Entry {
    Entry::Symlink { target: target.as_bytes().into() }
}

const FOLDER: Entry = Entry::Folder { mode: Mode::FOLDER };

fn tree(entries: &[(&str, Entry)]) -> Tree {
    let mut tree = Tree::new();
    for (at, entry) in entries {
        tree.insert(path(at), entry.clone()).expect("fits");
    }
    tree
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.entries().map(|(path, _)| path.to_string()).collect()
}

/// Digests of trees stand in locks and records: a change here is a new tag in `TAG`.
#[test]
fn digests_are_pinned() {
    let tree = tree(&[("a/b", file("1")), ("bin/x", link("../a/b")), ("empty", FOLDER)]);
    assert_eq!(
        Tree::new().digest().to_string(),
        "f1dae8a98b924ff80943d395d1a4f2d933b2db5042ff0ba934d4016f38855af8"
    );
    assert_eq!(
        tree.digest().to_string(),
        "4fa3a808dcbd916ec1082cd08a5c1c62f687ead470ca6d95bdb432002bf6b882"
    );
}

#[test]
fn folders_above_are_made() {
    let tree = tree(&[("a/b/c", file("1")), ("a-b", file("2"))]);
    assert_eq!(paths(&tree), ["a", "a/b", "a/b/c", "a-b"]);
}

#[test]
fn a_file_is_no_folder() {
    let mut tree = tree(&[("a", file("1"))]);
    assert_eq!(tree.insert(path("a/b"), file("2")), Err(TreeError::NotAFolder(path("a"))));
    assert_eq!(tree.insert(path(""), file("2")), Err(TreeError::NotAFolder(path(""))));
}

#[test]
fn a_file_over_a_folder_removes_what_was_in_it() {
    let tree = tree(&[("a/b/c", file("1")), ("a", file("2"))]);
    assert_eq!(paths(&tree), ["a"]);
}

#[test]
fn what_is_merged_is_below_its_place() {
    let inner = tree(&[("x/y", file("1")), ("z", link("x/y"))]);
    let mut outer = tree(&[("other", file("2"))]);
    outer.merge(&path("a/b"), &inner).expect("fits");
    assert_eq!(paths(&outer), ["a", "a/b", "a/b/x", "a/b/x/y", "a/b/z", "other"]);
    for (at, entry) in inner.entries() {
        assert_eq!(outer.get(&path("a/b").join(at)), Some(entry));
    }
}

#[test]
fn resolves_links_within_the_root() {
    let tree = tree(&[
        ("usr/bin/sh", link("dash")),
        ("usr/bin/dash", file("1")),
        ("bin", link("usr/bin")),
        ("abs", link("/bin/../bin/sh")),
        ("out", link("../../../../usr/bin/dash")),
        ("loop", link("loop")),
        ("dangling", link("nowhere")),
    ]);
    for (from, to) in [
        ("bin/sh", Some("usr/bin/dash")),
        ("abs", Some("usr/bin/dash")),
        ("out", Some("usr/bin/dash")),
        ("loop", None),
        ("dangling", None),
        ("usr/bin/dash/x", None),
    ] {
        assert_eq!(tree.resolve(&path(from)), to.map(path), "{from}");
    }
}

#[test]
fn refuses_encodings_that_it_would_not_write() {
    let good = tree(&[("a/b", file("1")), ("c", link("a"))]).encode();
    assert!(Tree::decode(&good).is_ok());
    for end in 0..good.len() {
        assert!(Tree::decode(&good[..end]).is_err(), "cut at {end}");
    }
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(Tree::decode(&trailing).is_err());
}

fn any_entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        (0u32..0o10000).prop_map(|mode| Entry::Folder { mode: Mode::new(mode) }),
        (0u32..0o10000, any::<[u8; 32]>(), any::<u64>()).prop_map(|(mode, blob, size)| {
            Entry::File { mode: Mode::new(mode), blob: Digest::from_bytes(blob), size }
        }),
        proptest::collection::vec(1u8.., 1..8)
            .prop_map(|target| Entry::Symlink { target: target.into() }),
    ]
}

fn any_tree() -> impl Strategy<Value = Tree> {
    proptest::collection::vec(("[ab]{1,2}(/[ab-]{1,2}){0,2}", any_entry()), 0..12).prop_map(
        |entries| {
            let mut tree = Tree::new();
            for (at, entry) in entries {
                let _ = tree.insert(path(&at), entry);
            }
            tree
        },
    )
}

proptest! {
    #[test]
    fn decode_is_the_inverse_of_encode(tree in any_tree()) {
        prop_assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
    }

    #[test]
    fn the_encoding_is_injective(a in any_tree(), b in any_tree()) {
        prop_assert_eq!(a == b, a.encode() == b.encode());
    }

    #[test]
    fn decode_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tree::decode(&[Tree::new().encode(), bytes].concat());
    }
}
