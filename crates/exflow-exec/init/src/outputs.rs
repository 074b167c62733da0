//! Sends a folder back.

use crate::protocol::{Frame, read_wanted};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Opens `path` with `root` as the root, so that no link leads out of it.
fn open_within(root: &impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    loop {
        match openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            // The kernel can't rule out that a `..` led outside when anything on the machine was
            // renamed or mounted meanwhile (openat2(2)).
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Sends the folder at `output`: what is in it, and what `input` then says is wanted of it. Whether the
/// next one is to be sent.
pub(crate) fn send(
    root: &OwnedFd,
    output: &[u8],
    input: &mut impl Read,
    out: &mut impl Write,
) -> io::Result<bool> {
    let found = match open_within(root, Path::new(OsStr::from_bytes(output))) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
            return Frame::Missing.write(out).map(|()| false);
        }
        other => other?,
    };
    if statat(&found, "", AtFlags::EMPTY_PATH)?.st_mode & 0o170_000 != 0o040_000 {
        return Frame::NoFolder.write(out).map(|()| false);
    }
    Frame::Output.write(out)?;
    // A path to exactly what was opened.
    let top = PathBuf::from(format!("/proc/self/fd/{}/.", found.as_raw_fd()));
    let mut folders = vec![PathBuf::new()];
    let mut files: Vec<(PathBuf, u64)> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            let at = folder.join(entry.file_name());
            let path = at.as_os_str().as_bytes().to_vec();
            let metadata = fs::symlink_metadata(entry.path())?;
            let kind = metadata.file_type();
            let mode = metadata.permissions().mode() & 0o7777;
            if kind.is_dir() {
                Frame::Folder { path, mode }.write(out)?;
                folders.push(at);
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?.as_os_str().as_bytes().to_vec();
                Frame::Link { path, target }.write(out)?;
            } else if kind.is_file() {
                let size = metadata.len();
                // Every process of the step has ended: it doesn't change any more.
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(File::open(entry.path())?.take(size))?;
                let content = *hasher.finalize().as_bytes();
                Frame::File { path, mode, size, content }.write(out)?;
                files.push((entry.path(), size));
            } else {
                let kind = if kind.is_fifo() {
                    "pipe"
                } else if kind.is_socket() {
                    "socket"
                } else {
                    "device"
                };
                Frame::Unsupported { path, kind: kind.to_owned() }.write(out)?;
                return Ok(false);
            }
        }
    }
    Frame::Listed.write(out)?;
    out.flush()?;
    for number in read_wanted(input, files.len())? {
        let (path, size) = &files[number as usize];
        if io::copy(&mut File::open(path)?.take(*size), out)? != *size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
    Ok(true)
}
