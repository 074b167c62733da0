#![no_main]
//! A package of Hex's comes from a mirror, and where a lock is old, only its content is pinned.

use exflow_content::{Digest, Sha256};
use exflow_packages::hex::{HexPackage, Limits, read_tarball};
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Write};

fn package() -> HexPackage {
    HexPackage {
        repo: "hexpm".into(),
        name: "a".into(),
        version: "1".into(),
        inner: None,
        outer: None,
        managers: vec!["mix".into()],
    }
}

fn read(bytes: &[u8]) {
    let limits = Limits { tarball: 1 << 20, unpacked: 1 << 20, entries: 1000 };
    let _ = read_tarball(&mut Cursor::new(bytes), &package(), &limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    });
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // The same as the contents of a tarball whose checksum is right.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = encoder.write_all(bytes);
    let Ok(contents) = encoder.finish() else { return };
    let metadata = b"{<<\"name\">>,<<\"a\">>}.\n{<<\"version\">>,<<\"1\">>}.\n";
    let checksum = Sha256::of(&[b"3", &metadata[..], &contents].concat()).to_string();
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("VERSION", &b"3"[..]),
        ("CHECKSUM", checksum.as_bytes()),
        ("metadata.config", metadata),
        ("contents.tar.gz", &contents),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let _ = builder.append_data(&mut header, name, content);
    }
    if let Ok(tarball) = builder.into_inner() {
        read(&tarball);
    }
});
