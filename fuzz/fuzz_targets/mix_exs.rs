#![no_main]
//! A `mix.exs`, which is read and not run.

use exflow_plugin_sdk::{File, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let request = Request {
        project: "fuzz".into(),
        root: String::new(),
        platform: "linux/amd64".into(),
        settings: Vec::new(),
        files: vec![File { path: "mix.exs".into(), contents: Some(bytes.to_vec()) }],
        folders: Vec::new(),
    };
    let _ = mix_release::propose(&request);
});
