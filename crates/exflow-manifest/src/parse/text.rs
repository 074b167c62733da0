//! The text of a manifest: KDL, read, and guarded against what its parser can't take.

use crate::problems::{SYNTAX, TOO_LARGE};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName};
use kdl::KdlDocument;

/// The longest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// How deep nodes or comments may be nested; the grammar needs three. The parser recurses.
const MAX_DEPTH: usize = 32;

/// How many `*` and `/` a comment may have. The parser recurses over them, too.
const MAX_MARKS: usize = 1000;

/// Reads KDL.
pub(crate) fn read(source: &SourceName, text: &str) -> Result<KdlDocument, Diagnostics> {
    guard(source, text)?;
    KdlDocument::parse_v2(text).map_err(|error| {
        error
            .diagnostics
            .iter()
            .map(|problem| {
                let start = problem.span.offset().min(text.len());
                let site = Site::new(source, start..(start + problem.span.len()).min(text.len()));
                // What was right in KDL 1, and what everyone writes first.
                let word = text.get(site.start..site.end).unwrap_or_default();
                if matches!(word, "true" | "false" | "null") {
                    return Diagnostic::error(SYNTAX, format!("`{word}` without a `#`"))
                        .at(&site, "not a value")
                        .help(format!("write `#{word}`"));
                }
                let message = problem.message.clone().unwrap_or_else(|| "not KDL".into());
                let label = problem.label.clone().unwrap_or_else(|| "here".into());
                Diagnostic::error(SYNTAX, lower(&message)).at(&site, label).help(
                    problem.help.clone().unwrap_or_else(|| {
                        "a manifest is KDL 2: `node \"argument\" property=\"value\" { … }`, with \
                         `#true` and `#false`"
                            .into()
                    }),
                )
            })
            .collect()
    })
}

fn lower(message: &str) -> String {
    let mut letters = message.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Refuses what would take the KDL parser too long or too deep.
fn guard(source: &SourceName, text: &str) -> Result<(), Diagnostics> {
    let too_large = |at: usize, message: String| {
        Err(Diagnostic::error(TOO_LARGE, message)
            .at(&Site::new(source, at..(at + 1).min(text.len())), "here")
            .help("split the workspace into members, each with a manifest of its own")
            .into())
    };
    if text.len() > MAX_BYTES {
        return too_large(0, format!("this manifest is longer than {MAX_BYTES} bytes"));
    }
    // As far as it takes to know what is a text and what a comment: those hold no nodes.
    let (mut depth, mut slashdashes) = (0usize, 0usize);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let begun = at;
        at += 1;
        let mut marks = 0;
        match (bytes[begun], bytes.get(at)) {
            (b'"' | b'#', _) => at = text_end(bytes, begun).unwrap_or(at),
            (b'/', Some(b'/')) => at = line_end(bytes, at),
            (b'/', Some(b'*')) => (at, marks) = comment_end(bytes, begun),
            (b'{' | b'(', _) => depth += 1,
            (b'}' | b')', _) => depth = depth.saturating_sub(1),
            (b'/', Some(b'-')) => slashdashes += 1,
            (b'\n', _) => slashdashes = 0,
            _ => {}
        }
        if depth > MAX_DEPTH || slashdashes > MAX_DEPTH {
            return too_large(begun, format!("nodes are nested deeper than {MAX_DEPTH}"));
        }
        if marks > MAX_MARKS {
            return too_large(begun, format!("this comment has more than {MAX_MARKS} `*` and `/`"));
        }
    }
    Ok(())
}

/// The index after the text that begins at `at`, with a quote or with the `#` of a raw one; none
/// where it doesn't end: what follows is then read as if there were no text.
fn text_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let is_long = bytes[open..].starts_with(b"\"\"\"");
    let quotes = if is_long { 3 } else { 1 };
    let ends = |at: usize| {
        bytes[at..].iter().take(quotes).all(|byte| *byte == b'"')
            && bytes[at + quotes..].iter().take(hashes).filter(|byte| **byte == b'#').count()
                == hashes
    };
    let mut at = open + quotes;
    while at + quotes + hashes <= bytes.len() {
        match bytes[at] {
            b'\\' if hashes == 0 => at += 1,
            b'"' if ends(at) => return Some(at + quotes + hashes),
            b'\n' if !is_long => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The index of the end of the line.
fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |found| at + found)
}

/// The index after the comment that begins at `at`, which may hold others; and how many characters
/// in it could begin or end one. The KDL parser goes one call deeper for each.
fn comment_end(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut depth, mut marks) = (0usize, 0);
    while at < bytes.len() {
        marks += usize::from(matches!(bytes[at], b'*' | b'/'));
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    (at, marks)
}
