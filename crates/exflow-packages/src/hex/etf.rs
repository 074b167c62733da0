//! The file `.hex`, which Hex leaves in a package that it unpacks, and compares with the lock.
//!
//! It is a term in the external format of Erlang's (erts, "External Term Format").

use super::HexPackage;

/// The longest name of an atom in bytes, which is shorter than the longest that Erlang has.
pub(super) const MAX_ATOM: usize = 255;

const VERSION: u8 = 131;
const SMALL_INTEGER: u8 = 97;
const SMALL_TUPLE: u8 = 104;
const NIL: u8 = 106;
const LIST: u8 = 108;
const BINARY: u8 = 109;
const MAP: u8 = 116;
const SMALL_ATOM_UTF8: u8 = 119;

/// The content of `.hex`: `{{hex, 2, 0}, #{…}}`. Checksums are those that are pinned, as Hex has it: what
/// it compares is what the lock says.
pub(super) fn manifest(package: &HexPackage) -> Vec<u8> {
    let mut out = vec![VERSION, SMALL_TUPLE, 2, SMALL_TUPLE, 3];
    atom(&mut out, "hex");
    out.extend([SMALL_INTEGER, 2, SMALL_INTEGER, 0]);
    // In the order of their names.
    out.push(MAP);
    length(&mut out, 6);
    atom(&mut out, "inner_checksum");
    optional(&mut out, package.inner.map(|checksum| checksum.to_string()));
    atom(&mut out, "managers");
    if !package.managers.is_empty() {
        out.push(LIST);
        length(&mut out, package.managers.len());
        for manager in &package.managers {
            atom(&mut out, manager);
        }
    }
    out.push(NIL);
    atom(&mut out, "name");
    binary(&mut out, &package.name);
    atom(&mut out, "outer_checksum");
    optional(&mut out, package.outer.map(|checksum| checksum.to_string()));
    atom(&mut out, "repo");
    binary(&mut out, &package.repo);
    atom(&mut out, "version");
    binary(&mut out, &package.version);
    out
}

fn length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("what a lock names is shorter than 4 GB");
    out.extend(length.to_be_bytes());
}

fn atom(out: &mut Vec<u8>, name: &str) {
    let length = u8::try_from(name.len()).expect("names of atoms have been checked");
    out.extend([SMALL_ATOM_UTF8, length]);
    out.extend(name.as_bytes());
}

fn binary(out: &mut Vec<u8>, text: &str) {
    out.push(BINARY);
    length(out, text.len());
    out.extend(text.as_bytes());
}

fn optional(out: &mut Vec<u8>, text: Option<String>) {
    match text {
        Some(text) => binary(out, &text),
        None => atom(out, "nil"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `term_to_binary/1` of OTP 26 and later gives these bytes, but for the order of the map, which no
    /// reader cares about.
    #[test]
    fn the_bytes_are_those_of_the_format() {
        let package = HexPackage {
            repo: "hexpm".into(),
            name: "a".into(),
            version: "1.0.0".into(),
            inner: None,
            outer: None,
            managers: vec!["mix".into(), "make".into()],
        };
        let expected = b"\x83h\x02h\x03w\x03hexa\x02a\x00t\0\0\0\x06\
            w\x0einner_checksumw\x03nil\
            w\x08managersl\0\0\0\x02w\x03mixw\x04makej\
            w\x04namem\0\0\0\x01a\
            w\x0eouter_checksumw\x03nil\
            w\x04repom\0\0\0\x05hexpm\
            w\x07versionm\0\0\0\x051.0.0";
        assert_eq!(manifest(&package), expected);
        let none = HexPackage { managers: vec![], ..package };
        assert!(manifest(&none).windows(10).any(|part| part == b"managersjw"));
    }

    #[test]
    fn checksums_are_those_of_the_lock() {
        let checksum = exflow_content::Sha256::of(b"");
        let package = HexPackage {
            repo: "hexpm".into(),
            name: "a".into(),
            version: "1.0.0".into(),
            inner: Some(checksum),
            outer: Some(checksum),
            managers: vec![],
        };
        let manifest = String::from_utf8_lossy(&manifest(&package)).into_owned();
        assert_eq!(manifest.matches(&format!("@{checksum}")).count(), 2);
    }
}
