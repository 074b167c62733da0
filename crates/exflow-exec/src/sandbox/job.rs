//! What the helper process is asked, and what it answers: by files in a folder of their own.

use exflow_content::{DecodeError, Decoder, Digest, Encoder, RelPath};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

const JOB: &str = "exflow sandbox job 1";
const ANSWER: &str = "exflow sandbox answer 1";

/// The name of the file that a job is in, in its folder.
pub(super) const JOB_FILE: &str = "job";
/// The name of the file that its answer is in.
pub(super) const ANSWER_FILE: &str = "answer";

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The store that outputs go to.
    pub(super) store: PathBuf,
    /// The folders of the root file system, the lowest first.
    pub(super) layers: Vec<PathBuf>,
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) workdir: RelPath,
    pub(super) outputs: Vec<RelPath>,
    /// A user is at the terminal: the network and standard input are theirs.
    pub(super) interactive: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It ended by itself, with this code, and these outputs if the code is zero.
    Exited { code: i32, outputs: Vec<Digest> },
    /// It was killed.
    Killed { signal: i32 },
    /// This host can't do it.
    Unsupported { action: String, errno: i32 },
    /// The sandbox failed.
    Failed { action: String, reason: String },
    /// The program couldn't be started.
    Program { reason: String },
    /// An output isn't there.
    MissingOutput { output: RelPath },
    /// An output can't be kept.
    BadOutput { output: RelPath, reason: String },
    /// The disk is full, or the store failed otherwise.
    Store { path: PathBuf, errno: i32 },
}

fn path(decoder: &mut Decoder<'_>) -> Result<PathBuf, DecodeError> {
    Ok(OsString::from_vec(decoder.bytes()?.to_vec()).into())
}

fn relative(decoder: &mut Decoder<'_>) -> Result<RelPath, DecodeError> {
    RelPath::new(decoder.bytes()?).map_err(|_| DecodeError::Field("path"))
}

fn signed(decoder: &mut Decoder<'_>) -> Result<i32, DecodeError> {
    let number = decoder.number()?;
    i32::try_from(number.cast_signed()).map_err(|_| DecodeError::Field("number"))
}

fn list<'a, T>(
    decoder: &mut Decoder<'a>,
    mut item: impl FnMut(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    for _ in 0..decoder.number()? {
        items.push(item(decoder)?);
    }
    Ok(items)
}

impl Job {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(JOB);
        encoder.bytes(self.store.as_os_str().as_bytes());
        encoder.list(self.layers.iter(), |encoder, layer| {
            encoder.bytes(layer.as_os_str().as_bytes());
        });
        encoder.list(self.argv.iter(), |encoder, argument| {
            encoder.text(argument);
        });
        encoder.list(self.env.iter(), |encoder, (name, value)| {
            encoder.text(name).text(value);
        });
        encoder.bytes(self.workdir.as_bytes());
        encoder.list(self.outputs.iter(), |encoder, output| {
            encoder.bytes(output.as_bytes());
        });
        encoder.flag(self.interactive);
        encoder.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes, JOB)?;
        let text = |decoder: &mut Decoder<'_>| Ok(decoder.text()?.to_owned());
        let job = Self {
            store: path(&mut decoder)?,
            layers: list(&mut decoder, path)?,
            argv: list(&mut decoder, text)?,
            env: list(&mut decoder, |decoder| {
                Ok((decoder.text()?.to_owned(), decoder.text()?.to_owned()))
            })?
            .into_iter()
            .collect(),
            workdir: relative(&mut decoder)?,
            outputs: list(&mut decoder, relative)?,
            interactive: decoder.variant()? == 1,
        };
        decoder.end()?;
        Ok(job)
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(ANSWER);
        let number = |number: i32| i64::from(number).cast_unsigned();
        match self {
            Self::Exited { code, outputs } => {
                encoder.variant(0).number(number(*code));
                encoder.list(outputs.iter(), |encoder, output| {
                    encoder.digest(output);
                });
            }
            Self::Killed { signal } => {
                encoder.variant(1).number(number(*signal));
            }
            Self::Unsupported { action, errno } => {
                encoder.variant(2).text(action).number(number(*errno));
            }
            Self::Failed { action, reason } => {
                encoder.variant(3).text(action).text(reason);
            }
            Self::Program { reason } => {
                encoder.variant(4).text(reason);
            }
            Self::MissingOutput { output } => {
                encoder.variant(5).bytes(output.as_bytes());
            }
            Self::BadOutput { output, reason } => {
                encoder.variant(6).bytes(output.as_bytes()).text(reason);
            }
            Self::Store { path, errno } => {
                encoder.variant(7).bytes(path.as_os_str().as_bytes()).number(number(*errno));
            }
        }
        encoder.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes, ANSWER)?;
        let answer = match decoder.variant()? {
            0 => Self::Exited {
                code: signed(&mut decoder)?,
                outputs: list(&mut decoder, Decoder::digest)?,
            },
            1 => Self::Killed { signal: signed(&mut decoder)? },
            2 => Self::Unsupported {
                action: decoder.text()?.to_owned(),
                errno: signed(&mut decoder)?,
            },
            3 => Self::Failed {
                action: decoder.text()?.to_owned(),
                reason: decoder.text()?.to_owned(),
            },
            4 => Self::Program { reason: decoder.text()?.to_owned() },
            5 => Self::MissingOutput { output: relative(&mut decoder)? },
            6 => Self::BadOutput {
                output: relative(&mut decoder)?,
                reason: decoder.text()?.to_owned(),
            },
            7 => Self::Store { path: path(&mut decoder)?, errno: signed(&mut decoder)? },
            _ => return Err(DecodeError::Field("kind of answer")),
        };
        decoder.end()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_answers_survive_the_way() {
        let job = Job {
            store: OsString::from_vec(b"/st\xffore".to_vec()).into(),
            layers: vec!["/a".into(), "/b".into()],
            argv: vec!["x".into(), String::new()],
            env: BTreeMap::from([("A".into(), "b".into())]),
            workdir: RelPath::new("src").unwrap(),
            outputs: vec![RelPath::new("src/out").unwrap()],
            interactive: true,
        };
        assert_eq!(Job::decode(&job.encode()), Ok(job));
        let output = RelPath::new("o").unwrap();
        for answer in [
            Answer::Exited { code: -1, outputs: vec![Digest::of(b"")] },
            Answer::Killed { signal: 9 },
            Answer::Unsupported { action: "a".into(), errno: 1 },
            Answer::Failed { action: "a".into(), reason: "b".into() },
            Answer::Program { reason: "r".into() },
            Answer::MissingOutput { output: output.clone() },
            Answer::BadOutput { output, reason: "r".into() },
            Answer::Store { path: "/x".into(), errno: 28 },
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }
}
