#![no_main]
//! A `rel/config.exs`, which is read and not run, in a project that depends on Distillery.

use exflow_plugin_sdk::{File, Folder, Request};
use libfuzzer_sys::fuzz_target;

const MIX: &str = "def project, do: [app: :shop, deps: [{:distillery, \"~> 2.1\"}]]\n";
const LOCK: &str = "%{\"distillery\": {:hex, :distillery, \"2.1.1\", \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}";

fuzz_target!(|bytes: &[u8]| {
    let file = |path: &str, text: &[u8]| File { path: path.into(), contents: Some(text.to_vec()) };
    let request = Request {
        project: "fuzz".into(),
        root: String::new(),
        platform: "linux/amd64".into(),
        settings: Vec::new(),
        files: vec![
            file("mix.exs", MIX.as_bytes()),
            file("mix.lock", LOCK.as_bytes()),
            file("rel/config.exs", bytes),
            file("rel/vm.args", b"-name a\n-setcookie ${X}\n"),
        ],
        folders: vec![Folder { path: "rel/plugins".into(), entries: None }],
        made: Vec::new(),
    };
    let _ = distillery::propose(&request);
});
