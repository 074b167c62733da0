use super::*;
use crate::testing::{self, gz, tar_of};
use exflow_content::{Digest, Entry, Mode, RelPath};
use proptest::prelude::*;
use std::io::Write;

fn entry(path: &[u8], kind: tar::EntryType, link: &[u8], content: &[u8]) -> Vec<u8> {
    testing::entry(path, kind, link, 0o644, content)
}

fn file(path: &str, content: &str) -> Vec<u8> {
    entry(path.as_bytes(), tar::EntryType::Regular, b"", content.as_bytes())
}

fn deb_of(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, content) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        builder.append(&header, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn deb(data: &[Vec<u8>]) -> Vec<u8> {
    deb_of(&[
        ("debian-binary", b"2.0\n".to_vec()),
        (
            "control.tar.gz",
            gz(&tar_of(&[file("./control", "Package: aa\n"), file("./postinst", "x")])),
        ),
        ("data.tar.gz", gz(&tar_of(data))),
    ])
}

fn read_within(bytes: &[u8], limits: &Limits) -> Result<Deb, DebError> {
    read_deb(bytes, limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    })
}

fn read(bytes: &[u8]) -> Result<Deb, DebError> {
    read_within(bytes, &Limits::default())
}

#[test]
fn files_links_and_control() {
    let found = read(&deb(&[
        entry(b"./", tar::EntryType::Directory, b"", b""),
        entry(b"./usr/", tar::EntryType::Directory, b"", b""),
        file("./usr/a", "content"),
        entry(b"./usr/b", tar::EntryType::Link, b"./usr/a", b""),
        entry(b"./usr/c", tar::EntryType::Symlink, b"/anywhere/../x", b""),
    ]))
    .unwrap();
    assert_eq!(found.control.field("package").as_deref(), Some("aa"));
    assert_eq!(found.control.files["postinst"], b"x");
    let at = |text: &str| found.tree.get(&RelPath::new(text).unwrap());
    assert!(at("usr/a").is_some());
    assert_eq!(at("usr/a"), at("usr/b"));
    assert_eq!(found.tree.len(), 4);
}

/// Without its owner, a program that runs as its owner would run as root.
#[test]
fn bits_that_mean_an_owner_go_with_it() {
    let with = |path: &str, mode: u32, uid: u64, gid: u64| {
        let mut bytes = entry(path.as_bytes(), tar::EntryType::Regular, b"", b"");
        let header = tar::Header::from_byte_slice(&bytes[..512]);
        let mut header = header.clone();
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        bytes
    };
    let found = read(&deb(&[
        with("./su", 0o4755, 0, 0),
        with("./at", 0o6755, 1, 0),
        with("./wall", 0o6755, 0, 5),
        with("./mail", 0o7777, 8, 8),
    ]))
    .unwrap();
    for (at, expected) in [("su", 0o4755), ("at", 0o2755), ("wall", 0o4755), ("mail", 0o1777)] {
        let Some(Entry::File { mode, .. }) = found.tree.get(&RelPath::new(at).unwrap()) else {
            panic!("{at} is missing");
        };
        assert_eq!(*mode, Mode::new(expected), "{at}");
    }
}

#[test]
fn hostile_paths_are_refused() {
    let symlink =
        |path: &str, to: &str| entry(path.as_bytes(), tar::EntryType::Symlink, to.as_bytes(), b"");
    let hardlink =
        |path: &str, to: &str| entry(path.as_bytes(), tar::EntryType::Link, to.as_bytes(), b"");
    for data in [
        vec![file("../x", "")],
        vec![file("./a/../../x", "")],
        vec![file("/etc/passwd", "")],
        vec![symlink("./a", "/etc"), file("./a/passwd", "")],
        vec![symlink("./a", ".."), file("./a/x", "")],
        vec![file("./a", ""), file("./a/b", "")],
        vec![hardlink("./a", "/etc/shadow")],
        vec![hardlink("./a", "../x")],
        vec![symlink("./s", "/etc/shadow"), hardlink("./a", "./s")],
        vec![hardlink("./a", "./missing")],
        vec![entry(b"./dev", tar::EntryType::Char, b"", b"")],
        vec![entry(b"./dev", tar::EntryType::Block, b"", b"")],
        vec![entry(b"./dev", tar::EntryType::Fifo, b"", b"")],
        vec![symlink("./a", "")],
    ] {
        let error = read(&deb(&data)).expect_err("hostile");
        assert!(
            matches!(
                error,
                DebError::Archive(
                    ArchiveError::Path(_)
                        | ArchiveError::Tree(_)
                        | ArchiveError::HardLink(..)
                        | ArchiveError::EmptyLink(_)
                        | ArchiveError::Kind(_)
                ) | DebError::Format(_)
            ),
            "{error:?}"
        );
    }
}

#[test]
fn what_is_not_a_package_is_refused() {
    let control = || gz(&tar_of(&[file("./control", "Package: aa\n")]));
    let data = || gz(&tar_of(&[]));
    let version = || b"2.0\n".to_vec();
    for members in [
        vec![],
        vec![("control.tar.gz", control())],
        vec![("debian-binary", b"9.0\n".to_vec()), ("control.tar.gz", control())],
        vec![("debian-binary", version()), ("data.tar.gz", data())],
        vec![("debian-binary", version()), ("control.tar.gz", control())],
        vec![("debian-binary", version()), ("control.tar.gz", data()), ("data.tar.gz", data())],
        vec![("debian-binary", version()), ("control.tar.zst", control()), ("data.tar.gz", data())],
        vec![
            ("debian-binary", version()),
            ("control.tar.gz", gz(&tar_of(&[file("./control", "no")]))),
            ("data.tar.gz", data()),
        ],
        vec![
            ("debian-binary", version()),
            ("control.tar.gz", control()),
            ("data.tar.gz", b"junk".to_vec()),
        ],
    ] {
        assert!(
            read(&deb_of(&members)).is_err(),
            "{:?}",
            members.iter().map(|m| m.0).collect::<Vec<_>>()
        );
    }
    assert!(read(b"not an archive").is_err());
}

#[test]
fn a_package_that_is_cut_short_is_refused() {
    let whole = deb(&[file("./a", &"x".repeat(3000))]);
    for end in 0..whole.len() - 1 {
        assert!(read(&whole[..end]).is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn limits_hold() {
    let large = deb(&[file("./a", &"x".repeat(100_000))]);
    let limits = Limits { unpacked: 99_999, ..Limits::default() };
    assert!(matches!(
        read_within(&large, &limits),
        Err(DebError::Archive(ArchiveError::TooLarge(_)))
    ));
    let limits = Limits { unpacked: 100_000, ..Limits::default() };
    assert!(read_within(&large, &limits).is_ok());
    let many: Vec<_> = (0..20).map(|number| file(&format!("./{number}"), "")).collect();
    let limits = Limits { entries: 19, ..Limits::default() };
    assert!(matches!(
        read_within(&deb(&many), &limits),
        Err(DebError::Archive(ArchiveError::TooLarge(_)))
    ));
}

/// A long name is read into memory before anything about its file is known.
#[test]
fn a_name_without_end_is_refused() {
    let name = vec![b'x'; 3 << 20];
    let long = entry(b"././@LongLink", tar::EntryType::GNULongName, b"", &name);
    let error = read(&deb(&[long, file("./a", "")])).expect_err("hostile");
    assert!(matches!(&error, DebError::Archive(ArchiveError::Read(_))), "{error:?}");
    let name = [b"./".as_slice(), &vec![b'x'; 300], b"\0"].concat();
    let long = entry(b"././@LongLink", tar::EntryType::GNULongName, b"", &name);
    assert!(read(&deb(&[long, file("./a", "")])).is_ok());
}

#[test]
fn long_paths_are_refused() {
    let name = |length: usize| [b"./".as_slice(), &vec![b'x'; length], b"\0"].concat();
    let long = |kind, length| entry(b"././@LongLink", kind, b"", &name(length));
    let link = || entry(b"./a", tar::EntryType::Symlink, b"x", b"");
    let (path, target) = (tar::EntryType::GNULongName, tar::EntryType::GNULongLink);
    assert!(read(&deb(&[long(path, 4094), file("./a", "")])).is_ok());
    assert!(read(&deb(&[long(target, 4094), link()])).is_ok());
    for data in [[long(path, 4095), file("./a", "")], [long(target, 4095), link()]] {
        assert!(matches!(read(&deb(&data)), Err(DebError::Archive(ArchiveError::TooLarge(_)))));
    }
    // Together they are bounded, too.
    let many: Vec<_> = std::iter::repeat_with(|| [long(path, 4090), file("./a", "")])
        .take(16_500)
        .flatten()
        .collect();
    let error = read(&deb(&many)).expect_err("hostile");
    assert!(matches!(error, DebError::Archive(ArchiveError::TooLarge(_))), "{error:?}");
}

/// A path makes all folders above it, which no entry of the archive has counted.
#[test]
fn folders_that_are_only_implied_are_counted() {
    let long = |path: &str| {
        let name = [b"./", path.as_bytes(), b"\0"].concat();
        entry(b"././@LongLink", tar::EntryType::GNULongName, b"", &name)
    };
    let deep = |names: usize| deb(&[long(&vec!["a"; names].join("/")), file("./a", "")]);
    assert!(read(&deep(128)).is_ok());
    let error = read(&deep(129)).expect_err("hostile");
    assert!(error.to_string().contains("128 names in one path"), "{error}");
    // Each of them counts, whether it has an entry or not, and once.
    let data = deb(&[file("./a/b/c/d", ""), file("./a/b/c/e", "")]);
    let within = |entries| read_within(&data, &Limits { entries, ..Limits::default() });
    assert_eq!(within(5).unwrap().tree.len(), 5);
    assert!(matches!(within(4), Err(DebError::Archive(ArchiveError::TooLarge(_)))));
    // So do their names: 4 KB in one path are 230 KB in the folders above it.
    let many: Vec<_> = (0..400)
        .flat_map(|number| {
            let names: Vec<String> = (0..127).map(|at| format!("{number:031}{at}")).collect();
            [long(&names.join("/")[..4000]), file("./a", "")]
        })
        .collect();
    let Err(error) = read(&deb(&many)) else { panic!("hostile") };
    assert!(error.to_string().contains("bytes of paths"), "{error}");
}

/// Parallel compressors write one file as several, one behind the other.
#[test]
fn all_members_of_a_compressed_archive_are_read() {
    let xz = |bytes: &[u8]| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    // Cut where the first entry ends: what is left is an archive, too.
    let whole = tar_of(&[file("./a", "x"), file("./b", "y")]);
    let (first, second) = whole.split_at(1024);
    for (name, data) in [
        ("data.tar.gz", [gz(first), gz(second)].concat()),
        ("data.tar.xz", [xz(first), xz(second)].concat()),
    ] {
        let found = read(&deb_of(&[
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", gz(&tar_of(&[file("./control", "Package: aa\n")]))),
            (name, data),
        ]));
        assert_eq!(found.unwrap().tree.len(), 2, "{name}");
    }
}

/// How much memory the decoder needs is written in what it decodes.
#[test]
fn xz_gets_only_so_much_memory() {
    let xz = |dictionary: u32| {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(dictionary);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let stream =
            liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32)
                .unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(&tar_of(&[file("./a", "x")])).unwrap();
        let data = encoder.finish().unwrap();
        deb_of(&[
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", gz(&tar_of(&[file("./control", "Package: aa\n")]))),
            ("data.tar.xz", data),
        ])
    };
    assert!(read(&xz(64 << 20)).is_ok());
    assert!(matches!(read(&xz(128 << 20)), Err(DebError::Archive(ArchiveError::Read(_)))));
}

proptest! {
    #[test]
    fn an_altered_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = deb_of(&[
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar", tar_of(&[file("./control", "Package: aa\n")])),
            ("data.tar", tar_of(&[file("./a", "x"), file("./b", "y")])),
        ]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&bytes);
    }
}
