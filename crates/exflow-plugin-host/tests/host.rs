//! The host with the real component of `mix-release`, and with components that are none.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

use exflow_content::{Digest, RelPath, Tree};
use exflow_lock::Platform;
use exflow_plan::Proposal;
use exflow_plugin_host::{
    Asked, Host, Limits, Plugin, PluginBytes, PluginError, Proposed, Subject, World, diagnose,
};
use exflow_store::Store;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;
use {
    blake3 as _, exflow_diagnostics as _, exflow_manifest as _, exflow_packages as _, serde as _,
    serde_json as _, thiserror as _,
};

const MIX_RELEASE: &[u8] = include_bytes!("../../../plugins/prebuilt/mix-release.wasm");

fn hello() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello")
}

struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
    sources: Tree,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let sources = store.sources(&hello()).unwrap();
        Self { _folder: folder, store, sources }
    }

    fn ask(&self, plugin: &Plugin, limits: Limits) -> Result<Asked, PluginError> {
        let host = Host::new(self.store.clone(), limits);
        let project = Subject {
            name: "hello",
            folder: &RelPath::root(),
            platform: &Platform::LinuxAmd64,
            site: None,
            settings: &BTreeMap::new(),
            sources: &self.sources,
        };
        host.propose(plugin, &project, &Hello)
    }
}

/// The example, of which nothing has to be made before it can be planned.
struct Hello;

impl World for Hello {
    fn read(&self, path: &RelPath, _: u64) -> io::Result<Vec<u8>> {
        std::fs::read(hello().join(path.to_string()))
    }

    fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
        None
    }
}

fn plugin(bytes: &'static [u8]) -> Plugin {
    Plugin {
        name: "mix-release".into(),
        digest: Digest::of(bytes),
        bytes: PluginBytes::Embedded(bytes),
    }
}

fn fails(bytes: Vec<u8>, limits: Limits) -> String {
    let bytes: &'static [u8] = bytes.leak();
    let bench = Bench::new();
    let error = bench.ask(&plugin(bytes), limits).expect_err("it fails");
    let diagnostic = diagnose(&error, "mine", None);
    // What failed is asked again the next time.
    assert!(bench.ask(&plugin(bytes), limits).is_err());
    format!("{} {}", diagnostic.code, diagnostic.message)
}

#[test]
fn an_answer_is_asked_for_once() {
    let bench = Bench::new();
    let plugin = plugin(MIX_RELEASE);
    let first = bench.ask(&plugin, Limits::default()).unwrap();
    assert_eq!(first.calls, 2, "one to ask for mix.exs, one with it");
    let Proposed::Ready(proposal) = first.proposed else { panic!("refused") };
    assert_eq!(proposal.steps.len(), 1);
    assert_eq!(proposal.steps[0].argv[4], "hello");
    let second = bench.ask(&plugin, Limits::default()).unwrap();
    assert_eq!(second.calls, 0);
    let Proposed::Ready(again) = second.proposed else { panic!("refused") };
    assert_eq!(again, proposal);
}

#[test]
fn the_component_imports_nothing_and_knows_no_machine() {
    let engine = Engine::default();
    let component = Component::new(&engine, MIX_RELEASE).unwrap();
    let imports: Vec<String> =
        component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(imports, [""; 0]);
    let text = String::from_utf8_lossy(MIX_RELEASE);
    for path in ["/root/", "/home/", "/work/"] {
        assert!(!text.contains(path), "{path} is in the component");
    }
}

#[test]
fn a_plugin_under_its_limits() {
    let endless = fails(MIX_RELEASE.to_vec(), Limits { fuel: 1000, ..Limits::default() });
    assert!(endless.contains("exflow::plugin::limit"), "{endless}");
    assert!(endless.contains("1000 instructions"), "{endless}");
    let greedy = fails(MIX_RELEASE.to_vec(), Limits { memory: 1 << 16, ..Limits::default() });
    assert!(greedy.contains("exflow::plugin::limit"), "{greedy}");
    assert!(greedy.contains("bytes of memory"), "{greedy}");
}

#[test]
fn a_plugin_that_loops_before_it_is_asked() {
    let text = r"(component
        (core module $m (func $f (loop br 0)) (start $f))
        (core instance (instantiate $m)))";
    // It lacks the export, which is seen before anything runs.
    assert!(fails(wat::parse_str(text).unwrap(), Limits::default()).contains("wrong-contract"));
}

#[test]
fn a_plugin_that_imports() {
    let text = r#"(component (import "wasi:cli/environment@0.2.6" (instance)))"#;
    let said = fails(wat::parse_str(text).unwrap(), Limits::default());
    assert!(said.contains("exflow::plugin::imports"), "{said}");
    assert!(said.contains("wasi:cli/environment@0.2.6"), "{said}");
}

#[test]
fn what_is_no_component() {
    for bytes in [wat::parse_str("(module)").unwrap(), b"garbage".to_vec(), Vec::new()] {
        assert!(fails(bytes, Limits::default()).contains("not-a-component"));
    }
    let cut = MIX_RELEASE[..MIX_RELEASE.len() / 2].to_vec();
    assert!(fails(cut, Limits::default()).contains("not-a-component"));
}

#[test]
fn a_plugin_that_is_not_what_was_locked() {
    let mut changed = plugin(MIX_RELEASE);
    changed.digest = Digest::of(b"other");
    let error = Bench::new().ask(&changed, Limits::default()).expect_err("it fails");
    assert!(matches!(error, PluginError::Changed { .. }), "{error}");
}

#[test]
fn a_damaged_compiled_form_is_made_again() {
    let bench = Bench::new();
    bench.ask(&plugin(MIX_RELEASE), Limits::default()).unwrap();
    // All records: answers and the compiled component.
    let mut damaged = 0;
    let mut folders = vec![bench.store.root().join("records")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged >= 3, "{damaged}");
    assert_eq!(bench.ask(&plugin(MIX_RELEASE), Limits::default()).unwrap().calls, 2);
}
