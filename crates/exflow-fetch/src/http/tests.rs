use super::*;
use exflow_content::Sha256;
use exflow_store::Store;
use std::fs::File;
use std::io::Write;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

const SIZE: usize = 300_000;

/// What a server does once it has been asked.
type Answer = Box<dyn FnOnce(&mut TcpStream) + Send>;

fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at * at / 7) as u8).collect()
}

/// A server that answers one request after the other with these; what it was asked for is sent.
fn serve(answers: Vec<Answer>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut range = "all".to_owned();
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                if let Some(found) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    range = found.to_owned();
                }
                if line.is_empty() {
                    break;
                }
            }
            let _ = sender.send(range);
            answer(&mut stream);
        }
    });
    (url, asked)
}

fn head(stream: &mut TcpStream, status: &str, length: usize, more: &str) {
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n"
    );
}

fn answer(status: &'static str, more: &'static str, body: Vec<u8>) -> Answer {
    Box::new(move |stream| {
        head(stream, status, body.len(), more);
        let _ = stream.write_all(&body);
    })
}

fn all() -> Answer {
    answer("200 OK", "", content())
}

fn options() -> HttpOptions {
    HttpOptions {
        patience: Duration::from_millis(500),
        retries: 1,
        pause: Duration::from_millis(1),
        ..HttpOptions::default()
    }
}

fn client() -> Client {
    Client::new(options(), Cancel::new())
}

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn partial(&self) -> PathBuf {
        self.store.partial_download(&Sha256::of(&content()))
    }

    fn with_partial(self, bytes: &[u8]) -> Self {
        std::fs::create_dir_all(self.partial().parent().unwrap()).unwrap();
        std::fs::write(self.partial(), bytes).unwrap();
        self
    }

    fn download(&self, urls: &[String]) -> Result<PathBuf, FetchError> {
        let sha256 = Sha256::of(&content());
        let wanted = Download {
            name: "a",
            urls,
            sha256,
            size: Size::Exactly(SIZE as u64),
            credentials: None,
        };
        client().download(&self.store, wanted, &())
    }

    fn gets(&self, url: String) {
        let path = self.download(&[url]).unwrap();
        assert!(std::fs::read(path).unwrap() == content());
        assert!(!self.partial().exists());
    }
}

fn asked(asked: &mpsc::Receiver<String>) -> Vec<String> {
    asked.try_iter().collect()
}

#[test]
fn a_wrong_beginning_is_fetched_again() {
    let mut rest = content();
    rest.drain(..1000);
    let bench = Bench::new().with_partial(&[0; 1000]);
    let range = "content-range: bytes 1000-299999/300000\r\n";
    let (url, requests) = serve(vec![answer("206 Partial Content", range, rest), all()]);
    bench.gets(url);
    assert_eq!(asked(&requests), ["1000-", "all"]);
    // All of it was there, and wrong: nothing is asked for before that is known.
    let bench = Bench::new().with_partial(&vec![0; SIZE]);
    let (url, requests) = serve(vec![all()]);
    bench.gets(url);
    assert_eq!(asked(&requests), ["all"]);
}

#[test]
fn a_wrong_file_is_fetched_once() {
    let bench = Bench::new();
    let (url, requests) = serve(vec![answer("200 OK", "", vec![0; SIZE]), all()]);
    let error = bench.download(&[url]).unwrap_err();
    let FetchError::WrongDigest { found, expected, .. } = error else { panic!("{error:?}") };
    assert_eq!((found, expected), (Sha256::of(&vec![0; SIZE]), Sha256::of(&content())));
    assert_eq!(asked(&requests), ["all"]);
}

#[test]
fn another_part_than_asked_for_is_not_taken() {
    for wrong in [
        answer("206 Partial Content", "content-range: bytes 0-299999/300000\r\n", content()),
        answer("206 Partial Content", "content-range: bytes 999-299999/300000\r\n", vec![0; 100]),
        answer("206 Partial Content", "content-range: nonsense\r\n", vec![0; 100]),
        answer("206 Partial Content", "", vec![0; 100]),
        answer("416 Range Not Satisfiable", "content-range: bytes */10\r\n", vec![]),
    ] {
        let bench = Bench::new().with_partial(&content()[..1000]);
        let (url, requests) = serve(vec![wrong, all()]);
        bench.gets(url);
        assert_eq!(asked(&requests), ["1000-", "all"]);
    }
}

#[test]
fn what_is_too_long_leaves_nothing() {
    let bench = Bench::new();
    let (url, _requests) = serve(vec![answer("200 OK", "", vec![0; SIZE + 1])]);
    let error = bench.download(&[url]).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
    assert_eq!(std::fs::metadata(bench.partial()).unwrap().len(), 0);
    let (url, requests) = serve(vec![all()]);
    bench.gets(url);
    assert_eq!(asked(&requests), ["all"]);
}

/// A byte now and then, for ever: that is never silence, and never the end.
#[test]
fn a_server_that_drips_is_given_up() {
    let drip = || -> Answer {
        Box::new(|stream: &mut TcpStream| {
            head(stream, "200 OK", SIZE, "");
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    // One that hangs up after each byte gets on, too, as slowly.
    let piecewise = || -> Answer {
        Box::new(|stream: &mut TcpStream| {
            head(stream, "200 OK", SIZE, "");
            std::thread::sleep(Duration::from_millis(50));
            let _ = stream.write_all(b"x");
        })
    };
    let options =
        || HttpOptions { slowest: 1000, slowest_over: Duration::from_millis(200), ..options() };
    let client = Client::new(options(), Cancel::new());
    let begun = Instant::now();
    for (answers, reason) in [
        ([drip(), drip(), drip()], "it sent less than 1000 bytes a second"),
        ([piecewise(), piecewise(), piecewise()], ""),
    ] {
        let bench = Bench::new();
        let (url, requests) = serve(Vec::from(answers));
        let urls = [url];
        let sha256 = Sha256::of(&content());
        let wanted = Download {
            name: "a",
            urls: &urls,
            sha256,
            size: Size::Exactly(SIZE as u64),
            credentials: None,
        };
        let error = client.download(&bench.store, wanted, &()).unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(asked(&requests).len(), 2, "tried again once");
    }
    let (url, requests) = serve(vec![drip(), drip(), drip()]);
    let error = client.get(&url, 1000).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert_eq!(asked(&requests).len(), 2);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Slow is not silent: a server may take its time, as long as it gets on.
#[test]
fn slow_downloads_take_their_time() {
    let bench = Bench::new();
    let (url, requests) = serve(vec![Box::new(|stream: &mut TcpStream| {
        head(stream, "200 OK", SIZE, "");
        for piece in content().chunks(SIZE / 8) {
            std::thread::sleep(Duration::from_millis(150));
            let _ = stream.write_all(piece);
        }
    })]);
    bench.gets(url);
    assert_eq!(asked(&requests), ["all"], "in one go");
    let silent = Bench::new();
    let (url, _requests) = serve(vec![
        Box::new(|stream: &mut TcpStream| {
            head(stream, "200 OK", SIZE, "");
            std::thread::sleep(Duration::from_millis(1200));
        }),
        all(),
    ]);
    let begun = Instant::now();
    let _ = silent.download(&[url]);
    assert!(begun.elapsed() < Duration::from_secs(6));
}

/// Each opens the store anew, as processes do.
#[test]
fn many_at_once_share_a_download() {
    let bench = Bench::new();
    let (url, requests) = serve(std::iter::repeat_with(all).take(20).collect());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(bench.store.root()).unwrap();
                let urls = [url.clone()];
                let sha256 = Sha256::of(&content());
                let wanted = Download {
                    name: "a",
                    urls: &urls,
                    sha256,
                    size: Size::Exactly(SIZE as u64),
                    credentials: None,
                };
                let path = client().download(&store, wanted, &()).unwrap();
                assert!(std::fs::read(path).unwrap() == content());
            });
        }
    });
    assert_eq!(asked(&requests), ["all"], "one has fetched it for all");
    assert!(!bench.partial().exists());
}

#[test]
fn who_waits_for_another_can_be_stopped() {
    let bench = Bench::new().with_partial(b"");
    let held = File::open(bench.partial()).unwrap();
    held.lock().unwrap();
    let client = client();
    let urls = ["file:///nowhere".to_owned()];
    let wanted = Download {
        name: "a",
        urls: &urls,
        sha256: Sha256::of(&content()),
        size: Size::Exactly(SIZE as u64),
        credentials: None,
    };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.download(&bench.store, wanted, &()));
        std::thread::sleep(Duration::from_millis(100));
        client.cancel().cancel();
        let result = waiting.join().unwrap();
        assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    });
}

#[test]
fn passwords_are_not_shown() {
    for (url, expected) in [
        ("http://user:pass@host:1/a@b", "http://host:1/a@b"),
        ("https://a:b@c@host?x=@", "https://host?…"),
        ("http://host/a?", "http://host/a"),
        ("nothing", "nothing"),
    ] {
        assert_eq!(shown(url), expected);
    }
    let bench = Bench::new();
    for url in ["http://user:secret@127.0.0.1:1/a", "http://user:secret@ /a"] {
        let error = bench.download(&[url.to_owned()]).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let error = client().get(url, 10).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn texts_are_bounded() {
    let bench = Bench::new();
    let path = bench.folder.path().join("text");
    std::fs::write(&path, "12345").unwrap();
    let url = format!("file://{}", path.display());
    assert_eq!(client().get(&url, 5).unwrap().as_deref(), Some(&b"12345"[..]));
    assert!(matches!(client().get(&url, 4), Err(FetchError::TooLarge { .. })));
    assert!(client().get("file:///nowhere/at/all", 4).unwrap().is_none());
    let (url, _requests) = serve(vec![all()]);
    assert!(matches!(client().get(&url, 4), Err(FetchError::TooLarge { .. })));
}
