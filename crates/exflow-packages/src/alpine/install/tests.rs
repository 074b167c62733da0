use super::*;
use exflow_content::Sha256;
use proptest::prelude::*;
use std::cell::RefCell;

type Blobs = RefCell<BTreeMap<Digest, Vec<u8>>>;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// `files` are paths with contents: one that begins with `->` is a link, one that is `/` a folder.
fn tree(blobs: &Blobs, files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    for (at, content) in files {
        let entry = if let Some(target) = content.strip_prefix("->") {
            Entry::Symlink { target: target.as_bytes().into() }
        } else if *content == "/" {
            Entry::Folder { mode: Mode::FOLDER }
        } else {
            let blob = Digest::of(content.as_bytes());
            blobs.borrow_mut().insert(blob, content.as_bytes().to_vec());
            Entry::File { mode: Mode::FILE, blob, size: content.len() as u64 }
        };
        tree.insert(path(at), entry).unwrap();
    }
    tree
}

/// `name` may have a version behind a space.
fn package(blobs: &Blobs, name: &str, info: &str, files: &[(&str, &str)]) -> UnpackedApk {
    let (name, version) = name.split_once(' ').unwrap_or((name, "1-r0"));
    UnpackedApk {
        locked: LockedApk {
            name: name.into(),
            version: version.into(),
            architecture: "x86_64".into(),
            repository: "v3.21/main".into(),
            size: 1,
            sha256: Sha256::of(name.as_bytes()),
            checksum: Checksum::of(format!("{name} {version}").as_bytes()).to_string(),
        },
        info: PkgInfo::new(info.replace("; ", "\n")),
        scripts: BTreeMap::new(),
        tree: tree(blobs, files),
        checksums: files
            .iter()
            .map(|(_, content)| (Digest::of(content.as_bytes()), Checksum::of(content.as_bytes())))
            .collect(),
    }
}

struct Laid {
    tree: Tree,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Laid {
    fn text(&self, at: &str) -> Option<String> {
        let at = self.tree.resolve(&path(at))?;
        let Some(Entry::File { blob, .. }) = self.tree.get(&at) else { return None };
        Some(String::from_utf8(self.blobs[blob].clone()).unwrap())
    }

    fn list(&self) -> String {
        self.text("lib/apk/db/installed").unwrap_or_default()
    }

    /// As an image that more is laid into.
    fn again(self, packages: Vec<UnpackedApk>, blobs: &Blobs) -> Result<Self, InstallError> {
        blobs.borrow_mut().extend(self.blobs.clone());
        let (list, world) = (self.list(), self.text("etc/apk/world").unwrap_or_default());
        lay(blobs, self.tree, packages, &list, &world, &[])
    }
}

fn lay(
    blobs: &Blobs,
    image: Tree,
    packages: Vec<UnpackedApk>,
    installed: &str,
    world: &str,
    named: &[&str],
) -> Result<Laid, InstallError> {
    let read = |digest: &Digest| Ok(blobs.borrow()[digest].clone());
    let named: Vec<String> = named.iter().map(|&name| name.into()).collect();
    let list = installed.as_bytes();
    let found = install::<InstallError>(image, packages, list, world, &named, &read)?;
    let mut all = blobs.borrow().clone();
    all.extend(found.new_blobs.into_iter().map(|content| (Digest::of(&content), content)));
    Ok(Laid { tree: found.tree, blobs: all })
}

fn into(
    blobs: &Blobs,
    image: &[(&str, &str)],
    packages: Vec<UnpackedApk>,
) -> Result<Laid, InstallError> {
    lay(blobs, tree(blobs, image), packages, "", "", &[])
}

#[test]
fn files_and_what_is_said_of_them() {
    let blobs = Blobs::default();
    let mut aa = package(
        &blobs,
        "aa 1.2-r3",
        "pkgname = aa; pkgdesc = All of a; url = https://a; size = 12; license = MIT; origin = a; \
         maintainer = M <m@m>; builddate = 1700000000; commit = f00; provider_priority = 7; \
         depend = bb; depend = so:c.so.1; provides = cmd:aa=1; install_if = x=1 y; \
         replaces = zz; replaces_priority = 3; triggers = /usr/share/a /b; datahash = 00",
        &[
            ("usr/bin/aa", "content"),
            ("usr/bin/link", "->aa"),
            ("usr/share/empty", "/"),
            ("usr/share/private", "/"),
            ("top", "t"),
        ],
    );
    aa.scripts.insert("post-install".into(), b"#!/bin/sh\n".to_vec());
    aa.scripts.insert("nonsense".into(), b"x".to_vec());
    let mode = |mode| Entry::Folder { mode: Mode::new(mode) };
    aa.tree.insert(path("usr/share/private"), mode(0o1700)).unwrap();
    let blob = Digest::of(b"content");
    let program = Entry::File { mode: Mode::EXECUTABLE, blob, size: 7 };
    aa.tree.insert(path("usr/bin/aa"), program.clone()).unwrap();
    let image = tree(&blobs, &[("bin/sh", "busybox")]);
    let found = lay(&blobs, image, vec![aa], "", "musl\n", &["aa"]).unwrap();
    assert_eq!(found.tree.get(&path("usr/bin/aa")), Some(&program));
    assert_eq!(found.tree.get(&path("usr/share/private")), Some(&mode(0o1700)));
    assert_eq!(found.text("bin/sh").as_deref(), Some("busybox"));
    assert_eq!(found.text("etc/apk/world").as_deref(), Some("aa\nmusl\n"));
    let checksum = Checksum::of(b"aa 1.2-r3");
    let sum = |text: &str| Checksum::of(text.as_bytes());
    assert_eq!(
        found.list(),
        format!(
            "C:{checksum}\nP:aa\nV:1.2-r3\nA:x86_64\nS:1\nI:12\nT:All of a\nU:https://a\nL:MIT\n\
             o:a\nm:M <m@m>\nt:1700000000\nc:f00\nk:7\nD:bb so:c.so.1\np:cmd:aa=1\ni:x=1 y\nr:zz\n\
             q:3\nF:\nR:top\nZ:{}\nF:usr\nF:usr/bin\nR:aa\na:0:0:755\nZ:{}\nR:link\na:0:0:777\n\
             Z:{}\nF:usr/share\nF:usr/share/empty\nF:usr/share/private\nM:0:0:1700\n\n",
            sum("t"),
            sum("content"),
            sum("aa")
        )
    );
    assert_eq!(found.text("lib/apk/db/triggers"), Some(format!("{checksum} /usr/share/a /b\n")));
    let scripts = found.text("lib/apk/db/scripts.tar").unwrap();
    let mut archive = tar::Archive::new(scripts.as_bytes());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, [format!("aa-1.2-r3.{checksum}.post-install")]);
}

#[test]
fn what_is_there_stays_as_it_is() {
    let blobs = Blobs::default();
    let list = "C:Q1x\nP:musl\nV:1\nA:x86_64\nX:unknown\nF:lib\nR:ld.so\n\n";
    let image = tree(&blobs, &[("lib/ld.so", "m"), ("etc/apk/world", "musl\n")]);
    let aa = package(&blobs, "aa", "", &[("lib/a", "a")]);
    let found = lay(&blobs, image, vec![aa], list, "musl\n", &["aa"]).unwrap();
    assert!(found.list().starts_with(list));
    assert_eq!(found.list().matches("P:").count(), 2);
    // The archive of scripts, too, and nothing is written where there is nothing to say.
    assert_eq!(found.text("lib/apk/db/scripts.tar"), None);
    assert_eq!(found.text("lib/apk/db/triggers"), None);
    let mut bb = package(&blobs, "bb", "triggers = /x", &[]);
    bb.scripts.insert("trigger".into(), b"one".to_vec());
    let found = found.again(vec![bb], &blobs).unwrap();
    let mut cc = package(&blobs, "cc", "triggers = /y", &[]);
    cc.scripts.insert("trigger".into(), "two".repeat(300).into_bytes());
    let found = found.again(vec![cc], &blobs).unwrap();
    let scripts = found.text("lib/apk/db/scripts.tar").unwrap();
    let mut archive = tar::Archive::new(scripts.as_bytes());
    let contents: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| std::io::read_to_string(entry.unwrap()).unwrap())
        .collect();
    assert_eq!(contents, ["one".to_owned(), "two".repeat(300)]);
    assert_eq!(found.text("lib/apk/db/triggers").unwrap().lines().count(), 2);
    // One that only a newer apk reads stays alone.
    let mut dd = package(&blobs, "dd", "", &[]);
    dd.scripts.insert("trigger".into(), b"one".to_vec());
    let found = into(&blobs, &[("lib/apk/db/scripts.tar.gz", "z")], vec![dd.clone()]).unwrap();
    assert_eq!(found.text("lib/apk/db/scripts.tar"), None);
    let error = into(&blobs, &[("lib/apk/db/scripts.tar", &"no tar ".repeat(99))], vec![dd]).err();
    assert!(matches!(error, Some(InstallError::Scripts(_))), "{error:?}");
}

#[test]
fn links_of_the_image_are_followed() {
    let blobs = Blobs::default();
    let image =
        [("lib", "->usr/lib"), ("bin/ls", "->/bin/busybox"), ("usr/lib/apk/db/installed", "")];
    let aa = package(&blobs, "aa", "", &[("lib/a.so", "a"), ("bin/ls", "real")]);
    let found = into(&blobs, &image, vec![aa]).unwrap();
    assert!(found.tree.get(&path("usr/lib/a.so")).is_some());
    assert!(matches!(found.tree.get(&path("lib")), Some(Entry::Symlink { .. })));
    // A link of busybox' is nobody's.
    assert_eq!(found.text("bin/ls").as_deref(), Some("real"));
    let Some(Entry::File { blob, .. }) = found.tree.get(&path("usr/lib/apk/db/installed")) else {
        panic!("a file")
    };
    assert!(String::from_utf8_lossy(&found.blobs[blob]).contains("F:lib\nR:a.so\n"));
}

#[test]
fn a_file_has_one_owner() {
    let blobs = Blobs::default();
    let aa = |info| package(&blobs, "aa", info, &[("usr/x", "a"), ("usr/y", "a")]);
    let bb = |info| package(&blobs, "bb", info, &[("usr/x", "b")]);
    let both = |a, b| into(&blobs, &[], vec![bb(b), aa(a)]);
    let error = both("", "").err();
    let expected =
        InstallError::Overlap { first: "aa".into(), second: "bb".into(), path: path("usr/x") };
    assert_eq!(error, Some(expected));
    assert!(both("origin = a", "origin = b").is_err());
    assert!(both("replaces = cc", "replaces = aa>1-r0").is_err());
    for (a, b, expected) in [
        ("", "replaces = aa", "b"),
        ("", "replaces = aa=1-r0", "b"),
        ("replaces = bb", "", "a"),
        ("replaces = bb", "replaces = aa", "b"),
        ("replaces = bb; replaces_priority = 2", "replaces = aa; replaces_priority = 1", "a"),
        ("origin = o", "origin = o", "b"),
    ] {
        // Added together, or one after the other.
        let then = into(&blobs, &[], vec![aa(a)]).unwrap().again(vec![bb(b)], &blobs);
        for found in [both(a, b), then] {
            let found = found.unwrap();
            assert_eq!(found.text("usr/x").as_deref(), Some(expected), "{a} and {b}");
            let (owner, file) =
                (found.list(), format!("R:x\nZ:{}\n", Checksum::of(expected.as_bytes())));
            assert_eq!(owner.matches("R:x\n").count(), 1, "{a} and {b}: {owner}");
            assert!(owner.contains(&file), "{a} and {b}: {owner}");
            assert_eq!(owner.matches("R:y\n").count(), 1, "{owner}");
        }
    }
    // The same content is no quarrel.
    let same = package(&blobs, "bb", "", &[("usr/x", "a")]);
    let found = into(&blobs, &[], vec![aa(""), same]).unwrap();
    assert_eq!(found.list().matches("R:x\n").count(), 1);
}

#[test]
fn another_version_takes_the_place_of_the_old_one() {
    let blobs = Blobs::default();
    let old = package(
        &blobs,
        "aa 1-r0",
        "",
        &[
            ("usr/a/gone", "1"),
            ("usr/a/stays", "1"),
            ("usr/b/c/gone", "1"),
            ("usr/shared/gone", "1"),
            ("usr/others", "/"),
            ("usr/link", "->a"),
            ("etc/aa.conf", "1"),
            ("etc/old.conf", "1"),
            ("etc/changed.conf", "1"),
        ],
    );
    let other = package(&blobs, "bb", "", &[("usr/others", "/"), ("usr/b/mine", "b")]);
    let mut laid = into(&blobs, &[], vec![old, other]).unwrap();
    let mine = tree(&blobs, &[("mine", "of mine")]).get(&path("mine")).unwrap().clone();
    for at in ["etc/changed.conf", "usr/shared/mine"] {
        laid.tree.insert(path(at), mine.clone()).unwrap();
    }
    let new = package(&blobs, "aa 2-r0", "", &[("usr/a/stays", "2"), ("etc/aa.conf", "2")]);
    let found = laid.again(vec![new], &blobs).unwrap();
    let paths: Vec<String> = found
        .tree
        .entries()
        .map(|(path, _)| path.to_string())
        .filter(|path| !path.contains("apk"))
        .collect();
    assert_eq!(
        paths,
        [
            "etc",
            "etc/aa.conf",
            "etc/changed.conf",
            "lib",
            "usr",
            "usr/a",
            "usr/a/stays",
            "usr/b",
            "usr/b/mine",
            "usr/others",
            "usr/shared",
            "usr/shared/mine"
        ]
    );
    assert_eq!(found.text("usr/a/stays").as_deref(), Some("2"));
    assert_eq!(found.text("etc/aa.conf").as_deref(), Some("2"));
    assert_eq!(found.list().matches("P:aa\n").count(), 1);
    assert!(found.list().contains("V:2-r0"));
    // What another package takes over from the old version is not lost with it.
    let new = package(&blobs, "aa 3-r0", "", &[]);
    let other = package(&blobs, "cc", "", &[("usr/a/stays", "c")]);
    let found = found.again(vec![other, new], &blobs).unwrap();
    assert_eq!(found.text("usr/a/stays").as_deref(), Some("c"));
}

#[test]
fn what_was_changed_below_etc_stays() {
    let blobs = Blobs::default();
    let aa = |version: &str, content: &str| {
        package(&blobs, &format!("aa {version}"), "", &[("etc/a", content), ("etc/l", "->1")])
    };
    // Nobody's.
    let found =
        into(&blobs, &[("etc/a", "mine"), ("etc/l", "->mine")], vec![aa("1", "1")]).unwrap();
    assert_eq!(found.text("etc/a").as_deref(), Some("mine"));
    assert_eq!(found.text("etc/a.apk-new").as_deref(), Some("1"));
    assert!(found.tree.get(&path("etc/l.apk-new")).is_some());
    assert!(found.list().contains(&format!("R:a\nZ:{}", Checksum::of(b"1"))));
    // The same as is there.
    let found = into(&blobs, &[("etc/a", "1")], vec![aa("1", "1")]).unwrap();
    assert_eq!(found.text("etc/a").as_deref(), Some("1"));
    assert!(found.tree.get(&path("etc/a.apk-new")).is_none());
    // The package's own, and not changed.
    let found = found.again(vec![aa("2", "2")], &blobs).unwrap();
    assert_eq!(found.text("etc/a").as_deref(), Some("2"));
    assert!(found.tree.get(&path("etc/a.apk-new")).is_none());
    // Two packages, one of which replaces the other's.
    let bb = package(&blobs, "bb", "replaces = aa", &[("etc/a", "b")]);
    let found = into(&blobs, &[("etc/a", "mine")], vec![aa("1", "1"), bb.clone()]).unwrap();
    assert_eq!(found.text("etc/a").as_deref(), Some("mine"));
    assert_eq!(found.text("etc/a.apk-new").as_deref(), Some("b"));
    let found = into(&blobs, &[], vec![aa("1", "1"), bb]).unwrap();
    assert_eq!(found.text("etc/a").as_deref(), Some("b"));
    // What is elsewhere is replaced, whoever changed it.
    let cc = package(&blobs, "cc", "", &[("usr/c", "1")]);
    let found = into(&blobs, &[("usr/c", "mine")], vec![cc]).unwrap();
    assert_eq!(found.text("usr/c").as_deref(), Some("1"));
}

#[test]
fn folders_and_files_do_not_mix() {
    let blobs = Blobs::default();
    for (image, package_has) in [
        (("usr/x/y", "f"), ("usr/x", "f")),
        (("usr/x/y", "f"), ("usr/x", "->y")),
        (("usr/x", "f"), ("usr/x/y", "f")),
        (("usr/x", "->nowhere"), ("usr/x/y", "f")),
        (("lib/apk/db/installed/x", "f"), ("usr/x", "f")),
    ] {
        let aa = package(&blobs, "aa", "", &[package_has]);
        let error = into(&blobs, &[image], vec![aa]).err();
        assert!(matches!(error, Some(InstallError::Path { .. })), "{image:?}: {error:?}");
    }
    // Each package allows only so much of a folder that both bring.
    let with = |name, mode| {
        let mut package = package(&blobs, name, "", &[]);
        package.tree.insert(path("srv"), Entry::Folder { mode: Mode::new(mode) }).unwrap();
        package
    };
    let mode = |found: &Laid| match found.tree.get(&path("srv")) {
        Some(Entry::Folder { mode }) => mode.bits(),
        _ => 0,
    };
    let found = into(&blobs, &[], vec![with("aa", 0o755), with("bb", 0o770)]).unwrap();
    assert_eq!(mode(&found), 0o750);
    let found = into(&blobs, &[("srv", "/")], vec![with("aa", 0o700)]).unwrap();
    assert_eq!(mode(&found), 0o755);
}

#[test]
fn only_so_much_is_read() {
    let blobs = Blobs::default();
    let mut image = Tree::new();
    let large = Entry::File { mode: Mode::FILE, blob: Digest::of(b"?"), size: MAX_READ + 1 };
    image.insert(path("etc/a"), large).unwrap();
    let aa = package(&blobs, "aa", "", &[("etc/a", "1")]);
    let error = lay(&blobs, image, vec![aa], "", "", &[]).err();
    assert!(matches!(error, Some(InstallError::TooLarge { .. })), "{error:?}");
    let error = lay(&blobs, Tree::new(), vec![], "nonsense", "", &[]).err();
    assert!(matches!(error, Some(InstallError::Installed(_))), "{error:?}");
}

proptest! {
    /// In whatever order they come.
    #[test]
    fn the_order_of_packages_is_nothing(
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let blobs = Blobs::default();
        let all = [
            package(&blobs, "aa", "origin = o", &[("usr/x", "a"), ("etc/x", "a")]),
            package(&blobs, "bb", "replaces = aa", &[("usr/x", "b"), ("etc/x", "b")]),
            package(&blobs, "cc", "origin = o", &[("usr/y", "c")]),
            package(&blobs, "dd", "replaces = bb", &[("usr/x", "d")]),
        ];
        let packages = order.iter().map(|at| all[*at].clone()).collect();
        let image = [("etc/x", "mine")];
        let found = into(&blobs, &image, packages).unwrap();
        let expected = into(&blobs, &image, all.to_vec()).unwrap();
        prop_assert_eq!(found.tree, expected.tree);
    }
}
