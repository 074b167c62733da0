//! Releases of Distillery's. Its sources aren't ours and no registry is asked in tests, so what builds with the real
//! one runs where `EXFLOW_TEST_DISTILLERY` names a folder that holds `distillery` and `artificery`, as their
//! repositories have them.

use crate::EXFLOW;
use crate::hello::{MIRROR, free_port};
use exflow_content::RelPath;
use exflow_store::Store;
use exflow_testkit::{HexFixture, HexMirror, Workspace};
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The real packages, if they are there: what Hex would have of them.
fn real() -> Option<[HexFixture; 2]> {
    let folder = PathBuf::from(std::env::var_os("EXFLOW_TEST_DISTILLERY")?);
    let package = |name: &str, version: &str| {
        let fixture = HexFixture::new(name, version)
            .files_called(&folder.join(name), &["lib", "priv", "mix.exs"]);
        assert!(
            folder.join(name).join("mix.exs").is_file(),
            "EXFLOW_TEST_DISTILLERY has no {name}"
        );
        fixture
    };
    Some([
        package("artificery", "0.4.3"),
        package("distillery", "2.1.1").requires("artificery", "~> 0.2"),
    ])
}

/// A stand-in with its task and its layout.
fn made_up() -> HexFixture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages/distillery");
    HexFixture::new("distillery", "2.1.1").files_of(&folder)
}

fn teller(suite: &str, packages: &[HexFixture], mirror: &HexMirror) -> Workspace {
    let manifest = format!(
        r#"
base "builder" {{
    debian "{suite}"
    packages "elixir" "erlang-dev"
}}
base "runner" {{
    debian "{suite}" slim=#true
    packages "libstdc++6" "libtinfo6" "zlib1g" "libsystemd0"
    packages "dash" "bash" "coreutils" "sed" "grep" "mawk"
}}
project "teller" {{
    release-tool "distillery"
    stage "runtime" base="runner"
}}
"#
    );
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects/teller");
    let variables = MIRROR.environment().into_iter().chain(mirror.environment());
    variables
        .fold(Workspace::new(EXFLOW), |workspace, (name, value)| workspace.env(name, value))
        .with_files_of(&project)
        .with("mix.lock", &HexFixture::lock(packages))
        .with("exflow.kdl", &manifest)
}

/// What the release says to who connects, once it is up.
fn said(port: u16) -> String {
    let begun = Instant::now();
    loop {
        let mut line = String::new();
        let connected = TcpStream::connect(("127.0.0.1", port));
        if let Ok(mut stream) = connected
            && stream.read_to_string(&mut line).is_ok()
            && !line.is_empty()
        {
            return line;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "nobody answers");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Starts the release, is told something, and stops it.
fn answers(workspace: &Workspace, expected: &str) {
    let port = free_port();
    let variables = [format!("PORT={port}"), "COOKIE=secret".into(), "GREETING=Salut".into()];
    let mut arguments = vec!["run", "teller"];
    arguments.extend(variables.iter().flat_map(|variable| ["--env", variable]));
    let mut child = workspace.start(&arguments);
    assert_eq!(said(port), expected);
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    assert_eq!(child.wait().expect("an end").code(), Some(0), "it stops in good order");
}

/// The digest that a build prints.
fn digest(workspace: &Workspace) -> String {
    let run = workspace.ok(&["build"]);
    run.stdout.split(' ').nth(1).expect("a digest").to_owned()
}

#[test]
fn a_project_with_the_real_distillery() {
    let Some(packages) = real() else {
        #[expect(clippy::print_stderr, reason = "whoever runs the tests should know")]
        {
            eprintln!("left out: EXFLOW_TEST_DISTILLERY is not set, and names the real Distillery");
        }
        return;
    };
    let mirror = HexMirror::new(&packages);
    for suite in ["bookworm", "trixie"] {
        let workspace = teller(suite, &packages, &mirror);
        let other = teller(suite, &packages, &mirror);
        assert_eq!(digest(&other), digest(&workspace), "{suite}: the same from another folder");
        answers(&workspace, "Salut, été\n");
        let run = workspace.ok(&["run", "teller", "--env", "COOKIE=secret", "--", "shout"]);
        assert_eq!(run.stdout, "TELLER 0.3.0\n", "{}", run.stderr);
        assert!(!run.stderr.contains("RELEASES"), "{}", run.stderr);
    }
}

/// With a stand-in that has the real one's task and layout, and Mix's way to make a release.
#[test]
fn what_distillery_makes_is_found_and_cleaned() {
    let packages = [made_up()];
    let mirror = HexMirror::new(&packages);
    let workspace = teller("bookworm", &packages, &mirror);
    let built = digest(&workspace);
    answers(&workspace, "${GREETING}, été\n");
    let config = "tests/projects/teller/rel/config.exs";
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(config);
    let config = std::fs::read_to_string(config).expect("a text");
    let store = Store::open(workspace.store()).expect("a store");
    let start = RelPath::new("releases/start_erl.data").expect("a path");
    let trees = crate::docker::trees(&workspace).into_iter();
    let mut trees = trees.map(|name| store.tree(&name.parse().expect("a digest")).expect("a tree"));
    let release = trees.find(|tree| tree.get(&start).is_some()).expect("a release");
    let listed: Vec<String> = release.entries().map(|(path, _)| path.to_string()).collect();
    let has = |end: &str| listed.iter().any(|name| name.ends_with(end));
    assert!(has("bin/teller") && has("releases/0.3.0/other.script"));
    for left_out in ["teller.bat", ".ps1", ".tar.gz", "libexec/win"] {
        assert!(!has(left_out), "{left_out}");
    }
    // Where it goes elsewhere, it is found there, and is the same.
    let elsewhere = config.replace("set strip", "set output_dir: \"out/here\"\n  set strip");
    let workspace = teller("bookworm", &packages, &mirror).with("rel/config.exs", &elsewhere);
    assert_eq!(digest(&workspace), built);
    // What it looks for when it starts is looked for before.
    let manifest = workspace.read("exflow.kdl").replace("\"bash\" ", "");
    let workspace = workspace.with("exflow.kdl", &manifest);
    let run = workspace.fails(&["build"], 1);
    assert!(run.stderr.contains("exflow::image::no-interpreter"), "{}", run.stderr);
    assert!(run.stderr.contains("add `bash` to the packages"), "{}", run.stderr);
}
