//! Clean relative paths, as a type.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A clean relative path: names joined by `/`, none of them empty, `.` or `..`, and no NUL byte.
///
/// The empty path names the root of whatever it is relative to. Names are bytes, because file
/// names on Linux are. Paths are ordered name by name, so everything below a folder follows the
/// folder directly: `a`, `a/b`, `a-b`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct RelPath(Box<[u8]>);

/// Why a text is not a [`RelPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It begins with `/`.
    #[error("`{0}` is absolute: expected a path relative to the folder")]
    Absolute(String),
    /// One of its names is `..`.
    #[error("`{0}` leaves its folder")]
    Escapes(String),
    /// One of its names is empty or `.`, or holds a NUL byte.
    #[error("`{0}` is not a clean path: it has an empty name, a `.` or a NUL byte")]
    Unclean(String),
}

impl RelPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes `path` as it is, or says what is not clean about it.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let path = path.as_ref();
        let shown = || String::from_utf8_lossy(path).chars().take(200).collect::<String>();
        if path.is_empty() {
            return Ok(Self::root());
        }
        if path[0] == b'/' {
            return Err(PathError::Absolute(shown()));
        }
        if path.contains(&0) {
            return Err(PathError::Unclean(shown()));
        }
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b".." => return Err(PathError::Escapes(shown())),
                b"" | b"." => return Err(PathError::Unclean(shown())),
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }

    /// Cleans `path` by its text alone: drops a leading `./`, a trailing `/`, doubled slashes and
    /// `.` names, and resolves `..` against what stands before it. What is absolute, leaves the
    /// folder or holds a NUL byte stays an error.
    pub fn clean(path: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let path = path.as_ref();
        let shown = || String::from_utf8_lossy(path).chars().take(200).collect::<String>();
        if path.first() == Some(&b'/') {
            return Err(PathError::Absolute(shown()));
        }
        if path.contains(&0) {
            return Err(PathError::Unclean(shown()));
        }
        let mut names: Vec<&[u8]> = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => {
                    names.pop().ok_or_else(|| PathError::Escapes(shown()))?;
                }
                _ => names.push(name),
            }
        }
        Ok(Self(names.join(&b'/').into()))
    }

    /// The bytes of the path.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as a relative path of the file system, byte by byte: `Display` is for people.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The path as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last name; none for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// The folder that holds this; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// Every folder above this, the root left out, outermost first.
    pub fn parents(&self) -> impl Iterator<Item = Self> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| Self(self.0[..end].into()))
    }

    /// `other` below this.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        if self.is_root() {
            return other.clone();
        }
        if other.is_root() {
            return self.clone();
        }
        Self([&self.0[..], b"/", &other.0[..]].concat().into())
    }

    /// Whether this is `folder` or stands below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.strip(folder).is_some()
    }

    /// The rest of this path below `folder`; the root if they are the same.
    pub fn strip(&self, folder: &Self) -> Option<Self> {
        if folder.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(&folder.0[..])? {
            [] => Some(Self::root()),
            [b'/', rest @ ..] => Some(Self(rest.into())),
            _ => None,
        }
    }
}

/// `/` is the lowest byte, so that a folder's content follows it directly.
fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        let at = self.0.iter().zip(&other.0[..]).position(|(a, b)| a != b);
        match at {
            Some(at) => rank(self.0[at]).cmp(&rank(other.0[at])),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        fmt::Display::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl TryFrom<&str> for RelPath {
    type Error = PathError;

    fn try_from(path: &str) -> Result<Self, Self::Error> {
        Self::new(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("clean")
    }

    #[test]
    fn refuses_unclean_paths() {
        for text in ["/a", "a//b", "a/", "./a", "a/.", "..", "a/../b", "a\0b"] {
            assert!(RelPath::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn cleans_by_text() {
        for (text, expected) in
            [("./a//b/", "a/b"), ("a/../b", "b"), (".", ""), ("", ""), ("a/./b", "a/b")]
        {
            assert_eq!(RelPath::clean(text).expect(text), path(expected));
        }
        for text in ["/a", "..", "a/../../b", "a\0"] {
            assert!(RelPath::clean(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn parts() {
        assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
        assert_eq!(path("a").parent(), Some(RelPath::root()));
        assert_eq!(RelPath::root().parent(), None);
        assert_eq!(path("a/b/c").parents().collect::<Vec<_>>(), [path("a"), path("a/b")]);
        assert_eq!(path("a/b").strip(&path("a")), Some(path("b")));
        assert_eq!(path("ab").strip(&path("a")), None);
    }

    #[test]
    fn a_folder_is_followed_by_its_content() {
        let mut paths = [path("a-b"), path("a/b"), path("a"), path("a.b"), path("a/b/c")];
        paths.sort();
        assert_eq!(paths, [path("a"), path("a/b"), path("a/b/c"), path("a-b"), path("a.b")]);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = RelPath::new(&bytes) {
                prop_assert_eq!(path.as_bytes(), &bytes[..]);
            }
            if let Ok(path) = RelPath::clean(&bytes) {
                prop_assert_eq!(RelPath::new(path.as_bytes()), Ok(path.clone()));
            }
        }
    }
}
