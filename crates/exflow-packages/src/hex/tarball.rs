//! Tarballs of Hex's (hex.pm specifications, "Package tarball", version 3): a tar archive of `VERSION`,
//! `CHECKSUM`, `metadata.config` and `contents.tar.gz`.
//!
//! Nothing of the contents is unpacked before every checksum has been looked at.

use super::{HexPackage, Term, TermError, etf, parse_terms};
use crate::archive::{ArchiveError, Bounds, EntryKind, Keep, each, read_tree, ungz};
use exflow_content::{Entry, Mode, RelPath, Sha256, Sha256Hasher, Tree, TreeError};
use std::io::{self, Read, Seek, SeekFrom};

/// How much the description of a package may take in bytes.
const MAX_METADATA: u64 = 1 << 20;
/// How much the version and the checksum may take in bytes.
const MAX_LINE: u64 = 128;
/// What every file of gzip's begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How many steps are gone to find out where all links of a package lead.
const MAX_STEPS: usize = 1_000_000;
/// How many links are followed one after the other, as Linux does.
const MAX_LINKS: usize = 40;

/// How much a package may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Its tarball in bytes.
    pub tarball: u64,
    /// The sum of its files, unpacked, in bytes.
    pub unpacked: u64,
    /// The number of its files and folders, those that it only implies included.
    pub entries: u64,
}

impl Default for Limits {
    /// hex.pm takes 16 MiB, and 128 MiB unpacked; other repositories may take more.
    fn default() -> Self {
        Self { tarball: 128 << 20, unpacked: 512 << 20, entries: 100_000 }
    }
}

/// A package, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedHex {
    /// Its files, and those that Hex puts beside them: `hex_metadata.config` and `.hex`.
    pub tree: Tree,
    /// The checksum of what is in the tarball.
    pub inner: Sha256,
    /// The checksum of the tarball.
    pub outer: Sha256,
}

/// Why a tarball is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum TarballError {
    /// It is no tar archive, or is cut short.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is packed into it can't be unpacked.
    #[error("its contents can't be unpacked: {0}")]
    Contents(ArchiveError),
    /// It lacks a file, or has one where it doesn't belong.
    #[error("it is not a Hex tarball: {0}")]
    Format(String),
    /// Its metadata is none.
    #[error("its metadata can't be read: {0}")]
    Metadata(#[from] TermError),
    /// It is another file than the pinned one.
    #[error("it has the sha256 {found}, and {expected} is pinned")]
    Outer {
        /// What it has.
        found: Sha256,
        /// What it should have.
        expected: Sha256,
    },
    /// It holds something else than the pinned one.
    #[error("its content has the checksum {found}, and {expected} is pinned")]
    Inner {
        /// What it has.
        found: Sha256,
        /// What it should have.
        expected: Sha256,
    },
    /// It isn't what it says itself.
    #[error("it is damaged: its content has the checksum {found}, and it says itself {expected}")]
    Damaged {
        /// What it has.
        found: Sha256,
        /// What it says.
        expected: String,
    },
    /// It is another package.
    #[error("it holds `{found}`, and `{expected}` is wanted")]
    Other {
        /// What it says that it is.
        found: String,
        /// What is wanted.
        expected: String,
    },
    /// A link leads out of the package.
    #[error("it holds a link `{0}` to `{1}`, which leads out of the package")]
    Link(RelPath, String),
}

impl From<io::Error> for TarballError {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// Where the parts of a tarball are.
struct Parts {
    checksum: Vec<u8>,
    metadata: Vec<u8>,
    /// Where the contents begin, and how long they are.
    contents: (u64, u64),
}

/// Reads a tarball that is to be `package`. Each file's content goes to `keep`.
///
/// Modes are 0755 where the owner may execute a file and 0644 elsewhere; times and owners are dropped.
pub fn read_tarball(
    reader: &mut (impl Read + Seek),
    package: &HexPackage,
    limits: &Limits,
    keep: &mut Keep<'_>,
) -> Result<UnpackedHex, TarballError> {
    check_package(package)?;
    let outer = hash_all(reader, limits)?;
    if let Some(expected) = package.outer.filter(|expected| *expected != outer) {
        return Err(TarballError::Outer { found: outer, expected });
    }
    reader.rewind()?;
    let parts = find_parts(&mut *reader, limits)?;
    let inner = check_inner(reader, &parts, package)?;
    check_metadata(&parts.metadata, package)?;
    let mut tree = unpack(&mut part(reader, parts.contents)?, limits, keep)?;
    check_links(&tree)?;
    for (name, content) in
        [("hex_metadata.config", parts.metadata), (".hex", etf::manifest(package))]
    {
        let (blob, size) = keep(Mode::FILE, &mut &content[..])?;
        let path = RelPath::new(name).expect("a clean path");
        tree.insert(path, Entry::File { mode: Mode::FILE, blob, size })
            .map_err(ArchiveError::from)?;
    }
    Ok(UnpackedHex { tree, inner, outer })
}

/// Whether Hex could have a package like this: it is to be written down for it.
fn check_package(package: &HexPackage) -> Result<(), TarballError> {
    match package.managers.iter().find(|manager| manager.len() > etf::MAX_ATOM) {
        Some(_) => Err(TarballError::Format("nothing that builds it has such a name".into())),
        None => Ok(()),
    }
}

fn hash_all(reader: &mut (impl Read + Seek), limits: &Limits) -> Result<Sha256, TarballError> {
    reader.rewind()?;
    let mut hasher = Sha256Hasher::new();
    let length = io::copy(&mut reader.take(limits.tarball.saturating_add(1)), &mut hasher)?;
    if length > limits.tarball {
        return Err(ArchiveError::TooLarge(format!("{} bytes", limits.tarball)).into());
    }
    Ok(hasher.finish())
}

/// Finds the parts of a tarball: each once, in any order, and nothing else.
fn find_parts(reader: impl Read, limits: &Limits) -> Result<Parts, TarballError> {
    let format = |reason: String| TarballError::Format(reason);
    let (mut version, mut checksum, mut metadata, mut contents) = (None, None, None, None);
    let bounds = Bounds { bytes: limits.tarball, entries: 16, absolute: false };
    each::<_, TarballError>(reader, bounds, |mut item, _| {
        let size = item.content.size();
        let name = item.path.to_string();
        if item.kind != EntryKind::File {
            return Err(format(format!("`{}` in it is no file", shown(&name))));
        }
        if name == "contents.tar.gz" {
            let found = (item.content.raw_file_position(), size);
            return match contents.replace(found) {
                None => Ok(size),
                Some(_) => Err(format(format!("it has `{name}` twice"))),
            };
        }
        let (part, limit) = match &*name {
            "VERSION" => (&mut version, MAX_LINE),
            "CHECKSUM" => (&mut checksum, MAX_LINE),
            "metadata.config" => (&mut metadata, MAX_METADATA),
            other => return Err(format(format!("`{}` doesn't belong in it", shown(other)))),
        };
        if size > limit {
            return Err(format(format!("its `{name}` has more than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        item.content.read_to_end(&mut bytes)?;
        match part.replace(bytes) {
            None => Ok(size),
            Some(_) => Err(format(format!("it has `{name}` twice"))),
        }
    })?;
    let missing = |name: &str| format(format!("it has no `{name}`"));
    let version = version.ok_or_else(|| missing("VERSION"))?;
    if version != b"3" {
        let version = String::from_utf8_lossy(&version).into_owned();
        return Err(format(format!("its version is `{}`, and not 3", shown(&version))));
    }
    Ok(Parts {
        checksum: checksum.ok_or_else(|| missing("CHECKSUM"))?,
        metadata: metadata.ok_or_else(|| missing("metadata.config"))?,
        contents: contents.ok_or_else(|| missing("contents.tar.gz"))?,
    })
}

/// A text of a tarball's, short and without what would move a cursor.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// A part of the tarball.
fn part<R: Read + Seek>(reader: &mut R, (at, size): (u64, u64)) -> io::Result<io::Take<&mut R>> {
    reader.seek(SeekFrom::Start(at))?;
    Ok(reader.take(size))
}

/// Checks the checksum of what is in the tarball: against what it says itself, and what is pinned.
fn check_inner(
    reader: &mut (impl Read + Seek),
    parts: &Parts,
    package: &HexPackage,
) -> Result<Sha256, TarballError> {
    // The checksum is that of the parts one behind the other. What ends one and begins the next must
    // not be a matter of opinion.
    if parts.metadata.windows(GZIP.len()).any(|part| part == GZIP) {
        return Err(TarballError::Format("its metadata is no text".into()));
    }
    let mut hasher = Sha256Hasher::new();
    hasher.update(b"3");
    hasher.update(&parts.metadata);
    let length = io::copy(&mut part(reader, parts.contents)?, &mut hasher)?;
    if length != parts.contents.1 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let inner = hasher.finish();
    if let Some(expected) = package.inner.filter(|expected| *expected != inner) {
        return Err(TarballError::Inner { found: inner, expected });
    }
    let said = String::from_utf8_lossy(&parts.checksum).trim().to_ascii_lowercase();
    if said != inner.to_string() {
        return Err(TarballError::Damaged { found: inner, expected: shown(&said) });
    }
    Ok(inner)
}

/// Whether the metadata is that of the package that is wanted.
fn check_metadata(metadata: &[u8], package: &HexPackage) -> Result<(), TarballError> {
    let terms = parse_terms(metadata)?;
    let field = |name: &str| {
        let mut pairs = terms.iter().filter_map(Term::pair);
        let found = pairs.find(|(key, _)| key.text() == Some(name));
        found.and_then(|(_, value)| value.text()).unwrap_or_default()
    };
    let (name, version) = (field("name"), field("version"));
    if name == package.name && version == package.version {
        return Ok(());
    }
    let found = shown(&format!("{name} {version}"));
    let expected = format!("{} {}", package.name, package.version);
    Err(TarballError::Other { found, expected })
}

fn unpack(
    contents: &mut dyn Read,
    limits: &Limits,
    keep: &mut Keep<'_>,
) -> Result<Tree, TarballError> {
    let bounds = Bounds { bytes: limits.unpacked, entries: limits.entries, absolute: false };
    let raw = read_tree(ungz(contents), bounds, &mut |mode, content| keep(plain(mode), content))
        .map_err(TarballError::Contents)?;
    let mut tree = Tree::new();
    for (path, entry) in raw.entries() {
        let entry = match entry {
            Entry::Folder { .. } => Entry::Folder { mode: Mode::FOLDER },
            Entry::File { mode, blob, size } => {
                Entry::File { mode: plain(*mode), blob: *blob, size: *size }
            }
            link @ Entry::Symlink { .. } => link.clone(),
        };
        let inserted: Result<(), TreeError> = tree.insert(path.clone(), entry);
        inserted.map_err(ArchiveError::from)?;
    }
    Ok(tree)
}

/// One of the two modes that git knows.
fn plain(mode: Mode) -> Mode {
    if mode.bits() & 0o100 != 0 { Mode::EXECUTABLE } else { Mode::FILE }
}

/// Whether all links stay in the package, wherever they lead, and through whichever others.
fn check_links(tree: &Tree) -> Result<(), TarballError> {
    let mut steps = MAX_STEPS;
    for (path, entry) in tree.entries() {
        let Entry::Symlink { target } = entry else { continue };
        if !stays(tree, path, target, &mut steps) {
            let target = shown(&String::from_utf8_lossy(target));
            return Err(TarballError::Link(path.clone(), target));
        }
        if steps == 0 {
            let what = format!("links that can be followed in {MAX_STEPS} steps");
            return Err(TarballError::Contents(ArchiveError::TooLarge(what)));
        }
    }
    Ok(())
}

/// Whether a link stays in the tree. What is missing on the way is taken for a folder.
fn stays(tree: &Tree, link: &RelPath, target: &[u8], steps: &mut usize) -> bool {
    let names = |target: &[u8]| -> Vec<Vec<u8>> {
        target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
    };
    let mut at = link.parent().unwrap_or_default();
    let mut links = 0;
    if target.first() == Some(&b'/') {
        return false;
    }
    let mut todo = names(target);
    while let Some(name) = todo.pop() {
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return true;
        }
        match &name[..] {
            b"" | b"." => continue,
            b".." => match at.parent() {
                Some(parent) => {
                    at = parent;
                    continue;
                }
                None => return false,
            },
            _ => {}
        }
        let Ok(name) = RelPath::new(&name) else { return false };
        let next = at.join(&name);
        match tree.get(&next) {
            Some(Entry::Symlink { target }) => {
                links += 1;
                // Nobody follows it further than that.
                if links > MAX_LINKS {
                    return true;
                }
                if target.first() == Some(&b'/') {
                    return false;
                }
                todo.extend(names(target));
            }
            _ => at = next,
        }
    }
    true
}

#[cfg(test)]
mod tests;
