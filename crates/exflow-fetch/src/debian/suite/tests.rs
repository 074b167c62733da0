use super::*;
use crate::{Cancel, HttpOptions};
use exflow_content::Sha256;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey,
};
use pgp::types::Password;
use std::fs;
use std::path::Path;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    key: SignedSecretKey,
}

impl Bench {
    fn new() -> Self {
        let key = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .primary_user_id("a test <test@localhost>".into())
            .build()
            .unwrap()
            .generate(rand::thread_rng())
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        Self { folder, store, key }
    }

    /// Serves a suite with one package below `root`.
    fn serve(&self, root: &str, suite: &str, package: &str) -> Sha256 {
        let index = format!(
            "Package: {package}\nVersion: 1\nArchitecture: all\nFilename: pool/{package}.deb\n\
             Size: 1\nSHA256: {}\n",
            Sha256::of(package.as_bytes())
        );
        self.serve_index(root, suite, &gz(index.as_bytes()))
    }

    /// Serves a suite with this list, which is compressed.
    fn serve_index(&self, root: &str, suite: &str, index: &[u8]) -> Sha256 {
        let path = "main/binary-amd64/Packages.gz";
        let release = format!(
            "Suite: {suite}\nCodename: {suite}\nDate: Sun, 01 Nov 2026 12:00:00 UTC\nSHA256:\n {} {} {path}\n",
            Sha256::of(index),
            index.len()
        );
        let signed = CleartextSignedMessage::sign(
            rand::thread_rng(),
            &release,
            &self.key.primary_key,
            &Password::empty(),
        );
        let folder = self.folder.path().join(root).join("dists").join(suite);
        fs::create_dir_all(folder.join("main/binary-amd64")).unwrap();
        fs::write(folder.join(path), index).unwrap();
        let signed = signed.unwrap().to_armored_bytes(ArmorOptions::default()).unwrap();
        fs::write(folder.join("InRelease"), signed).unwrap();
        Sha256::of(index)
    }

    fn url(&self, root: &str) -> String {
        format!("file://{}", self.folder.path().join(root).display())
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors {
            debian: vec![self.url("debian")],
            security: vec![self.url("security")],
            snapshot: Some(self.url("snapshot")),
        }
    }

    fn load(&self, mirrors: &Mirrors, suite: &str) -> Result<Catalog, FetchError> {
        let mut keyring = Keyring::debian();
        let key = SignedPublicKey::from(self.key.clone());
        keyring.add(&key.to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap();
        let client = Client::new(HttpOptions::default(), Cancel::new());
        load_catalog(&client, &self.store, mirrors, suite, &Platform::LinuxAmd64, &keyring, &())
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
    let mut compressed = Vec::new();
    encoder.read_to_end(&mut compressed).unwrap();
    compressed
}

/// Midnight today, as the snapshot archive writes it.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    snapshot_stamp(now - now % 86_400)
}

#[test]
fn security_updates_are_not_left_out_in_silence() {
    let bench = Bench::new();
    for suite in ["bookworm", "sid", "made-up"] {
        bench.serve("debian", suite, "aa");
    }
    let error = bench.load(&bench.mirrors(), "bookworm").unwrap_err();
    assert!(matches!(error, FetchError::Index { .. }), "{error:?}");
    let shown = error.to_string();
    for part in ["bookworm-security", "EXFLOW_DEBIAN_SECURITY_MIRROR", "debian-security-mirror"] {
        assert!(shown.contains(part), "{shown}");
    }
    // What gets none needs none.
    for suite in ["sid", "made-up"] {
        bench.load(&bench.mirrors(), suite).unwrap();
    }
    // Where the mirror lacks them, the snapshot archive is asked, unless nobody may.
    let stamp = today();
    bench.serve(&format!("snapshot/archive/debian-security/{stamp}"), "bookworm-security", "bb");
    let mirrors = Mirrors { snapshot: None, ..bench.mirrors() };
    bench.load(&mirrors, "bookworm").unwrap_err();
    let catalog = bench.load(&bench.mirrors(), "bookworm").unwrap();
    assert_eq!(catalog.names().collect::<Vec<_>>(), ["aa", "bb"]);
    assert_eq!(catalog.snapshot(), stamp);
    // And the mirror, where it has them.
    bench.serve("security", "bookworm-security", "cc");
    let catalog = bench.load(&bench.mirrors(), "bookworm").unwrap();
    assert_eq!(catalog.names().collect::<Vec<_>>(), ["aa", "cc"]);
    assert_eq!(catalog.snapshot(), "20261101T120000Z");
}

#[test]
fn the_lock_names_the_stamp_that_was_used() {
    let bench = Bench::new();
    let stamp = today();
    bench.serve(&format!("snapshot/archive/debian/{stamp}"), "made-up", "aa");
    let mirrors = Mirrors { debian: Vec::new(), ..bench.mirrors() };
    assert_eq!(bench.load(&mirrors, "made-up").unwrap().snapshot(), stamp);
}

#[test]
fn a_list_that_was_damaged_is_fetched_again() {
    let bench = Bench::new();
    let digest = bench.serve("debian", "made-up", "aa");
    let catalog = bench.load(&bench.mirrors(), "made-up").unwrap();
    assert_eq!(catalog.names().count(), 1);
    let path = bench.store.root().join("downloads").join(digest.to_string());
    let length = fs::metadata(&path).unwrap().len() as usize;
    fs::write(&path, vec![0; length]).unwrap();
    let error = bench.load(&bench.mirrors(), "made-up").unwrap_err();
    assert!(matches!(error, FetchError::Catalog { .. }), "{error:?}");
    assert!(!Path::new(&path).exists());
    bench.load(&bench.mirrors(), "made-up").unwrap();
}

#[test]
fn an_index_that_is_too_long() {
    let bench = Bench::new();
    bench.serve("debian", "made-up", "aa");
    let path = bench.folder.path().join("debian/dists/made-up/InRelease");
    fs::write(&path, vec![b'\n'; 2 << 20]).unwrap();
    let error = bench.load(&bench.mirrors(), "made-up").unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
}

/// Nothing of a list may be lost in silence: a security update may be what is lost.
#[test]
fn a_list_is_read_to_its_end() {
    let bench = Bench::new();
    let package = |name: &str| {
        let digest = Sha256::of(name.as_bytes());
        format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nFilename: pool/{name}.deb\nSize: 1\n\
             SHA256: {digest}\n\n"
        )
    };
    let (first, last) = (gz(package("aa").as_bytes()), gz(package("bb").as_bytes()));
    bench.serve_index("debian", "made-up", &[&first[..], &last].concat());
    let catalog = bench.load(&bench.mirrors(), "made-up").unwrap();
    assert_eq!(catalog.names().collect::<Vec<_>>(), ["aa", "bb"]);
    // Comments, so that only the length is wrong with it.
    let mut filler = vec![b'#'; 1 << 20];
    filler[(1 << 20) - 1] = b'\n';
    let filler = gz(&filler).repeat((MAX_PACKAGES >> 20) as usize);
    bench.serve_index("debian", "made-up", &[&first[..], &filler, &last].concat());
    let error = bench.load(&bench.mirrors(), "made-up").unwrap_err();
    assert!(matches!(error, FetchError::Catalog { .. }), "{error:?}");
    assert!(error.to_string().contains("too large"), "{error}");
}
