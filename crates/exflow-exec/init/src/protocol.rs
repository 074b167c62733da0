//! What exflow and the init process of a container say to each other.
//!
//! exflow writes one [`Request`] to the init process's standard input and keeps that open: when it
//! ends, the step is to be stopped. The init process answers on its standard output with frames,
//! each a [`Frame`] behind a byte that says which. What the step prints goes to standard error, and after
//! it, when nothing of the step is left, the mark that the request names: nobody has to wait for the
//! container to end.
//!
//! An output is listed first, each file by its digest. exflow then says on standard input which of the
//! files it wants, those that its store lacks, and their bytes follow, one after the other.
//!
//! # Encoding
//! Numbers are little-endian. A byte string is its length, 32 bits, and its bytes; a list is the
//! number of its items, 32 bits, and the items. A request is [`MAGIC`], the length of the rest, 32
//! bits, and its fields in their order. What is wanted is a list of numbers, 32 bits each: those of
//! files, counted from 0 as they were listed, the lowest first.
//!
//! This file is compiled into both sides, which are always of the same build: there are no versions.

use std::io::{self, Read, Write};

/// What a request begins with.
pub(crate) const MAGIC: &[u8] = b"exflow init\n";
/// The longest byte string, in bytes: of a path, an argument or a variable.
pub(crate) const MAX_BYTES: u32 = 1 << 20;
/// The longest request, in bytes.
pub(crate) const MAX_REQUEST: u32 = 16 << 20;

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The program and its arguments.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The environment: a name, then a value, and so on.
    pub(crate) env: Vec<Vec<u8>>,
    /// The working folder, relative to the root.
    pub(crate) workdir: Vec<u8>,
    /// The folders that are sent back, relative to the root.
    pub(crate) outputs: Vec<Vec<u8>>,
    /// The modification time of folders that are made for it, in seconds.
    pub(crate) mtime: u64,
    /// How many files a process may have open.
    pub(crate) open_files: u64,
    /// What is behind the last that the step printed. The step can't know it.
    pub(crate) end_of_log: Vec<u8>,
}

/// What came of it: how it ended, and if that was well, its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It ended by itself, with this code.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
    /// There is no such program.
    NoProgram,
    /// The container lacks something that init needs: what was tried, and how it failed.
    Failed { action: String, reason: String },
    /// An output begins.
    Output,
    /// An output isn't there.
    Missing,
    /// An output is no folder.
    NoFolder,
    /// There is something in an output that can't be kept.
    Unsupported { path: Vec<u8>, kind: String },
    /// A folder of an output. Those above it came before.
    Folder { path: Vec<u8>, mode: u32 },
    /// A symbolic link of an output.
    Link { path: Vec<u8>, target: Vec<u8> },
    /// A file of an output. `content` is the blake3 digest of its bytes.
    File { path: Vec<u8>, mode: u32, size: u64, content: [u8; 32] },
    /// The output is listed. The bytes of those files follow that are wanted.
    Listed,
    /// That was all.
    End,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn put_number(out: &mut Vec<u8>, number: usize) -> io::Result<()> {
    let number = u32::try_from(number).map_err(|_| invalid("it is too long"))?;
    out.extend_from_slice(&number.to_le_bytes());
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    put_number(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

fn get<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn get_number(reader: &mut impl Read) -> io::Result<u32> {
    get(reader).map(u32::from_le_bytes)
}

fn get_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = get_number(reader)?;
    if length > MAX_BYTES {
        return Err(invalid("a text is too long"));
    }
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn get_text(reader: &mut impl Read) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&get_bytes(reader)?).into_owned())
}

impl Request {
    /// Its encoding.
    ///
    /// # Errors
    /// Where a field is longer than can be said.
    #[allow(dead_code, reason = "one side writes what the other reads")]
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        for list in [&self.argv, &self.env, &self.outputs] {
            put_number(&mut body, list.len())?;
            for item in list {
                if item.len() > MAX_BYTES as usize {
                    return Err(invalid("an argument or a variable is longer than 1 MiB"));
                }
                put_bytes(&mut body, item)?;
            }
        }
        put_bytes(&mut body, &self.workdir)?;
        body.extend_from_slice(&self.mtime.to_le_bytes());
        body.extend_from_slice(&self.open_files.to_le_bytes());
        put_bytes(&mut body, &self.end_of_log)?;
        if body.len() > MAX_REQUEST as usize {
            return Err(invalid("arguments and environment are longer than 16 MiB"));
        }
        let mut out = MAGIC.to_vec();
        put_bytes(&mut out, &body)?;
        Ok(out)
    }

    /// Reads one, and not a byte more.
    #[allow(dead_code, reason = "one side writes what the other reads")]
    pub(crate) fn read(reader: &mut impl Read) -> io::Result<Self> {
        if get::<{ MAGIC.len() }>(reader)? != MAGIC {
            return Err(invalid("it is no request"));
        }
        let length = get_number(reader)?;
        if length > MAX_REQUEST {
            return Err(invalid("the request is too long"));
        }
        let mut body = vec![0; length as usize];
        reader.read_exact(&mut body)?;
        let mut body = body.as_slice();
        let mut lists = [Vec::new(), Vec::new(), Vec::new()];
        for list in &mut lists {
            for _ in 0..get_number(&mut body)? {
                list.push(get_bytes(&mut body)?);
            }
        }
        let [argv, env, outputs] = lists;
        let workdir = get_bytes(&mut body)?;
        let mtime = u64::from_le_bytes(get(&mut body)?);
        let open_files = u64::from_le_bytes(get(&mut body)?);
        let end_of_log = get_bytes(&mut body)?;
        Ok(Self { argv, env, workdir, outputs, mtime, open_files, end_of_log })
    }
}

impl Frame {
    /// Writes it.
    #[allow(dead_code, reason = "one side writes what the other reads")]
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(64);
        match self {
            Self::Exited(code) => {
                bytes.push(b'x');
                bytes.extend_from_slice(&code.to_le_bytes());
            }
            Self::Killed(signal) => {
                bytes.push(b'k');
                bytes.extend_from_slice(&signal.to_le_bytes());
            }
            Self::NoProgram => bytes.push(b'p'),
            Self::Failed { action, reason } => {
                bytes.push(b'!');
                put_bytes(&mut bytes, action.as_bytes())?;
                put_bytes(&mut bytes, reason.as_bytes())?;
            }
            Self::Output => bytes.push(b'o'),
            Self::Missing => bytes.push(b'm'),
            Self::NoFolder => bytes.push(b'n'),
            Self::Unsupported { path, kind } => {
                bytes.push(b'u');
                put_bytes(&mut bytes, path)?;
                put_bytes(&mut bytes, kind.as_bytes())?;
            }
            Self::Folder { path, mode } => {
                bytes.push(b'd');
                put_bytes(&mut bytes, path)?;
                bytes.extend_from_slice(&mode.to_le_bytes());
            }
            Self::Link { path, target } => {
                bytes.push(b'l');
                put_bytes(&mut bytes, path)?;
                put_bytes(&mut bytes, target)?;
            }
            Self::File { path, mode, size, content } => {
                bytes.push(b'f');
                put_bytes(&mut bytes, path)?;
                bytes.extend_from_slice(&mode.to_le_bytes());
                bytes.extend_from_slice(&size.to_le_bytes());
                bytes.extend_from_slice(content);
            }
            Self::Listed => bytes.push(b'.'),
            Self::End => bytes.push(b'z'),
        }
        out.write_all(&bytes)
    }

    /// Reads one.
    #[allow(dead_code, reason = "one side writes what the other reads")]
    pub(crate) fn read(reader: &mut impl Read) -> io::Result<Self> {
        Ok(match get::<1>(reader)?[0] {
            b'x' => Self::Exited(i32::from_le_bytes(get(reader)?)),
            b'k' => Self::Killed(i32::from_le_bytes(get(reader)?)),
            b'p' => Self::NoProgram,
            b'!' => Self::Failed { action: get_text(reader)?, reason: get_text(reader)? },
            b'o' => Self::Output,
            b'm' => Self::Missing,
            b'n' => Self::NoFolder,
            b'u' => Self::Unsupported { path: get_bytes(reader)?, kind: get_text(reader)? },
            b'd' => Self::Folder { path: get_bytes(reader)?, mode: get_number(reader)? },
            b'l' => Self::Link { path: get_bytes(reader)?, target: get_bytes(reader)? },
            b'f' => Self::File {
                path: get_bytes(reader)?,
                mode: get_number(reader)?,
                size: u64::from_le_bytes(get(reader)?),
                content: get(reader)?,
            },
            b'.' => Self::Listed,
            b'z' => Self::End,
            other => return Err(invalid(&format!("byte {other} begins no frame"))),
        })
    }
}

/// The numbers of the files that are wanted, as they are sent.
#[allow(dead_code, reason = "one side writes what the other reads")]
pub(crate) fn encode_wanted(wanted: &[u32]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4 * wanted.len() + 4);
    put_number(&mut bytes, wanted.len())?;
    for number in wanted {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(bytes)
}

/// Reads which of `files` files are wanted.
#[allow(dead_code, reason = "one side writes what the other reads")]
pub(crate) fn read_wanted(reader: &mut impl Read, files: usize) -> io::Result<Vec<u32>> {
    let length = get_number(reader)? as usize;
    if length > files {
        return Err(invalid("more files are wanted than there are"));
    }
    let mut wanted: Vec<u32> = Vec::with_capacity(length);
    for _ in 0..length {
        let number = get_number(reader)?;
        if number as usize >= files || wanted.last().is_some_and(|last| *last >= number) {
            return Err(invalid("a file is wanted that there isn't, or twice"));
        }
        wanted.push(number);
    }
    Ok(wanted)
}
