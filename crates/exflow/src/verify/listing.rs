//! What came out different, listed.

use super::rebuild::ChangedFile;
use crate::report::Failure;
use crate::session::Session;
use serde_json::json;

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
        session.ui.event(&json!({
            "event": "different",
            "of": name,
            "way": way,
            "path": file.path.to_string(),
            "how": file.how.to_string(),
            "chunks": file.chunks,
            "cause": file.cause.map(|cause| cause.to_string()),
        }));
    }
    if files.is_empty() {
        session.ui.event(&json!({ "event": "different", "of": name, "way": way }));
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
