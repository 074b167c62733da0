//! C, without a C library: a module of which a component is made here.

use super::{attempt, failed, missing, tool};
use crate::report::{Failure, io_failed};
use exflow_plugin_host::{component_of, diagnose};
use std::fs;
use std::path::{Path, PathBuf};

/// The compilers that will do, and how they are told what to compile for. Zig's comes first: `requirements.txt` says
/// which one, so it is the same for everybody, and it brings its linker along.
const COMPILERS: [(&str, &[&str]); 3] = [
    ("python-zig", &["cc", "--target=wasm32-freestanding"]),
    ("zig", &["cc", "--target=wasm32-freestanding"]),
    ("clang", &["--target=wasm32"]),
];
const INSTALL: &str = "`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt`, in the plugin's folder, \
     installs Zig's C compiler; clang with lld will do, too";

/// Compiles the plugin in a folder.
pub(super) fn compile(folder: &Path, component: PathBuf) -> Result<PathBuf, Failure> {
    let module = component.with_extension("module");
    let mut sources = sources(folder, "")?;
    sources.extend(self::sources(folder, "sdk/")?);
    for (name, target) in COMPILERS {
        let mut command = tool(folder, ".venv/bin", name);
        command
            .args(target)
            .args(["-std=c11", "-Oz", "-ffreestanding", "-fno-builtin", "-nostdlib"])
            .args(["-Wall", "-Wextra", "-Isdk", "-Wl,--no-entry,--strip-all"])
            .args(["-Wl,-z,stack-size=1048576", "-o"])
            .arg(&module)
            .args(&sources);
        match attempt(&mut command, name)? {
            None => {}
            Some(status) if status.success() => {
                encode(&module, &component)?;
                return Ok(component);
            }
            Some(_) => {
                let help =
                    format!("what it says stands above; where it lacks something: {INSTALL}");
                return Err(failed(format!("{name} did not build the plugin"), &help));
            }
        }
    }
    Err(missing("python-zig`, `zig` or `clang", INSTALL))
}

/// The sources in a folder of the plugin's, in an order that is always the same.
fn sources(folder: &Path, below: &str) -> Result<Vec<PathBuf>, Failure> {
    let place = folder.join(below);
    let read = || {
        let mut sources = Vec::new();
        for entry in fs::read_dir(&place)? {
            let name = entry?.file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "c") {
                sources.push(Path::new(below).join(name));
            }
        }
        sources.sort();
        Ok(sources)
    };
    read().map_err(|error| io_failed("look into", &place, &error))
}

fn encode(module: &Path, component: &Path) -> Result<(), Failure> {
    let bytes = fs::read(module).map_err(|error| io_failed("read", module, &error))?;
    let name = component.file_name().unwrap_or_default().to_string_lossy();
    let encoded = component_of(&bytes).map_err(|error| diagnose(&error, &name, None))?;
    fs::write(component, encoded).map_err(|error| io_failed("write", component, &error))
}
