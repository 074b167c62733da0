#![no_main]
//! A `mix.exs`, and a `mix.lock` after a NUL byte, which are read and not run.

use exflow_plugin_sdk::{File, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let mut file =
        |path: &str| File { path: path.into(), contents: parts.next().map(<[u8]>::to_vec) };
    let request = Request {
        project: "fuzz".into(),
        root: String::new(),
        platform: "linux/amd64".into(),
        settings: Vec::new(),
        files: vec![file("mix.exs"), file("mix.lock")],
        folders: Vec::new(),
        made: Vec::new(),
    };
    let _ = mix_release::propose(&request);
});
