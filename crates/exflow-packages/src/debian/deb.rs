//! Binary packages: deb(5), an ar archive of two tar archives.

use super::ar::Members;
use super::control::{ControlError, Paragraphs};
use super::metered::Metered;
use exflow_content::{Digest, Entry, Mode, PathError, RelPath, Tree, TreeError};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// How much a package may hold. What goes beyond is no package that anyone installs.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The sum of its files, unpacked, in bytes.
    pub unpacked: u64,
    /// The number of its files and folders, those that it only implies included.
    pub entries: u64,
    /// The sum of its control files in bytes.
    pub control: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked: 8 << 30, entries: 500_000, control: 16 << 20 }
    }
}

/// How much the description of one file may take in a tar archive, extensions for long names
/// included, in bytes.
const MAX_HEADERS: u64 = 1 << 20;

/// The longest path, and the longest target of a link, in bytes: Linux's `PATH_MAX`.
const MAX_PATH: usize = 4096;

/// How many names a path may have. Each but the last is a folder, whether the archive has it or not.
const MAX_DEPTH: usize = 128;

/// How much all paths and targets of a package may take, in bytes. They are kept in memory.
const MAX_NAMES: usize = 64 << 20;

/// How much memory the decoder of xz may take, in bytes. The largest preset (`xz -9`) needs 65 MiB.
const XZ_MEMORY: u64 = 80 << 20;

/// A package, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// What describes it.
    pub control: Control,
    /// Its files.
    pub tree: Tree,
}

/// The control files of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// The file `control`.
    pub fields: String,
    /// All others by name: `md5sums`, `postinst`, `conffiles`.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Control {
    /// A field of the file `control`.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut paragraphs = Paragraphs::new(self.fields.as_bytes());
        let paragraph = paragraphs.next_paragraph().ok()??;
        paragraph.get(name).map(str::to_owned)
    }
}

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It can't be read, or is cut short or damaged.
    #[error("it can't be read: {0}")]
    Read(#[from] io::Error),
    /// It lacks a member, or has one where it doesn't belong.
    #[error("it is not a Debian package: {0}")]
    Format(String),
    /// A path leaves the root.
    #[error("it holds a path that is not allowed: {0}")]
    Path(#[from] PathError),
    /// A path goes through something that is not a folder.
    #[error("it holds a path that is not allowed: {0}")]
    Tree(#[from] TreeError),
    /// A hard link leads to something that is not a file of the package.
    #[error("it holds a hard link `{0}` to `{1}`, which is not a file of it")]
    HardLink(RelPath, String),
    /// A device, a pipe, or something stranger.
    #[error("it holds `{0}`, which is neither file, folder nor link")]
    Kind(RelPath),
    /// It is larger than any package should be.
    #[error("it holds more than {0}")]
    TooLarge(String),
    /// Its control file is none.
    #[error("its control file is not valid: {0}")]
    Control(#[from] ControlError),
}

/// What takes the content of a file, which will have this mode: the name of its blob, and its length.
pub type Keep<'a> = dyn FnMut(Mode, &mut dyn Read) -> io::Result<(Digest, u64)> + 'a;

/// Reads a package without writing a file. Each file's content goes to `keep`, with the mode that
/// it will have; it says what the blob is called and how long it was.
///
/// Times and owners are dropped, and with an owner other than root the set-user-ID bit, which would
/// otherwise be root's; likewise for groups. What the archive claims is not believed: nothing is reserved by a
/// size that it names, and paths are those of a [`Tree`], which nothing can leave.
pub fn read_deb(reader: impl Read, limits: &Limits, keep: &mut Keep<'_>) -> Result<Deb, DebError> {
    let mut archive = Members::new(reader);
    let mut control = None;
    let mut tree = None;
    let mut position = 0;
    while let Some(name) = archive.next_member()? {
        let member = &mut archive;
        match position {
            0 if name == "debian-binary" => {
                let mut version = String::new();
                member.take(16).read_to_string(&mut version)?;
                if !version.starts_with("2.") {
                    return Err(DebError::Format(format!("its version is `{}`", version.trim())));
                }
            }
            0 => return Err(DebError::Format("it doesn't begin with `debian-binary`".into())),
            // Members whose names begin with an underscore are for whoever knows them.
            _ if name.starts_with('_') => {}
            _ if control.is_none() => {
                let reader = decompress(&name, "control.tar", member)?;
                control = Some(read_control(reader, limits)?);
            }
            _ if tree.is_none() => {
                let reader = decompress(&name, "data.tar", member)?;
                tree = Some(read_data(reader, limits, keep)?);
            }
            _ => {}
        }
        position += 1;
    }
    match (control, tree) {
        (Some(control), Some(tree)) => Ok(Deb { control, tree }),
        (None, _) => Err(DebError::Format("it has no control archive".into())),
        (_, None) => Err(DebError::Format("it has no data archive".into())),
    }
}

fn decompress<'a>(
    name: &str,
    expected: &str,
    member: impl Read + 'a,
) -> Result<Box<dyn Read + 'a>, DebError> {
    match name.strip_prefix(expected) {
        Some("") => Ok(Box::new(member)),
        Some(".gz") => Ok(Box::new(ungz(member))),
        Some(".xz") => Ok(Box::new(unxz(member)?)),
        Some(other) => Err(DebError::Format(format!(
            "its member `{name}` is compressed in a way that Debian doesn't use (`{other}`)"
        ))),
        None => Err(DebError::Format(format!("`{name}` stands where `{expected}` should"))),
    }
}

/// A decoder of gzip. A file may have several members, as those of parallel compressors do: what
/// stands behind the first is not to be lost in silence.
pub fn ungz<R: Read>(reader: R) -> flate2::read::MultiGzDecoder<R> {
    flate2::read::MultiGzDecoder::new(reader)
}

/// A decoder of xz, whose memory is bounded: what it needs is decided by the archive. A file may
/// have several streams here, too.
pub fn unxz<R: Read>(reader: R) -> io::Result<liblzma::read::XzDecoder<R>> {
    let flags = liblzma::stream::CONCATENATED;
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
    Ok(liblzma::read::XzDecoder::new_stream(reader, stream))
}

/// One file of a tar archive, its path checked.
struct Item<'a, R: Read> {
    path: RelPath,
    kind: tar::EntryType,
    mode: Mode,
    link: Option<Vec<u8>>,
    content: tar::Entry<'a, R>,
}

/// What an archive may still hold.
struct Left {
    bytes: u64,
    entries: u64,
    names: usize,
    /// What it may hold in all: bytes, entries.
    limits: (u64, u64),
}

impl Left {
    fn new(limits: (u64, u64)) -> Self {
        Self { bytes: limits.0, entries: limits.1, names: MAX_NAMES, limits }
    }

    /// Takes one entry, whose path and target are `names` bytes long.
    fn take(&mut self, names: usize) -> Result<(), DebError> {
        self.entries = self
            .entries
            .checked_sub(1)
            .ok_or_else(|| DebError::TooLarge(format!("{} files", self.limits.1)))?;
        self.names = self
            .names
            .checked_sub(names)
            .ok_or_else(|| DebError::TooLarge(format!("{MAX_NAMES} bytes of paths")))?;
        Ok(())
    }

    /// Takes the folders above `path` that `tree` doesn't have yet: they will be made with it.
    fn take_folders_above(&mut self, path: &RelPath, tree: &Tree) -> Result<(), DebError> {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|at| !at.is_root() && tree.get(at).is_none()) {
            self.take(folder.as_bytes().len())?;
            above = folder.parent();
        }
        Ok(())
    }
}

/// Goes through a tar archive, bounding what each header and all contents together may take. What
/// is done with an item says how many bytes of content it had.
fn each<R: Read>(
    reader: R,
    limits: (u64, u64),
    mut item: impl FnMut(Item<'_, Metered<R>>, &mut Left) -> Result<u64, DebError>,
) -> Result<(), DebError> {
    let mut left = Left::new(limits);
    let metered = Metered::new(reader, MAX_HEADERS);
    let allowance = metered.allowance();
    let mut archive = tar::Archive::new(metered);
    for entry in archive.entries()? {
        let entry = entry?;
        let raw = entry.path_bytes();
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let link_length = link.as_ref().map_or(0, Vec::len);
        if raw.len() > MAX_PATH || link_length > MAX_PATH {
            return Err(DebError::TooLarge(format!("{MAX_PATH} bytes in one path")));
        }
        left.take(raw.len() + link_length)?;
        let raw = raw.strip_prefix(b"./").unwrap_or(&raw);
        if raw.split(|byte| *byte == b'/').any(|name| name == b"..") {
            let shown = String::from_utf8_lossy(raw).chars().take(200).collect();
            return Err(PathError::Escapes(shown).into());
        }
        let path = RelPath::clean(raw)?;
        if path.names().count() > MAX_DEPTH {
            return Err(DebError::TooLarge(format!("{MAX_DEPTH} names in one path")));
        }
        let header = entry.header();
        let size = entry.size();
        if size > left.bytes {
            return Err(DebError::TooLarge(format!("{} bytes", limits.0)));
        }
        let mut mode = header.mode()?;
        // Owners are dropped. A program that runs as its owner must not become root's by that.
        if !header.uid().is_ok_and(|user| user == 0) {
            mode &= !0o4000;
        }
        if !header.gid().is_ok_and(|group| group == 0) {
            mode &= !0o2000;
        }
        let mode = Mode::new(mode);
        let kind = header.entry_type();
        // The content and its padding; what is left over is for the next header.
        allowance.set(size.saturating_add(512 + MAX_HEADERS));
        let used = item(Item { path, kind, mode, link, content: entry }, &mut left)?;
        left.bytes -= used.min(left.bytes);
        allowance.set(allowance.get().max(MAX_HEADERS));
    }
    // The end of the compressed stream has a checksum, which nobody has looked at yet.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

fn read_control(reader: impl Read, limits: &Limits) -> Result<Control, DebError> {
    let mut control = Control::default();
    let mut found = false;
    each(reader, (limits.control, 10_000), |mut item, _| {
        let mut bytes = Vec::new();
        let Some(name) = item.path.as_str().map(str::to_owned) else { return Ok(0) };
        if !item.kind.is_file() || name.contains('/') {
            return Ok(0);
        }
        item.content.read_to_end(&mut bytes)?;
        let length = bytes.len() as u64;
        if name == "control" {
            control.fields = String::from_utf8(bytes)
                .map_err(|_| DebError::Format("its control file is not UTF-8".into()))?;
            found = true;
        } else {
            control.files.insert(name, bytes);
        }
        Ok(length)
    })?;
    if !found {
        return Err(DebError::Format("it has no control file".into()));
    }
    // It is read again and again later on, so it is checked once now.
    Paragraphs::new(control.fields.as_bytes()).next_paragraph()?;
    Ok(control)
}

fn read_data(reader: impl Read, limits: &Limits, keep: &mut Keep<'_>) -> Result<Tree, DebError> {
    let mut tree = Tree::new();
    each(reader, (limits.unpacked, limits.entries), |mut item, left| {
        left.take_folders_above(&item.path, &tree)?;
        if item.kind.is_file() {
            let expected = item.content.size();
            let (blob, size) = keep(item.mode, &mut item.content)?;
            if size != expected {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            tree.insert(item.path, Entry::File { mode: item.mode, blob, size })?;
            return Ok(size);
        }
        match item.kind {
            tar::EntryType::Directory => {
                tree.insert(item.path, Entry::Folder { mode: item.mode })?;
            }
            tar::EntryType::Symlink => {
                let target = item.link.unwrap_or_default();
                if target.is_empty() || target.contains(&0) {
                    return Err(DebError::Format(format!("`{}` is an empty link", item.path)));
                }
                tree.insert(item.path, Entry::Symlink { target: target.into() })?;
            }
            tar::EntryType::Link => {
                let target = item.link.unwrap_or_default();
                let shown = || String::from_utf8_lossy(&target).chars().take(200).collect();
                let inside = target.strip_prefix(b"./").unwrap_or(&target);
                let file = RelPath::new(inside)
                    .ok()
                    .and_then(|path| tree.get(&path).cloned())
                    .filter(|entry| matches!(entry, Entry::File { .. }));
                let Some(file) = file else {
                    return Err(DebError::HardLink(item.path, shown()));
                };
                tree.insert(item.path, file)?;
            }
            _ => return Err(DebError::Kind(item.path)),
        }
        Ok(0)
    })?;
    Ok(tree)
}

#[cfg(test)]
mod tests;
