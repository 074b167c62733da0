//! Whole-program cases: `tests/cases/<command>/<case>/`.
//!
//! `in/` is the workspace, or a file that names a folder of the repository; `cmd` has a command a line, and behind `#` the exit code that it must end
//! with, where that is not 0; `stdout` and `stderr` are what all of them print; `out/` holds files as
//! they must be afterwards. No case needs a network, a shell or Debian: what does is in `e2e`.
//! `EXFLOW_BLESS=1` rewrites what is expected.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

use exflow_testkit::{Run, Workspace};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let mut trials = Vec::new();
    for command in folders(&top) {
        for case in folders(&command) {
            let name = format!("{}/{}", name_of(&command), name_of(&case));
            trials.push(Trial::test(name, move || run(&case)));
        }
    }
    assert!(!trials.is_empty(), "there are no cases in {}", top.display());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn folders(top: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(top).unwrap_or_else(|error| panic!("{}: {error}", top.display()));
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn run(case: &Path) -> Result<(), Failed> {
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_exflow"))
        // Nothing listens there: a case that asks for the network fails at once.
        .env("EXFLOW_DEBIAN_MIRROR", "http://127.0.0.1:1")
        .env("EXFLOW_DEBIAN_SECURITY_MIRROR", "http://127.0.0.1:1")
        .env("EXFLOW_DEBIAN_SNAPSHOT", "http://127.0.0.1:1");
    let own = case.join("in");
    if own.is_file() {
        let named = fs::read_to_string(&own)?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        workspace = workspace.with_files_of(&root.join(named.trim()));
    } else {
        workspace = workspace.with_files_of(&own);
    }
    let mut found = Expected::default();
    let commands = fs::read_to_string(case.join("cmd"))?;
    for line in commands.lines().filter(|line| !line.trim().is_empty()) {
        let (command, code) = line.split_once('#').unwrap_or((line, "0"));
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let run = workspace.run(&arguments);
        let expected: i32 = code.trim().parse().map_err(|_| format!("exit code `{code}`"))?;
        if run.code != Some(expected) {
            return Err(format!("`{command}` ended with {:?}\n{}", run.code, run.stderr).into());
        }
        found.add(&workspace, &run);
    }
    let bless = std::env::var_os("EXFLOW_BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, text) in [("stdout", &found.stdout), ("stderr", &found.stderr)] {
        compare(&case.join(name), text, bless, &mut wrong)?;
    }
    let mut files = vec![PathBuf::new()];
    while let Some(below) = files.pop() {
        let path = case.join("out").join(&below);
        if path.is_dir() {
            files.extend(fs::read_dir(&path)?.map(|entry| below.join(entry.unwrap().file_name())));
        } else if path.is_file() {
            let text = workspace.read(&below.to_string_lossy());
            compare(&path, &text, bless, &mut wrong)?;
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

#[derive(Default)]
struct Expected {
    stdout: String,
    stderr: String,
}

impl Expected {
    fn add(&mut self, workspace: &Workspace, run: &Run) {
        let outside = workspace.outside().to_string_lossy().into_owned();
        let clean = |text: &str| unwrapped(&text.replace(&outside, "[TMP]"));
        self.stdout += &clean(&run.stdout);
        self.stderr += &clean(&run.stderr);
    }
}

/// Where a line is broken depends on how long the path of the temporary folder is.
fn unwrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (lines.last_mut(), line.strip_prefix("  │ ")) {
            (Some(last), Some(more)) if last.contains("[TMP]") || more.contains("[TMP]") => {
                *last = format!("{} {more}", last.trim_end());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.concat()
}

fn compare(path: &Path, found: &str, bless: bool, wrong: &mut Vec<String>) -> Result<(), Failed> {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    if bless {
        fs::write(path, found)?;
    } else {
        wrong.push(format!(
            "{} differs (EXFLOW_BLESS=1 takes it)\n--- expected\n{expected}\n--- found\n{found}",
            path.display()
        ));
    }
    Ok(())
}
