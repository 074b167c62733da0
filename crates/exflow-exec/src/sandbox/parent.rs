//! The side of the sandbox that is in exflow's own process.

use super::helper::{DISK_FULL, HELPER};
use super::job::{ANSWER_FILE, Answer, JOB_FILE, Job};
use crate::inputs::{merged, trees};
use crate::log::Log;
use crate::{ExecError, Executor, Exit, Outcome, RunOptions};
use exflow_content::{Digest, RelPath};
use exflow_plan::Command;
use exflow_store::{Store, StoreError, TempDir};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a running command is looked at at the least.
const LOOK: Duration = Duration::from_millis(20);

/// Runs commands in namespaces of the Linux kernel.
#[derive(Debug)]
pub struct SandboxExecutor {
    store: Store,
    launcher: PathBuf,
}

/// A program that is run for someone at a terminal.
#[derive(Debug, Clone)]
pub struct Interactive {
    /// The trees that its root file system consists of, the lowest first.
    pub layers: Vec<Digest>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Its working folder.
    pub workdir: RelPath,
}

impl SandboxExecutor {
    /// An executor whose inputs and outputs are in `store`. `launcher` is a program whose `main`
    /// calls [`sandbox_main`](crate::sandbox_main) first: normally the running one, which is
    /// `/proc/self/exe`.
    pub fn new(store: Store, launcher: PathBuf) -> Self {
        Self { store, launcher }
    }

    /// Runs a program with the caller's terminal and network. What it writes is thrown away.
    /// Signals that this process is sent while it runs are the caller's to pass on: `started` is
    /// told the process that they go to.
    pub fn run_interactive(
        &self,
        program: &Interactive,
        started: impl FnOnce(Pid),
    ) -> Result<Exit, ExecError> {
        let temp = self.store.temp_dir()?;
        let layers = program
            .layers
            .iter()
            .map(|layer| self.store.checkout(layer))
            .collect::<Result<_, _>>()?;
        let job = Job {
            store: self.store.root().to_owned(),
            layers,
            argv: program.argv.clone(),
            env: program.env.clone(),
            workdir: program.workdir.clone(),
            outputs: Vec::new(),
            interactive: true,
        };
        let mut child =
            self.launch(&job, &temp, Stdio::inherit(), Stdio::inherit(), Stdio::inherit())?;
        started(pid_of(&child));
        let status = child.wait().map_err(|error| failed("wait for the helper process", &error))?;
        let answer = read_answer(temp.path(), status)?;
        outcome(answer, &program.argv).map(|outcome| outcome.exit)
    }

    fn launch(
        &self,
        job: &Job,
        temp: &TempDir,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Child, ExecError> {
        fs::write(temp.path().join(JOB_FILE), job.encode()).map_err(|source| {
            ExecError::Store(StoreError::Io { action: "write", path: temp.path().into(), source })
        })?;
        let mut command = std::process::Command::new(&self.launcher);
        command.arg(HELPER).arg(temp.path()).env_clear().stdin(stdin).stdout(stdout).stderr(stderr);
        if !job.interactive {
            // A Ctrl-C at the terminal is for exflow, which then kills the helper. A step that were
            // told of it, too, could end well with half of its output.
            command.process_group(0);
        }
        command.spawn().map_err(|error| failed("start the helper process", &error))
    }

    /// The inputs of a command, laid out as one folder.
    fn lay_out_inputs(&self, command: &Command, temp: &TempDir) -> Result<PathBuf, ExecError> {
        let mut inputs = merged(command, &trees(&self.store, command)?)?;
        // The working folder is there, whatever else is.
        if inputs.get(&command.workdir).is_none() && !command.workdir.is_root() {
            let folder = exflow_content::Entry::Folder { mode: exflow_content::Mode::FOLDER };
            inputs.insert(command.workdir.clone(), folder).map_err(|source| {
                ExecError::Store(StoreError::Tree {
                    path: command.workdir.to_string().into(),
                    source,
                })
            })?;
        }
        let folder = temp.path().join("inputs");
        self.store.lay_out(&inputs, &folder)?;
        Ok(folder)
    }
}

impl Executor for SandboxExecutor {
    fn name(&self) -> &'static str {
        "the sandbox"
    }

    fn run(&self, command: &Command, options: &RunOptions<'_>) -> Result<Outcome, ExecError> {
        let temp = self.store.temp_dir()?;
        let base = self.store.checkout(&command.base)?;
        let inputs = self.lay_out_inputs(command, &temp)?;
        let job = Job {
            store: self.store.root().to_owned(),
            layers: vec![base, inputs],
            argv: command.argv.clone(),
            env: command.env.clone(),
            workdir: command.workdir.clone(),
            outputs: command.outputs.clone(),
            interactive: false,
        };
        let logged = |source| {
            ExecError::Store(StoreError::Io { action: "write", path: options.log.clone(), source })
        };
        let log = Log::create(&options.log).map_err(logged)?;
        let (reader, writer) = io::pipe().map_err(|error| failed("make a pipe", &error))?;
        let second = writer.try_clone().map_err(|error| failed("make a pipe", &error))?;
        let mut child = self.launch(&job, &temp, Stdio::null(), writer.into(), second.into())?;
        let logger = std::thread::spawn(move || keep_log(reader, log));
        let begun = Instant::now();
        // A short sleep at first, for commands that end at once.
        let mut pause = Duration::from_micros(500);
        let ended = loop {
            let done =
                child.try_wait().map_err(|error| failed("wait for the helper process", &error))?;
            if let Some(status) = done {
                break Ok(status);
            }
            let exit = if options.cancel.is_cancelled() {
                Some(Exit::Cancelled)
            } else if begun.elapsed() >= options.time_limit {
                Some(Exit::TimedOut)
            } else {
                None
            };
            if let Some(exit) = exit {
                // It takes everything in its pid namespace with it.
                let _ = kill_process(pid_of(&child), Signal::KILL);
                let _ = child.wait();
                break Err(exit);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK);
        };
        // The pipe ends with the last process that has it.
        let _ = logger.join();
        // Of a build that is being stopped nothing is believed: its steps may have noticed, too.
        let cancelled = options.cancel.is_cancelled().then_some(Exit::Cancelled);
        match (cancelled, ended) {
            (Some(exit), _) | (None, Err(exit)) => Ok(Outcome { exit, outputs: Vec::new() }),
            (None, Ok(status)) => {
                let answer = read_answer(temp.path(), status)?;
                // As many files as the command has seen and written.
                self.store.remove_meanwhile(temp);
                outcome(answer, &command.argv)
            }
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn failed(action: &str, error: &io::Error) -> ExecError {
    ExecError::Sandbox { action: action.to_owned(), reason: error.to_string() }
}

/// Keeps what a command prints as it comes.
fn keep_log(mut reader: impl Read, mut log: Log) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => log.keep(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn read_answer(folder: &Path, status: ExitStatus) -> Result<Answer, ExecError> {
    if status.code() == Some(DISK_FULL.into()) {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        return Err(ExecError::Store(StoreError::Io {
            action: "write",
            path: folder.into(),
            source,
        }));
    }
    let bytes = fs::read(folder.join(ANSWER_FILE))
        .map_err(|_| failed("run the command", &io::Error::other("its helper process died")))?;
    Answer::decode(&bytes).map_err(|error| failed("read the answer", &io::Error::other(error)))
}

fn outcome(answer: Answer, argv: &[String]) -> Result<Outcome, ExecError> {
    Err(match answer {
        Answer::Exited { code, outputs } => return Ok(Outcome { exit: Exit::Code(code), outputs }),
        Answer::Killed { signal } => {
            return Ok(Outcome { exit: Exit::Signal(signal), outputs: Vec::new() });
        }
        Answer::Unsupported { action, errno } => {
            let help = how_to_support(&action);
            ExecError::Unsupported { action, source: io::Error::from_raw_os_error(errno), help }
        }
        Answer::Failed { action, reason } => ExecError::Sandbox { action, reason },
        Answer::Program { reason } => {
            ExecError::Program { program: argv.first().cloned().unwrap_or_default(), reason }
        }
        Answer::MissingOutput { output } => ExecError::MissingOutput { output },
        Answer::BadOutput { output, reason } => ExecError::BadOutput { output, reason },
        Answer::Store { path, errno } => ExecError::Store(StoreError::Io {
            action: "write",
            path,
            source: io::Error::from_raw_os_error(errno),
        }),
    })
}

/// What to do where the kernel or the host doesn't let us.
fn how_to_support(action: &str) -> String {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    if action.contains("user namespace") {
        for (path, bad, mend) in [
            ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
            (
                "/proc/sys/kernel/unprivileged_userns_clone",
                "0",
                "sysctl kernel.unprivileged_userns_clone=1",
            ),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
            ),
        ] {
            if setting(path).as_deref() == Some(bad) {
                return format!("user namespaces are switched off here: run `{mend}` as root");
            }
        }
        return "user namespaces are not allowed here; in a container, start it with \
                `--security-opt seccomp=unconfined`, or with `--privileged`"
            .to_owned();
    }
    if action.contains("overlay") {
        return "the kernel must be Linux 6.8 or newer, and the store on a file system that can \
                be the top of an overlay (ext4, xfs, btrfs, tmpfs): `EXFLOW_STORE=DIR` moves it"
            .to_owned();
    }
    if action.contains("/proc") {
        return "parts of /proc are hidden here; in a container, start it with \
                `--security-opt systempaths=unconfined`, or with `--privileged`"
            .to_owned();
    }
    "mounts are not allowed here; in a container, start it with `--privileged`".to_owned()
}
