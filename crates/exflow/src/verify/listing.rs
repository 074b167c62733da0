//! What came out different, listed, and what did not.

use super::rebuild::ChangedFile;
use crate::engine::Built;
use crate::events::{DifferentFile, Event};
use crate::report::Failure;
use crate::session::Session;

/// How many files of a step are listed for people.
const MAX_LISTED: usize = 50;

/// Lists what came out different: for machines each file, and for people as many as anyone reads.
pub(super) fn list(
    session: &Session,
    name: &str,
    way: &str,
    files: &[ChangedFile],
) -> Result<(), Failure> {
    for file in files {
        let file = DifferentFile {
            path: file.path.to_string(),
            how: file.how.to_string(),
            chunks: &file.chunks,
            cause: file.cause.map(|cause| cause.to_string()),
        };
        session.ui.event(&Event::Different { of: name, way, file: Some(file) });
    }
    if files.is_empty() {
        session.ui.event(&Event::Different { of: name, way, file: None });
    }
    if session.ui.is_json() {
        return Ok(());
    }
    let mut lines: Vec<String> =
        files.iter().take(MAX_LISTED).map(|file| line(name, file)).collect();
    if files.len() > MAX_LISTED {
        let more = files.len() - MAX_LISTED;
        lines.push(format!("{name}: and {more} files more, all of which `--json` prints\n"));
    }
    session.print(&lines.concat())
}

fn line(name: &str, file: &ChangedFile) -> String {
    let chunks = match file.chunks.as_slice() {
        [] => String::new(),
        [chunk] => format!(" in its chunk {chunk}"),
        chunks => format!(" in its chunks {}", chunks.join(", ")),
    };
    format!("{name}: /{} {}{chunks}\n", file.path, file.how)
}

/// Says that an image came out the same, or that `image` is the same.
pub(crate) fn say_verified(
    session: &Session,
    built: &Built,
    image: Option<&str>,
) -> Result<(), Failure> {
    let (project, digest) = (&built.project, &built.packed.digest);
    session.ui.event(&Event::Verified { project, digest, image });
    if session.ui.is_json() {
        return Ok(());
    }
    session.print(&format!("{project} {digest}\n"))
}
