use super::*;
use proptest::prelude::*;

const CHECKSUM: &str = "Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=";

fn catalog(index: &str) -> Result<Catalog, CatalogError> {
    let mut catalog = Catalog::new();
    catalog.add("v3.21/main", &index.replace("C:\n", &format!("C:{CHECKSUM}\n")))?;
    Ok(catalog)
}

#[test]
fn packages_of_an_index() {
    let index = "C:\nP:musl\nV:1.2.5-r8\nA:x86_64\nS:412\nI:667\nT:the musl c library\n\
                 U:https://musl.libc.org/\nL:MIT\no:musl\nm:Someone\nt:1729\nc:f00\nk:10\n\
                 D:so:a.so.1 !bb\np:so:libc.musl-x86_64.so.1=1 cmd:ldd\ni:x y\nz:whatever\n\n\
                 C:\nP:zlib\nV:1.3\nS:1\n\n\n";
    let mut found = catalog(index).unwrap();
    found.add("v3.21/community", "").unwrap();
    assert_eq!(found.names().collect::<Vec<_>>(), ["musl", "zlib"]);
    let package = found.package(found.versions("musl")[0]);
    assert_eq!(
        *package,
        Package {
            name: "musl".into(),
            version: "1.2.5-r8".into(),
            architecture: "x86_64".into(),
            depends: "so:a.so.1 !bb".into(),
            provides: "so:libc.musl-x86_64.so.1=1 cmd:ldd".into(),
            provider_priority: 10,
            repository: "v3.21/main".into(),
            size: 412,
            checksum: CHECKSUM.parse().unwrap(),
        }
    );
    assert_eq!(found.providers("so:libc.musl-x86_64.so.1"), [0]);
    assert_eq!(found.providers("cmd:ldd"), [0]);
    assert_eq!(found.providers("musl"), [0_usize; 0]);
    assert_eq!((found.len(), found.is_empty()), (2, false));
}

#[test]
fn what_only_a_newer_apk_knows_is_left_out() {
    let found = catalog("C:\nP:aa\nV:1\nS:1\nX:y\n\nC:\nP:bb\nV:1\nS:1\ng:new\n").unwrap();
    assert_eq!(found.names().collect::<Vec<_>>(), ["bb"]);
}

#[test]
fn says_what_is_wrong() {
    for (index, expected) in [
        ("P:aa\nnonsense\n", "line 2 is not a field"),
        ("C:\nP:../aa\nV:1\nS:1\n", "package `../aa`: its field `P` is missing or makes no sense"),
        ("C:\nV:1\nS:1\n", "package ``: its field `P`"),
        ("C:\nP:aa\nS:1\n", "field `V`"),
        ("C:\nP:aa\nV:1/2\nS:1\n", "field `V`"),
        ("C:\nP:aa\nV:1\n", "field `S`"),
        ("C:\nP:aa\nV:1\nS:1\nk:x\n", "field `k`"),
        ("P:aa\nV:1\nS:1\n", "field `C`"),
        ("C:Q2xx\nP:aa\nV:1\nS:1\n", "field `C`"),
    ] {
        let error = catalog(index).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn names() {
    for name in ["a", "g++", "lib.so-1_x", "7zip"] {
        assert!(is_alpine_package(name), "{name}");
    }
    for name in ["", ".a", "..", "-a", "a/b", "so:x", "a b", "ä", &"a".repeat(201)] {
        assert!(!is_alpine_package(name), "{name}");
    }
}

proptest! {
    #[test]
    fn never_panics(index in "([A-Z]:[ -~]{0,6}\n|\n|.{0,5}\n){0,12}") {
        let _ = catalog(&index);
    }
}
