//! What a command prints, kept in a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The largest log that is kept of a command, in bytes.
const MAX: u64 = 64 << 20;

/// A log that grows while its command runs, up to a limit.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    left: u64,
}

impl Log {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, left: MAX })
    }

    /// Keeps what was printed, as much as is kept; the rest is dropped, so that the command isn't
    /// held up.
    pub(crate) fn keep(&mut self, printed: &[u8]) {
        let kept = usize::try_from(self.left).map_or(printed.len(), |left| printed.len().min(left));
        let _ = self.file.write_all(&printed[..kept]);
        if self.left > 0 && kept < printed.len() {
            let note = b"\n[the rest of this log was dropped: it is longer than 64 MiB]\n";
            let _ = self.file.write_all(note);
        }
        self.left -= kept as u64;
    }
}
