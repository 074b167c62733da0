use super::*;
use exflow_content::Digest;
use exflow_packages::archive::ArchiveError;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FILE: tar::EntryType = tar::EntryType::Regular;
const FOLDER: tar::EntryType = tar::EntryType::Directory;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;
const DEVICE: tar::EntryType = tar::EntryType::Char;

/// An archive with these entries: path, kind, and content or target.
fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, kind, text) in entries {
        let content = if *kind == FILE { text.as_bytes() } else { b"" };
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if *kind != FILE {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(*kind);
        header.set_mode(if *kind == FOLDER { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn read_bytes(bytes: &[u8], limits: LayerLimits) -> Result<LayerContents, ArchiveError> {
    read_layer(bytes, bytes.len() as u64, limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    })
}

fn read(entries: &[(&str, tar::EntryType, &str)]) -> Result<LayerContents, ArchiveError> {
    read_bytes(&archive(entries), LayerLimits::default())
}

/// What layers make of nothing, as lines: files with the letter that their content begins with.
fn stacked(layers: &[&[(&str, tar::EntryType, &str)]]) -> Vec<String> {
    let mut tree = Tree::new();
    let mut contents = BTreeMap::new();
    for entries in layers {
        for (_, _, text) in *entries {
            contents.insert(Digest::of(text.as_bytes()), (*text).to_owned());
        }
        let layer = read(entries).unwrap();
        let kept = LayerContents::decode(&layer.encode_changes(), layer.tree.clone()).unwrap();
        assert_eq!(kept, layer);
        layer.apply(&mut tree).unwrap();
    }
    let lines = tree.entries().map(|(path, entry)| match entry {
        Entry::Folder { .. } => format!("{path}/"),
        Entry::File { blob, .. } => format!("{path} = {}", contents[blob]),
        Entry::Symlink { target } => format!("{path} -> {}", String::from_utf8_lossy(target)),
    });
    lines.collect()
}

#[test]
fn a_layer_lies_over_those_below() {
    let below: &[_] =
        &[("a/", FOLDER, ""), ("a/x", FILE, "1"), ("a/y", FILE, "2"), ("b", FILE, "3")];
    assert_eq!(stacked(&[below, &[("a/x", FILE, "4")]]), ["a/", "a/x = 4", "a/y = 2", "b = 3"]);
    // A file over a folder, and a folder over a file.
    assert_eq!(stacked(&[below, &[("a", FILE, "4")]]), ["a = 4", "b = 3"]);
    assert_eq!(
        stacked(&[below, &[("b/", FOLDER, ""), ("b/z", FILE, "4")]]),
        ["a/", "a/x = 1", "a/y = 2", "b/", "b/z = 4"]
    );
    // Even one that the layer only implies.
    assert_eq!(stacked(&[below, &[("b/z", FILE, "4")]])[3..], ["b/", "b/z = 4"]);
}

#[test]
fn whiteouts_take_away_what_is_below_and_nothing_else() {
    let below: &[_] =
        &[("a/", FOLDER, ""), ("a/x", FILE, "1"), ("a/y", FILE, "2"), ("b", FILE, "3")];
    assert_eq!(stacked(&[below, &[("a/.wh.x", FILE, ""), (".wh.b", FILE, "")]]), ["a/", "a/y = 2"]);
    assert_eq!(stacked(&[below, &[(".wh.a", FILE, "")]]), ["b = 3"]);
    // What is gone may be there anew, wherever in the layer that is said.
    assert_eq!(
        stacked(&[below, &[("a/x", FILE, "4"), ("a/.wh.x", FILE, "")]]),
        ["a/", "a/x = 4", "a/y = 2", "b = 3"]
    );
    assert_eq!(
        stacked(&[below, &[("a/z", FILE, "4"), ("a/.wh..wh..opq", FILE, "")]]),
        ["a/", "a/z = 4", "b = 3"]
    );
    assert_eq!(stacked(&[below, &[(".wh..wh..opq", FILE, ""), ("c", FILE, "1")]]), ["c = 1"]);
    // AUFS's own notes, and what isn't there.
    assert_eq!(
        stacked(&[&[(".wh..wh.plnk", FILE, ""), ("a/.wh.q", FILE, "")]]),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_below_a_link_goes_where_it_leads() {
    let below: &[_] = &[
        ("usr/", FOLDER, ""),
        ("usr/bin/", FOLDER, ""),
        ("usr/bin/sh", FILE, "1"),
        ("bin", LINK, "usr/bin"),
    ];
    // Implied: as builders leave it out that go through the link.
    assert_eq!(
        stacked(&[below, &[("bin/ls", FILE, "2"), ("bin/.wh.sh", FILE, "")]]),
        ["bin -> usr/bin", "usr/", "usr/bin/", "usr/bin/ls = 2"]
    );
    // Said: the folder takes the place of the link.
    assert_eq!(
        stacked(&[below, &[("bin/", FOLDER, ""), ("bin/ls", FILE, "2")]]),
        ["bin/", "bin/ls = 2", "usr/", "usr/bin/", "usr/bin/sh = 1"]
    );
}

/// As overlayfs says that a folder took the place of a link: what the link led to stays.
#[test]
fn a_folder_in_the_place_of_a_link_has_nothing_below_it() {
    let below: &[_] = &[("etc/x", FILE, "1"), ("a", LINK, "etc")];
    let expected = ["a/", "a/y = 2", "etc/", "etc/x = 1"];
    for mark in ["a/.wh..wh..opq", "a/.wh.x"] {
        let layer: &[_] = &[("a/", FOLDER, ""), (mark, FILE, ""), ("a/y", FILE, "2")];
        assert_eq!(stacked(&[below, layer]), expected, "{mark}");
    }
}

#[test]
fn a_hard_link_may_lead_to_a_link() {
    let layer: &[_] = &[("a", LINK, "x"), ("b", HARD, "a")];
    assert_eq!(stacked(&[layer]), ["a -> x", "b -> x"]);
    assert_eq!(stacked(&[&layer[..1], &layer[1..]]), ["a -> x", "b -> x"]);
}

#[test]
fn hard_links_lead_to_files_of_this_layer_or_of_one_below() {
    let below: &[_] = &[("a", FILE, "1")];
    assert_eq!(stacked(&[below, &[("b", HARD, "a")]]), ["a = 1", "b = 1"]);
    assert_eq!(stacked(&[&[("a", FILE, "1"), ("b", HARD, "./a"), ("c", HARD, "/a")]]).len(), 3);
    // A file that is gone now was there before.
    assert_eq!(stacked(&[below, &[("b", HARD, "a"), (".wh.a", FILE, "")]]).len(), 1);
    let mut tree = Tree::new();
    let error = read(&[("b", HARD, "etc/passwd")]).unwrap().apply(&mut tree).unwrap_err();
    assert!(matches!(error, ArchiveError::HardLink(..)), "{error:?}");
    for target in ["../../etc/passwd", "a/../../x", "", "/"] {
        let error = read(&[("a", FILE, "1"), ("b", HARD, target)]).unwrap_err();
        assert!(matches!(error, ArchiveError::HardLink(..)), "{target}: {error:?}");
    }
}

#[test]
fn an_absolute_path_begins_at_the_root_of_the_image() {
    assert_eq!(stacked(&[&[("/etc/", FOLDER, ""), ("//etc/x", FILE, "1")]]), ["etc/", "etc/x = 1"]);
}

#[test]
fn hostile_layers_are_refused() {
    for entries in [
        &[("../x", FILE, "1")][..],
        &[("a/../../x", FILE, "1")],
        &[("a/../x", FILE, "1")],
        &[(".wh...", FILE, "")],
        &[("a/.wh...", FILE, "")],
        &[(".wh..", FILE, "")],
        &[("a/.wh.", FILE, "")],
        &[("a", LINK, "/etc"), ("a/passwd", FILE, "1")],
        &[("a", FILE, "1"), ("a/b", FILE, "1")],
        &[("a", LINK, "")],
        &[("a", DEVICE, "")],
        &[("a", tar::EntryType::Fifo, "")],
    ] {
        let error = read(entries).unwrap_err();
        assert!(
            matches!(
                error,
                ArchiveError::Path(_)
                    | ArchiveError::Tree(_)
                    | ArchiveError::EmptyLink(_)
                    | ArchiveError::Kind(_)
            ),
            "{entries:?}: {error:?}"
        );
    }
    // Every step has a `/dev` of its own.
    assert!(read(&[("dev/", FOLDER, ""), ("dev/null", DEVICE, "")]).unwrap().tree.len() == 1);
}

#[test]
fn what_a_layer_holds_is_bounded() {
    let limits = LayerLimits { unpacked: 1000, entries: 4, ratio: 200 };
    let too_large = |entries: &[(&str, tar::EntryType, &str)]| {
        let error = read_bytes(&archive(entries), limits).unwrap_err();
        assert!(matches!(error, ArchiveError::TooLarge(_)), "{error:?}");
    };
    let half = "x".repeat(501);
    too_large(&[("a", FILE, &half), ("b", FILE, &half)]);
    too_large(&[
        ("a", FILE, ""),
        ("b", FILE, ""),
        ("c", FILE, ""),
        ("d", FILE, ""),
        ("e", FILE, ""),
    ]);
    too_large(&[("a/b/c/d/e", FILE, "")]);
    // By what was sent: a gigabyte of zeros takes a megabyte.
    let limits = LayerLimits { unpacked: u64::MAX, entries: 10, ratio: 200 };
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_size(ALWAYS + 200 * 1000 + 1);
    header.set_cksum();
    let bomb = header.as_bytes().chain(io::repeat(0).take(ALWAYS + 200 * 1000 + 1));
    let error = read_layer(bomb, 1000, limits, &mut |_, _| unreachable!("it is not even read"));
    assert!(matches!(error, Err(ArchiveError::TooLarge(_))), "{error:?}");
    // Nothing but padding.
    let error =
        read_layer(io::repeat(0), 1000, limits, &mut |_, _| unreachable!("nothing is in it"));
    assert!(matches!(error, Err(ArchiveError::Read(_))), "{error:?}");
}

#[test]
fn a_million_files_are_too_many() {
    let mut header = tar::Header::new_ustar();
    header.set_path("x").unwrap();
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    let bytes = header.as_bytes().repeat(1_000_000);
    let read = read_layer(&bytes[..], bytes.len() as u64, LayerLimits::default(), &mut |_, _| {
        Ok((Digest::of(b""), 0))
    });
    assert!(matches!(read, Err(ArchiveError::TooLarge(_))), "{read:?}");
}

#[test]
fn changes_make_one_tree_of_another() {
    let tree = |entries: &[(&str, tar::EntryType, &str)]| read(entries).unwrap().tree;
    let before = tree(&[
        ("a/x", FILE, "1"),
        ("a/y", FILE, "2"),
        ("b/c/d", FILE, "3"),
        ("e", FILE, "4"),
        ("f", LINK, "e"),
    ]);
    let after =
        tree(&[("a/x", FILE, "1"), ("a/y", FILE, "5"), ("e/z", FILE, "6"), ("g", FILE, "7")]);
    let layer = changes(&before, &after);
    let names: Vec<String> = layer.entries().map(|(at, _)| at.to_string()).collect();
    assert_eq!(names, [".wh.b", ".wh.f", "a", "a/y", "e", "e/z", "g"]);
    assert!(changes(&after, &after).is_empty());
}

proptest! {
    #[test]
    fn a_layer_of_changes_is_the_way_from_one_tree_to_another(
        before in trees(), after in trees()
    ) {
        let layer = changes(&before, &after);
        let mut bytes = Vec::new();
        let open = |_: &Digest| Ok(&b"x"[..]);
        crate::write_tar(&layer, 0, open, &mut bytes).unwrap();
        let contents = read_bytes(&bytes, LayerLimits::default()).unwrap();
        let mut tree = before;
        contents.apply(&mut tree).unwrap();
        prop_assert_eq!(tree, after);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read_bytes(&bytes, LayerLimits::default());
    }
}

/// Trees whose files all hold an `x`.
fn trees() -> impl Strategy<Value = Tree> {
    let entry = ("[ab](/[ab]){0,3}", 0..3u8);
    proptest::collection::vec(entry, 0..12).prop_map(|entries| {
        let mut tree = Tree::new();
        for (path, kind) in entries {
            let entry = match kind {
                0 => Entry::Folder { mode: Mode::FOLDER },
                1 => Entry::File { mode: Mode::FILE, blob: Digest::of(b"x"), size: 1 },
                _ => Entry::Symlink { target: b"elsewhere".as_slice().into() },
            };
            // What doesn't fit is left out.
            let _ = tree.insert(RelPath::new(&path).unwrap(), entry);
        }
        tree
    })
}
