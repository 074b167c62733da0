//! The first process of exflow's containers: runs one step on exactly the files that its plan
//! describes, and sends its outputs back.
//!
//! A container of Docker's has files that no image holds (`/.dockerenv`, `/etc/hosts`,
//! `/etc/resolv.conf`, `/sys`) and variables that nobody asked for. So the step's root is a folder
//! in the container, [`ROOT`], and this program is what starts the step there: with a `/proc` and a
//! `/dev` of its own, in a pid, a mount and, where that can be had, a user namespace, with its
//! environment and nothing else, and without the right that this program needs for all that.
//!
//! It says nothing to the terminal: see [`protocol`] for what it reads and writes.

mod outputs;
mod protocol;
mod step;

use crate::protocol::{Frame, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

/// The step's root in the container.
pub(crate) const ROOT: &str = "/exflow/root";
/// The argument of the process that becomes the step.
const STEP: &str = "step";

/// What was tried, and how it failed.
pub(crate) struct Failure {
    pub(crate) action: &'static str,
    pub(crate) error: io::Error,
}

/// Says what was tried.
pub(crate) trait Tried<T> {
    fn tried(self, action: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, action: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { action, error: error.into() })
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(OsStr::new(STEP)) {
        return step::become_step(arguments.next());
    }
    let mut out = BufWriter::with_capacity(1 << 18, io::stdout().lock());
    let result = run(&mut out).or_else(|failure| {
        let reason = failure.error.to_string();
        Frame::Failed { action: failure.action.to_owned(), reason }.write(&mut out)
    });
    match result.and_then(|()| Frame::End.write(&mut out)).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(out: &mut impl Write) -> Result<(), Failure> {
    // Unbuffered: what stands behind the request is for nobody.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned().tried("read the request")?);
    let mut request = Request::read(&mut input).tried("read the request")?;
    // It is not for the step.
    let end_of_log = std::mem::take(&mut request.end_of_log);
    let (mut failed, failed_writer) = io::pipe().tried("make a pipe")?;
    fcntl_setfd(&failed_writer, FdFlags::empty()).tried("keep a pipe open")?;
    #[expect(unsafe_code, reason = "unshares neither file descriptors nor memory")]
    // SAFETY: the flag changes only which pid namespace children begin in.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.tried("make a pid namespace")?;
    let log = io::stderr().as_fd().try_clone_to_owned().tried("open the log")?;
    let mut child = Command::new("/proc/self/exe")
        .arg(STEP)
        .arg(failed_writer.as_raw_fd().to_string())
        .stdin(Stdio::piped())
        .stdout(log)
        .spawn()
        .tried("start a process")?;
    drop(failed_writer);
    if let Some(mut stdin) = child.stdin.take() {
        let encoded = request.encode().tried("pass the request on")?;
        stdin.write_all(&encoded).tried("pass the request on")?;
    }
    let status = wait(&mut child, &input).tried("wait for the step")?;
    // That was the first process of the step's pid namespace: nobody is left who could print more.
    io::stderr().write_all(&end_of_log).tried("end the log")?;
    let mut failure = Vec::new();
    failed.read_to_end(&mut failure).tried("read a pipe")?;
    if !failure.is_empty() {
        return out.write_all(&failure).tried("answer");
    }
    let exited = status.code();
    let end = match (exited, status.signal()) {
        (Some(code), _) => Frame::Exited(code),
        (None, signal) => Frame::Killed(signal.unwrap_or(0)),
    };
    end.write(out).tried("answer")?;
    if exited != Some(0) {
        return Ok(());
    }
    let root = openat(CWD, ROOT, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .tried("open the root")?;
    for output in &request.outputs {
        if !outputs::send(&root, output, &mut input, out).tried("send an output")? {
            break;
        }
    }
    Ok(())
}

/// Waits for the step. When exflow is gone, or wants it to stop, this process ends at once, and as
/// the first one of the container takes all others with it.
fn wait(child: &mut Child, input: &File) -> io::Result<ExitStatus> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let mut events = [PollFd::new(&process, PollFlags::IN), PollFd::new(input, PollFlags::IN)];
        match poll(&mut events, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !events[0].revents().is_empty() {
            return child.wait();
        }
        if !events[1].revents().is_empty() && matches!((&*input).read(&mut [0; 64]), Ok(0) | Err(_))
        {
            std::process::exit(1);
        }
    }
}
