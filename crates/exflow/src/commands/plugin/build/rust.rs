//! Rust, with cargo, to bytes that don't depend on the folder.

use super::{failed, missing};
use crate::report::Failure;
use std::io;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";
const INSTALL: &str = "https://rustup.rs installs Rust";

/// Compiles the package in a folder, so that its bytes don't depend on where it is: the component.
pub(super) fn compile(folder: &Path) -> Result<PathBuf, Failure> {
    let no_rust = |tool: &str, error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => missing(tool, INSTALL),
        _ => failed(format!("can't run {tool}: {error}"), INSTALL),
    };
    let ask = |arguments: &[&str]| {
        let output = Command::new("rustc").args(arguments).current_dir(folder).output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .map_err(|error| no_rust("rustc", &error))
    };
    let sysroot = ask(&["--print", "sysroot"])?;
    let version = ask(&["-vV"])?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    // One flag a line, as paths may have spaces: `CARGO_ENCODED_RUSTFLAGS`.
    let mut flags = vec![format!("--remap-path-prefix={}=/plugin", folder.display())];
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    flags.push(format!(
        "--remap-path-prefix={sysroot}/lib/rustlib/src/rust=/rustc/{}",
        commit.unwrap_or_default()
    ));
    let mut child = Command::new("cargo")
        .args(["build", "--release", "--lib", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| no_rust("cargo", &error))?;
    let mut components = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        // Of the package itself, not of what it depends on.
        if message["manifest_path"].as_str().map(Path::new) != Some(&folder.join("Cargo.toml")) {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten();
        let files = files.filter_map(|file| file.as_str()).map(PathBuf::from);
        components.extend(files.filter(|file| file.extension().is_some_and(|end| end == "wasm")));
    }
    let status = child.wait().map_err(|error| no_rust("cargo", &error))?;
    if !status.success() {
        return Err(failed(
            "cargo did not build the plugin".to_owned(),
            "what it says stands above; the target comes with `rustup target add wasm32-unknown-unknown`",
        ));
    }
    components.pop().ok_or_else(|| {
        failed(
            "cargo built no component".to_owned(),
            "its `Cargo.toml` needs `crate-type = [\"cdylib\"]` below `[lib]`",
        )
    })
}
