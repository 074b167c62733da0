//! What a plugin costs, with the real component of `mix-release`: to compile it once, to load what was compiled, and to
//! ask it about a project of 300 files and about an umbrella of as many. The yardsticks are from the same run: to read the
//! component and take its digest, which is done to load it in any case, and to read the files of each project. Prints
//! medians; asserts nothing.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark for the terminal")]

use exflow_content::{Digest, Entry, RelPath, Tree};
use exflow_lock::Platform;
use exflow_plan::Proposal;
use exflow_plugin_host::{Host, Limits, Plugin, PluginBytes, Proposed, Subject, World};
use exflow_store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use {
    blake3 as _, exflow_diagnostics as _, exflow_manifest as _, exflow_packages as _,
    proptest as _, serde as _, serde_json as _, thiserror as _, wasmtime as _, wat as _,
};

const MIX_RELEASE: &[u8] = include_bytes!("../../../plugins/prebuilt/mix-release.wasm");
/// Files of the project, its mix.exs among them.
const FILES: usize = 300;
/// With the umbrella's own, 300 files: each has a mix.exs.
const APPS: usize = 299;
const ROUNDS: usize = 21;

struct Files(PathBuf);

impl World for Files {
    fn read(&self, path: &RelPath, _: u64) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(path.to_string()))
    }

    fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
        None
    }
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let plugin = Plugin {
        name: "mix-release".into(),
        digest: Digest::of(MIX_RELEASE),
        bytes: PluginBytes::Embedded(MIX_RELEASE),
    };
    let host = || Host::new(store.clone(), Limits::default());

    let begun = Instant::now();
    host().inspect(&plugin).unwrap();
    println!("compiled, once for a machine       {:7.2} ms", ms(begun.elapsed()));
    let loaded = median(|| {
        host().inspect(&plugin).unwrap();
    });
    println!("loaded from its compiled form      {:7.2} ms", ms(loaded));
    let digested = median(|| {
        assert_eq!(Digest::of(std::hint::black_box(MIX_RELEASE)), plugin.digest);
    });
    println!("  its bytes, and their digest      {:7.2} ms", ms(digested));

    let host = host();
    for (name, make) in [("project", project as fn(&Path)), ("umbrella", umbrella)] {
        let root = folder.path().join(name);
        make(&root);
        let sources = store.sources(&root).unwrap();
        let files = Files(root);
        let count =
            sources.entries().filter(|(_, entry)| matches!(entry, Entry::File { .. })).count();
        let mut round = 0;
        let mut calls = 0;
        let asked = median(|| {
            // A name that was never asked about: no answer is known.
            round += 1;
            calls = ask(&host, &plugin, &format!("project-{round}"), &sources, &files);
        });
        let each = ms(asked) / f64::from(u32::try_from(calls).unwrap());
        println!(
            "{name} of {count} files, {calls} calls    {:7.2} ms, {each:.2} ms a call",
            ms(asked)
        );
        let known = median(|| {
            assert_eq!(ask(&host, &plugin, "project-1", &sources, &files), 0);
        });
        println!("  asked again: no call             {:7.2} ms", ms(known));
        let read = median(|| {
            for (path, _) in sources.entries() {
                let _ = files.read(path, u64::MAX);
            }
        });
        println!("  its files, read                  {:7.2} ms", ms(read));
    }
}

fn ask(host: &Host, plugin: &Plugin, name: &str, sources: &Tree, files: &Files) -> usize {
    let project = Subject {
        name,
        folder: &RelPath::root(),
        platform: &Platform::LinuxAmd64,
        site: None,
        settings: &BTreeMap::new(),
        sources,
    };
    let asked = host.propose(plugin, &project, files).unwrap();
    let Proposed::Ready(proposal) = asked.proposed else { panic!("refused") };
    assert!(proposal.image.is_some());
    asked.calls
}

/// An application with many modules.
fn project(root: &Path) {
    fs::create_dir_all(root.join("lib")).unwrap();
    let mix = "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\"]\nend\n";
    fs::write(root.join("mix.exs"), mix).unwrap();
    for number in 1..FILES {
        let module = format!("defmodule A.M{number} do\n  def number, do: {number}\nend\n");
        fs::write(root.join(format!("lib/m{number}.ex")), module).unwrap();
    }
}

/// An umbrella whose applications have one in common.
fn umbrella(root: &Path) {
    let put = |path: String, text: String| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let module = |body: &str| {
        format!("defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [{body}]\nend\n")
    };
    let release = "apps_path: \"apps\", deps: [], releases: [all: [include_erts: true]]";
    put("mix.exs".into(), module(release));
    for number in 0..APPS {
        let dep = if number == 0 { "" } else { "{:app_0, in_umbrella: true}" };
        let project = format!("app: :app_{number}, version: \"1.0.0\", deps: [{dep}]");
        put(format!("apps/app_{number}/mix.exs"), module(&project));
    }
}

fn median(mut what: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            what();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
