//! Python, as a component of CPython.

use super::{execute, tool};
use crate::report::Failure;
use std::path::{Path, PathBuf};

const TOOL: &str = "componentize-py";
const INSTALL: &str =
    "`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt`, in the plugin's folder";

/// Compiles the plugin in a folder.
pub(super) fn compile(folder: &Path, component: PathBuf) -> Result<PathBuf, Failure> {
    let mut command = tool(folder, ".venv/bin", TOOL);
    command
        .args(["--quiet", "--wit-path", "sdk/wit", "--world", "release-tool", "componentize"])
        // What it would import fails when it is called.
        .args(["--stub-wasi", "--python-path", ".", "--python-path", "sdk", "--output"])
        .arg(&component)
        .arg("component");
    // It takes packages from there, too.
    let own = folder.join(".venv");
    if own.is_dir() {
        command.env("VIRTUAL_ENV", own);
    }
    execute(&mut command, TOOL, INSTALL)?;
    Ok(component)
}
