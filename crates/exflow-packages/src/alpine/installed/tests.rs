use super::*;
use proptest::prelude::*;

/// As apk writes it.
const TEXT: &str = "\
C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=
P:alpine-release
V:3.21.0-r0
A:x86_64
S:1
I:2
T:Alpine release data
U:https://alpinelinux.org
L:MIT
o:alpine-base
t:1733
k:10
D:alpine-keys
p:os=3
r:alpine-baselayout
q:5
F:etc
M:0:0:755
R:os-release
a:0:0:777
Z:Q1anything
R:issue
F:usr
F:usr/lib
R:os-release
Z:Q2other

C:Q1x
P:musl
V:1.2.5-r8
A:x86_64
F:lib
R:ld.so
a:0:0:755

";

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

#[test]
fn packages_and_their_files() {
    let found = parse_installed(TEXT.as_bytes()).unwrap();
    let [release, musl] = &found.packages[..] else { panic!("two packages") };
    assert_eq!((&*release.name, &*release.version), ("alpine-release", "3.21.0-r0"));
    assert_eq!((&*release.architecture, &*release.origin), ("x86_64", "alpine-base"));
    assert_eq!((&*release.depends, &*release.provides), ("alpine-keys", "os=3"));
    assert_eq!((&*release.replaces, release.replaces_priority), ("alpine-baselayout", 5));
    assert_eq!(
        (&*release.checksum, release.provider_priority),
        ("Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=", 10)
    );
    assert_eq!(release.folders, [path("etc"), path("usr"), path("usr/lib")]);
    let files: Vec<_> =
        release.files.iter().map(|file| (file.path.clone(), file.checksum.as_deref())).collect();
    assert_eq!(
        files,
        [
            (path("etc/os-release"), Some("Q1anything")),
            (path("etc/issue"), None),
            (path("usr/lib/os-release"), Some("Q2other")),
        ]
    );
    assert_eq!(musl.files[0].path, path("lib/ld.so"));
}

#[test]
fn what_is_not_changed_stays_as_it_is() {
    for text in [TEXT, TEXT.trim_end(), "", "\n", "\n\n"] {
        let found = parse_installed(text.as_bytes()).unwrap();
        assert_eq!(found.with(Removal::default(), &[]), text.as_bytes());
        let more = b"P:x\nV:1\n\n".to_vec();
        let longer = found.with(Removal::default(), std::slice::from_ref(&more));
        assert!(longer.starts_with(text.as_bytes()) && longer.ends_with(&more));
        let again = parse_installed(&longer).unwrap();
        assert_eq!(again.packages.len(), found.packages.len() + 1);
        assert_eq!(again.packages.last().unwrap().name, "x".into());
    }
}

#[test]
fn packages_and_files_go() {
    let found = parse_installed(TEXT.as_bytes()).unwrap();
    let [release, musl] = &found.packages[..] else { panic!("two packages") };
    let mut removal = Removal::default();
    removal.file(&release.files[0]);
    removal.file(&musl.files[0]);
    removal.package(musl);
    let text = String::from_utf8(found.with(removal, &[])).unwrap();
    let expected = TEXT.split_once("C:Q1x").unwrap().0;
    assert_eq!(text, expected.replace("R:os-release\na:0:0:777\nZ:Q1anything\n", ""));
}

#[test]
fn says_which_line_is_wrong() {
    for (text, expected) in [
        ("nonsense\n", "line 1 makes no sense"),
        ("P:a\nV:1\n:\n", "line 3"),
        ("P:a\nV:1\nR:x\n", "line 3"),
        ("P:a\nV:1\nF:x\nZ:Q1\n", "line 4"),
        ("P:a\nV:1\nF:x\na:0:0:755\n", "line 4"),
        ("P:a\nV:1\nF:/x\n", "line 3: `/x` is absolute"),
        ("P:a\nV:1\nF:x\nR:../../y\n", "line 4: `../../y` leaves its folder"),
        ("P:a\nV:1\nF:x\nR:\n", "line 4"),
        ("P:a\nV:1\nq:x\n", "line 3"),
        ("V:1\n\n", "line 2"),
        ("P:a\n", "line 2"),
        // A new package has no folder yet.
        ("P:a\nV:1\nF:x\n\nP:b\nV:1\nR:y\n", "line 7"),
    ] {
        let error = parse_installed(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}, not {expected}");
    }
    assert!(parse_installed(b"P:a\xff\nV:1\n").is_err());
    // Names of files are bytes.
    assert!(parse_installed(b"P:a\nV:1\nF:x\nR:\xff\n").is_ok());
}

proptest! {
    #[test]
    fn never_panics_and_changes_nothing(text in "([PVAFRZaMk]:[a-c0-9/]{0,3}\n|\n){0,16}") {
        if let Ok(found) = parse_installed(text.as_bytes()) {
            prop_assert_eq!(found.with(Removal::default(), &[]), text.as_bytes());
            let mut removal = Removal::default();
            for package in &found.packages {
                for file in &package.files {
                    removal.file(file);
                }
            }
            let without = found.with(removal, &[]);
            let again = parse_installed(&without).unwrap();
            prop_assert!(again.packages.iter().all(|package| package.files.is_empty()));
            prop_assert_eq!(again.packages.len(), found.packages.len());
        }
    }
}
