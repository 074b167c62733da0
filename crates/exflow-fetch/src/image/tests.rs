use super::*;
use crate::{Cancel, HttpOptions};
use exflow_lock::{AddedPackages, Compression, ImageDefaults, Platform};
use std::path::Path;
use std::sync::atomic::AtomicUsize;

fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        if kind.is_file() {
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        } else {
            header.set_size(0);
            builder.append_link(&mut header, path, text).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;

/// Layers as files in a folder, by number.
struct Folder<'a> {
    root: &'a Path,
    asked: AtomicUsize,
}

impl LayerSource for Folder<'_> {
    fn layer(
        &self,
        _: &Client,
        _: &Store,
        layer: &LockedLayer,
        _: &dyn Progress,
    ) -> Result<LayerFile, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(LayerFile { path: self.root.join(layer.digest.to_string()), offset: 0 })
    }
}

/// An image of these archives, whose layers are in `root`.
fn image(root: &Path, archives: &[Vec<u8>]) -> LockedImage {
    let layers = archives.iter().map(|bytes| {
        let digest = Sha256::of(bytes);
        std::fs::write(root.join(digest.to_string()), bytes).unwrap();
        let size = bytes.len() as u64;
        LockedLayer { digest, diff_id: digest, size, compression: Compression::None }
    });
    LockedImage {
        index: None,
        manifest: None,
        config: Sha256::of(b"config"),
        defaults: ImageDefaults::default(),
        layers: layers.collect(),
        packages: AddedPackages::None,
    }
}

fn fetch(
    store: &Store,
    image: &LockedImage,
    source: &Folder<'_>,
) -> Result<FetchedImage, FetchError> {
    let client = Client::new(HttpOptions::default(), Cancel::new());
    fetch_image(&client, store, image, source, &())
}

#[test]
fn images_that_share_a_layer_share_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let source = Folder { root: folder.path(), asked: AtomicUsize::new(0) };
    let lower = archive(&[("a", FILE, "one"), ("b", FILE, "two")]);
    let one = image(folder.path(), &[lower.clone(), archive(&[("a", FILE, "three")])]);
    let other = image(folder.path(), &[lower.clone(), archive(&[(".wh.a", FILE, "")]), lower]);
    let fetched = fetch(&store, &one, &source).unwrap();
    assert_eq!((fetched.tree.len(), fetched.layers.len()), (2, 2));
    assert_eq!(source.asked.load(Ordering::SeqCst), 2);
    let fetched = fetch(&store, &other, &source).unwrap();
    // The third is the first again.
    assert_eq!((fetched.tree.len(), fetched.layers.len()), (2, 2));
    assert_eq!(source.asked.load(Ordering::SeqCst), 3);
    // What is lost of it is fetched again.
    let (_, entry) = fetched.layers.entries().next().unwrap();
    let Entry::File { blob, .. } = entry else { unreachable!("layers are files") };
    let name = blob.to_string();
    std::fs::remove_file(store.root().join("blobs").join(&name[..2]).join(&name[2..])).unwrap();
    assert_eq!(fetch(&store, &other, &source).unwrap(), fetched);
    assert!(source.asked.load(Ordering::SeqCst) > 3);
    assert!(store.has_blobs(&fetched.layers));
}

#[test]
fn what_is_not_as_it_was_locked_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let source = Folder { root: folder.path(), asked: AtomicUsize::new(0) };
    let good = image(folder.path(), &[archive(&[("a", FILE, "one")])]);
    let mut wrong = good.clone();
    wrong.layers[0].diff_id = Sha256::of(b"other");
    let error = fetch(&store, &wrong, &source).unwrap_err();
    assert!(matches!(error, FetchError::OtherFiles { .. }), "{error:?}");
    assert!(store.record(&layer_key(&wrong.layers[0])).unwrap().is_none());
    let path = folder.path().join(good.layers[0].digest.to_string());
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() - 1], &vec![1; bytes.len()]] {
        std::fs::write(&path, damaged).unwrap();
        let error = fetch(&store, &good, &source).unwrap_err();
        assert!(matches!(error, FetchError::WrongDigest { .. }), "{error:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let error = fetch(&store, &good, &source).unwrap_err();
    assert!(matches!(error, FetchError::Local { .. }), "{error:?}");
    std::fs::write(&path, bytes).unwrap();
    fetch(&store, &good, &source).unwrap();
}

/// As older versions of `docker save` write it: two layers that are the same are one, and a link.
#[test]
fn an_archive_with_links() {
    let folder = tempfile::tempdir().unwrap();
    let layer = String::from_utf8(archive(&[("a", FILE, "one")])).unwrap();
    let diff_id = Sha256::of(layer.as_bytes());
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}","sha256:{diff_id}"]}},"history":[]}}"#
    );
    let manifest =
        r#"[{"Config":"c.json","RepoTags":["x:latest"],"Layers":["1/layer.tar","2/layer.tar"]}]"#;
    let write = |link: &str, manifest: &str| {
        let path = folder.path().join("image.tar");
        let entries = [
            ("1/layer.tar", FILE, layer.as_str()),
            ("2/layer.tar", tar::EntryType::Symlink, link),
            ("c.json", FILE, &config),
            ("manifest.json", FILE, manifest),
        ];
        std::fs::write(&path, archive(&entries)).unwrap();
        ImageArchive::open(path, "image.tar".into()).unwrap()
    };
    let find = |archive: &ImageArchive, name| archive.find(name, &Platform::LinuxAmd64);
    let good = write("../1/layer.tar", manifest);
    let image = find(&good, Some("x")).unwrap();
    assert_eq!(image.layers.len(), 2);
    assert_eq!((image.layers[1].digest, image.config), (diff_id, Sha256::of(config.as_bytes())));
    assert_eq!(find(&good, None).unwrap(), image);
    assert!(matches!(find(&good, Some("y")), Err(FetchError::Document { .. })));
    for link in ["../../etc/passwd", "../2/layer.tar", "../3/layer.tar"] {
        let error = find(&write(link, manifest), None).unwrap_err();
        assert!(matches!(error, FetchError::Local { .. }), "{link}: {error:?}");
    }
    for bad in ["[]", "{}", "[", r#"[{"Config":"c.json"}]"#, r#"[{"Config":"../../x"}]"#] {
        assert!(find(&write("../1/layer.tar", bad), None).is_err(), "{bad}");
    }
    let path = folder.path().join("none.tar");
    std::fs::write(&path, b"nothing of the kind").unwrap();
    assert!(
        ImageArchive::open(path, "none.tar".into()).and_then(|none| find(&none, None)).is_err()
    );
}
