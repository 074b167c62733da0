use super::*;
use exflow_lock::{LockedAlpine, LockedApk};
use proptest::prelude::*;
use serde_json::json;

fn oci(of: &str) -> String {
    format!("sha256:{}", Sha256::of(of.as_bytes()))
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn manifest(kind: &str) -> serde_json::Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 7,
            "digest": oci("config"),
        },
        "layers": [{"mediaType": kind, "size": 9, "digest": oci("layer")}],
    })
}

fn config() -> serde_json::Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "docker_version": "20.10",
        "container_config": {"Hostname": "x"},
        "config": {
            "Hostname": "",
            "Env": ["PATH=/bin:/usr/bin", "EMPTY=", "broken", "A=b=c"],
            "Cmd": ["sh"],
            "User": "",
            "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
            "Volumes": null,
            "Labels": {"x": "y"},
            "StopSignal": "SIGQUIT",
            "OnBuild": null,
        },
        "history": [{"created_by": "x", "empty_layer": true}],
        "rootfs": {"type": "layers", "diff_ids": [oci("files")]},
    })
}

#[test]
fn an_image_is_locked_by_what_its_documents_say() {
    let kind = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let Document::Manifest(manifest) = Document::read(&bytes(&manifest(kind))).unwrap() else {
        unreachable!("it is one image")
    };
    let digest = Sha256::of(b"manifest");
    let locked = manifest.lock(None, digest, &bytes(&config()), &Platform::LinuxAmd64).unwrap();
    assert_eq!(
        locked.layers,
        [LockedLayer {
            digest: Sha256::of(b"layer"),
            diff_id: Sha256::of(b"files"),
            size: 9,
            compression: Compression::Gzip,
        }]
    );
    let defaults = &locked.defaults;
    let env: Vec<_> = defaults.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=b=c", "EMPTY=", "PATH=/bin:/usr/bin"]);
    assert_eq!(defaults.ports, ["443/tcp", "80/tcp"]);
    assert_eq!((&defaults.user, defaults.stop_signal.as_deref()), (&None, Some("SIGQUIT")));
    let other = manifest.lock(None, digest, &bytes(&config()), &Platform::LinuxArm64);
    assert_eq!(other.unwrap_err().to_string(), "it is not for linux/arm64, but for `linux/amd64`");
}

#[test]
fn what_exflow_can_not_read_is_named() {
    let error = |value: &serde_json::Value| Document::read(&bytes(value)).unwrap_err();
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    assert_eq!(error(&manifest(kind)), DocumentError::Layer(kind.into()));
    assert_eq!(error(&json!({"schemaVersion": 1, "fsLayers": []})), DocumentError::Outdated);
    let mut weak = manifest("application/vnd.oci.image.layer.v1.tar");
    weak["layers"][0]["digest"] = json!("sha512:00");
    assert!(matches!(error(&weak), DocumentError::Invalid(_)));
    let mut many = manifest("application/vnd.oci.image.layer.v1.tar");
    many["layers"] = json!(vec![many["layers"][0].clone(); MAX_LAYERS + 1]);
    assert!(error(&many).to_string().contains("119 layers"));
    let mut large = manifest("application/vnd.oci.image.layer.v1.tar");
    large["layers"][0]["size"] = json!(u64::MAX / 2);
    assert!(matches!(error(&large), DocumentError::Invalid(_)));
    let Document::Manifest(one) =
        Document::read(&bytes(&manifest("application/vnd.oci.image.layer.v1.tar"))).unwrap()
    else {
        unreachable!("it is one image")
    };
    assert!(one.layers(&[]).unwrap_err().to_string().contains("0 layers"));
}

#[test]
fn an_index_has_an_image_for_each_platform() {
    let entry = |of: &str, os: &str, architecture: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 5,
            "digest": oci(of),
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let index = json!({
        "schemaVersion": 2,
        "manifests": [
            entry("arm", "linux", "arm64"),
            entry("amd", "linux", "amd64"),
            entry("made", "unknown", "unknown"),
        ],
    });
    let Document::Index(mut indexed) = Document::read(&bytes(&index)).unwrap() else {
        unreachable!("it is several images")
    };
    let chosen = choose(&indexed, &Platform::LinuxAmd64).unwrap();
    assert_eq!(chosen.digest, Sha256::of(b"amd"));
    indexed.remove(1);
    assert_eq!(
        choose(&indexed, &Platform::LinuxAmd64).unwrap_err().to_string(),
        "it is not for linux/amd64, but for `linux/arm64`"
    );
}

/// A machine of the platform may not run what is made for a newer variant of it.
#[test]
fn variants_that_not_every_machine_runs_are_passed_over() {
    let one = |platform: &str| Indexed {
        digest: Sha256::of(platform.as_bytes()),
        size: 1,
        platform: Some(platform.to_owned()),
        name: None,
    };
    let all = [one("linux/amd64/v3"), one("linux/amd64"), one("linux/arm64/v8")];
    assert_eq!(choose(&all, &Platform::LinuxAmd64), Ok(&all[1]));
    assert_eq!(choose(&all, &Platform::LinuxArm64), Ok(&all[2]));
    assert!(choose(&all[..1], &Platform::LinuxAmd64).is_err());
}

#[test]
fn an_image_of_a_layout_is_found_by_its_name() {
    let one = |name: Option<&str>| Indexed {
        digest: Sha256::of(name.unwrap_or_default().as_bytes()),
        size: 1,
        platform: None,
        name: name.map(str::to_owned),
    };
    let all = [one(Some("a")), one(Some("b"))];
    assert_eq!(named(&all, Some("b")), Ok(&all[1]));
    assert_eq!(named(&all[..1], None), Ok(&all[0]));
    assert_eq!(
        named(&all, None).unwrap_err().to_string(),
        "it holds `a`, `b`, and doesn't say which is meant"
    );
    assert!(matches!(named(&all, Some("c")), Err(DocumentError::NoSuchImage { .. })));
}

/// Keys name what is in users' stores: another encoding needs another version in its tag.
#[test]
fn the_key_of_a_base_is_pinned() {
    let image = LockedImage {
        index: None,
        manifest: None,
        config: Sha256::of(b"config"),
        defaults: ImageDefaults::default(),
        layers: vec![LockedLayer {
            digest: Sha256::of(b"a"),
            diff_id: Sha256::of(b"b"),
            size: 1,
            compression: Compression::Gzip,
        }],
        packages: AddedPackages::None,
    };
    let key = image_base_key(&image, &[], &Platform::LinuxAmd64);
    insta::assert_snapshot!(key.to_string());
    assert_ne!(key, image_base_key(&image, &[], &Platform::LinuxArm64));
    let bare = LockedImage { layers: Vec::new(), ..image.clone() };
    assert_ne!(key, image_base_key(&bare, &[], &Platform::LinuxAmd64));
    // Everything that is locked of a package.
    let apk = LockedApk {
        name: "a".into(),
        version: "1".into(),
        architecture: "x86_64".into(),
        repository: "v3.21/main".into(),
        size: 1,
        sha256: Sha256::of(b"a"),
        checksum: "Q1a".into(),
    };
    let other = |change: fn(&mut LockedApk)| {
        let mut apk = apk.clone();
        change(&mut apk);
        let packages = AddedPackages::Alpine(LockedAlpine { packages: vec![apk] });
        image_base_key(
            &LockedImage { packages, ..image.clone() },
            &["a".into()],
            &Platform::LinuxAmd64,
        )
    };
    let mut keys = vec![
        key,
        other(|_| {}),
        other(|apk| apk.name = "b".into()),
        other(|apk| apk.version = "2".into()),
        other(|apk| apk.architecture = "noarch".into()),
        other(|apk| apk.size = 2),
        other(|apk| apk.sha256 = Sha256::of(b"b")),
        other(|apk| apk.checksum = "Q1b".into()),
    ];
    assert_eq!(
        other(|apk| apk.repository = "edge/main".into()),
        keys[1],
        "the content is the identity"
    );
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Document::read(&bytes);
        let _ = Configuration::read(&bytes);
    }
}
