//! Files that users write, read within bounds.

use crate::report::Failure;
use exflow_diagnostics::Diagnostic;
use exflow_manifest::MAX_BYTES;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

const UNREADABLE: &str = "exflow::workspace::unreadable";

/// Reads a text that a user has written: a manifest, or what a problem points into.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    fs::File::open(path)
        .map_err(|source| unreadable(path, &source))
        .and_then(|file| read_bounded(file, path, MAX_BYTES))
}

/// Reads the text of `file`, which is at `path`. One that is longer than `limit` is cut, and still
/// longer: whoever parses it refuses it for its length.
pub(crate) fn read_bounded(file: fs::File, path: &Path, limit: usize) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, &source))?;
    if bytes.len() > limit {
        // Perhaps in the middle of a letter.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::error(UNREADABLE, format!("`{}` is not UTF-8", path.display()))
            .help(format!("its first {at} bytes are; save it as UTF-8"))
            .into()
    })
}

/// The first bytes of a file, no more than `limit`.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn unreadable(path: &Path, source: &io::Error) -> Failure {
    Diagnostic::error(UNREADABLE, format!("can't read `{}`: {source}", path.display()))
        .help("check that it is there, and that you may read it")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_read_to_its_end() {
        let workspace = exflow_testkit::Workspace::new("").with("x", "aé");
        let read = |limit: usize| {
            let path = workspace.root().join("x");
            read_bounded(fs::File::open(&path).unwrap(), &path, limit).unwrap()
        };
        assert_eq!(read(3), "aé");
        assert!(read(1).len() > 1);
        assert!(read(0).len() == 1);
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let workspace = exflow_testkit::Workspace::new("").with("x", "four");
        let read = |limit| read_at_most(&workspace.root().join("x"), limit).unwrap();
        assert_eq!(
            (read(9), read(4), read(3)),
            (b"four".to_vec(), b"four".to_vec(), b"fou".to_vec())
        );
    }
}
