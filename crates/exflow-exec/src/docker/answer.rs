//! What comes back from a container.

use super::protocol::{Frame, encode_wanted};
use crate::error::{NO_FOLDER, no_program, unsupported};
use crate::log::Log;
use crate::{ExecError, Exit, Outcome, RunOptions};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_docker::{DockerError, Event, Running};
use exflow_plan::Command;
use exflow_store::{Store, StoreError};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How often it is looked whether someone wishes to stop.
const LOOK: Duration = Duration::from_millis(20);
/// The most entries that an output may have.
const MAX_ENTRIES: usize = 4_000_000;

/// What the init process of a container answers; what the command prints goes to its log meanwhile.
pub(super) struct Answers<'a> {
    running: Running<'a>,
    log: Log,
    options: &'a RunOptions<'a>,
    begun: Instant,
    unread: bytes::Bytes,
    /// What stands behind the last that was printed, and what may be the beginning of it.
    end_of_log: Vec<u8>,
    held: Vec<u8>,
    has_printed_all: bool,
    /// Whether the command has ended. What is sent back after that has no time limit.
    has_exited: bool,
    /// Why there are no more.
    stopped: Option<Exit>,
    failed: Option<DockerError>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(
        running: Running<'a>,
        log: Log,
        options: &'a RunOptions<'a>,
        end_of_log: Vec<u8>,
    ) -> Self {
        Self {
            end_of_log,
            held: Vec::new(),
            has_printed_all: false,
            running,
            log,
            options,
            begun: Instant::now(),
            unread: bytes::Bytes::new(),
            has_exited: false,
            stopped: None,
            failed: None,
        }
    }

    fn stop(&mut self) -> Option<Exit> {
        if self.options.cancel.is_cancelled() {
            Some(Exit::Cancelled)
        } else if !self.has_exited && self.begun.elapsed() >= self.options.time_limit {
            Some(Exit::TimedOut)
        } else {
            None
        }
    }

    /// Waits for what there is to read; nothing is at the end.
    fn fill(&mut self) -> io::Result<()> {
        while self.unread.is_empty() {
            self.stopped = self.stop();
            if self.stopped.is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            let left = self.options.time_limit.saturating_sub(self.begun.elapsed());
            let wait = if self.has_exited { LOOK } else { LOOK.min(left) };
            match self.running.next(wait) {
                Ok(Event::Output(bytes)) => self.unread = bytes,
                Ok(Event::Error(bytes)) => self.keep(&bytes),
                Ok(Event::Nothing) => {}
                Ok(Event::Ended) => return Ok(()),
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
                }
            }
        }
        Ok(())
    }

    /// Keeps what was printed, but for the mark at its end.
    fn keep(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        if self.held.ends_with(&self.end_of_log) {
            self.has_printed_all = true;
            self.held.truncate(self.held.len() - self.end_of_log.len());
        }
        // What may be its beginning waits for more.
        let possible = (0..self.end_of_log.len().min(self.held.len() + 1))
            .rev()
            .find(|length| self.held.ends_with(&self.end_of_log[..*length]))
            .filter(|_| !self.has_printed_all)
            .unwrap_or(0);
        let sure = self.held.len() - possible;
        self.log.keep(&self.held[..sure]);
        self.held.drain(..sure);
    }

    /// Waits for what was printed last, which may come last. The container needs some time to end after
    /// that, and is not waited for: the daemon removes it.
    fn rest_of_log(&mut self) -> Result<(), Ended> {
        while !self.has_printed_all {
            match self.running.next(LOOK) {
                Ok(Event::Error(bytes)) => self.keep(&bytes),
                Ok(Event::Ended) => break,
                Ok(Event::Output(_) | Event::Nothing) => {}
                Err(error) => return Err(Ended::Failed(ExecError::Docker(error))),
            }
            if self.options.cancel.is_cancelled() {
                return Err(Ended::Stopped(Exit::Cancelled));
            }
        }
        self.running.leave();
        Ok(())
    }

    /// The next frame. The init process may say anywhere that it failed.
    fn frame(&mut self) -> Result<Frame, Ended> {
        match Frame::read(self) {
            Ok(Frame::Failed { action, reason }) => {
                Err(ExecError::Container { action, reason }.into())
            }
            Ok(frame) => Ok(frame),
            Err(error) => Err(self.ended(&error)),
        }
    }

    /// Why an answer ended before its end.
    fn ended(&mut self, error: &io::Error) -> Ended {
        self.log.keep(&std::mem::take(&mut self.held));
        if let Some(exit) = self.stopped {
            return Ended::Stopped(exit);
        }
        let error = self.failed.take().unwrap_or_else(|| DockerError::Lost {
            action: "run a step",
            reason: match error.kind() {
                io::ErrorKind::UnexpectedEof => "its container ended too early".to_owned(),
                _ => error.to_string(),
            },
        });
        Ended::Failed(ExecError::Docker(error))
    }
}

impl Read for Answers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let length = self.unread.len().min(buffer.len());
        let read = self.unread.split_to(length);
        buffer[..length].copy_from_slice(&read);
        Ok(length)
    }
}

/// Why a command gave no outcome of its own.
enum Ended {
    Stopped(Exit),
    Failed(ExecError),
}

impl From<ExecError> for Ended {
    fn from(error: ExecError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads all answers, and keeps the outputs in the store.
pub(super) fn outcome(
    store: &Store,
    command: &Command,
    mut answers: Answers<'_>,
) -> Result<Outcome, ExecError> {
    match read(store, command, &mut answers) {
        Ok(outcome) => Ok(outcome),
        Err(Ended::Stopped(exit)) => Ok(Outcome { exit, outputs: Vec::new() }),
        Err(Ended::Failed(error)) => Err(error),
    }
}

fn read(store: &Store, command: &Command, answers: &mut Answers<'_>) -> Result<Outcome, Ended> {
    let exit = match answers.frame()? {
        Frame::Exited(code) => Exit::Code(code),
        Frame::Killed(signal) => Exit::Signal(signal),
        Frame::NoProgram => {
            let path = command.env.get("PATH").map_or("", String::as_str);
            let program = command.argv.first().cloned().unwrap_or_default();
            let reason = no_program(&program, path);
            return Err(ExecError::Program { program, reason }.into());
        }
        other => return Err(unexpected(&other)),
    };
    answers.has_exited = true;
    let mut outputs = Vec::new();
    if exit == Exit::Code(0) {
        for output in &command.outputs {
            outputs.push(read_output(store, output, answers)?);
        }
    }
    let last = answers.frame()?;
    if last != Frame::End {
        return Err(unexpected(&last));
    }
    answers.rest_of_log()?;
    Ok(Outcome { exit, outputs })
}

fn unexpected(frame: &Frame) -> Ended {
    let reason = format!("its answer has {frame:?} in the wrong place");
    ExecError::Container { action: "read what came of the step".to_owned(), reason }.into()
}

fn read_output(
    store: &Store,
    output: &RelPath,
    answers: &mut Answers<'_>,
) -> Result<Digest, Ended> {
    let bad =
        |reason: String| Ended::Failed(ExecError::BadOutput { output: output.clone(), reason });
    match answers.frame()? {
        Frame::Output => {}
        Frame::Missing => return Err(ExecError::MissingOutput { output: output.clone() }.into()),
        Frame::NoFolder => return Err(bad(NO_FOLDER.to_owned())),
        other => return Err(unexpected(&other)),
    }
    let mut tree = Tree::new();
    let mut files = Vec::new();
    loop {
        let (path, entry) = match answers.frame()? {
            Frame::Listed => break,
            Frame::Folder { path, mode } => (path, Entry::Folder { mode: Mode::new(mode) }),
            Frame::Link { path, target } => (path, Entry::Symlink { target: target.into() }),
            Frame::File { path, mode, size, content } => {
                let (mode, blob) = (Mode::new(mode), Digest::from_bytes(content));
                files.push((blob, size, mode));
                (path, Entry::File { mode, blob, size })
            }
            Frame::Unsupported { path, kind } => {
                let path = String::from_utf8_lossy(&path).into_owned();
                return Err(bad(unsupported(&path, &kind)));
            }
            other => return Err(unexpected(&other)),
        };
        if tree.len() >= MAX_ENTRIES {
            return Err(bad(format!("it has more than {MAX_ENTRIES} entries")));
        }
        let path = RelPath::new(&path).map_err(|error| bad(error.to_string()))?;
        tree.insert(path, entry).map_err(|error| bad(error.to_string()))?;
    }
    read_files(store, &files, answers)?;
    Ok(store.put_tree(&tree)?)
}

/// Asks for the files that the store lacks, each content once, and keeps them.
fn read_files(
    store: &Store,
    files: &[(Digest, u64, Mode)],
    answers: &mut Answers<'_>,
) -> Result<(), Ended> {
    let mut asked = BTreeSet::new();
    let wanted: Vec<u32> = files
        .iter()
        .zip(0..)
        .filter(|((blob, size, _), _)| !store.has_blob(blob, *size) && asked.insert(*blob))
        .map(|(_, number)| number)
        .collect();
    let encoded = encode_wanted(&wanted).map_err(|error| answers.ended(&error))?;
    answers.running.write(&encoded).map_err(ExecError::Docker)?;
    for number in wanted {
        let (expected, size, mode) = files[number as usize];
        let found = read_file(store, size, mode, answers)?;
        if found != expected {
            let reason = format!("a file has the digest {found}, and {expected} was announced");
            let action = "read what came of the step".to_owned();
            return Err(ExecError::Container { action, reason }.into());
        }
    }
    Ok(())
}

fn read_file(
    store: &Store,
    size: u64,
    mode: Mode,
    answers: &mut Answers<'_>,
) -> Result<Digest, Ended> {
    let mut writer = store.blob_writer()?;
    let mut left = size;
    while left > 0 {
        answers.fill().map_err(|error| answers.ended(&error))?;
        if answers.unread.is_empty() {
            return Err(answers.ended(&io::Error::from(io::ErrorKind::UnexpectedEof)));
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(answers.unread.len());
        let chunk = answers.unread.split_to(length);
        io::Write::write_all(&mut writer, &chunk).map_err(|source| StoreError::Io {
            action: "write",
            path: store.root().to_owned(),
            source,
        })?;
        left -= length as u64;
    }
    Ok(writer.finish_as(mode)?.0)
}
