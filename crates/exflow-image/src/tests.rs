use crate::{
    Described, Layer, LayerDigests, describe, image_name, index, resolve_user, split,
    write_archive, write_layer,
};
use exflow_content::{Digest, Entry, Mode, PatternSet, RelPath, Sha256, Tree};
use exflow_lock::Platform;
use exflow_plan::ImageSettings;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// A tree whose files hold their own names.
fn tree(names: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for name in names {
        let entry = match name.strip_suffix('/') {
            Some(_) => Entry::Folder { mode: Mode::FOLDER },
            None => Entry::File {
                mode: Mode::FILE,
                blob: Digest::of(name.as_bytes()),
                size: name.len() as u64,
            },
        };
        tree.insert(path(name.trim_end_matches('/')), entry).unwrap();
    }
    tree
}

fn blobs(names: &[&str]) -> BTreeMap<Digest, Vec<u8>> {
    names.iter().map(|name| (Digest::of(name.as_bytes()), name.as_bytes().to_vec())).collect()
}

fn packed(tree: &Tree, blobs: &BTreeMap<Digest, Vec<u8>>) -> (Vec<u8>, LayerDigests) {
    let mut bytes = Vec::new();
    let open = |digest: &Digest| Ok(io::Cursor::new(blobs[digest].clone()));
    let digests = write_layer(tree, open, &mut bytes).unwrap();
    (bytes, digests)
}

fn settings() -> ImageSettings {
    let layer =
        |name: &str, patterns: &[&str]| (name.to_owned(), PatternSet::new(patterns).unwrap());
    ImageSettings {
        platform: Platform::LinuxAmd64,
        assembly: crate::ASSEMBLY_VERSION,
        kept: Vec::new(),
        at: path("app"),
        layers: vec![layer("otp", &["erts-*", "lib/kernel-*"]), layer("app", &["lib"])],
        env: [("B", "2"), ("A", "1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        workdir: path("app"),
        entrypoint: vec!["/app/bin/a".into()],
        command: vec!["start".into()],
        user: Some("nobody".into()),
        ports: vec!["80/tcp".into()],
        labels: [("x".to_owned(), "y".to_owned()), ("a".to_owned(), "b".to_owned())].into(),
        volumes: Vec::new(),
        stop_signal: None,
    }
}

const RELEASE: &[&str] = &[
    "bin/a",
    "erts-1/bin/beam",
    "lib/kernel-8/a.beam",
    "lib/shop-1/b.beam",
    "releases/1/",
    "tmp/",
];

fn image() -> (Vec<Layer>, Described) {
    let names: Vec<&str> = RELEASE.iter().chain(&["etc/passwd"]).copied().collect();
    let layers = split(&tree(&["etc/passwd"]), None, &tree(RELEASE), &settings());
    let digests: Vec<_> =
        layers.iter().map(|layer| (&*layer.name, packed(&layer.tree, &blobs(&names)).1)).collect();
    let described = describe(&settings(), Some("65534:65534"), &digests).unwrap();
    (layers.clone(), described)
}

#[test]
fn layers_are_cut_by_how_often_they_change() {
    let (layers, _) = image();
    let text: Vec<String> = layers
        .iter()
        .map(|layer| {
            let paths: Vec<String> =
                layer.tree.entries().map(|(path, _)| path.to_string()).collect();
            format!("{}: {}", layer.name, paths.join(" "))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    base: etc etc/passwd
    otp: app app/erts-1 app/erts-1/bin app/erts-1/bin/beam app/lib app/lib/kernel-8 app/lib/kernel-8/a.beam
    app: app app/lib app/lib/shop-1 app/lib/shop-1/b.beam
    rest: app app/bin app/bin/a app/releases app/releases/1 app/tmp
    ");
}

/// A change here needs a new `ASSEMBLY_VERSION`.
#[test]
fn the_bytes_are_pinned() {
    let (_, described) = image();
    insta::assert_snapshot!(described.manifest.1);
    insta::assert_snapshot!(String::from_utf8(described.config.0).unwrap());
    insta::assert_snapshot!(String::from_utf8(described.manifest.0).unwrap());
}

/// What people compile: repetitive, and too long to fit into the compressor's window at once. A change
/// here needs a new `ASSEMBLY_VERSION`.
#[test]
fn the_compressed_bytes_are_pinned() {
    let mut state = 1u32;
    let mut random = || {
        // Marsaglia, "Xorshift RNGs" (2003).
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut content = Vec::new();
    while content.len() < 2 << 20 {
        let word = random();
        let text = format!("function_{}(arg_{}, {word:08x}), ", word % 97, word % 13);
        content.extend_from_slice(text.as_bytes());
        if word % 50 == 0 {
            content.extend((0..random() % 3000).map(|_| random().to_le_bytes()[0]));
        }
    }
    let blob = Digest::of(&content);
    let mut tree = Tree::new();
    let entry = Entry::File { mode: Mode::FILE, blob, size: content.len() as u64 };
    tree.insert(path("large"), entry).unwrap();
    let (_, digests) = packed(&tree, &BTreeMap::from([(blob, content)]));
    insta::assert_snapshot!(format!("{} {} {}", digests.diff_id, digests.digest, digests.size));
}

#[test]
fn a_layer_holds_what_its_tree_says() {
    let mut tree = tree(&["a/b", "c/"]);
    let long = "d".repeat(120) + "/" + &"e".repeat(150);
    tree.insert(
        path(&long),
        Entry::File { mode: Mode::EXECUTABLE, blob: Digest::of(b"x"), size: 1 },
    )
    .unwrap();
    tree.insert(path("l"), Entry::Symlink { target: (*b"../etc/passwd").into() }).unwrap();
    let mut blobs = blobs(&["a/b"]);
    blobs.insert(Digest::of(b"x"), b"x".to_vec());
    let (bytes, digests) = packed(&tree, &blobs);
    assert_eq!(digests.size, bytes.len() as u64);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let entries: Vec<(String, u32, u64, u64)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            (name, header.mode().unwrap(), header.mtime().unwrap(), header.uid().unwrap())
        })
        .collect();
    let names: Vec<&str> = entries.iter().map(|entry| entry.0.as_str()).collect();
    assert_eq!(names, ["a/", "a/b", "c/", &format!("{}/", "d".repeat(120)), &long, "l"]);
    assert!(entries.iter().all(|entry| entry.2 == 0 && entry.3 == 0));
}

#[test]
fn a_blob_of_another_length_is_an_error() {
    for content in ["", "short", "much too long for its name"] {
        let blobs = BTreeMap::from([(Digest::of(b"some/name"), content.as_bytes().to_vec())]);
        let open = |digest: &Digest| Ok(io::Cursor::new(blobs[digest].clone()));
        assert!(write_layer(&tree(&["some/name"]), open, io::sink()).is_err(), "{content}");
    }
}

#[test]
fn an_index_keeps_the_other_images() {
    let digest = |text: &str| {
        let mut hasher = exflow_content::Sha256Hasher::new();
        io::Write::write_all(&mut hasher, text.as_bytes()).unwrap();
        hasher.finish()
    };
    let first = index(None, "b", &Platform::LinuxAmd64, (&digest("1"), 1)).unwrap();
    let both = index(Some(&first), "a", &Platform::LinuxAmd64, (&digest("2"), 2)).unwrap();
    let again = index(Some(&both), "b", &Platform::LinuxAmd64, (&digest("3"), 3)).unwrap();
    let text = String::from_utf8(again.clone()).unwrap();
    assert!(text.contains(&digest("2").to_string()) && text.contains(&digest("3").to_string()));
    assert!(!text.contains(&digest("1").to_string()));
    assert_eq!(index(Some(&again), "b", &Platform::LinuxAmd64, (&digest("3"), 3)).unwrap(), again);
    assert!(index(Some(b"{"), "b", &Platform::LinuxAmd64, (&digest("3"), 3)).is_err());
}

#[test]
fn an_archive_for_docker_is_the_same_each_time() {
    let (_, described) = image();
    let blobs = vec![(described.config.1, described.config.0.len() as u64)];
    let write = || {
        let names = [format!("{}:latest", image_name("a-_b"))];
        let write = |_: &Sha256, out: &mut dyn io::Write| out.write_all(&described.config.0);
        let platform = Platform::LinuxAmd64;
        write_archive(&names, &platform, &described.manifest.0, &blobs, write, Vec::new()).unwrap()
    };
    assert_eq!(write(), write());
    let bytes = write();
    let names: Vec<String> = tar::Archive::new(bytes.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names[..3], ["oci-layout", "index.json", "manifest.json"]);
    // The name is one that Docker takes, in both of the places where it looks.
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("\"io.containerd.image.name\":\"docker.io/library/a-b:latest\""));
    assert!(text.contains("\"RepoTags\":[\"a-b:latest\"]"));
}

#[test]
fn folders_of_the_base_keep_their_modes() {
    let mut base = Tree::new();
    base.insert(path("tmp"), Entry::Folder { mode: Mode::new(0o1777) }).unwrap();
    let settings = ImageSettings { at: path("tmp/app"), ..settings() };
    for layer in split(&base, None, &tree(&["lib/a"]), &settings) {
        if let Some(entry) = layer.tree.get(&path("tmp")) {
            assert_eq!(*entry, Entry::Folder { mode: Mode::new(0o1777) }, "{}", layer.name);
        }
    }
}

#[test]
fn users_are_numbers() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nnobody:x:65534:65533::/:\n";
    let group = "www-data:x:33:\nbad\nstaff:x:50:a,b\n";
    for (user, expected) in
        [("nobody:staff", "65534:50"), ("7:www-data", "7:33"), ("nobody:9", "65534:9")]
    {
        assert_eq!(resolve_user(user, passwd, group).unwrap(), expected);
    }
    assert_eq!(
        resolve_user("nobody:staf", passwd, group).unwrap_err().known,
        ["www-data", "staff"]
    );
    assert_eq!(resolve_user("nobody", passwd, group).unwrap(), "65534:65533");
    assert_eq!(resolve_user("1000", passwd, group).unwrap(), "1000");
    assert_eq!(resolve_user("1000:2", passwd, group).unwrap(), "1000:2");
    assert_eq!(resolve_user("nobdy", passwd, group).unwrap_err().known, ["root", "nobody"]);
}

proptest! {
    #[test]
    fn every_file_is_in_one_layer(names in prop::collection::btree_set("(lib|erts-1|x)/[a-c]{1,2}/[a-c]", 0..12)) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let release = tree(&names);
        let layers = split(&Tree::new(), None, &release, &settings());
        let mut merged = Tree::new();
        let mut files = 0;
        for layer in &layers {
            files += layer.tree.entries().filter(|(_, entry)| matches!(entry, Entry::File { .. })).count();
            merged.merge(&RelPath::root(), &layer.tree).unwrap();
        }
        prop_assert_eq!(files, names.len());
        let app = path("app");
        let merged = merged.within(&app).filter(|(at, _)| **at != app);
        let merged: Vec<_> =
            merged.map(|(at, entry)| (at.strip(&app).unwrap(), entry)).collect();
        let whole: Vec<_> = release.entries().map(|(at, entry)| (at.clone(), entry)).collect();
        prop_assert_eq!(merged, whole);
    }
}
