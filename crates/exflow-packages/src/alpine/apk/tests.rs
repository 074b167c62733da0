use super::*;
use crate::alpine::testing::{apk, apk_of, entry, file, folder, gz, signed};
use exflow_content::Entry;
use proptest::prelude::*;

fn read_within(bytes: &[u8], expected: &Checksum, limits: &Limits) -> Result<Apk, ApkError> {
    read_apk(bytes, expected, limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    })
}

fn read((bytes, expected): &(Vec<u8>, Checksum)) -> Result<Apk, ApkError> {
    read_within(bytes, expected, &Limits::default())
}

fn with(files: &[Vec<u8>]) -> (Vec<u8>, Checksum) {
    apk("pkgname = aa\n", &[], files)
}

#[test]
fn files_scripts_and_description() {
    // A header of pax with the checksum, as Alpine's packages have it.
    let pax = "68 APK-TOOLS.checksum.SHA1=86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\n";
    let found = read(&apk(
        "pkgname = aa\ndepend = bb\n",
        &[file(".post-install", "#!/bin/sh\n")],
        &[
            folder("usr/"),
            entry("pax", tar::EntryType::XHeader, "", 0o644, pax.as_bytes()),
            file("usr/a", "a"),
            entry("usr/b", tar::EntryType::Link, "usr/a", 0o644, b""),
            entry("usr/c", tar::EntryType::Symlink, "/anywhere/../x", 0o777, b""),
            entry("usr/su", tar::EntryType::Regular, "", 0o4755, b""),
            file(".dummy", "x"),
            file("usr/.keep_aa", ""),
        ],
    ))
    .unwrap();
    assert_eq!(found.info.field("depend"), Some("bb"));
    assert_eq!(found.scripts["post-install"], b"#!/bin/sh\n");
    let paths: Vec<String> = found.tree.entries().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["usr", "usr/a", "usr/b", "usr/c", "usr/su"]);
    let at = |text: &str| found.tree.get(&RelPath::new(text).unwrap());
    assert_eq!(at("usr/a"), at("usr/b"));
    assert!(matches!(at("usr/su"), Some(Entry::File { mode, .. }) if mode.bits() == 0o4755));
    assert_eq!(found.checksums[&Digest::of(b"a")], Checksum::of(b"a"));
}

#[test]
fn is_the_one_that_the_index_names() {
    let (bytes, expected) = with(&[file("a", "x")]);
    let other = Checksum::of(b"other");
    let error = read_within(&bytes, &other, &Limits::default()).unwrap_err();
    assert!(matches!(error, ApkError::Control { found, .. } if found == expected), "{error}");
}

#[test]
fn its_files_are_those_it_was_made_with() {
    let (good, expected) = with(&[file("a", "x")]);
    let (other, _) = with(&[file("a", "y")]);
    let data_of = |bytes: &[u8]| {
        // The last member.
        let magic = [0x1f, 0x8b, 0x08];
        let at = (0..bytes.len() - 3).rev().find(|at| bytes[*at..].starts_with(&magic)).unwrap();
        (bytes[..at].to_vec(), bytes[at..].to_vec())
    };
    let mixed = [data_of(&good).0, data_of(&other).1].concat();
    assert!(matches!(read(&(mixed, expected)), Err(ApkError::Data)));
    // What stands behind it counts, too.
    let longer = [&good[..], &gz(b"")].concat();
    assert!(matches!(read(&(longer, expected)), Err(ApkError::Data)));
}

#[test]
fn the_files_may_have_several_members() {
    let whole = [file("a", "x"), file("b", "y"), vec![0; 1024]].concat();
    let (first, second) = whole.split_at(1024);
    let data = [gz(first), gz(second)].concat();
    let control = gz(&file(".PKGINFO", &format!("datahash = {}\n", Sha256::of(&data))));
    assert_eq!(read(&apk_of(&control, &data)).unwrap().tree.len(), 2);
}

#[test]
fn hostile_paths_are_refused() {
    let link = |path: &str, to: &str| entry(path, tar::EntryType::Symlink, to, 0o777, b"");
    let hard = |path: &str, to: &str| entry(path, tar::EntryType::Link, to, 0o644, b"");
    for files in [
        vec![file("../x", "")],
        vec![file("a/../../x", "")],
        vec![file("/etc/passwd", "")],
        vec![link("a", "/etc"), file("a/passwd", "")],
        vec![link("a", ".."), file("a/x", "")],
        vec![file("a", ""), file("a/b", "")],
        vec![hard("a", "/etc/shadow")],
        vec![hard("a", "missing")],
        vec![entry("dev", tar::EntryType::Char, "", 0o644, b"")],
        vec![link("a", "")],
        vec![file("a\nF:b", "")],
        vec![folder("a\x7f/")],
    ] {
        let error = read(&with(&files)).expect_err("hostile");
        assert!(matches!(error, ApkError::Archive(_) | ApkError::Format(_)), "{error:?}");
    }
}

#[test]
fn what_is_not_a_package_is_refused() {
    let data = gz(&vec![0; 1024]);
    let info = format!("pkgname = aa\ndatahash = {}\n", Sha256::of(&data));
    let control = |files: &[Vec<u8>]| gz(&files.concat());
    let good = control(&[file(".PKGINFO", &info)]);
    assert!(read(&apk_of(&good, &data)).is_ok());
    for (bytes, expected) in [
        (b"".to_vec(), "can't be read"),
        (b"not an archive".to_vec(), "can't be read"),
        // In another order, or not whole.
        ([&good[..], &data].concat(), "doesn't begin with a signature"),
        ([&data[..], &good].concat(), "doesn't begin with a signature"),
        ([&signed(&data)[..], &good].concat(), "it has no description"),
        (signed(&signed(&good)), "stand where they sign nothing"),
        (signed(&good), "can't be read"),
        (signed(b""), "can't be read"),
        // With another control segment.
        (signed(&control(&[file(".PKGINFO", "pkgname = aa\n")])), "no digest of its files"),
        (signed(&control(&[file(".PKGINFO", "datahash = 12\n")])), "no digest of its files"),
        (signed(&control(&[file(".PKGINFO", &info), file(".PKGINFO", &info)])), "described twice"),
        (signed(&control(&[file(".post-install", "x")])), "it has no description"),
        (signed(&control(&[file("usr", "x")])), "`usr` stands among what describes it"),
        (signed(&control(&[folder(".a/"), file(".PKGINFO", &info)])), "`.a` stands among"),
        (
            signed(&control(&[entry(".PKGINFO", tar::EntryType::Regular, "", 0o644, b"\xff")])),
            "its description is not UTF-8",
        ),
    ] {
        // Whatever the checksum is: it is that of the second member.
        let control = {
            let mut reader = &bytes[..];
            let _ = read_signatures(&mut reader);
            let mut control = Vec::new();
            let mut tap = |bytes: &[u8]| control.extend_from_slice(bytes);
            let _ = io::copy(&mut segment(&mut reader, &mut tap), &mut io::sink());
            control
        };
        let error = read(&(bytes, Checksum::of(&control))).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn a_package_that_is_cut_short_is_refused() {
    let (whole, expected) = with(&[file("a", &"x".repeat(3000))]);
    for end in 0..whole.len() {
        let cut = (whole[..end].to_vec(), expected);
        assert!(read(&cut).is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn limits_hold() {
    let (bytes, expected) = with(&[file("a", &"x".repeat(100_000))]);
    let within = |limits| read_within(&bytes, &expected, &limits);
    let is_too_large = |result| matches!(result, Err(ApkError::Archive(ArchiveError::TooLarge(_))));
    assert!(is_too_large(within(Limits { unpacked: 99_999, ..Limits::default() })));
    assert!(within(Limits { unpacked: 100_000, ..Limits::default() }).is_ok());
    assert!(is_too_large(within(Limits { entries: 0, ..Limits::default() })));
    assert!(is_too_large(within(Limits { control: 10, ..Limits::default() })));
    // What unpacks to much more than it says.
    let bomb = gz(&[file("a", "x"), vec![0; 16 << 20]].concat());
    let control = gz(&file(".PKGINFO", &format!("datahash = {}\n", Sha256::of(&bomb))));
    let error = read(&apk_of(&control, &bomb)).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    let many: Vec<Vec<u8>> = (0..1001).map(|at| file(&format!(".{at}"), "")).collect();
    assert!(is_too_large(read(&apk("pkgname = aa\n", &many, &[]))));
}

proptest! {
    #[test]
    fn an_altered_byte_is_refused(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let (mut bytes, expected) = with(&[file("a", "x"), file("b", "y")]);
        let whole = read(&(bytes.clone(), expected)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        // The signature itself is not looked at: what it signs is known by its checksum.
        if let Ok(found) = read(&(bytes, expected)) {
            prop_assert_eq!(found, whole);
        }
    }
}
