//! Compiles a plugin, each language with its own tools. What came out is looked at in the same way for all.

mod c;
mod javascript;
mod python;
mod rust;

use super::inspect;
use crate::cli::{Language, PluginBuildArgs};
use crate::outputs::write_whole;
use crate::report::{Failure, io_failed};
use crate::session::Session;
use exflow_diagnostics::Diagnostic;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

const FAILED: &str = "exflow::plugin::build-failed";
const MISSING: &str = "exflow::plugin::missing-tool";
/// The file by which the language of a plugin is known.
const MARKS: [(&str, Language); 4] = [
    ("Cargo.toml", Language::Rust),
    ("plugin.js", Language::Js),
    ("plugin.py", Language::Python),
    ("plugin.c", Language::C),
];
/// Where a component is until it is known to be one that can be used.
const SCRATCH: &str = ".exflow-build";

pub(crate) fn run(session: &mut Session, args: &PluginBuildArgs) -> Result<ExitCode, Failure> {
    let folder = fs::canonicalize(&args.folder)
        .map_err(|error| io_failed("look into", &args.folder, &error))?;
    let language = language(&folder, &args.folder)?;
    // Cargo has a folder of its own.
    let scratch = Scratch(folder.join(SCRATCH));
    let built = match language {
        Language::Rust => rust::compile(&folder)?,
        Language::Js => javascript::compile(&folder, scratch.component(&folder)?)?,
        Language::Python => python::compile(&folder, scratch.component(&folder)?)?,
        Language::C => c::compile(&folder, scratch.component(&folder)?)?,
    };
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

/// The language of the plugin in a folder.
fn language(folder: &Path, shown: &Path) -> Result<Language, Failure> {
    let found: Vec<_> = MARKS.iter().filter(|(mark, _)| folder.join(mark).is_file()).collect();
    let [(_, language)] = found[..] else {
        let place = shown.display();
        let marks = match &found[..] {
            [] => MARKS.map(|(mark, _)| format!("`{mark}`")).join(", "),
            found => {
                found.iter().map(|(mark, _)| format!("`{mark}`")).collect::<Vec<_>>().join(", ")
            }
        };
        let message = if found.is_empty() {
            format!("there is no plugin in `{place}`: it has none of {marks}")
        } else {
            format!("the plugin in `{place}` has several languages: there are {marks}")
        };
        return Err(failed(
            message,
            "one of these files says what a plugin is written in; `exflow plugin new` writes one. Components of \
             other languages are built with their own tools",
        ));
    };
    Ok(*language)
}

fn failed(message: String, help: &str) -> Failure {
    Diagnostic::error(FAILED, message).help(help).into()
}

/// A tool isn't there: what it is, and how it is installed.
fn missing(tool: &str, install: &str) -> Failure {
    Diagnostic::error(MISSING, format!("can't build the plugin: there is no `{tool}`"))
        .help(install)
        .into()
}

/// A tool that is installed in the plugin's folder, or else the one that is in the `PATH`.
fn tool(folder: &Path, own: &str, name: &str) -> Command {
    let own = folder.join(own).join(name);
    let mut command = if own.is_file() { Command::new(own) } else { Command::new(name) };
    command.current_dir(folder);
    command
}

/// Runs a tool, which says what is wrong on standard error. None where there is no such tool.
fn attempt(command: &mut Command, name: &str) -> Result<Option<ExitStatus>, Failure> {
    match command.stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(failed(format!("can't run {name}: {error}"), "look what is in its place"))
        }
    }
}

/// Runs a tool that has to be there, and has to succeed.
fn execute(command: &mut Command, name: &str, install: &str) -> Result<(), Failure> {
    match attempt(command, name)? {
        None => Err(missing(name, install)),
        Some(status) if status.success() => Ok(()),
        Some(_) => {
            let help = format!("what it says stands above; where it lacks something: {install}");
            Err(failed(format!("{name} did not build the plugin"), &help))
        }
    }
}

/// A folder in that of the plugin, which is taken away at the end.
struct Scratch(PathBuf);

impl Scratch {
    /// Where the component of the plugin in a folder is put, which is called as the folder is.
    fn component(&self, folder: &Path) -> Result<PathBuf, Failure> {
        fs::create_dir_all(&self.0).map_err(|error| io_failed("make", &self.0, &error))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.0.join(format!("{}.wasm", name.replace('-', "_"))))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}
