//! Builds for real: with Debian's own packages, and with a made-up archive that misbehaves.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

mod archive;
mod debian;
mod deps;
mod distillery;
mod docker;
mod export;
mod fetches;
mod hello;
mod images;
mod offline;
mod plugins;
mod registry;
mod statements;
mod steps;
mod three_stage;
mod update;
mod verify;

use exflow_testkit::{Archive, Package, Server, Workspace};
use std::path::{Path, PathBuf};

/// exflow.
const EXFLOW: &str = env!("CARGO_BIN_EXE_exflow");

/// Where downloads of Debian's own files are kept between runs.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian")
}

/// A package with a shell and the tools that scripts of tests need.
fn shell() -> Package {
    let busybox = std::fs::read(exflow_testkit::busybox(&cache())).unwrap();
    let mut package = Package::new("shell", "1.0").file("usr/bin/busybox", 0o755, &busybox);
    for applet in [
        "cat", "chmod", "cp", "date", "dd", "find", "grep", "id", "kill", "ln", "ls", "mkdir",
        "mkfifo", "mv", "rm", "sh", "sleep", "tar", "touch", "true", "wget",
    ] {
        package = package.link(&format!("usr/bin/{applet}"), "busybox");
    }
    package
}

/// An archive with that package, and a few that are small.
fn archive() -> Archive {
    Archive::new("made-up")
        .package(shell())
        .package(Package::new("tool", "1.0").file("usr/bin/tool", 0o755, b"#!/bin/sh\necho tool\n"))
        .package(Package::new("app", "2.0").field("Depends", "library (>= 1.5)").file(
            "usr/share/app",
            0o644,
            b"app",
        ))
        .package(Package::new("library", "1.0").file("usr/share/library", 0o644, b"old"))
        .package(Package::new("library", "2.0").file("usr/share/library", 0o644, b"new"))
}

/// A workspace that gets its packages from `server`, which serves `archive`.
fn workspace(archive: &Archive, server: &Server) -> Workspace {
    let workspace = Workspace::new(EXFLOW);
    let keyring = workspace.outside().join("keyring.asc");
    std::fs::write(&keyring, archive.keyring()).unwrap();
    workspace
        .env("EXFLOW_DEBIAN_MIRROR", server.url())
        .env("EXFLOW_DEBIAN_SECURITY_MIRROR", format!("{}/security", server.url()))
        .env("EXFLOW_DEBIAN_SNAPSHOT", format!("{}/snapshot", server.url()))
        .env("EXFLOW_DEBIAN_KEYRING", keyring.to_string_lossy())
}

/// A manifest with one stage that runs `script` and makes the folder `out`.
fn one_stage(script: &str, more: &str) -> String {
    format!(
        "base \"builder\" {{\n    debian \"made-up\" slim=#true\n    packages \"shell\"\n}}\n\n\
         project \"made\" {{\n    stage \"one\" {{\n        inputs \"in\"\n        run #\"\"\"\n{}\n        \"\"\"#\n        \
         output \"out\"\n        {more}\n    }}\n}}\n",
        script.lines().map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n")
    )
}
