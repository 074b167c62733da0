//! Steps in containers of a Docker daemon.

use crate::hello::{built_in_the_sandbox, hello, sharing, workspace as real};
use crate::steps::ARCHIVE;
use crate::{one_stage, workspace};
use exflow_docker::Daemon;
use exflow_testkit::{Relay, Workspace, missing};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The address of a daemon that answers.
pub(crate) fn docker(test: &str) -> Option<String> {
    let found = exflow_docker::find(|name| std::env::var_os(name));
    let answers = found.and_then(|endpoint| Daemon::connect(&endpoint).map(|_| endpoint.host));
    if answers.is_err() {
        missing("docker", test);
    }
    answers.ok()
}

fn with(workspace: Workspace, host: &str) -> Workspace {
    workspace.env("EXFLOW_EXECUTOR", "docker").env("DOCKER_HOST", host)
}

fn made(host: &str, script: &str) -> Workspace {
    let (archive, server) = &*ARCHIVE;
    let workspace = with(workspace(archive, server), host);
    workspace.with("exflow.kdl", &one_stage(script, "")).with("in/a", "first")
}

/// The names of all trees in the store: of every base, input and output, and of the images.
pub(crate) fn trees(workspace: &Workspace) -> BTreeSet<String> {
    let mut trees = BTreeSet::new();
    for folder in std::fs::read_dir(workspace.store().join("trees")).unwrap() {
        let folder = folder.unwrap();
        for tree in std::fs::read_dir(folder.path()).unwrap() {
            let (first, rest) = (folder.file_name(), tree.unwrap().file_name());
            trees.insert(format!("{}{}", first.to_string_lossy(), rest.to_string_lossy()));
        }
    }
    trees
}

#[test]
fn the_same_digest_as_in_the_sandbox() {
    let Some(host) = docker("the_same_digest_as_in_the_sandbox") else { return };
    let (_, expected) = built_in_the_sandbox();
    // Fresh ones of both, so that each has exactly what its build made.
    let sandboxed = real().with_files_of(&hello());
    sandboxed.build(&["--locked"]);
    let contained = with(real().with_files_of(&hello()), &host);
    let run = contained.ok(&["build", "--locked", "--json"]);
    run.says(&["using Docker"]);
    assert_eq!(run.built()[0]["digest"].as_str(), Some(&*expected));
    assert_eq!(trees(&contained), trees(&sandboxed));
    // With nothing to do, nobody asks where the daemon is.
    let again = contained.env("DOCKER_HOST", "unix:///nowhere");
    assert_eq!(again.build_one(&["--locked"]), (expected, 0, 4));
}

#[test]
fn docker_is_taken_where_it_answers() {
    let Some(host) = docker("docker_is_taken_where_it_answers") else { return };
    let auto = |host: &str| made(host, "mkdir out").env("EXFLOW_EXECUTOR", "auto");
    auto(&host).ok(&["build"]).says(&["using Docker", &host]);
    let nowhere = "unix:///nowhere";
    auto(nowhere).ok(&["build"]).says(&["does not answer", "using the sandbox"]);
    // Who asks for one by name wants no other.
    let named = made(nowhere, "mkdir out").fails(&["build"], 1);
    named.says(&["exflow::docker::unreachable", nowhere, "--executor sandbox", "exflow.kdl:"]);
    // The manifest may say it, the environment instead of it, and the command line instead of both.
    let manifest = one_stage("mkdir out", "");
    let manifest = format!("workspace \"one\" {{\n    executor \"docker\"\n}}\n{manifest}");
    let said = made(nowhere, "").env("EXFLOW_EXECUTOR", "").with("exflow.kdl", &manifest);
    said.fails(&["build"], 1).says(&["exflow::docker::unreachable"]);
    said.ok(&["build", "--executor", "sandbox"]).says(&["using the sandbox"]);
    let said = said.env("EXFLOW_EXECUTOR", "sandbox");
    said.ok(&["build"]);
    said.env("EXFLOW_EXECUTOR", "podman").fails(&["build"], 2).says(&["`EXFLOW_EXECUTOR=podman`"]);
}

#[test]
fn a_step_that_fails_in_a_container() {
    let Some(host) = docker("a_step_that_fails_in_a_container") else { return };
    let failed = made(&host, "echo nearly; exit 3").fails(&["build"], 1);
    failed.says(&["exflow::exec::step-failed", "exit code 3", "| nearly", "exflow.kdl:"]);
    let started = Instant::now();
    let (archive, server) = &*ARCHIVE;
    let manifest = one_stage("sleep 1000", "time-limit \"1s\"");
    let slow = with(workspace(archive, server), &host).with("exflow.kdl", &manifest);
    slow.fails(&["build"], 1).says(&["longer than its time limit", "time-limit"]);
    assert!(started.elapsed() < Duration::from_mins(1));
}

/// However exflow ends, and whoever asks it to.
#[test]
fn a_killed_build_leaves_no_container() {
    let Some(host) = docker("a_killed_build_leaves_no_container") else { return };
    let endpoint = exflow_docker::find(|name| (name == "DOCKER_HOST").then(|| host.clone().into()));
    let daemon = Daemon::connect(&endpoint.unwrap()).unwrap();
    // Other tests have containers of their own.
    let ours = |pid: u32| {
        let containers = daemon.containers("exflow.owner").unwrap();
        let owner = format!("/{pid}/");
        containers.iter().any(|container| container.labels["exflow.owner"].contains(&owner))
    };
    let wait = |what: &str, is: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for signal in ["KILL", "INT"] {
        let workspace = made(&host, "sleep 1000");
        let mut build = workspace.start(&["build"]);
        let pid = build.id();
        wait("no container is started", &|| ours(pid));
        let kill = ["-s", signal, &pid.to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        build.wait().unwrap();
        wait("a container is left", &|| !ours(pid));
        // Nothing half-done is believed.
        let manifest = one_stage("mkdir out; cp in/a out/a", "");
        assert_eq!(workspace.with("exflow.kdl", &manifest).ok(&["build"]).code, Some(0));
    }
}

/// The whole image once, and after that only what the daemon lacks of it.
#[test]
fn an_image_goes_into_the_daemon() {
    let Some(host) = docker("an_image_goes_into_the_daemon") else { return };
    let relay = Relay::new(Path::new(host.strip_prefix("unix://").expect("a socket")));
    built_in_the_sandbox();
    let name = format!("exflow-test/hello:{}", std::process::id());
    let workspace = sharing()
        .with_files_of(&hello())
        .env("DOCKER_HOST", format!("unix://{}", relay.path().display()));
    let output = format!("docker={name}");
    let build = || {
        let before = relay.sent();
        let run = workspace.ok(&["build", "--json", "--output", &output]);
        let layers = run.built()[0]["layers"].as_array().unwrap().clone();
        (layers, relay.sent() - before)
    };
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").arg("-H").arg(&host).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let run = |code: &str| docker(&["run", "--rm", "--network", "none", &name, "eval", code]);
    build();
    assert_eq!(run("IO.puts(6 * 7)"), "42\n");
    let (_, again) = build();
    assert!(again < 4 << 10, "{again} bytes for an image that is there");
    let (layers, _) = build();
    let source = workspace.read("lib/hello.ex");
    let more = "defmodule Hello.Added, do: def(it, do: :added)";
    workspace.write("lib/hello.ex", &format!("{source}\n{more}\n"));
    let (edited, sent) = build();
    let changed = edited.iter().filter(|layer| !layers.contains(layer));
    let changed: u64 = changed.map(|layer| layer["size_bytes"].as_u64().unwrap()).sum();
    assert!(sent <= changed + (64 << 10), "{sent} bytes sent, and {changed} have changed");
    assert_eq!(run("IO.inspect(Hello.Added.it())"), ":added\n");
    docker(&["rmi", &name]);
}
