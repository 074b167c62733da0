//! The user's `git`, as a program that may fail, hang, or write without end.

use super::GitError;
use super::address::{TRANSPORTS, masked};
use crate::Cancel;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How often it is looked whether git is done.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is looked how much it has written.
const LOOK: Duration = Duration::from_millis(500);
/// How long one run of it may take.
const PATIENCE: Duration = Duration::from_hours(1);
/// How long is waited for the rest of what it prints once it is done. What it has left behind, such as a
/// connection that others share, may keep the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long what git has printed may take to get here after its end.
const ANSWER: Duration = Duration::from_mins(1);
/// How much of its last words is kept, in bytes.
const KEPT: usize = 16 << 10;
/// How many lines of them are shown, and how many letters of each.
const SHOWN: (usize, usize) = (6, 300);

/// What is set whatever the user has configured: nothing of a repository's or a template's is run, and
/// nothing goes on behind our back. Credentials, proxies and addresses are the user's own.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "transfer.bundleURI=false",
    "advice.detachedHead=false",
];

/// What git would take for ours and isn't, where exflow is run by git: in a hook, for example.
const FOREIGN: &[&str] = &[
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_QUARANTINE_PATH",
    "GIT_DEFAULT_HASH",
    "GIT_TEMPLATE_DIR",
];

/// A repository of our own that git works in, as long as something is fetched.
pub(super) struct Program<'a> {
    pub(super) folder: PathBuf,
    pub(super) cancel: &'a Cancel,
    /// How much the repository may take in bytes.
    pub(super) limit: u64,
}

impl Program<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .current_dir(&self.folder)
            // Nobody is there to be asked, and what it says is to be understood.
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GCM_INTERACTIVE", "never")
            .env("LC_ALL", "C")
            .env("GIT_ALLOW_PROTOCOL", TRANSPORTS)
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            // It looks for no other, whatever is around it.
            .env("GIT_DIR", &self.folder);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(arguments).stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs git to its end: what it printed, of which at most `most` bytes are taken.
    pub(super) fn run(&self, arguments: &[&str], most: u64) -> Result<Vec<u8>, GitError> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if matches!(arguments.first(), Some(&"fetch" | &"ls-remote")) {
            self.keep_ssh_quiet(&mut command)?;
        }
        let mut running = Running::start(&mut command)?;
        let printed = running.child.stdout.take().map(|pipe| in_thread(move || all(pipe, most)));
        let said = running.child.stderr.take().map(|pipe| in_thread(move || end(pipe)));
        let status = self.wait(&mut running)?;
        let last = |receiver: Option<Receiver<Vec<u8>>>| {
            receiver.and_then(|receiver| receiver.recv_timeout(LAST_WORDS).ok()).unwrap_or_default()
        };
        if !status.success() {
            return Err(GitError::Failed(last_lines(&last(said), status)));
        }
        // What it printed is the answer: half of it, or none, would be another one.
        let printed = printed.and_then(|receiver| receiver.recv_timeout(ANSWER).ok());
        let late = || GitError::Program(io::Error::other("what it printed did not come to an end"));
        let printed = printed.ok_or_else(late)?;
        if printed.len() as u64 > most {
            return Err(GitError::TooLarge(most));
        }
        Ok(printed)
    }

    /// ssh asks the terminal, which git is kept from: then it would be stopped, and wait for ever. Who has
    /// told git how to call it has done so on purpose.
    fn keep_ssh_quiet(&self, command: &mut Command) -> Result<(), GitError> {
        if ["GIT_SSH", "GIT_SSH_COMMAND"].iter().any(|name| std::env::var_os(name).is_some()) {
            return Ok(());
        }
        match self.run(&["config", "--get", "core.sshCommand"], 1 << 16) {
            Ok(_) => {}
            Err(GitError::Failed(_)) => {
                command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits for its end, unless someone wishes to stop, or it takes too much.
    fn wait(&self, running: &mut Running) -> Result<ExitStatus, GitError> {
        let begun = Instant::now();
        let mut looked = begun;
        loop {
            if let Some(status) = running.try_wait()? {
                return Ok(status);
            }
            if self.cancel.is_cancelled() {
                return Err(GitError::Cancelled);
            }
            if begun.elapsed() > PATIENCE {
                return Err(GitError::TooSlow(PATIENCE.as_secs() / 60));
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                if taken(&self.folder) > self.limit {
                    return Err(GitError::TooLarge(self.limit));
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Starts what gives out objects.
    pub(super) fn objects(&self) -> Result<Objects, GitError> {
        let mut command = self.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running::start(&mut command)?;
        let missing = || GitError::Program(io::ErrorKind::BrokenPipe.into());
        let asks = running.child.stdin.take().ok_or_else(missing)?;
        let answers = BufReader::new(running.child.stdout.take().ok_or_else(missing)?);
        Ok(Objects { asks, answers, _running: running })
    }
}

/// A run of git's, which ends with all that it has started when this is dropped.
struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self, GitError> {
        match command.spawn() {
            Ok(child) => Ok(Self { child, ended: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(GitError::Missing),
            Err(error) => Err(GitError::Program(error)),
        }
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, GitError> {
        self.ended = self.child.try_wait().map_err(GitError::Program)?;
        Ok(self.ended)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        // Not waited for yet, so the number is still its own.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Objects of a repository, as they are: without filters, attributes and line ends of anyone's.
pub(super) struct Objects {
    // In this order: it ends by itself once nobody asks any more.
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    _running: Running,
}

impl Objects {
    /// An object: its type, its length, and its content, all of which has to be read.
    pub(super) fn get<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str, u64, &mut dyn Read) -> Result<T, GitError>,
    ) -> Result<Option<T>, GitError> {
        writeln!(self.asks, "{name}").map_err(GitError::Program)?;
        let mut header = String::new();
        (&mut self.answers).take(512).read_line(&mut header).map_err(GitError::Program)?;
        let mut words = header.split_ascii_whitespace();
        let (Some(_), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            return Ok(None);
        };
        let size = size.parse().map_err(|_| broken())?;
        let mut content = (&mut self.answers).take(size);
        let value = read(kind, size, &mut content)?;
        if content.limit() > 0 {
            return Err(broken());
        }
        let mut newline = [0];
        self.answers.read_exact(&mut newline).map_err(GitError::Program)?;
        Ok(Some(value))
    }
}

fn broken() -> GitError {
    GitError::Program(io::Error::new(io::ErrorKind::InvalidData, "it answers what nobody asked"))
}

fn in_thread(read: impl FnOnce() -> Vec<u8> + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let _ = sender.send(read());
    });
    receiver
}

/// All that comes, and one byte more than `most` where it is more. The rest is read, and dropped.
fn all(mut pipe: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = (&mut pipe).take(most.saturating_add(1)).read_to_end(&mut bytes);
    let _ = io::copy(&mut pipe, &mut io::sink());
    bytes
}

/// The end of what comes.
fn end(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    kept
}

/// Its last words, as they may be shown.
fn last_lines(said: &[u8], status: ExitStatus) -> String {
    let text = masked(&String::from_utf8_lossy(said));
    let lines: Vec<String> = text
        // Progress is written over itself.
        .split(['\n', '\r'])
        .map(|line| line.chars().filter(|letter| !letter.is_control()).take(SHOWN.1).collect())
        .filter(|line: &String| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return format!("it ended with {status}");
    }
    lines[lines.len().saturating_sub(SHOWN.0)..].join("; ")
}

/// How much a folder takes in bytes, roughly: files come and go.
fn taken(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn last_words_are_short_and_say_no_password() {
        let status = ExitStatus::from_raw(128 << 8);
        let said =
            b"Counting: 1%\rCounting: 2%\nfatal: unable to access 'https://u:secret@h/a': no\n";
        assert_eq!(
            last_lines(said, status),
            "Counting: 1%; Counting: 2%; fatal: unable to access 'https://h/a': no"
        );
        assert_eq!(last_lines(b"\x1b\n", status), "it ended with exit status: 128");
        let many = "line\n".repeat(100) + &"x".repeat(10_000);
        assert!(last_lines(many.as_bytes(), status).len() < 400);
        assert_eq!(end(many.as_bytes()).len(), many.len());
        assert_eq!(end(&vec![b'x'; 100_000][..]).len(), KEPT);
        assert_eq!(all(&b"12345"[..], 3), b"1234");
    }
}
