use super::*;
use crate::{Cancel, HttpOptions, diagnose};
use exflow_packages::hex::read_hex_config;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A tarball, its inner and its outer checksum.
fn tarball(name: &str, version: &str) -> (Vec<u8>, Sha256, Sha256) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar_of(&[("mix.exs", b"project")])).unwrap();
    let contents = encoder.finish().unwrap();
    let metadata =
        format!("{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n");
    let inner = Sha256::of(&[b"3", metadata.as_bytes(), &contents].concat());
    let bytes = tar_of(&[
        ("VERSION", b"3"),
        ("CHECKSUM", inner.to_string().to_ascii_uppercase().as_bytes()),
        ("metadata.config", metadata.as_bytes()),
        ("contents.tar.gz", &contents),
    ]);
    let outer = Sha256::of(&bytes);
    (bytes, inner, outer)
}

fn package(repo: &str) -> HexPackage {
    let (_, inner, outer) = tarball("demo", "1.0.0");
    HexPackage {
        repo: repo.into(),
        name: "demo".into(),
        version: "1.0.0".into(),
        inner: Some(inner),
        outer: Some(outer),
        managers: vec!["mix".into()],
    }
}

/// How a header begins that says of itself how long the body is.
const LONGER: &str = "content-length: ";

/// What a server answers: a status, further headers, and a body.
type Answer = (&'static str, String, Vec<u8>);

/// A server on loopback, and what it was asked for: paths, each with the header that says who asks.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                let path = first.split(' ').nth(1).unwrap_or_default();
                let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let key = headers.iter().find_map(|line| line.strip_prefix("authorization: "));
                let key = key.unwrap_or_default();
                told.lock().unwrap().push(format!("{path} {key}").trim_end().to_owned());
                let (status, more, body) = answer(path, key);
                let length = match more.strip_prefix(LONGER) {
                    Some(_) => String::new(),
                    None => format!("content-length: {}\r\n", body.len()),
                };
                let head = format!("HTTP/1.1 {status}\r\n{length}connection: close\r\n{more}\r\n");
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&body);
            }
        });
        Self { url, asked }
    }

    /// One that has the package at this path, and wants this key.
    fn with(at: &'static str, wanted: &'static str) -> Self {
        Self::new(move |path, key| match path {
            _ if path != at => ("404 Not Found", String::new(), vec![]),
            _ if key != wanted => ("401 Unauthorized", String::new(), vec![]),
            _ => ("200 OK", String::new(), tarball("demo", "1.0.0").0),
        })
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

const AT: &str = "/tarballs/demo-1.0.0.tar";
const PRIVATE: &str = "/repos/acme/tarballs/demo-1.0.0.tar";

struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        Self { _folder: folder, store }
    }

    fn fetch(&self, package: &HexPackage, places: &HexPlaces) -> Result<Digest, FetchError> {
        fetch_hex(&client(false), &self.store, package, places, &())
    }

    /// The code and all that is said of a failure.
    #[track_caller]
    fn fails(&self, package: &HexPackage, places: &HexPlaces) -> (String, String) {
        let error = self.fetch(package, places).unwrap_err();
        let diagnostic = diagnose(&error, None);
        let said = format!("{diagnostic:?} {error} {error:?}");
        assert!(!said.contains("secret"), "{said}");
        (diagnostic.code.to_string(), said)
    }
}

fn client(offline: bool) -> Client {
    let pause = Duration::from_millis(1);
    let options = HttpOptions { offline, retries: 1, pause, ..HttpOptions::default() };
    Client::new(options, Cancel::new())
}

fn mirror(url: &str) -> HexPlaces {
    HexPlaces { mirror: Some(url.to_owned()), ..HexPlaces::default() }
}

fn key(text: &str) -> HexKey {
    HexKey::new(text).unwrap()
}

fn config(text: &str) -> BTreeMap<String, HexRepository> {
    read_hex_config(text.as_bytes()).unwrap()
}

#[test]
fn a_package_gets_into_the_store() {
    let bench = Bench::new();
    let server = Server::with(AT, "");
    let package = package("hexpm");
    let digest = bench.fetch(&package, &mirror(&server.url)).unwrap();
    let tree = bench.store.tree(&digest).unwrap();
    let names: Vec<String> = tree.entries().map(|(path, _)| path.to_string()).collect();
    assert_eq!(names, [".hex", "hex_metadata.config", "mix.exs"]);
    assert!(bench.store.has_blobs(&tree));
    assert_eq!(bench.store.record(&package.key()).unwrap().unwrap().trees, [digest]);
    assert!(bench.store.download_within(&package.outer.unwrap(), 1 << 20).is_none());
    assert!(bench.store.try_claim(&package.key()).unwrap().is_some());
    assert_eq!(server.asked(), [AT]);
    // Nobody is asked again.
    let nowhere = mirror("http://127.0.0.1:1");
    assert_eq!(bench.fetch(&package, &nowhere).unwrap(), digest);
    assert_eq!(fetch_hex(&client(true), &bench.store, &package, &nowhere, &()).unwrap(), digest);
}

#[test]
fn what_needs_no_key_is_shared() {
    let shared = tempfile::tempdir().unwrap();
    let sharing = |offline| {
        let folder = Some(shared.path().to_owned());
        Client::new(
            HttpOptions { offline, shared: folder, ..HttpOptions::default() },
            Cancel::new(),
        )
    };
    let package = package("hexpm");
    let place = shared.path().join(package.outer.unwrap().to_string());
    let server = Server::with(AT, "");
    fetch_hex(&sharing(false), &Bench::new().store, &package, &mirror(&server.url), &()).unwrap();
    assert!(place.is_file());
    // Another store, and no network.
    let nowhere = mirror("http://127.0.0.1:1");
    fetch_hex(&sharing(true), &Bench::new().store, &package, &nowhere, &()).unwrap();
    std::fs::remove_file(&place).unwrap();

    let server = Server::with(PRIVATE, "secret");
    let private = HexPackage { repo: "hexpm:acme".into(), ..package };
    let places = HexPlaces {
        trusted_mirror: Some(server.url.clone()),
        keys: BTreeMap::from([("EXFLOW_HEX_KEY_ACME".to_owned(), key("secret"))]),
        ..HexPlaces::default()
    };
    fetch_hex(&sharing(false), &Bench::new().store, &private, &places, &()).unwrap();
    assert!(!place.exists());
    // One that needs none, because the mirror knows who asks, or only who is inside gets there.
    let server = Server::with(PRIVATE, "");
    let inside = mirror(&server.url);
    fetch_hex(&sharing(false), &Bench::new().store, &private, &inside, &()).unwrap();
    assert!(!place.exists());
}

#[test]
fn a_mirror_may_be_a_folder() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tarballs")).unwrap();
    std::fs::write(folder.path().join(&AT[1..]), tarball("demo", "1.0.0").0).unwrap();
    let places = mirror(&format!("file://{}/", folder.path().display()));
    let fetched = fetch_hex(&client(true), &bench.store, &package("hexpm"), &places, &());
    fetched.unwrap();
}

#[test]
fn many_at_once_share_the_work() {
    let bench = Bench::new();
    let server = Server::with(AT, "");
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let store = Store::open(bench.store.root()).unwrap();
                let places = mirror(&server.url);
                fetch_hex(&client(false), &store, &package("hexpm"), &places, &()).unwrap();
            });
        }
    });
    assert_eq!(server.asked(), [AT], "one has fetched it for all");
}

#[test]
fn an_old_lock_pins_the_content() {
    let server = Server::with(AT, "");
    let bench = Bench::new();
    let old = HexPackage { outer: None, ..package("hexpm") };
    let digest = bench.fetch(&old, &mirror(&server.url)).unwrap();
    assert_ne!(digest, bench.fetch(&package("hexpm"), &mirror(&server.url)).unwrap());
    let wrong = HexPackage { inner: Some(Sha256::of(b"other")), ..old.clone() };
    let (code, said) = bench.fails(&wrong, &mirror(&server.url));
    assert_eq!(code, "exflow::fetch::wrong-digest");
    assert!(said.contains("mix deps.unlock demo"), "{said}");
    let unpinned = HexPackage { inner: None, ..old };
    let (code, said) = bench.fails(&unpinned, &mirror(&server.url));
    assert_eq!(code, "exflow::fetch::bad-package");
    assert!(said.contains("the lock has no checksum of it"), "{said}");
}

#[test]
fn what_breaks_off_is_continued() {
    for outer in [true, false] {
        let bytes = tarball("demo", "1.0.0").0;
        let is_first = Mutex::new(true);
        let server = Server::new(move |_, _| {
            let length =
                if std::mem::take(&mut *is_first.lock().unwrap()) { 2000 } else { bytes.len() };
            ("200 OK", format!("{LONGER}{}\r\n", bytes.len()), bytes[..length].to_vec())
        });
        let bench = Bench::new();
        let mut package = package("hexpm");
        if !outer {
            package.outer = None;
        }
        bench.fetch(&package, &mirror(&server.url)).unwrap();
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn what_is_altered_is_not_believed() {
    let (good, _, outer) = tarball("demo", "1.0.0");
    let mut altered = good.clone();
    let middle = altered.len() - 1500;
    altered[middle] ^= 1;
    let cut = good[..good.len() - 1800].to_vec();
    for bad in [altered, cut, b"<html>".to_vec()] {
        let served = bad.clone();
        let server = Server::new(move |_, _| ("200 OK", String::new(), served.clone()));
        let bench = Bench::new();
        let (code, said) = bench.fails(&package("hexpm"), &mirror(&server.url));
        assert_eq!(code, "exflow::fetch::wrong-digest", "{said}");
        assert!(said.contains("/tarballs/demo-1.0.0.tar"), "{said}");
        assert!(said.contains("mix deps.unlock demo && mix deps.get"), "{said}");
        assert!(bench.store.download_within(&outer, 1 << 20).is_none());
        // One that is pinned by its content is looked at for that.
        let old = HexPackage { outer: None, ..package("hexpm") };
        let (code, _) = bench.fails(&old, &mirror(&server.url));
        assert!(["exflow::fetch::wrong-digest", "exflow::fetch::bad-package"].contains(&&*code));
        // And one whose pin is that of no tarball.
        let strange = HexPackage { outer: Some(Sha256::of(&bad)), ..package("hexpm") };
        let (code, said) = bench.fails(&strange, &mirror(&server.url));
        assert!(["exflow::fetch::wrong-digest", "exflow::fetch::bad-package"].contains(&&*code));
        assert!(said.contains("Hex package `demo 1.0.0`: its tarball can't be used"), "{said}");
        // The next mirror may have it.
        let other = Server::with(AT, "");
        let mut places = mirror(&other.url);
        places.trusted_mirror = Some(server.url.clone());
        bench.fetch(&package("hexpm"), &places).unwrap();
    }
}

#[test]
fn a_download_that_was_damaged_on_the_disk_is_fetched_again() {
    let bench = Bench::new();
    let (bytes, _, outer) = tarball("demo", "1.0.0");
    bench.store.put_download(&outer, &bytes[..2000]).unwrap();
    let server = Server::with(AT, "");
    bench.fetch(&package("hexpm"), &mirror(&server.url)).unwrap();
    assert_eq!(server.asked(), [AT]);
}

#[test]
fn another_package_is_refused() {
    let (bytes, inner, outer) = tarball("other", "1.0.0");
    let server = Server::new(move |_, _| ("200 OK", String::new(), bytes.clone()));
    let package = HexPackage { inner: Some(inner), outer: Some(outer), ..package("hexpm") };
    let (code, said) = Bench::new().fails(&package, &mirror(&server.url));
    assert_eq!(code, "exflow::fetch::wrong-digest");
    assert!(said.contains("it holds `other 1.0.0`, and `demo 1.0.0` is wanted"), "{said}");
}

#[test]
fn what_can_not_be_had() {
    let bench = Bench::new();
    let missing = Server::with("/nowhere", "");
    let (code, said) = bench.fails(&package("hexpm"), &mirror(&missing.url));
    assert_eq!(code, "exflow::fetch::not-found");
    assert!(said.contains("EXFLOW_HEX_MIRROR"), "{said}");
    let (code, said) = bench.fails(&package("hexpm"), &mirror("http://user:secret@127.0.0.1:1"));
    assert_eq!(code, "exflow::fetch::unreachable", "{said}");
    let error =
        fetch_hex(&client(true), &bench.store, &package("hexpm"), &HexPlaces::default(), &());
    let diagnostic = diagnose(&error.unwrap_err(), None);
    assert_eq!(diagnostic.code.to_string(), "exflow::fetch::offline");
    let (code, said) = bench.fails(&package("own"), &HexPlaces::default());
    assert_eq!(code, "exflow::fetch::unknown-hex-repository");
    assert!(said.contains("mix hex.repo add own URL"), "{said}");
    let huge = Server::new(|_, _| {
        ("200 OK", String::new(), vec![0; 1 + usize::try_from(Limits::default().tarball).unwrap()])
    });
    for package in [package("hexpm"), HexPackage { outer: None, ..package("hexpm") }] {
        let (code, _) = bench.fails(&package, &mirror(&huge.url));
        assert_eq!(code, "exflow::fetch::too-large");
    }
}

#[test]
fn an_organisation_needs_a_key() {
    let bench = Bench::new();
    let (code, said) = bench.fails(&package("hexpm:acme"), &HexPlaces::default());
    assert_eq!(code, "exflow::fetch::no-hex-key");
    assert!(said.contains("mix hex.organization auth acme"), "{said}");
    assert!(said.contains("EXFLOW_HEX_KEY_ACME"), "{said}");
    let server = Server::with(PRIVATE, "secret");
    let trusted = |keys: BTreeMap<String, HexKey>| HexPlaces {
        trusted_mirror: Some(server.url.clone()),
        keys,
        ..HexPlaces::default()
    };
    // The mirror wants one, and none is there.
    let (code, _) = bench.fails(&package("hexpm:acme"), &trusted(BTreeMap::new()));
    assert_eq!(code, "exflow::fetch::no-hex-key");
    assert_eq!(server.asked(), [PRIVATE]);
    let keys = |text: &str| BTreeMap::from([("EXFLOW_HEX_KEY_ACME".to_owned(), key(text))]);
    bench.fetch(&package("hexpm:acme"), &trusted(keys("secret"))).unwrap();
    // Shown once, as it is.
    assert_eq!(server.asked(), [format!("{PRIVATE} secret")]);
    assert_eq!(hex_key_variable("my-org_2"), "EXFLOW_HEX_KEY_MY_ORG_2");
}

#[test]
fn a_key_that_is_refused_is_said_to_be() {
    let server = Server::with(PRIVATE, "another");
    let text = format!(
        "{{'$repos',#{{<<\"hexpm:acme\">> => #{{auth_key => <<\"secret\">>,url => <<\"{}/repos/acme\">>}}}}}}.",
        server.url
    );
    let places = HexPlaces { repos: config(&text), ..HexPlaces::default() };
    let (code, said) = Bench::new().fails(&package("hexpm:acme"), &places);
    assert_eq!(code, "exflow::fetch::denied");
    assert!(said.contains("the key has expired"), "{said}");
    assert_eq!(server.asked(), [format!("{PRIVATE} secret")]);
}

#[test]
fn a_repository_of_ones_own() {
    let server = Server::with(AT, "secret");
    let text = format!(
        "{{'$repos',#{{<<\"own\">> => #{{auth_key => <<\"secret\">>,url => <<\"{}/\">>}}}}}}.",
        server.url
    );
    let places = HexPlaces { repos: config(&text), ..HexPlaces::default() };
    Bench::new().fetch(&package("own"), &places).unwrap();
    assert_eq!(server.asked(), [format!("{AT} secret")]);
}

#[test]
fn a_key_does_not_follow_to_another_host() {
    let other = Server::with(AT, "");
    let target = format!("location: {}{AT}\r\n", other.url.replace("127.0.0.1", "localhost"));
    let server = Server::new(move |_, _| ("302 Found", target.clone(), vec![]));
    let text = format!(
        "{{'$repos',#{{<<\"own\">> => #{{auth_key => <<\"secret\">>,url => <<\"{}\">>}}}}}}.",
        server.url
    );
    let places = HexPlaces { repos: config(&text), ..HexPlaces::default() };
    Bench::new().fetch(&package("own"), &places).unwrap();
    assert_eq!(server.asked(), [format!("{AT} secret")]);
    assert_eq!(other.asked(), [AT]);
}

/// The addresses of a package, and the key for each.
fn addresses(places: &HexPlaces, repo: &str) -> Vec<String> {
    let addresses = places.addresses(&package(repo)).unwrap().into_iter();
    let shown = addresses.map(|address| {
        let key = address.key.as_ref().map_or("-", |key| key.reveal());
        format!("{} {key}", address.url.trim_end_matches("/tarballs/demo-1.0.0.tar"))
    });
    shown.collect()
}

#[test]
fn who_is_asked_and_who_is_told_a_key() {
    let none = HexPlaces::default();
    assert_eq!(addresses(&none, "hexpm"), ["https://repo.hex.pm -"]);
    let all = HexPlaces {
        mirror: Some("https://mirror/hex/".into()),
        trusted_mirror: Some("https://trusted".into()),
        repos: config(
            "{'$repos',#{<<\"hexpm:acme\">> => #{auth_key => <<\"a\">>,url => <<\"/repos/acme\">>},
              <<\"own\">> => #{auth_key => <<\"o\">>,url => <<\"https://own\">>},
              <<\"own:x\">> => #{url => <<\"https://x\">>},
              <<\"hexpm:away\">> => #{auth_key => <<\"w\">>,url => <<\"https://away/w\">>},
              <<\"hexpm:home\">> => #{auth_key => <<\"h\">>,url => <<\"https://repo.hex.pm/repos/home\">>},
              <<\"hexpm:fake\">> => #{auth_key => <<\"f\">>,url => <<\"https://repo.hex.pm.example\">>},
              <<\"plain\">> => #{auth_key => <<\"p\">>,url => <<\"http://plain\">>},
              <<\"local\">> => #{auth_key => <<\"l\">>,url => <<\"http://localhost:4000\">>}}}.",
        ),
        keys: BTreeMap::from([("EXFLOW_HEX_KEY_B_C".to_owned(), key("b"))]),
    };
    for (repo, expected) in [
        ("hexpm", &["https://trusted -", "https://mirror/hex -"][..]),
        (
            "hexpm:acme",
            &[
                "https://trusted/repos/acme a",
                "https://mirror/hex/repos/acme -",
                "https://repo.hex.pm/repos/acme a",
            ],
        ),
        (
            "hexpm:b-c",
            &[
                "https://trusted/repos/b-c b",
                "https://mirror/hex/repos/b-c -",
                "https://repo.hex.pm/repos/b-c b",
            ],
        ),
        ("hexpm:zz", &["https://trusted/repos/zz -", "https://mirror/hex/repos/zz -"]),
        (
            "hexpm:home",
            &[
                "https://trusted/repos/home h",
                "https://mirror/hex/repos/home -",
                "https://repo.hex.pm/repos/home h",
            ],
        ),
        ("hexpm:away", &["https://away/w w"]),
        ("hexpm:fake", &["https://repo.hex.pm.example f"]),
        ("own", &["https://own o"]),
        ("own:x", &["https://x -"]),
        ("own:y", &["https://own/repos/y o"]),
        // Others could read it.
        ("plain", &["http://plain -"]),
        ("local", &["http://localhost:4000 l"]),
    ] {
        assert_eq!(addresses(&all, repo), expected, "{repo}");
    }
    for repo in ["nowhere", "nowhere:x", "hexpm:", "hexpm:..", "hexpm:a/b", "own:../x", ""] {
        let found = all.addresses(&package(repo));
        assert!(matches!(found, Err(FetchError::HexRepository { .. })), "{repo}: {found:?}");
    }
    let shown = format!("{all:?}");
    assert!(!shown.contains("\"a\"") && shown.contains("HexKey(…)"), "{shown}");
    let secret = HexPlaces {
        mirror: Some("https://user:secret@mirror".into()),
        trusted_mirror: Some("https://user:secret@mirror".into()),
        ..HexPlaces::default()
    };
    assert!(!format!("{secret:?}").contains("secret"));
}

#[test]
fn names_stay_what_they_are_in_an_address() {
    let strange =
        HexPackage { name: "../a b".into(), version: "1.0.0+é".into(), ..package("hexpm") };
    let addresses = HexPlaces::default().addresses(&strange).unwrap();
    assert_eq!(addresses[0].url, "https://repo.hex.pm/tarballs/..%2Fa%20b-1.0.0+%C3%A9.tar");
}

#[test]
fn what_others_can_read() {
    for url in ["https://h/a", "http://localhost/", "http://127.0.0.1:1", "http://u@[::1]:1/x"] {
        assert!(is_private(url), "{url}");
    }
    for url in [
        "http://h/a",
        "http://localhost@h/a",
        "http://127.0.0.1.example/",
        "http://h/@localhost",
        "http://h?@localhost",
        "ftp://localhost",
        "localhost",
    ] {
        assert!(!is_private(url), "{url}");
    }
}

/// A mirror that is hex.pm itself is there twice, and the key is shown all the same.
#[test]
fn a_mirror_that_is_hex_pm_hides_no_key() {
    let mut places = mirror(PUBLIC);
    places.keys.insert(hex_key_variable("acme"), key("k"));
    let addresses = places.addresses(&package("hexpm:acme")).unwrap();
    let url = format!("{PUBLIC}{PRIVATE}");
    assert!(addresses.iter().all(|address| address.url == url), "{addresses:?}");
    let shown =
        Keys { addresses: &addresses, is_private: false }.authorization(&url, None).unwrap();
    assert_eq!(shown.as_deref(), Some("k"));
}
