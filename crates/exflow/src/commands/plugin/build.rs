use super::inspect;
use crate::cli::PluginBuildArgs;
use crate::outputs::write_whole;
use crate::report::{Failure, io_failed};
use crate::session::Session;
use exflow_diagnostics::Diagnostic;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const FAILED: &str = "exflow::plugin::build-failed";
const TARGET: &str = "wasm32-unknown-unknown";

pub(crate) fn run(session: &mut Session, args: &PluginBuildArgs) -> Result<ExitCode, Failure> {
    let folder = fs::canonicalize(&args.folder)
        .map_err(|error| io_failed("look into", &args.folder, &error))?;
    if !folder.join("Cargo.toml").is_file() {
        let message = format!("there is no `Cargo.toml` in `{}`", args.folder.display());
        return Err(Diagnostic::error(FAILED, message)
            .help("`exflow plugin new` writes a plugin in Rust; components of other languages are built with their own tools")
            .into());
    }
    let built = compile(&folder)?;
    let file = folder.join(built.file_name().unwrap_or_default());
    let shown = args.folder.join(built.file_name().unwrap_or_default());
    // One that can't be used takes no other's place.
    let code = inspect::show(session, &shown.display().to_string(), false, Some(&built))?;
    let copy = || {
        let bytes = fs::read(&built)?;
        write_whole(&file, |out| out.write_all(&bytes))
    };
    copy().map_err(|error| io_failed("write", &file, &error))?;
    Ok(code)
}

/// Compiles the package in a folder, so that its bytes don't depend on where it is: the component.
fn compile(folder: &Path) -> Result<PathBuf, Failure> {
    let failed = |message: String, help: &str| -> Failure {
        Diagnostic::error(FAILED, message).help(help).into()
    };
    let no_rust = "is Rust installed? https://rustup.rs";
    let ask = |arguments: &[&str]| {
        let output = Command::new("rustc").args(arguments).current_dir(folder).output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .map_err(|error| failed(format!("can't run rustc: {error}"), no_rust))
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
        .map_err(|error| failed(format!("can't run cargo: {error}"), no_rust))?;
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
    let status =
        child.wait().map_err(|error| failed(format!("can't wait for cargo: {error}"), no_rust))?;
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
