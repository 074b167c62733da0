//! What is fetched beforehand, and built where there is no network.

use crate::deps::{package, small};
use crate::{archive, workspace};
use exflow_testkit::{HexMirror, Run, Server, Workspace};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Runs exflow in a network namespace of its own, in which nothing leads anywhere.
fn cut_off(workspace: &Workspace, arguments: &[&str]) -> Run {
    let inside = workspace.command(arguments);
    let is_root = rustix::process::geteuid().is_root();
    let namespaces: &[&str] =
        if is_root { &["--net"] } else { &["--user", "--map-current-user", "--net"] };
    let mut command = Command::new("unshare");
    command.args(namespaces).arg(inside.get_program()).args(inside.get_args()).env_clear();
    command.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inside.get_current_dir().unwrap());
    Run::of(&command.output().unwrap())
}

/// Debian's packages, Hex's, and what plugins say: a build needs no network after that.
#[test]
fn everything_offline_after_fetch() {
    let packages = [package("bottom", "mix")];
    let mirror = HexMirror::new(&packages);
    let workspace = small(&mirror, "{:bottom, \"~> 1.0\"}", &packages);
    workspace.fails(&["fetch", "--offline"], 1).says(&["exflow::lock::stale"]);
    workspace.ok(&["lock"]);
    workspace.fails(&["fetch", "--offline"], 1).says(&["exflow::fetch::offline"]);
    let fetched = workspace.ok(&["fetch"]);
    fetched.says(&["`--offline` builds with that"]);
    assert!(!fetched.stderr.contains("dep-bottom"), "nothing is built: {}", fetched.stderr);
    assert_eq!(fetched.stdout, "");
    drop(mirror);
    let again = cut_off(&workspace, &["fetch", "--offline"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let built = cut_off(&workspace, &["build", "--offline"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(built.stdout.starts_with("shop sha256:"), "{}", built.stdout);
}

/// The bases of all stages, whether or not anything needs what they make; and plugins, even those that have said all
/// that there is to say.
#[test]
fn what_is_locked_is_fetched() {
    let archive = archive();
    let server = Server::new(archive.files());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/custom-plugin");
    let tool = std::fs::read(example.join("plugin/rebar3_release.wasm")).unwrap();
    let web = Server::new(BTreeMap::from([("tool.wasm".to_owned(), tool)]));
    let manifest = format!(
        "base \"builder\" {{ debian \"made-up\" slim=#true; packages \"shell\"; }}
base \"runner\" {{ debian \"made-up\" slim=#true; packages \"tool\"; }}
base \"other\" {{ debian \"made-up\" slim=#true; packages \"shell\" \"app\"; }}
plugin \"rebar3-release\" source=\"{}/tool.wasm\"
project \"made\" {{
    stage \"one\" {{ run \"mkdir out\"; output \"out\"; }}
    stage \"two\" base=\"other\" {{ run \"mkdir more\"; output \"more\"; }}
    release-tool \"rebar3-release\"
}}
",
        web.url()
    );
    let workspace = workspace(&archive, &server)
        .with("exflow.kdl", &manifest)
        .with("rebar.config", &std::fs::read_to_string(example.join("rebar.config")).unwrap())
        .with_folder("src", &example.join("src"));
    workspace.ok(&["lock"]);
    workspace.ok(&["plugin", "run"]);
    // As if it had been asked elsewhere, and its answer were known from there.
    std::fs::remove_dir_all(workspace.store().join("downloads")).unwrap();
    web.forget();
    workspace.ok(&["fetch", "made"]).says(&["base:other"]);
    assert_eq!(web.requests(), ["GET tool.wasm"]);
    drop((server, web));
    for stage in ["made:one", "made:two"] {
        let built = cut_off(&workspace, &["build", "--offline", stage]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
    }
    workspace.fails(&["fetch", "mode"], 2).says(&["did you mean `made`?"]);
}
