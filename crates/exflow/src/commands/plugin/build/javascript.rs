//! JavaScript, as a component of QuickJS.

use super::{execute, tool};
use crate::report::Failure;
use std::path::{Path, PathBuf};

const TOOL: &str = "componentize-qjs";
const INSTALL: &str =
    "`npm install`, in the plugin's folder, installs what its `package.json` names";

/// Compiles the plugin in a folder.
pub(super) fn compile(folder: &Path, component: PathBuf) -> Result<PathBuf, Failure> {
    let mut command = tool(folder, "node_modules/.bin", TOOL);
    command
        .args(["--wit", "sdk/wit/plugin.wit", "--world", "release-tool"])
        .args(["--js", "sdk/component.js", "--module-root", "."])
        // Without `--sync` it is a component that waits for things, which no contract asks for. What it would
        // import fails when it is called.
        .args(["--stub-wasi", "--sync", "--opt-size"])
        .arg("--output")
        .arg(&component);
    execute(&mut command, TOOL, INSTALL)?;
    Ok(component)
}
