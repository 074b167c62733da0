//! A small HTTP/1.1 server on loopback, for files, with faults.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a server misbehaves when it is asked for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// One byte in the middle is another.
    WrongByte,
    /// It hangs up after so many bytes of what it should send.
    HangUpAfter(usize),
    /// It sends so many bytes, and then nothing, and stays connected.
    StallAfter(usize),
    /// It answers with this status, and this header if one is named.
    Status(u16, Option<(&'static str, &'static str)>),
    /// It sends so many bytes more than there are.
    TooLong(usize),
    /// It sends a piece a time, with a pause between.
    Slowly(Duration),
}

/// What a path leads to.
pub(crate) type Find = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

struct Shared {
    find: Mutex<Arc<Find>>,
    faults: Mutex<BTreeMap<String, (Fault, usize)>>,
    /// Method, path, and first byte of each request.
    requests: Mutex<Vec<String>>,
    /// What it wants to be shown, as a registry does (OCI distribution specification, "Authentication" by
    /// tokens), and where that is had.
    token: Mutex<Option<(String, String)>>,
    /// What it wants to be shown for paths that begin so, as it is.
    keys: Mutex<BTreeMap<String, String>>,
    /// What it was shown.
    shown: Mutex<Vec<String>>,
}

/// A server, until it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves these files, by path without a leading `/`.
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::finding(Arc::new(move |path| files.get(path).cloned()))
    }

    /// From now on, it serves these files, and no others.
    pub fn now_serves(&self, files: BTreeMap<String, Vec<u8>>) {
        *self.shared.find.lock().unwrap() = Arc::new(move |path| files.get(path).cloned());
    }

    pub(crate) fn finding(find: Arc<Find>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            find: Mutex::new(find),
            faults: Mutex::default(),
            requests: Mutex::default(),
            token: Mutex::default(),
            keys: Mutex::default(),
            shown: Mutex::default(),
        });
        let served = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), Some(shared)) = (stream, served.upgrade()) else { break };
                std::thread::spawn(move || {
                    let _ = shared.serve(&stream);
                });
            }
        });
        Self { address, shared }
    }

    /// Its address: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Misbehaves the next `times` times that `path` is asked for.
    pub fn fault(&self, path: &str, fault: Fault, times: usize) {
        self.shared.faults.lock().unwrap().insert(path.to_owned(), (fault, times));
    }

    /// What it was asked for so far: `GET path`, and ` from BYTE` where only a part was wanted.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// From now on, it wants this token, which it gives to whoever asks for it.
    pub fn want_token(&self, token: &str) {
        let realm = format!("{}/token", self.url());
        *self.shared.token.lock().unwrap() = Some((token.to_owned(), realm));
    }

    /// From now on, it wants this key, as it is, for whatever begins with `prefix`.
    pub fn want_key(&self, prefix: &str, key: &str) {
        self.shared.keys.lock().unwrap().insert(prefix.to_owned(), key.to_owned());
    }

    /// What it was shown so far by those who said who they are.
    pub fn shown(&self) -> Vec<String> {
        self.shared.shown.lock().unwrap().clone()
    }

    /// Forgets what it was asked for.
    pub fn forget(&self) {
        self.shared.requests.lock().unwrap().clear();
        self.shared.shown.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes the listener, which then finds that nobody needs it.
        let address = self.address;
        self.shared = Arc::new(Shared {
            find: Mutex::new(Arc::new(|_| None)),
            faults: Mutex::default(),
            requests: Mutex::default(),
            token: Mutex::default(),
            keys: Mutex::default(),
            shown: Mutex::default(),
        });
        let _ = TcpStream::connect(address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
        let path = decoded(path.trim_start_matches('/'));
        let mut from = 0;
        let mut authorization = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("authorization")
            {
                value.trim().clone_into(&mut authorization);
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().unwrap_or(0);
            }
        }
        let part = if from > 0 { format!(" from {from}") } else { String::new() };
        self.requests.lock().unwrap().push(format!("{method} {path}{part}"));
        if !authorization.is_empty() {
            self.shown.lock().unwrap().push(authorization.clone());
        }
        let wanted = self.keys.lock().unwrap();
        let wanted = wanted.iter().find(|(prefix, _)| path.starts_with(*prefix));
        if wanted.is_some_and(|(_, key)| *key != authorization) {
            return answer(stream, "401 Unauthorized", 0, "");
        }
        if let Some((token, realm)) = self.token.lock().unwrap().clone() {
            if path.starts_with("token") {
                let body = format!("{{\"token\":\"{token}\"}}");
                answer(stream, "200 OK", body.len(), "")?;
                let mut stream = stream;
                return stream.write_all(body.as_bytes());
            }
            if authorization != format!("Bearer {token}") {
                let header =
                    format!("www-authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n");
                return answer(stream, "401 Unauthorized", 0, &header);
            }
        }
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            match faults.get_mut(&path) {
                Some((fault, times)) if *times > 0 => {
                    *times -= 1;
                    Some(fault.clone())
                }
                _ => None,
            }
        };
        if let Some(Fault::Status(status, header)) = fault {
            let header =
                header.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
            return answer(stream, &format!("{status} Fault"), 0, &header);
        }
        let find = Arc::clone(&self.find.lock().unwrap());
        let Some(mut bytes) = find(&path) else {
            return answer(stream, "404 Not Found", 0, "");
        };
        if fault == Some(Fault::WrongByte) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        if let Some(Fault::TooLong(more)) = fault {
            bytes.resize(bytes.len() + more, 0);
        }
        let from = from.min(bytes.len());
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        let range = if from > 0 {
            format!("content-range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())
        } else {
            String::new()
        };
        let body = &bytes[from..];
        answer(stream, status, body.len(), &range)?;
        let mut stream = stream;
        match fault {
            Some(Fault::HangUpAfter(length)) => stream.write_all(&body[..length.min(body.len())]),
            Some(Fault::StallAfter(length)) => {
                stream.write_all(&body[..length.min(body.len())])?;
                // Until the other side has had enough.
                let mut rest = String::new();
                reader.read_line(&mut rest).map(drop)
            }
            Some(Fault::Slowly(pause)) => body.chunks(16 << 10).try_for_each(|piece| {
                std::thread::sleep(pause);
                stream.write_all(piece)
            }),
            _ => stream.write_all(body),
        }
    }
}

/// A path without the `%XX` in it.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = (*first == b'%').then(|| std::str::from_utf8(more.get(..2)?).ok()).flatten();
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(mut stream: &TcpStream, status: &str, length: usize, more: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n"
    )
}
