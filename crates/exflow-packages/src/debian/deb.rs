//! Binary packages: deb(5), an ar archive of two tar archives.

use super::ar::Members;
use super::control::{ControlError, Paragraphs};
use crate::archive::{ArchiveError, Bounds, EntryKind, Keep, each, read_tree, ungz, unxz};
use exflow_content::Tree;
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

/// Why a package is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// One of its archives is no good.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It lacks a member, or has one where it doesn't belong.
    #[error("it is not a Debian package: {0}")]
    Format(String),
    /// Its control file is none.
    #[error("its control file is not valid: {0}")]
    Control(#[from] ControlError),
}

impl From<io::Error> for DebError {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.into())
    }
}

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
                let bounds =
                    Bounds { bytes: limits.unpacked, entries: limits.entries, absolute: false };
                tree = Some(read_tree(reader, bounds, keep)?);
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

fn read_control(reader: impl Read, limits: &Limits) -> Result<Control, DebError> {
    let mut control = Control::default();
    let mut found = false;
    let bounds = Bounds { bytes: limits.control, entries: 10_000, absolute: false };
    each::<_, DebError>(reader, bounds, |mut item, _| {
        let mut bytes = Vec::new();
        let Some(name) = item.path.as_str().map(str::to_owned) else { return Ok(0) };
        if item.kind != EntryKind::File || name.contains('/') {
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

#[cfg(test)]
mod tests;
