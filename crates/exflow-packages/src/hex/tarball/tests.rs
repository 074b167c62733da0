use super::*;
use crate::testing::{entry, gz, tar_of};
use exflow_content::Digest;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;

const METADATA: &str = "{<<\"app\">>,<<\"demo\">>}.\n{<<\"name\">>,<<\"demo\">>}.\n\
     {<<\"version\">>,<<\"1.0.0\">>}.\n{<<\"description\">>,<<\"é\"/utf8>>}.\n";

fn file(path: &str, content: &[u8]) -> Vec<u8> {
    entry(path, tar::EntryType::Regular, "", 0o644, content)
}

fn link(path: &str, target: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Symlink, target, 0o777, b"")
}

fn checksum(metadata: &str, contents: &[u8]) -> Sha256 {
    Sha256::of(&[b"3", metadata.as_bytes(), contents].concat())
}

/// The parts of a tarball that holds these entries.
fn parts(entries: &[Vec<u8>]) -> Vec<(&'static str, Vec<u8>)> {
    let contents = gz(&tar_of(entries));
    let checksum = checksum(METADATA, &contents).to_string().to_ascii_uppercase();
    vec![
        ("VERSION", b"3".to_vec()),
        ("CHECKSUM", checksum.into_bytes()),
        ("metadata.config", METADATA.into()),
        ("contents.tar.gz", contents),
    ]
}

fn tarball(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<_> = parts.iter().map(|(name, content)| file(name, content)).collect();
    tar_of(&entries)
}

fn package() -> HexPackage {
    HexPackage {
        repo: "hexpm".into(),
        name: "demo".into(),
        version: "1.0.0".into(),
        inner: None,
        outer: None,
        managers: vec!["mix".into()],
    }
}

type Blobs = BTreeMap<Digest, Vec<u8>>;

fn read_as(bytes: &[u8], package: &HexPackage) -> Result<(UnpackedHex, Blobs), TarballError> {
    let limits = Limits { tarball: 1 << 20, unpacked: 1 << 20, entries: 100 };
    let mut blobs = Blobs::new();
    let read = read_tarball(&mut Cursor::new(bytes), package, &limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        let (digest, length) = (Digest::of(&kept), kept.len() as u64);
        blobs.insert(digest, kept);
        Ok((digest, length))
    });
    read.map(|unpacked| (unpacked, blobs))
}

fn read(bytes: &[u8]) -> Result<(UnpackedHex, Blobs), TarballError> {
    read_as(bytes, &package())
}

#[track_caller]
fn refuses(bytes: &[u8], expected: &str) {
    let error = read(bytes).map(|(unpacked, _)| unpacked).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

#[test]
fn a_package_is_unpacked_as_hex_does() {
    let entries = [
        file("mix.exs", b"project"),
        entry("bin/run", tar::EntryType::Regular, "", 0o4775, b"#!"),
        entry("closed", tar::EntryType::Regular, "", 0o600, b"x"),
        entry("priv/empty/", tar::EntryType::Directory, "", 0o700, b""),
        link("lib/run", "../bin/run"),
    ];
    let bytes = tarball(&parts(&entries));
    let (unpacked, blobs) = read(&bytes).unwrap();
    let shown: Vec<String> = unpacked
        .tree
        .entries()
        .map(|(path, entry)| match entry {
            Entry::Folder { mode } => format!("{path} {mode:?}"),
            Entry::File { mode, size, .. } => format!("{path} {mode:?} {size}"),
            Entry::Symlink { target } => format!("{path} -> {}", String::from_utf8_lossy(target)),
        })
        .collect();
    assert_eq!(
        shown,
        [
            ".hex 0644 132",
            "bin 0755",
            "bin/run 0755 2",
            "closed 0644 1",
            "hex_metadata.config 0644 113",
            "lib 0755",
            "lib/run -> ../bin/run",
            "mix.exs 0644 7",
            "priv 0755",
            "priv/empty 0755",
        ]
    );
    let content = |at: &str| match unpacked.tree.get(&path(at)) {
        Some(Entry::File { blob, .. }) => &blobs[blob],
        other => panic!("{other:?}"),
    };
    assert_eq!(content("hex_metadata.config"), METADATA.as_bytes());
    assert_eq!(content(".hex"), &etf::manifest(&package()));
    assert_eq!(unpacked.outer, Sha256::of(&bytes));
    assert_eq!(unpacked.inner, checksum(METADATA, &gz(&tar_of(&entries))));
}

/// Gleam's are in another order than Hex's.
#[test]
fn the_order_of_the_parts_does_not_matter() {
    let parts = parts(&[file("a", b"a")]);
    let first = read(&tarball(&parts)).unwrap().0;
    for turn in 1..4 {
        let mut turned = parts.clone();
        turned.rotate_left(turn);
        let again = read(&tarball(&turned)).unwrap().0;
        assert_eq!((&again.tree, again.inner), (&first.tree, first.inner));
        assert_ne!(again.outer, first.outer);
    }
}

#[test]
fn files_that_hex_writes_are_its_own() {
    let entries = [file(".hex/a", b"a"), link("hex_metadata.config", "mix.exs")];
    let (unpacked, _) = read(&tarball(&parts(&entries))).unwrap();
    assert_eq!(unpacked.tree.len(), 2);
    assert!(unpacked.tree.entries().all(|(_, entry)| matches!(entry, Entry::File { .. })));
}

#[test]
fn pins_are_checked() {
    let bytes = tarball(&parts(&[file("a", b"a")]));
    let (unpacked, _) = read(&bytes).unwrap();
    let good = HexPackage { inner: Some(unpacked.inner), outer: Some(unpacked.outer), ..package() };
    assert!(read_as(&bytes, &good).is_ok());
    let other = Some(Sha256::of(b"other"));
    let wrong = HexPackage { outer: other, ..good.clone() };
    assert!(matches!(read_as(&bytes, &wrong), Err(TarballError::Outer { .. })));
    let wrong = HexPackage { inner: other, ..good.clone() };
    assert!(matches!(read_as(&bytes, &wrong), Err(TarballError::Inner { .. })));
    // Old locks have one only.
    let old = HexPackage { outer: None, inner: other, ..good };
    assert!(matches!(read_as(&bytes, &old), Err(TarballError::Inner { .. })));
}

#[test]
fn another_package_is_refused() {
    let bytes = tarball(&parts(&[file("a", b"a")]));
    for other in [
        HexPackage { name: "dem".into(), ..package() },
        HexPackage { version: "1.0.1".into(), ..package() },
    ] {
        let error = read_as(&bytes, &other).map(|(unpacked, _)| unpacked).unwrap_err().to_string();
        assert!(error.starts_with("it holds `demo 1.0.0`, and `"), "{error}");
    }
}

#[test]
fn what_is_no_tarball_is_refused() {
    let good = parts(&[file("a", b"a")]);
    let with = |name: &str, content: &[u8]| {
        let mut parts = good.clone();
        for part in parts.iter_mut().filter(|part| part.0 == name) {
            part.1 = content.to_vec();
        }
        tarball(&parts)
    };
    refuses(b"", "it has no `VERSION`");
    refuses(b"<html>not found</html>", "");
    refuses(&with("VERSION", b"4"), "its version is `4`, and not 3");
    refuses(&with("VERSION", b"3\n"), "its version is `3\\n`, and not 3");
    refuses(&with("CHECKSUM", b"\x1b[2J"), "it says itself \\u{1b}[2j");
    refuses(&with("metadata.config", b"{<<\"name\">>"), "it is damaged");
    refuses(&with("metadata.config", b"\x1f\x8b"), "its metadata is no text");
    refuses(&with("metadata.config", &vec![b' '; (1 << 20) + 1]), "more than 1048576 bytes");
    for missing in 0..4 {
        let mut parts = good.clone();
        let (name, _) = parts.remove(missing);
        refuses(&tarball(&parts), &format!("it has no `{name}`"));
        let mut parts = good.clone();
        parts.push(parts[missing].clone());
        refuses(&tarball(&parts), &format!("it has `{name}` twice"));
    }
    let mut more = good.clone();
    more.push(("x", vec![]));
    refuses(&tarball(&more), "`x` doesn't belong in it");
    let linked = tar_of(&[link("VERSION", "/etc/passwd")]);
    refuses(&linked, "`VERSION` in it is no file");
}

#[test]
fn damage_is_found() {
    let good = tarball(&parts(&[file("a", b"some content")]));
    // Cut short anywhere before the end of the contents.
    for cut in (0..good.len() - 1536).step_by(97) {
        assert!(read(&good[..cut]).is_err(), "cut at {cut}");
    }
    // The checksum is looked at before anything is unpacked.
    let mut altered = good.clone();
    let at = good.len() - 1024 - 500;
    altered[at] ^= 1;
    refuses(&altered, "it is damaged");
}

fn sealed(contents: Vec<u8>, metadata: &str) -> Vec<u8> {
    let checksum = checksum(metadata, &contents).to_string();
    tarball(&[
        ("VERSION", b"3".to_vec()),
        ("CHECKSUM", checksum.into_bytes()),
        ("metadata.config", metadata.into()),
        ("contents.tar.gz", contents),
    ])
}

#[test]
fn metadata_has_to_be_terms() {
    let contents = || gz(&tar_of(&[]));
    refuses(&sealed(contents(), "{a"), "its metadata can't be read: line 1");
    refuses(&sealed(contents(), "{a,b}."), "it holds ` `, and");
    refuses(&sealed(vec![0; 100], METADATA), "its contents can't be unpacked");
    refuses(&sealed(contents()[..30].to_vec(), METADATA), "its contents can't be unpacked");
}

#[test]
fn nothing_leaves_the_package() {
    for entries in [
        vec![file("../a", b"")],
        vec![file("/etc/passwd", b"")],
        vec![file("a/../../b", b"")],
        vec![link("out", "/tmp"), file("out/a", b"")],
        vec![link("out", "lib"), file("out/a", b"")],
        vec![entry("a", tar::EntryType::Char, "", 0o644, b"")],
        vec![entry("a", tar::EntryType::Fifo, "", 0o644, b"")],
        vec![entry("a", tar::EntryType::Link, "/etc/passwd", 0o644, b"")],
        vec![entry("a", tar::EntryType::Link, "../b", 0o644, b"")],
    ] {
        let error = read(&tarball(&parts(&entries))).map(|(unpacked, _)| unpacked).unwrap_err();
        assert!(matches!(error, TarballError::Contents(_)), "{error}");
    }
    for links in [
        vec![link("a", "/etc")],
        vec![link("a", "..")],
        vec![link("lib/a", "../../b")],
        vec![link("a", "b/../..")],
        // None of them leaves on its own.
        vec![link("d/b", ".."), link("a", "d/b/..")],
        vec![link("a", "missing/../../b")],
    ] {
        let error = read(&tarball(&parts(&links))).map(|(unpacked, _)| unpacked).unwrap_err();
        assert!(matches!(error, TarballError::Link(..)), "{error}");
    }
    for links in [
        vec![link("a", ".")],
        vec![link("lib/a", "..")],
        vec![link("a", "nowhere/at/all")],
        vec![link("a", "b"), link("b", "a")],
        vec![link("d/b", ".."), link("a", "d/b")],
    ] {
        assert!(read(&tarball(&parts(&links))).is_ok());
    }
}

#[test]
fn all_of_it_is_bounded() {
    let zeros = vec![0; 4 << 20];
    refuses(&tarball(&parts(&[file("a", &zeros)])), "it holds more than 1048576 bytes");
    // Behind the end of the archive.
    let mut bomb = tar_of(&[]);
    bomb.extend(&zeros);
    refuses(&sealed(gz(&bomb), METADATA), "it is too large");
    // One that is claimed, and not there.
    let mut claimed = entry("a", tar::EntryType::Regular, "", 0o644, b"");
    let mut header = tar::Header::from_byte_slice(&claimed).clone();
    header.set_size(1 << 40);
    header.set_cksum();
    claimed.copy_from_slice(header.as_bytes());
    refuses(&sealed(gz(&claimed), METADATA), "it holds more than 1048576 bytes");
    let many: Vec<_> = (0..101).map(|number| file(&format!("f{number}"), b"")).collect();
    refuses(&tarball(&parts(&many)), "it holds more than 100 files");
    refuses(&vec![0; (1 << 20) + 1], "it holds more than 1048576 bytes");
    // Links that lead through one another, each a long way.
    let far = format!("{}x", "a/".repeat(45));
    let mut links = vec![link("a", ".")];
    links.extend((0..90).map(|number| link(&format!("l{number}"), &far)));
    assert!(read(&tarball(&parts(&links))).is_ok());
}

#[test]
fn links_are_not_followed_for_ever() {
    let mut tree = Tree::new();
    for number in 0..2000 {
        let target = "x/../".repeat(800).into_bytes().into();
        tree.insert(path(&format!("l{number}")), Entry::Symlink { target }).unwrap();
    }
    let error = check_links(&tree).unwrap_err().to_string();
    assert!(error.contains("links that can be followed in 1000000 steps"), "{error}");
}

#[test]
fn a_name_that_no_atom_has_is_refused() {
    let bytes = tarball(&parts(&[]));
    let long = HexPackage { managers: vec!["a".repeat(256)], ..package() };
    assert!(matches!(read_as(&bytes, &long), Err(TarballError::Format(_))));
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_altered_tarball_panics(at in 0usize..4000, byte in any::<u8>()) {
        let mut bytes = tarball(&parts(&[file("a", b"content"), link("b", "a")]));
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes);
    }
}
