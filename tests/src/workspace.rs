//! A workspace with a store of its own, and exflow run in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;

/// What the names of temporary folders begin with; behind it is the id of the process.
const PREFIX: &str = "exflow-test-";

static SWEPT: Once = Once::new();

/// Removes what test processes that have ended left behind: what is shared by many tests of one is never
/// dropped, and takes gigabytes.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        let is_over = process.is_some_and(|(id, _)| {
            id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()
        });
        if is_over {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A workspace and a store in a temporary folder.
#[derive(Debug)]
pub struct Workspace {
    folder: tempfile::TempDir,
    program: PathBuf,
    environment: Vec<(String, String)>,
    user: Option<u32>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Workspace {
    /// An empty workspace. `program` is exflow.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        SWEPT.call_once(sweep);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap();
        fs::create_dir(folder.path().join("workspace")).unwrap();
        Self { folder, program: program.into(), environment: Vec::new(), user: None }
    }

    /// With the files of `from`.
    #[must_use]
    pub fn with_files_of(self, from: &Path) -> Self {
        self.with_folder("", from)
    }

    /// With the files of `from` in its folder `to`.
    #[must_use]
    pub fn with_folder(self, to: &str, from: &Path) -> Self {
        copy_folder(from, &self.root().join(to));
        self
    }

    /// With a file, or another content of one.
    #[must_use]
    pub fn with(self, path: &str, content: &str) -> Self {
        self.write(path, content);
        self
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Owned by this user, as whom exflow is then run.
    #[must_use]
    pub fn owned_by(mut self, user: u32) -> Self {
        self.user = Some(user);
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            chown(&folder, Some(user), Some(user)).unwrap();
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    std::os::unix::fs::lchown(&path, Some(user), Some(user)).unwrap();
                }
            }
        }
        // A copy, because the folders above the program may be closed to them.
        let program = self.folder.path().join("exflow");
        fs::copy(&self.program, &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        self.program = program;
        self
    }

    /// The workspace's folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// The temporary folder that holds workspace and store.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Writes a file of the workspace.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file of the workspace.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// exflow with these arguments, not yet started. Its environment is only what was set.
    pub fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("EXFLOW_STORE", self.store())
            // Whatever else this machine has.
            .env("EXFLOW_EXECUTOR", "sandbox")
            .env("PATH", "/usr/bin:/bin")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs exflow.
    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    /// Runs exflow, which must end well.
    pub fn ok(&self, arguments: &[impl AsRef<OsStr>]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
        run
    }

    /// Runs exflow, which must fail with this exit code.
    pub fn fails(&self, arguments: &[impl AsRef<OsStr>], code: i32) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(code), "{}\n{}", run.stdout, run.stderr);
        run
    }

    /// Starts exflow, and leaves it running.
    pub fn start(&self, arguments: &[impl AsRef<OsStr>]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Builds, and gives the last event of each project.
    pub fn build(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let all: Vec<&str> = ["build", "--json"].iter().chain(arguments).copied().collect();
        self.ok(&all).built()
    }

    /// Builds the one project: its image's digest, how many steps ran, how many were known.
    pub fn build_one(&self, arguments: &[&str]) -> (String, u64, u64) {
        let built = self.build(arguments);
        let [event] = built.as_slice() else { panic!("not one project: {built:?}") };
        (
            event["digest"].as_str().unwrap().to_owned(),
            event["steps_run"].as_u64().unwrap(),
            event["steps_cached"].as_u64().unwrap(),
        )
    }
}

impl Run {
    /// What a process left.
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The events on standard output.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The events `built`.
    pub fn built(&self) -> Vec<serde_json::Value> {
        self.events().into_iter().filter(|event| event["event"] == "built").collect()
    }

    /// Whether standard error has each of these.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        // However it was cut into lines.
        let flat = self.stderr.replace("\n  │ ", " ").replace("\n        ", " ");
        for word in words {
            let says = self.stderr.contains(word) || flat.contains(word);
            assert!(says, "`{word}` is not in:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
