//! Files and repositories that the manifest has fetched.

use crate::{archive, workspace};
use exflow_content::Sha256;
use exflow_testkit::{Fault, Server, Workspace};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const TOOL: &[u8] = b"#!/bin/sh\necho made by the tool\n";

/// What the server has besides packages.
fn files(tool: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let places = ["releases/tool-1.0", "mirror/tool"];
    places.map(|place| (place.to_owned(), tool.to_vec())).into()
}

fn manifest(fetch: &str, needs: &str, script: &str) -> String {
    format!(
        "base \"builder\" {{ debian \"made-up\" slim=#true; packages \"shell\"; }}\n{fetch}\nproject \"made\" {{\n    \
         stage \"one\" {{ {needs}; run \"{script}\"; output \"out\"; }}\n}}\n"
    )
}

/// A workspace, and a server that has packages and the tool.
fn served() -> (Server, Workspace) {
    let archive = archive();
    let server = Server::new(archive.files().into_iter().chain(files(TOOL)).collect());
    let workspace = workspace(&archive, &server);
    (server, workspace)
}

fn outputs(workspace: &Workspace) -> Vec<String> {
    let logs = std::fs::read_dir(workspace.store().join("logs")).unwrap();
    let logs = logs.map(|log| std::fs::read_to_string(log.unwrap().path()).unwrap());
    logs.filter(|log| !log.is_empty()).collect()
}

#[test]
fn a_file_is_locked_and_seen_by_the_steps_that_need_it() {
    let (server, workspace) = served();
    let fetch =
        format!("fetch \"tool\" url=\"{}/releases/tool-1.0\" executable=#true", server.url());
    let script = "mkdir out; bin/run > out/said; cat out/said";
    workspace.write("exflow.kdl", &manifest(&fetch, "needs \"tool\" at=\"bin/run\"", script));
    workspace.fails(&["build", "--locked"], 1).says(&["exflow::lock::stale", "fetch `tool`"]);
    workspace.ok(&["build"]);
    assert_eq!(outputs(&workspace), ["made by the tool\n"]);
    let lock = workspace.read("exflow.lock");
    assert!(lock.contains("\"version\": 4"), "{lock}");
    assert!(lock.contains(&Sha256::of(TOOL).to_string()), "{lock}");
    assert_eq!(
        workspace.ok(&["lock", "why", "tool"]).stdout.lines().take(2).collect::<Vec<_>>(),
        ["fetch `tool`", "  stage `one` of project `made`"]
    );
    // Nothing moves by itself, whatever is there now.
    server.now_serves(files(b"#!/bin/sh\necho made by another\n"));
    workspace.ok(&["build", "--locked"]);
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    let moved = workspace.ok(&["update", "fetch:tool"]);
    assert!(moved.stdout.starts_with("fetch `tool`\n  file sha256:"), "{}", moved.stdout);
    workspace.ok(&["build", "--locked"]);
    assert!(outputs(&workspace).contains(&"made by another\n".to_owned()));
    // It is called as it is there, where nothing else is said; what nobody needs is dropped.
    workspace.write(
        "exflow.kdl",
        &manifest(&fetch, "needs \"tool\"", "mkdir out; ./tool-1.0 > out/said"),
    );
    workspace.ok(&["build", "--locked"]);
    workspace.write("exflow.kdl", &manifest(&fetch, "inputs \"in\"", "mkdir out"));
    workspace.fails(&["lock", "--check"], 1).says(&["fetch `tool` is locked and no longer used"]);
    workspace.ok(&["lock"]);
    assert!(!workspace.read("exflow.lock").contains("fetches"));
}

fn manifest_at(server: &str, place: &str, sha256: &str) -> String {
    let fetch = format!("fetch \"tool\" url=\"{server}/{place}\"{sha256}");
    manifest(&fetch, "needs \"tool\"", "mkdir out")
}

#[test]
fn a_file_is_what_the_manifest_says_or_nothing() {
    let (server, workspace) = served();
    let url = server.url();
    let with = |place: &str, sha256: &str| manifest_at(&url, place, sha256);
    let known = format!(" sha256=\"{}\"", Sha256::of(TOOL));
    workspace.write("exflow.kdl", &with("releases/tool-1.0", &known));
    workspace.ok(&["lock"]);
    // A byte on the way.
    server.fault("releases/tool-1.0", Fault::WrongByte, 100);
    std::fs::remove_dir_all(workspace.store()).unwrap();
    workspace.fails(&["build", "--locked"], 1).says(&["exflow::fetch::wrong-digest", "tool-1.0"]);
    // Another address of the same is the same.
    workspace.write("exflow.kdl", &with("mirror/tool", &known));
    workspace.ok(&["build"]);
    let other = format!(" sha256=\"{}\"", Sha256::of(b"other"));
    workspace.write("exflow.kdl", &with("mirror/tool", &other));
    workspace.fails(&["lock"], 1).says(&["exflow::fetch::wrong-digest", "exflow.kdl:"]);
    workspace.write("exflow.kdl", &with("nowhere", ""));
    workspace.fails(&["lock"], 1).says(&["exflow::fetch::not-found", "nowhere"]);
    // Another address that has something else, and nobody has said that it may.
    workspace.write("exflow.kdl", &with("mirror/tool", ""));
    workspace.ok(&["lock"]);
    let mut files = files(TOOL);
    files.insert("other".to_owned(), b"other".to_vec());
    server.now_serves(files);
    workspace.write("exflow.kdl", &with("other", ""));
    workspace.fails(&["lock"], 1).says(&["exflow::lock::would-move", "`exflow update fetch:tool`"]);
    workspace.ok(&["update", "tool"]);
    // The same in other words: nobody is asked.
    let other = format!(" sha256=\"{}\"", Sha256::of(b"other"));
    drop(server);
    workspace.write("exflow.kdl", &manifest_at(&url, "other", &other));
    workspace.ok(&["lock"]);
    workspace.write("exflow.kdl", &manifest_at(&url, "other", ""));
    workspace.ok(&["lock"]);
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A file and a repository, and then neither the server nor the repository.
#[test]
fn what_was_fetched_is_there_without_a_network() {
    let (server, workspace) = served();
    let origin = workspace.outside().join("icons");
    std::fs::create_dir_all(&origin).unwrap();
    std::fs::write(origin.join("a.svg"), "icon\n").unwrap();
    git(&origin, &["init", "-q"]);
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "-qm", "one"]);
    let fetch = format!(
        "fetch \"tool\" url=\"{}/mirror/tool\" executable=#true\ngit \"icons\" url=\"file://{}\"",
        server.url(),
        origin.display()
    );
    let needs = "needs \"tool\"; needs \"icons\"";
    workspace.write(
        "exflow.kdl",
        &manifest(&fetch, needs, "mkdir out; ./tool > out/said; cat icons/a.svg"),
    );
    workspace.ok(&["lock"]);
    std::fs::remove_dir_all(workspace.store()).unwrap();
    workspace.fails(&["build", "--offline"], 1).says(&["exflow::fetch::offline"]);
    workspace.ok(&["fetch"]);
    drop(server);
    std::fs::remove_dir_all(&origin).unwrap();
    workspace.ok(&["build", "--offline"]);
    assert_eq!(outputs(&workspace), ["icon\n"]);
    // Where neither is, nothing is fetched twice.
    workspace.ok(&["verify", "--offline"]);
}

#[test]
fn a_repository_is_locked_to_a_revision_and_its_files() {
    let (_server, workspace) = served();
    let origin = workspace.outside().join("icons");
    std::fs::create_dir_all(origin.join("optimized")).unwrap();
    std::fs::write(origin.join("optimized/a.svg"), "first\n").unwrap();
    git(&origin, &["init", "-q"]);
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "-qm", "one"]);
    git(&origin, &["tag", "-am", "annotated", "v1"]);
    let first = git(&origin, &["rev-parse", "HEAD"]);
    let url = format!("file://{}", origin.display());
    let with = |version: &str, at: &str| {
        let fetch = format!("git \"icons\" url=\"{url}\" {version}");
        manifest(
            &fetch,
            &format!("needs \"icons\"{at}"),
            "mkdir out; cat */optimized/a.svg | dd of=out/a 2>/dev/null; cat out/a",
        )
    };
    workspace.write("exflow.kdl", &with("", ""));
    workspace.ok(&["build"]);
    assert_eq!(outputs(&workspace), ["first\n"]);
    assert!(workspace.read("exflow.lock").contains(&first));
    std::fs::write(origin.join("optimized/a.svg"), "second\n").unwrap();
    git(&origin, &["commit", "-qam", "two"]);
    let second = git(&origin, &["rev-parse", "HEAD"]);
    workspace.ok(&["lock"]);
    assert!(!workspace.read("exflow.lock").contains(&second));
    let outdated = workspace.ok(&["lock", "outdated"]).stdout;
    assert!(
        outdated.contains(&format!("fetch `icons`\n  revision {first} → {second}\n")),
        "{outdated}"
    );
    // A tag, a branch, and a revision, and only one folder.
    workspace.write("exflow.kdl", &with("tag=\"v1\"", ""));
    workspace.ok(&["lock"]);
    assert!(workspace.read("exflow.lock").contains(&first));
    workspace.write("exflow.kdl", &with("branch=\"main\" folder=\"optimized\"", " at=\"assets\""));
    workspace.ok(&["build"]);
    assert!(workspace.read("exflow.lock").contains(&second));
    assert!(outputs(&workspace).contains(&"second\n".to_owned()));
    workspace.write("exflow.kdl", &with(&format!("revision=\"{first}\""), ""));
    workspace.ok(&["build"]);
    workspace.write("exflow.kdl", &with("tag=\"v2\"", ""));
    workspace.fails(&["lock"], 1).says(&[
        "exflow::fetch::not-found",
        "it has no tag `v2`",
        "git ls-remote",
    ]);
    // The lock says which files they are, whatever the revision is called.
    workspace.write("exflow.kdl", &with("tag=\"v1\"", ""));
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    let tree = lock.split("\"tree\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    workspace.write("exflow.lock", &lock.replace(&tree, &"0".repeat(64)));
    workspace.fails(&["build"], 1).says(&["exflow::fetch::wrong-digest", &tree, "exflow update"]);
}
