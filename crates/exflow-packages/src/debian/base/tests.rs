use super::*;
use exflow_content::Sha256;
use proptest::prelude::*;
use std::cell::RefCell;

type Blobs = RefCell<BTreeMap<Digest, Vec<u8>>>;

/// `files` are paths with contents; a content that begins with `->` is a link.
fn package(
    blobs: &Blobs,
    name: &str,
    files: &[(&str, &str)],
    control: &[(&str, &str)],
) -> UnpackedPackage {
    let mut tree = Tree::new();
    for (at, content) in files {
        let entry = if let Some(target) = content.strip_prefix("->") {
            Entry::Symlink { target: target.as_bytes().into() }
        } else {
            let blob = Digest::of(content.as_bytes());
            blobs.borrow_mut().insert(blob, content.as_bytes().to_vec());
            Entry::File { mode: Mode::FILE, blob, size: content.len() as u64 }
        };
        tree.insert(path(at), entry).unwrap();
    }
    let mut fields = format!("Package: {name}\nVersion: 1\n");
    let mut scripts = BTreeMap::new();
    for (field, value) in control {
        if field.starts_with(char::is_uppercase) {
            let _ = writeln!(fields, "{field}: {value}");
        } else {
            scripts.insert((*field).to_owned(), value.as_bytes().to_vec());
        }
    }
    UnpackedPackage {
        locked: LockedPackage {
            name: name.into(),
            version: "1".into(),
            architecture: "amd64".into(),
            archive: "debian".into(),
            path: format!("pool/{name}.deb"),
            size: 1,
            sha256: Sha256::of(name.as_bytes()),
        },
        control: Control { fields, files: scripts },
        tree,
    }
}

fn lay_out(
    blobs: &Blobs,
    packages: Vec<UnpackedPackage>,
    slim: bool,
) -> Result<Assembled, BaseError> {
    let read = |digest: &Digest| Ok(blobs.borrow()[digest].clone());
    assemble(packages, slim, &Platform::LinuxAmd64, &read)
}

fn text(blobs: &Blobs, base: &Assembled, at: &str) -> Option<String> {
    let at = base.tree.resolve(&path(at))?;
    let Some(Entry::File { blob, .. }) = base.tree.get(&at) else { return None };
    let made = base.new_blobs.iter().find(|content| Digest::of(content) == *blob).cloned();
    let content = made.or_else(|| blobs.borrow().get(blob).cloned())?;
    Some(String::from_utf8(content).unwrap())
}

#[test]
fn bin_and_lib_are_links_into_usr() {
    let blobs = Blobs::default();
    let dash = package(&blobs, "dash", &[("bin/dash", "d"), ("bin/sh", "->dash")], &[]);
    let libc =
        package(&blobs, "libc6", &[("lib64/ld.so", "->/lib/x/ld.so"), ("lib/x/ld.so", "l")], &[]);
    let base = lay_out(&blobs, vec![dash, libc], false).unwrap();
    assert_eq!(text(&blobs, &base, "bin/sh").as_deref(), Some("d"));
    assert_eq!(text(&blobs, &base, "usr/bin/sh").as_deref(), Some("d"));
    assert_eq!(text(&blobs, &base, "lib64/ld.so").as_deref(), Some("l"));
    assert!(matches!(base.tree.get(&path("bin")), Some(Entry::Symlink { .. })));
}

/// Since trixie, base-files ships the links of the merged /usr itself.
#[test]
fn links_that_a_package_ships_empty_no_folder() {
    let blobs = Blobs::default();
    let links = [
        ("bin", "->usr/bin"),
        ("lib", "->usr/lib"),
        ("lib32", "->usr/lib32"),
        ("lib64", "->usr/lib64"),
        ("sbin", "->usr/sbin"),
    ];
    let awk = package(&blobs, "awk", &[("usr/bin/awk", "a"), ("bin/mawk", "m")], &[]);
    let base_files = package(&blobs, "base-files", &links, &[]);
    let dash = package(&blobs, "dash", &[("usr/bin/dash", "d"), ("usr/lib64/ld", "l")], &[]);
    let base = lay_out(&blobs, vec![awk, base_files, dash], false).unwrap();
    for (at, content) in
        [("bin/awk", "a"), ("usr/bin/mawk", "m"), ("usr/bin/dash", "d"), ("lib64/ld", "l")]
    {
        assert_eq!(text(&blobs, &base, at).as_deref(), Some(content), "{at}");
    }
    for (at, target) in links {
        let target = target.trim_start_matches("->").as_bytes().into();
        assert_eq!(base.tree.get(&path(at)), Some(&Entry::Symlink { target }), "{at}");
        let folder = base.tree.get(&path("usr").join(&path(at)));
        assert!(matches!(folder, Some(Entry::Folder { .. })), "{at}");
    }
    // Where no package has it, an architecture has no such folder.
    assert!(base.tree.get(&path("libx32")).is_none());
}

#[test]
fn a_folder_stays_where_a_package_has_a_link() {
    let blobs = Blobs::default();
    let folder = package(&blobs, "aa", &[("usr/share/x/a", "1"), ("usr/share/y/a", "2")], &[]);
    let link = package(&blobs, "bb", &[("usr/share/x", "->y"), ("etc", "->usr/share")], &[]);
    let base = lay_out(&blobs, vec![folder, link], false).unwrap();
    assert_eq!(text(&blobs, &base, "usr/share/x/a").as_deref(), Some("1"));
    assert!(matches!(base.tree.get(&path("etc")), Some(Entry::Folder { .. })));
    // A file can't be what a folder is.
    let folder = package(&blobs, "aa", &[("usr/share/x/a", "1")], &[]);
    let file = package(&blobs, "bb", &[("usr/share/x", "f")], &[]);
    let error = lay_out(&blobs, vec![folder, file], false).unwrap_err();
    assert_eq!(error, BaseError::Path { package: "bb".into(), path: path("usr/share/x") });
}

#[test]
fn one_file_by_two_ways_is_one_file() {
    let blobs = Blobs::default();
    let aa = package(&blobs, "aa", &[("usr/y/f", "1"), ("usr/x", "->y")], &[]);
    let bb = package(&blobs, "bb", &[("usr/x/f", "2")], &[]);
    let error = lay_out(&blobs, vec![aa, bb], false).unwrap_err();
    assert_eq!(error.to_string(), "packages `aa` and `bb` both have `/usr/y/f`");
}

/// Nothing that a package holds, or is called, is a reason to panic.
#[test]
fn what_is_in_the_way_of_the_base_is_an_error() {
    let blobs = Blobs::default();
    let postinst = "update-alternatives --install /usr/file/cc cc /usr/bin/gcc 20\n";
    for (files, wrong) in [
        (&[("etc", "file")][..], "etc"),
        (&[("var/lib/dpkg/info", "file")], "var/lib/dpkg/info/format"),
        (&[("var/lib/dpkg/info", "->../nowhere")], "var/lib/dpkg/info/format"),
        (&[("var/lib/dpkg/status/x", "file")], "var/lib/dpkg/status"),
        (&[("var/lib", "file")], "var/lib"),
        (&[("usr/lib", "file")], "usr/lib"),
        (&[("bin", "file")], "usr/bin"),
        (&[("etc/os-release/x", "file")], "etc/os-release"),
        (&[("etc/alternatives", "file"), ("usr/bin/gcc", "g")], "etc/alternatives/cc"),
        (&[("usr/file", "file"), ("usr/bin/gcc", "g")], "usr/file/cc"),
        (
            &[("etc/ssl", "file"), ("usr/share/ca-certificates/a.crt", "A")],
            "etc/ssl/certs/ca-certificates.crt",
        ),
    ] {
        let evil = package(&blobs, "evil", files, &[("postinst", postinst)]);
        let error = lay_out(&blobs, vec![evil], true).unwrap_err();
        assert_eq!(error, BaseError::Path { package: "evil".into(), path: path(wrong) });
    }
    let mut nameless = package(&blobs, "aa", &[], &[]);
    nameless.locked.name = "../../aa".into();
    assert!(matches!(lay_out(&blobs, vec![nameless], true), Err(BaseError::Path { .. })));
}

#[test]
fn alternatives_lead_to_the_highest_priority() {
    let blobs = Blobs::default();
    let script = |path: &str, priority: &str| {
        format!(
            "update-alternatives --install /usr/bin/awk awk {path} {priority} --slave /usr/bin/nawk nawk {path}\n"
        )
    };
    let mawk = package(
        &blobs,
        "mawk",
        &[("usr/bin/mawk", "m")],
        &[("postinst", &script("/usr/bin/mawk", "5"))],
    );
    let gawk = package(
        &blobs,
        "gawk",
        &[("usr/bin/gawk", "g")],
        &[("postinst", &script("/usr/bin/gawk", "10"))],
    );
    let base = lay_out(&blobs, vec![mawk.clone(), gawk], false).unwrap();
    assert_eq!(text(&blobs, &base, "usr/bin/awk").as_deref(), Some("g"));
    let base = lay_out(&blobs, vec![mawk], true).unwrap();
    assert_eq!(text(&blobs, &base, "bin/nawk").as_deref(), Some("m"));
    assert_eq!(text(&blobs, &base, "etc/alternatives/awk").as_deref(), Some("m"));
}

#[test]
fn users_and_certificates() {
    let blobs = Blobs::default();
    let passwd = package(
        &blobs,
        "base-passwd",
        &[("usr/share/base-passwd/passwd.master", "root:*:0:0::/root:/bin/bash\n")],
        &[],
    );
    let certificates = package(
        &blobs,
        "ca-certificates",
        &[("usr/share/ca-certificates/b.crt", "B"), ("usr/share/ca-certificates/a.crt", "A\n")],
        &[],
    );
    let base = lay_out(&blobs, vec![certificates, passwd], false).unwrap();
    assert_eq!(text(&blobs, &base, "etc/passwd").as_deref(), Some("root:*:0:0::/root:/bin/bash\n"));
    assert_eq!(text(&blobs, &base, "etc/ssl/certs/ca-certificates.crt").as_deref(), Some("A\nB\n"));
    let base = lay_out(&blobs, Vec::new(), true).unwrap();
    assert!(text(&blobs, &base, "etc/passwd").unwrap().contains("nobody"));
}

/// A base without its users would be recorded, and believed for good.
#[test]
fn what_can_not_be_read_is_not_taken_for_missing() {
    #[derive(Debug, PartialEq)]
    enum Error {
        Base(BaseError),
        Unreadable(Digest),
    }
    impl From<BaseError> for Error {
        fn from(error: BaseError) -> Self {
            Self::Base(error)
        }
    }
    let blobs = Blobs::default();
    let read = |digest: &Digest| Err(Error::Unreadable(*digest));
    let passwd = "usr/share/base-passwd/passwd.master";
    for at in [passwd, "usr/share/ca-certificates/a.crt"] {
        let mut aa = package(&blobs, "aa", &[(at, "x")], &[]);
        let error = assemble(vec![aa.clone()], true, &Platform::LinuxAmd64, &read).unwrap_err();
        assert_eq!(error, Error::Unreadable(Digest::of(b"x")), "{at}");
        let size = MAX_READ + 1;
        let large = Entry::File { mode: Mode::FILE, blob: Digest::of(b""), size };
        aa.tree.insert(path(at), large).unwrap();
        let error = assemble(vec![aa], true, &Platform::LinuxAmd64, &read).unwrap_err();
        assert_eq!(error, Error::Base(BaseError::TooLarge { path: path(at), size }));
    }
    assemble(Vec::new(), true, &Platform::LinuxAmd64, &read).unwrap();
}

#[test]
fn a_slim_base_has_no_documentation() {
    let blobs = Blobs::default();
    let files = [
        ("usr/share/doc/aa/copyright", "c"),
        ("usr/share/doc/aa/changelog.gz", "x"),
        ("usr/share/man/man1/aa.1.gz", "x"),
        ("usr/share/locale/de/LC_MESSAGES/aa.mo", "x"),
        ("usr/lib/x86_64-linux-gnu/gconv/UTF-7.so", "x"),
        ("usr/lib/locale/C.utf8/LC_CTYPE", "k"),
        ("usr/lib/x86_64-linux-gnu/libaa.so", "k"),
    ];
    let aa = package(&blobs, "aa", &files, &[]);
    let count = |slim| {
        let base = lay_out(&blobs, vec![aa.clone()], slim).unwrap();
        files.iter().filter(|(at, _)| base.tree.get(&path(at)).is_some()).count()
    };
    assert_eq!(count(true), 3);
    assert_eq!(count(false), files.len());
}

#[test]
fn dpkg_knows_what_is_installed() {
    let blobs = Blobs::default();
    let aa = package(
        &blobs,
        "aa",
        &[("usr/lib/a", "x")],
        &[("Multi-Arch", "same"), ("md5sums", "0  usr/lib/a\n")],
    );
    let base = lay_out(&blobs, vec![aa], true).unwrap();
    let status = text(&blobs, &base, "var/lib/dpkg/status").unwrap();
    assert_eq!(
        status,
        "Package: aa\nStatus: install ok installed\nVersion: 1\nMulti-Arch: same\n\n"
    );
    assert!(text(&blobs, &base, "var/lib/dpkg/info/aa:amd64.md5sums").is_some());
    assert_eq!(text(&blobs, &base, "var/lib/dpkg/info/format").as_deref(), Some("1\n"));
    assert!(text(&blobs, &base, "usr/lib/os-release").unwrap().contains("ID=debian"));
}

#[test]
fn packages_that_overlap() {
    let blobs = Blobs::default();
    let aa = package(&blobs, "aa", &[("usr/x", "1")], &[]);
    let same = package(&blobs, "bb", &[("usr/x", "1")], &[]);
    let other = package(&blobs, "bb", &[("usr/x", "2")], &[]);
    let replacing = package(&blobs, "bb", &[("usr/x", "2")], &[("Replaces", "aa (<< 2)")]);
    assert!(lay_out(&blobs, vec![aa.clone(), same], false).is_ok());
    let error = lay_out(&blobs, vec![aa.clone(), other], false).unwrap_err();
    assert_eq!(error.to_string(), "packages `aa` and `bb` both have `/usr/x`");
    let base = lay_out(&blobs, vec![aa, replacing], false).unwrap();
    assert_eq!(text(&blobs, &base, "usr/x").as_deref(), Some("2"));
    let file = package(&blobs, "cc", &[("usr/d", "1")], &[]);
    let below = package(&blobs, "dd", &[("usr/d/e", "1")], &[]);
    assert!(matches!(lay_out(&blobs, vec![file, below], false), Err(BaseError::Path { .. })));
}

#[test]
fn the_key_is_pinned() {
    let blobs = Blobs::default();
    let debian = LockedDebian {
        snapshot: "20260101T000000Z".into(),
        packages: vec![package(&blobs, "aa", &[], &[]).locked],
    };
    let key = base_key(&debian, true, &Platform::LinuxAmd64);
    assert_eq!(key.to_string(), "3fe7ed3d207f4e306ddcd012ad27f59f69dea05b208179cd95a993f5bb61864c");
    assert_ne!(key, base_key(&debian, false, &Platform::LinuxAmd64));
    assert_ne!(key, base_key(&debian, true, &Platform::LinuxArm64));
}

/// An image that has packages, as dpkg would have installed them; in `status.d` as images without dpkg
/// have it.
fn image(blobs: &Blobs, packages: &[UnpackedPackage], alone: bool) -> (Tree, Installed) {
    let base = lay_out(blobs, packages.to_vec(), false).unwrap();
    for content in &base.new_blobs {
        blobs.borrow_mut().insert(Digest::of(content), content.clone());
    }
    let mut tree = base.tree;
    let mut installed = Installed::default();
    let put = |tree: &mut Tree, at: &str, content: String| {
        let entry = Entry::File {
            mode: Mode::FILE,
            blob: Digest::of(content.as_bytes()),
            size: content.len() as u64,
        };
        blobs.borrow_mut().insert(Digest::of(content.as_bytes()), content.into_bytes());
        tree.insert(path(at), entry).unwrap();
    };
    if alone {
        tree.remove(&path("var/lib/dpkg"));
        for package in packages {
            let name = &package.locked.name;
            let at = format!("var/lib/dpkg/status.d/{name}");
            put(&mut tree, &at, package.control.fields.clone());
            let files =
                package.tree.entries().filter(|(_, entry)| matches!(entry, Entry::File { .. }));
            let sums: Vec<String> =
                files.map(|(at, _)| format!("{}  {at}\n", "0".repeat(32))).collect();
            put(&mut tree, &format!("{at}.md5sums"), sums.concat());
            let fields = &package.control.fields;
            installed.add(fields, Some(&path(&at)), &Platform::LinuxAmd64).unwrap();
        }
    } else {
        let Some(Entry::File { blob, .. }) = tree.get(&path("var/lib/dpkg/status")).cloned() else {
            unreachable!("it was made")
        };
        let status = String::from_utf8(blobs.borrow()[&blob].clone()).unwrap();
        // As dpkg does when it has configured a package.
        let status = status.replace("conf: yes\n", "Conffiles:\n /etc/aa.conf 00\n");
        installed.add(&status, None, &Platform::LinuxAmd64).unwrap();
    }
    (tree, installed)
}

fn add(
    blobs: &Blobs,
    (tree, installed): &(Tree, Installed),
    packages: Vec<UnpackedPackage>,
) -> Result<Assembled, BaseError> {
    let read = |digest: &Digest| Ok(blobs.borrow()[digest].clone());
    add_packages(tree, installed, packages, &Platform::LinuxAmd64, &read)
}

fn newer(mut package: UnpackedPackage) -> UnpackedPackage {
    package.locked.version = "2".into();
    package.control.fields = package.control.fields.replace("Version: 1", "Version: 2");
    package
}

#[test]
fn a_package_that_is_added_is_listed_beside_those_that_were_there() {
    let blobs = Blobs::default();
    let there = package(&blobs, "there", &[("usr/bin/there", "1"), ("bin/x", "x")], &[]);
    let image = image(&blobs, &[there], false);
    assert_eq!(add(&blobs, &image, Vec::new()).unwrap().tree, image.0, "nothing is added");
    let more = package(&blobs, "more", &[("bin/more", "2")], &[]);
    let base = add(&blobs, &image, vec![more]).unwrap();
    assert_eq!(text(&blobs, &base, "usr/bin/more").as_deref(), Some("2"));
    let status = text(&blobs, &base, "var/lib/dpkg/status").unwrap();
    let names: Vec<&str> =
        status.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    assert_eq!(names, ["there", "more"]);
    assert!(base.tree.get(&path("var/lib/dpkg/info/there.list")).is_some());
    assert!(base.tree.get(&path("var/lib/dpkg/info/more.list")).is_some());
    // Whose a file is, the list of the package says.
    let thief = package(&blobs, "thief", &[("usr/bin/x", "y")], &[]);
    let error = add(&blobs, &image, vec![thief]).unwrap_err();
    assert!(matches!(&error, BaseError::Overlap { first, .. } if first == "there"), "{error:?}");
    let heir = package(&blobs, "heir", &[("usr/bin/x", "y")], &[("Replaces", "there (<< 2)")]);
    let base = add(&blobs, &image, vec![heir]).unwrap();
    assert_eq!(text(&blobs, &base, "bin/x").as_deref(), Some("y"));
}

#[test]
fn another_version_takes_the_place_of_the_old_one_and_keeps_its_configuration() {
    let blobs = Blobs::default();
    let old = package(
        &blobs,
        "aa",
        &[("usr/bin/aa", "1"), ("usr/bin/gone", "1"), ("etc/aa.conf", "by hand")],
        &[("conf", "yes"), ("Multi-Arch", "same"), ("Architecture", "amd64"), ("md5sums", "x")],
    );
    // Written as a field, so that it stands in the database.
    let mut old = old;
    old.control.fields.push_str("conf: yes\n");
    let image = image(&blobs, &[old], false);
    let new = newer(package(
        &blobs,
        "aa",
        &[("usr/bin/aa", "2"), ("etc/aa.conf", "from the package")],
        &[("conffiles", "/etc/aa.conf\n")],
    ));
    let base = add(&blobs, &image, vec![new]).unwrap();
    assert_eq!(text(&blobs, &base, "usr/bin/aa").as_deref(), Some("2"));
    assert_eq!(text(&blobs, &base, "usr/bin/gone"), None);
    assert_eq!(text(&blobs, &base, "etc/aa.conf").as_deref(), Some("by hand"));
    let status = text(&blobs, &base, "var/lib/dpkg/status").unwrap();
    assert!(status.contains("Version: 2") && !status.contains("Version: 1"), "{status}");
    let infos: Vec<String> = base
        .tree
        .within(&path("var/lib/dpkg/info"))
        .map(|(at, _)| at.to_string())
        .filter(|at| at.contains("/aa"))
        .collect();
    assert_eq!(infos, ["var/lib/dpkg/info/aa.conffiles", "var/lib/dpkg/info/aa.list"]);
}

#[test]
fn an_image_without_dpkg_has_a_file_for_each_package() {
    let blobs = Blobs::default();
    let old = package(&blobs, "aa", &[("usr/bin/aa", "1"), ("usr/bin/gone", "1")], &[]);
    let other = package(&blobs, "bb", &[("usr/bin/bb", "1")], &[]);
    let image = image(&blobs, &[old, other], true);
    let new = newer(package(&blobs, "aa", &[("usr/bin/aa", "2")], &[]));
    let base = add(&blobs, &image, vec![new]).unwrap();
    assert_eq!(text(&blobs, &base, "usr/bin/gone"), None);
    assert!(base.tree.get(&path("var/lib/dpkg/status.d/aa")).is_none());
    assert!(base.tree.get(&path("var/lib/dpkg/status.d/bb")).is_some());
    let status = text(&blobs, &base, "var/lib/dpkg/status").unwrap();
    assert!(status.contains("Package: aa") && !status.contains("Package: bb"), "{status}");
    let thief = package(&blobs, "thief", &[("usr/bin/bb", "2")], &[]);
    assert!(matches!(add(&blobs, &image, vec![thief]), Err(BaseError::Overlap { .. })));
}

#[test]
fn what_else_the_database_says_stays_there() {
    let blobs = Blobs::default();
    let (tree, mut installed) = image(&blobs, &[], false);
    let foreign = "Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 9\n\n\
                   Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n";
    installed.add(foreign, None, &Platform::LinuxAmd64).unwrap();
    let more = package(&blobs, "more", &[("bin/more", "2")], &[]);
    let base = add(&blobs, &(tree, installed), vec![more]).unwrap();
    let status = text(&blobs, &base, "var/lib/dpkg/status").unwrap();
    assert!(status.contains("Architecture: i386") && status.contains("config-files"), "{status}");
}

/// Before Debian 12 it might have a `/lib` of its own.
#[test]
fn a_system_whose_usr_is_not_merged_stays_so() {
    let blobs = Blobs::default();
    let (mut tree, installed) = image(&blobs, &[], false);
    for name in ["bin", "lib"] {
        tree.remove(&path(name));
        tree.insert(path(name), Entry::Folder { mode: Mode::FOLDER }).unwrap();
    }
    let more =
        package(&blobs, "more", &[("lib/x.so", "x"), ("usr/bin/y", "y"), ("sbin/z", "z")], &[]);
    let base = add(&blobs, &(tree, installed), vec![more]).unwrap();
    assert!(matches!(base.tree.get(&path("lib/x.so")), Some(Entry::File { .. })));
    assert!(base.tree.get(&path("usr/lib/x.so")).is_none());
    assert!(base.tree.get(&path("usr/sbin/z")).is_some(), "that one is a link");
}

proptest! {
    /// Any few paths of a few names, as files, links and folders in two packages.
    #[test]
    fn never_panics(
        files in prop::collection::vec(
            ("(bin|etc|usr|var|lib|dpkg|info)(/(bin|etc|usr|lib|dpkg|info)){0,3}", "(x|->[.]{2}|->/usr|->bin|->[.]{2}/lib)"),
            0..8,
        ),
        slim: bool,
    ) {
        let blobs = Blobs::default();
        let mut packages = vec![package(&blobs, "aa", &[], &[]), package(&blobs, "bb", &[], &[])];
        for (number, (at, content)) in files.iter().enumerate() {
            let one = package(&blobs, "cc", &[(at, content)], &[]);
            // What a tree of a package can't hold together comes in two.
            let tree = &mut packages[number % 2].tree;
            for (at, entry) in one.tree.entries() {
                let _ = tree.insert(at.clone(), entry.clone());
            }
        }
        let _ = lay_out(&blobs, packages, slim);
    }

    #[test]
    fn the_order_of_packages_does_not_matter(order in Just([0usize, 1, 2, 3]).prop_shuffle()) {
        let blobs = Blobs::default();
        let packages = [
            package(&blobs, "aa", &[("bin/a", "1"), ("usr/share/x/y", "2")], &[]),
            package(&blobs, "bb", &[("usr/bin/b", "->../../bin/a"), ("etc/b", "3")], &[]),
            package(&blobs, "cc", &[("usr/share/x/y", "4")], &[("Replaces", "aa")]),
            package(&blobs, "dd", &[("lib/d", "5")], &[("postinst", "update-alternatives --install /usr/bin/q q /usr/bin/a 1\n")]),
        ];
        let expected = lay_out(&blobs, packages.to_vec(), false).unwrap();
        let shuffled = order.iter().map(|at| packages[*at].clone()).collect();
        prop_assert_eq!(lay_out(&blobs, shuffled, false).unwrap(), expected);
    }
}
