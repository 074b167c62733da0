//! What an image has installed: `lib/apk/db/installed`.
//!
//! Packages stand there as in an index, followed by their files: `F:` is a folder, `M:` its owner,
//! group and mode, `R:` a file in it, `a:` its owner, group and mode, `Z:` its checksum.

use exflow_content::{PathError, RelPath};
use std::ops::Range;

/// The longest list of what is installed, in bytes.
pub const MAX_INSTALLED: u64 = 64 << 20;

/// A list of what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    text: Vec<u8>,
    /// The packages, in the order of the list.
    pub packages: Vec<InstalledPackage>,
}

/// One package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstalledPackage {
    /// Its name.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// Its architecture.
    pub architecture: Box<str>,
    /// What its index calls it by: see [`Checksum`](super::Checksum). A newer apk may have written
    /// another kind.
    pub checksum: Box<str>,
    /// The package that it was built with.
    pub origin: Box<str>,
    /// Its licence: an SPDX expression, as a rule.
    pub licence: Box<str>,
    /// What it needs, and what it can't be beside.
    pub depends: Box<str>,
    /// What it provides besides its name.
    pub provides: Box<str>,
    /// How much it is to be preferred for what it provides without a version.
    pub provider_priority: u64,
    /// Whose files it may overwrite.
    pub replaces: Box<str>,
    /// Which of two that may overwrite each other's files does.
    pub replaces_priority: u64,
    /// The folders that it has.
    pub folders: Vec<RelPath>,
    /// The files that it has, symbolic links included.
    pub files: Vec<InstalledFile>,
    lines: Range<usize>,
}

/// One file of a package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledFile {
    /// Its path.
    pub path: RelPath,
    /// The checksum of its content, or of a link's target: see [`Checksum`](super::Checksum).
    pub checksum: Option<Box<str>>,
    lines: Range<usize>,
}

/// Why a list of what is installed can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstalledError {
    /// It is longer than any.
    #[error("it has {0} bytes, and no more than {MAX_INSTALLED} are read")]
    TooLarge(u64),
    /// A line makes no sense where it is.
    #[error("line {0} makes no sense")]
    Line(usize),
    /// A file that can't be one.
    #[error("line {line}: {error}")]
    Path {
        /// Which line.
        line: usize,
        /// Why not.
        error: PathError,
    },
}

/// Parses a list of what is installed. Fields that are not known are left alone.
pub fn parse_installed(text: &[u8]) -> Result<Installed, InstalledError> {
    if text.len() as u64 > MAX_INSTALLED {
        return Err(InstalledError::TooLarge(text.len() as u64));
    }
    let mut packages = Vec::new();
    let mut package: Option<InstalledPackage> = None;
    let mut folder: Option<RelPath> = None;
    let mut at = 0;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        let (start, end) = (at, at + line.len());
        at = end;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.is_empty() {
            if let Some(mut package) = package.take() {
                package.lines.end = end;
                packages.push(finished(package, number)?);
            }
            folder = None;
            continue;
        }
        let &[field, b':', ref value @ ..] = line else {
            return Err(InstalledError::Line(number));
        };
        let package = package.get_or_insert_with(|| InstalledPackage {
            lines: start..text.len(),
            ..InstalledPackage::default()
        });
        let path = |value| {
            RelPath::new(value).map_err(|error| InstalledError::Path { line: number, error })
        };
        match field {
            b'F' => {
                let path = path(value)?;
                // The root is one for files in it.
                if !path.is_root() {
                    package.folders.push(path.clone());
                }
                folder = Some(path);
            }
            b'R' => {
                let folder = folder.as_ref().ok_or(InstalledError::Line(number))?;
                let name = path(value)?;
                if name.is_root() {
                    return Err(InstalledError::Line(number));
                }
                let path = folder.join(&name);
                package.files.push(InstalledFile { path, checksum: None, lines: start..end });
            }
            b'a' | b'Z' => {
                let file = package.files.last_mut().ok_or(InstalledError::Line(number))?;
                file.lines.end = end;
                if field == b'Z' {
                    file.checksum = Some(as_text(value, number)?.into());
                }
            }
            _ => {
                let value = || as_text(value, number);
                let count = || value()?.parse().map_err(|_| InstalledError::Line(number));
                match field {
                    b'P' => package.name = value()?.into(),
                    b'V' => package.version = value()?.into(),
                    b'A' => package.architecture = value()?.into(),
                    b'C' => package.checksum = value()?.into(),
                    b'o' => package.origin = value()?.into(),
                    b'L' => package.licence = value()?.into(),
                    b'D' => package.depends = value()?.into(),
                    b'p' => package.provides = value()?.into(),
                    b'r' => package.replaces = value()?.into(),
                    b'k' => package.provider_priority = count()?,
                    b'q' => package.replaces_priority = count()?,
                    _ => {}
                }
            }
        }
    }
    if let Some(package) = package {
        packages.push(finished(package, text.split(|byte| *byte == b'\n').count())?);
    }
    Ok(Installed { text: text.to_vec(), packages })
}

fn finished(package: InstalledPackage, line: usize) -> Result<InstalledPackage, InstalledError> {
    if package.name.is_empty() || package.version.is_empty() {
        return Err(InstalledError::Line(line));
    }
    Ok(package)
}

fn as_text(value: &[u8], line: usize) -> Result<&str, InstalledError> {
    std::str::from_utf8(value).map_err(|_| InstalledError::Line(line))
}

/// What of a list is to go.
#[derive(Debug, Default)]
pub(super) struct Removal(Vec<Range<usize>>);

impl Removal {
    /// The whole package goes.
    pub(super) fn package(&mut self, package: &InstalledPackage) {
        self.0.push(package.lines.clone());
    }

    /// A file goes, because it is another package's now.
    pub(super) fn file(&mut self, file: &InstalledFile) {
        self.0.push(file.lines.clone());
    }
}

impl Installed {
    /// The list as it was read.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The list without `removal`, and with `entries` behind it. All else stays as it is, byte for byte.
    pub(super) fn with(&self, mut removal: Removal, entries: &[Vec<u8>]) -> Vec<u8> {
        removal.0.sort_by_key(|lines| (lines.start, lines.end));
        let mut list = Vec::with_capacity(self.text.len());
        let mut at = 0;
        for lines in removal.0 {
            // A file may go, and its package, too.
            if lines.start > at {
                list.extend_from_slice(&self.text[at..lines.start]);
            }
            at = at.max(lines.end);
        }
        list.extend_from_slice(&self.text[at..]);
        if !entries.is_empty() && !list.is_empty() {
            // An empty line ends a package, and at the end of the list it may be missing.
            while !list.ends_with(b"\n\n") && list != b"\n" {
                list.push(b'\n');
            }
        }
        list.extend(entries.iter().flatten());
        list
    }
}

#[cfg(test)]
mod tests;
