use super::*;
use crate::{
    AddedPackages, Compression, FetchedContent, ImageDefaults, ImageSource, LocalImage,
    LockedAlpine, LockedApk, LockedFetch, LockedImage, LockedLayer, RequestedFetch, RequestedImage,
    RequestedVersion,
};
use exflow_content::{Digest, Sha256};
use exflow_diagnostics::{Sources, Style, render};
use proptest::prelude::*;

fn sample() -> Lock {
    let package = |name: &str| LockedPackage {
        name: name.into(),
        version: "1:2.0-1".into(),
        architecture: "amd64".into(),
        archive: "debian".into(),
        path: format!("pool/main/{name}.deb"),
        size: 42,
        sha256: Sha256::of(name.as_bytes()),
    };
    let requested =
        RequestedDebian { suite: "bookworm".into(), slim: true, packages: vec!["bb".into()] };
    let debian = LockedDebian {
        snapshot: "20261101T000000Z".into(),
        packages: vec![package("aa"), package("bb")],
    };
    let locked = BTreeMap::from([(Platform::LinuxAmd64, LockedRoot::Debian(debian))]);
    let requested = RequestedBase::Debian(requested);
    Lock {
        image_assembly: 1,
        bases: BTreeMap::from([("runner".into(), LockedBase { requested, locked })]),
        plugins: BTreeMap::from([
            (
                "mine".into(),
                LockedPlugin {
                    requested: RequestedPlugin::Path("plugins/mine.wasm".into()),
                    blake3: Digest::of(b"mine"),
                    size: 7,
                    sha256: None,
                },
            ),
            (
                "mix-release".into(),
                LockedPlugin {
                    requested: RequestedPlugin::Builtin,
                    blake3: Digest::of(b"mix"),
                    size: 9,
                    sha256: None,
                },
            ),
        ]),
        ..Lock::default()
    }
}

/// A base of each kind that is an image.
fn images() -> Lock {
    let mut lock = sample();
    let LockedRoot::Debian(debian) = lock.bases["runner"].locked[&Platform::LinuxAmd64].clone()
    else {
        unreachable!("it is made of packages")
    };
    let layer = |name: &str, compression| LockedLayer {
        digest: Sha256::of(name.as_bytes()),
        diff_id: Sha256::of(b"files"),
        size: 9,
        compression,
    };
    let image = LockedImage {
        index: Some(Sha256::of(b"index")),
        manifest: Some(Sha256::of(b"manifest")),
        config: Sha256::of(b"config"),
        defaults: ImageDefaults::default(),
        layers: vec![layer("a", Compression::Gzip), layer("b", Compression::Zstd)],
        packages: AddedPackages::None,
    };
    let mut base = |name: &str, source, packages: &[&str], image| {
        let packages = packages.iter().map(|&name| name.into()).collect();
        let requested = RequestedBase::Image(RequestedImage { source, packages });
        let locked = BTreeMap::from([(Platform::LinuxAmd64, LockedRoot::Image(Box::new(image)))]);
        lock.bases.insert(name.into(), LockedBase { requested, locked });
    };
    base("alpine", ImageSource::Registry("docker.io/library/alpine:3.21".into()), &["aa"], {
        let apk = LockedApk {
            name: "aa".into(),
            version: "1.0-r0".into(),
            architecture: "x86_64".into(),
            repository: "v3.21/main".into(),
            size: 3,
            sha256: Sha256::of(b"apk"),
            checksum: "Q1x+/=".into(),
        };
        let packages = AddedPackages::Alpine(LockedAlpine { packages: vec![apk] });
        LockedImage { packages, ..image.clone() }
    });
    base("debian", ImageSource::Daemon("mine:1".into()), &["aa", "bb"], {
        LockedImage {
            index: None,
            manifest: None,
            layers: vec![layer("files", Compression::None)],
            packages: AddedPackages::Debian(debian),
            ..image.clone()
        }
    });
    let local = |name: Option<&str>| LocalImage {
        path: "images/base".into(),
        name: name.map(str::to_owned),
    };
    base("folder", ImageSource::Layout(local(Some("x"))), &[], {
        let text = |text: &str| text.to_owned();
        let defaults = ImageDefaults {
            env: BTreeMap::from([(text("PATH"), text("/bin"))]),
            user: Some(text("nobody")),
            ports: vec![text("80/tcp")],
            volumes: vec![text("/data")],
            labels: BTreeMap::from([(text("x"), text("y"))]),
            stop_signal: Some(text("SIGINT")),
        };
        LockedImage { defaults, layers: Vec::new(), ..image.clone() }
    });
    base("file", ImageSource::Archive(local(None)), &[], image.clone());
    lock
}

/// A file and a repository of each kind.
fn fetches() -> Lock {
    let file = |sha256: Option<Sha256>| LockedFetch {
        requested: RequestedFetch::File { url: "https://example.org/tool".into(), sha256 },
        locked: FetchedContent::File { sha256: Sha256::of(b"tool"), size: 4 },
    };
    let revision = "0123456789abcdef0123456789abcdef01234567";
    let git = |version: RequestedVersion, folder: Option<&str>| LockedFetch {
        requested: RequestedFetch::Git {
            url: "ssh://git@example.org/icons.git".into(),
            version,
            folder: folder.map(str::to_owned),
            submodules: folder.is_some(),
        },
        locked: FetchedContent::Git { revision: revision.into(), tree: Digest::of(b"files") },
    };
    let all = [
        ("any", git(RequestedVersion::Default, None)),
        ("branch", git(RequestedVersion::Branch("main".into()), None)),
        ("file", file(None)),
        ("known", file(Some(Sha256::of(b"tool")))),
        ("revision", git(RequestedVersion::Revision(revision.into()), None)),
        ("tag", git(RequestedVersion::Tag("v1".into()), Some("optimized/24"))),
    ];
    let fetches = all.map(|(name, fetch)| (name.to_owned(), fetch)).into();
    Lock { fetches, ..sample() }
}

/// All that a lock may hold.
fn everything() -> Lock {
    Lock { fetches: fetches().fetches, plugins: fetched().plugins, ..images() }
}

fn name() -> SourceName {
    SourceName::new("exflow.lock")
}

fn check(text: &str) -> String {
    let problems = parse(&name(), text).expect_err("it should be refused");
    let mut sources = Sources::new();
    sources.insert(name(), text);
    problems.iter().map(|problem| render(problem, &sources, Style::default())).collect()
}

/// For editors, and for those who read locks with programs of their own: made of the types that read them.
#[test]
fn the_schema_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(WireLock);
    schema.insert("title".to_owned(), "exflow.lock".into());
    let made = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let committed = include_str!("../../../../schemas/lock.schema.json");
    assert_eq!(committed, made, "schemas/lock.schema.json is to be:\n{made}");
}

#[test]
fn the_file_is_pinned() {
    insta::assert_snapshot!(print(&sample()), @r#"
    {
      "version": 1,
      "image-assembly": 1,
      "bases": {
        "runner": {
          "requested": {"debian":"bookworm","slim":true,"packages":["bb"]},
          "locked": {
            "linux/amd64": {
              "snapshot": "20261101T000000Z",
              "packages": [
                {"name":"aa","version":"1:2.0-1","architecture":"amd64","archive":"debian","path":"pool/main/aa.deb","size":42,"sha256":"961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506"},
                {"name":"bb","version":"1:2.0-1","architecture":"amd64","archive":"debian","path":"pool/main/bb.deb","size":42,"sha256":"3b64db95cb55c763391c707108489ae18b4112d783300de38e033b4c98c3deaf"}
              ]
            }
          }
        }
      },
      "plugins": {
        "mine": {
          "requested": {"path":"plugins/mine.wasm"},
          "locked": {"blake3":"eb3c4771aa8569b685dfdc9abd26efa43b2f0f0686e3fe3d8ea40475c14f3f5b","size":7}
        },
        "mix-release": {
          "requested": {"builtin":true},
          "locked": {"blake3":"0a224548961e197d4c3a1454ae437ccdb779370236ccf3c0a00e4b7fea9c763a","size":9}
        }
      }
    }
    "#);
}

#[test]
fn bases_that_are_images_are_pinned() {
    insta::assert_snapshot!(print(&images()));
}

/// Plugins that are fetched, from either place.
fn fetched() -> Lock {
    let mut lock = sample();
    let plugin = |requested| LockedPlugin {
        requested,
        blake3: Digest::of(b"fetched"),
        size: 7,
        sha256: Some(Sha256::of(b"fetched")),
    };
    let url = "https://example.org/web-1.0.wasm".to_owned();
    lock.plugins.insert("web".into(), plugin(RequestedPlugin::Url(url)));
    let artifact = "registry.example/team/tool:1.0".to_owned();
    lock.plugins.insert("tool".into(), plugin(RequestedPlugin::Oci(artifact)));
    lock
}

#[test]
fn plugins_that_are_fetched_are_pinned() {
    let text = print(&fetched());
    assert_eq!(parse(&name(), &text).unwrap(), fetched());
    insta::assert_snapshot!(text);
    // A digest is what they are fetched by.
    let without = text.replace(&format!(",\"sha256\":\"{}\"", Sha256::of(b"fetched")), "");
    assert!(check(&without).contains("has a sha256 if it is fetched"), "{}", check(&without));
}

#[test]
fn what_is_fetched_is_pinned() {
    let good = print(&fetches());
    insta::assert_snapshot!(good.split("\"plugins\"").nth(1).unwrap());
    let tool = Sha256::of(b"tool").to_string();
    for (from, to) in [
        ("\"url\":", "\"git\":\"x\",\"url\":"),
        ("\"url\":", "\"git\":"),
        ("\"tag\":", "\"branch\":\"x\",\"tag\":"),
        ("\"git\":\"ssh", "\"sha256\":\"ab\",\"git\":\"ssh"),
        ("\"size\":4", "\"tree\":\"ab\""),
        ("\"revision\":\"0123456789abcdef0123", "\"revision\":\"0123456789ABCDEF0123"),
        ("\"revision\":\"0123", "\"revision\":\"0"),
        ("\"tree\":\"", "\"tree\":\"0"),
        ("optimized/24", "../24"),
        (&*tool, "ab"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let shown = check(&text);
        assert!(shown.contains(INVALID), "{from} to {to}: {shown}");
    }
    // The manifest says what it has to be, and the lock something else.
    let (before, known) = good.split_once("\"known\"").unwrap();
    let other = known.replacen(&tool, &Sha256::of(b"other").to_string(), 1);
    let shown = check(&format!("{before}\"known\"{other}"));
    assert!(shown.contains("`known` is not locked as what is requested"), "{shown}");
}

#[test]
fn an_older_exflow_reads_what_it_can_understand() {
    assert!(print(&sample()).contains("\"version\": 1,"));
    assert!(print(&images()).contains("\"version\": 2,"));
    assert!(print(&fetched()).contains("\"version\": 3,"));
    assert!(print(&fetches()).contains("\"version\": 4,"));
}

#[test]
fn refuses_images_that_are_none() {
    let good = print(&images());
    for (from, to) in [
        ("sha256:", "md5:"),
        ("\"image\":", "\"debian\":"),
        ("\"image\":\"docker.io", "\"archive\":\"x\",\"image\":\"docker.io"),
        ("\"daemon\":", "\"name\":\"x\",\"daemon\":"),
        ("\"layout\":\"images", "\"layout\":\"../images"),
        ("\"gzip\"", "\"lzma\""),
        ("v3.21/main", "../main"),
        ("1.0-r0", "1.0 r0"),
        ("\"name\":\"aa\",\"version\":\"1.0-r0\"", "\"name\":\"a/a\",\"version\":\"1.0-r0\""),
        ("\"snapshot\": \"20261101T000000Z\",", ""),
        ("\"apks\": [", "\"snapshot\": \"20261101T000000Z\", \"apks\": ["),
        ("\"debian\":\"bookworm\",\"slim\":true", "\"image\":\"x\""),
        ("\"debian\":\"bookworm\"", "\"layout\":\"x\""),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let shown = check(&text);
        assert!(shown.contains(INVALID), "{from} to {to}: {shown}");
    }
}

#[test]
fn parse_is_the_inverse_of_print() {
    assert_eq!(parse(&name(), &print(&everything())), Ok(everything()));
    assert_eq!(parse(&name(), &print(&images())), Ok(images()));
    assert_eq!(parse(&name(), &print(&sample())), Ok(sample()));
    assert_eq!(parse(&name(), &print(&Lock::default())), Ok(Lock::default()));
}

#[test]
fn says_where_it_is_not_a_lock() {
    insta::assert_snapshot!(check("{\n  \"version\": 1,\n  \"bases\": []\n}"));
    insta::assert_snapshot!(check(&print(&sample()).replace("\"size\":42", "\"sise\":42")));
}

#[test]
fn says_that_a_merge_is_unresolved() {
    let text = print(&sample()).replace("  \"plugins\"", "<<<<<<< HEAD\n=======\n  \"plugins\"");
    insta::assert_snapshot!(check(&text));
}

#[test]
fn refuses_a_newer_version() {
    let text = print(&sample()).replace("\"version\": 1", "\"version\": 5, \"new\": {}");
    insta::assert_snapshot!(check(&text));
}

#[test]
fn a_newer_minor_version_is_read() {
    let good = sample();
    let text = |version: &str| print(&good).replace("\"version\": 1", version);
    let read = |text: &str| parse(&SourceName::new("exflow.lock"), text);
    let newer = text(&format!("\"version\": {VERSION}, \"minor\": 1, \"news\": {{}}")).replacen(
        "\"size\":42",
        "\"licence\":\"MIT\",\"size\":42",
        1,
    );
    let lock = read(&newer).unwrap();
    assert_eq!(lock.unknown, ["news", "bases.runner.locked.linux/amd64.packages.0.licence"]);
    assert_eq!(Lock { unknown: Vec::new(), ..lock }, good);
    assert_eq!(read(&text("\"version\": 1, \"minor\": 0")).unwrap(), good);
    // Of an older version, all minor ones are known.
    for version in ["\"version\": 1, \"minor\": 1, \"news\": {}", "\"version\": 1, \"news\": 1"] {
        let shown = check(&text(version));
        assert!(shown.contains(INVALID) && shown.contains("not known here"), "{shown}");
    }
    // Mistakes are found in a newer one, too.
    let shown = check(&newer.replace("pool/main/aa.deb", "../a.deb"));
    assert!(shown.contains(INVALID), "{shown}");
}

#[test]
fn refuses_a_version_that_never_was() {
    let text = print(&sample()).replace("\"version\": 1", "\"version\": 0");
    let shown = check(&text);
    assert!(shown.contains(INVALID) && shown.contains("version 0"), "{shown}");
}

#[test]
fn refuses_a_plugin_that_is_not_builtin() {
    let shown = check(&print(&sample()).replace("\"builtin\":true", "\"builtin\":false"));
    assert!(shown.contains(INVALID) && shown.contains("`false` means nothing"), "{shown}");
    assert!(shown.contains("exflow.lock:24:"), "at its place: {shown}");
}

#[test]
fn refuses_what_is_too_long() {
    let shown = check(&" ".repeat(MAX_BYTES + 1));
    assert!(shown.contains(INVALID) && shown.contains("longer than 32 MiB"), "{shown}");
}

#[test]
fn refuses_what_is_no_digest_path_or_platform() {
    let good = print(&sample());
    for (from, to) in [
        ("961b6dd3", "961B6DD3"),
        ("961b6dd3", ""),
        ("pool/main/aa.deb", "../a.deb"),
        ("pool/main/aa.deb", "/a.deb"),
        ("linux/amd64", "plan9/mips"),
        ("\"archive\":\"debian\"", "\"archive\":\"evil\""),
        ("pool/main/aa.deb", ""),
        ("\"name\":\"bb\"", "\"name\":\"aa\""),
        ("\"name\":\"aa\"", "\"name\":\"cc\""),
        ("\"name\":\"aa\"", "\"name\":\"../aa\""),
        ("\"name\":\"aa\"", "\"name\":\"\""),
        ("\"name\":\"aa\"", "\"name\":\"a\""),
        ("\"name\":\"aa\"", "\"name\":\"..\""),
        ("\"name\":\"aa\"", "\"name\":\"Aa\""),
        ("1:2.0-1", ""),
        ("1:2.0-1", "1 2"),
        ("\"amd64\"", "\"\""),
        ("20261101T000000Z", ""),
        ("20261101T000000Z", "20261101"),
        ("20261101T000000Z", "../../evil/../../"),
        ("20261101T000000Z", "2026110aT000000Z"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let shown = check(&text);
        assert!(shown.contains(INVALID) && shown.contains("here"), "{from} to {to}: {shown}");
    }
}

/// Both sides of a merge have added the same base, or plugin.
#[test]
fn refuses_what_stands_twice() {
    let good = print(&sample());
    for (from, to) in [
        (
            "\"runner\": {",
            "\"runner\": {\"requested\":{\"debian\":\"x\",\"slim\":true,\"packages\":[]},\"locked\":{}},\n\"runner\": {",
        ),
        (
            "\"linux/amd64\": {",
            "\"linux/amd64\": {\"snapshot\":\"20261101T000000Z\",\"packages\":[]},\n\"linux/amd64\": {",
        ),
        ("\"mix-release\"", "\"mine\""),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let shown = check(&text);
        assert!(shown.contains(INVALID) && shown.contains("twice"), "{from}: {shown}");
    }
}

#[test]
fn every_cut_is_an_error() {
    let good = print(&everything());
    for end in 0..good.trim_end().len() {
        assert!(parse(&name(), &good[..end]).is_err(), "cut at {end}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,300}") {
        let _ = parse(&name(), &text);
    }

    #[test]
    fn an_altered_byte_is_an_error_or_another_lock(at in 0usize..8000, byte in 32u8..127) {
        let good = print(&everything());
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).expect("ASCII");
        // Only white space between values can change and mean the same.
        if let Ok(lock) = parse(&name(), &text) {
            let space = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert!(lock != everything() || space(&text) == space(&good));
            prop_assert_eq!(parse(&name(), &print(&lock)), Ok(lock));
        }
    }
}
