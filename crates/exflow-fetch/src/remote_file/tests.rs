use super::*;
use crate::{Cancel, HttpOptions, diagnose};
use exflow_content::{Mode, RelPath};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CONTENT: &[u8] = b"#!/usr/bin/env escript\n";

/// A server that has one file, and how often it was asked.
fn server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            counted.fetch_add(1, Ordering::Relaxed);
            let (status, body) = match first.split(' ').nth(1) {
                Some("/tool") => ("200 OK", CONTENT),
                _ => ("404 Not Found", &b""[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    (url, asked)
}

fn file(url: String, content: &[u8]) -> RemoteFile {
    let (sha256, name) = (Sha256::of(content), RelPath::new("rebar3").unwrap());
    RemoteFile { url, sha256, name, is_executable: true }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

fn client(offline: bool) -> Client {
    let pause = Duration::from_millis(1);
    let options = HttpOptions { offline, retries: 1, pause, ..HttpOptions::default() };
    Client::new(options, Cancel::new())
}

#[test]
fn it_gets_into_the_store_once() {
    let (_folder, store) = store();
    let (url, asked) = server();
    let file = file(format!("{url}/tool"), CONTENT);
    let digest = fetch_remote_file(&client(false), &store, &file, &()).unwrap();
    let tree = store.tree(&digest).unwrap();
    let (path, entry) = tree.entries().next().unwrap();
    assert_eq!((path.to_string().as_str(), tree.len()), ("rebar3", 1));
    let Entry::File { mode, blob, size } = entry else { panic!("{entry:?}") };
    assert_eq!((*mode, *size), (Mode::EXECUTABLE, CONTENT.len() as u64));
    assert_eq!(store.read_blob(blob, 100).unwrap(), CONTENT);
    // From anywhere else, and without a network.
    let moved = RemoteFile { url: "http://gone.invalid/tool".into(), ..file };
    assert_eq!(fetch_remote_file(&client(true), &store, &moved, &()).unwrap(), digest);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_download_that_was_damaged_meanwhile_is_fetched_again() {
    let (_folder, store) = store();
    let (url, _) = server();
    store.put_download(&Sha256::of(CONTENT), b"damaged").unwrap();
    let file = file(format!("{url}/tool"), CONTENT);
    fetch_remote_file(&client(false), &store, &file, &()).unwrap();
}

#[test]
fn what_can_not_be_had() {
    let (_folder, store) = store();
    let (url, _) = server();
    let fails = |file: RemoteFile, offline: bool, code: &str| {
        let error = fetch_remote_file(&client(offline), &store, &file, &()).unwrap_err();
        let diagnostic = diagnose(&error, None);
        assert_eq!(diagnostic.code.to_string(), format!("exflow::fetch::{code}"), "{error}");
        assert!(store.record(&file.key()).unwrap().is_none());
    };
    fails(file(format!("{url}/tool"), b"other"), false, "wrong-digest");
    fails(file(format!("{url}/gone"), CONTENT), false, "not-found");
    fails(file("http://127.0.0.1:1/tool".into(), CONTENT), false, "unreachable");
    fails(file(format!("{url}/tool"), CONTENT), true, "offline");
}

#[test]
fn what_nobody_knows_yet_is_found_and_kept() {
    let (_folder, store) = store();
    let (url, asked) = server();
    let tool = format!("{url}/tool");
    let (expected, size) = (Sha256::of(CONTENT), CONTENT.len() as u64);
    let find = |url: &str, sha256| find_remote_file(&client(false), &store, url, sha256, &());
    assert_eq!(find(&tool, None).unwrap(), (expected, size));
    assert!(store.download(&expected, size).is_some());
    // It is there now.
    assert_eq!(find("http://127.0.0.1:1/gone", Some(expected)).unwrap(), (expected, size));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let code = |url: &str, sha256| diagnose(&find(url, sha256).unwrap_err(), None).code.to_string();
    assert_eq!(code(&format!("{url}/none"), None), "exflow::fetch::not-found");
    assert_eq!(code(&tool, Some(Sha256::of(b"another"))), "exflow::fetch::wrong-digest");
    let offline = find_remote_file(&client(true), &store, &tool, None, &()).unwrap_err();
    assert_eq!(diagnose(&offline, None).code.as_str(), "exflow::fetch::offline");
}

/// Nobody knows what it should be: the rest may be that of another version.
#[test]
fn what_broke_off_and_has_no_digest_begins_anew() {
    let (_folder, store) = store();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/latest", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for (length, body) in [(8, "old-"), (8, "new-file")] {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            heads.push(lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"));
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        heads
    });
    let found = find_remote_file(&client(false), &store, &url, None, &()).unwrap();
    assert_eq!(found, (Sha256::of(b"new-file"), 8));
    let heads = server.join().unwrap();
    assert!(heads.iter().all(|head| !head.to_lowercase().contains("range:")), "{heads:?}");
}
