//! How texts are written in a Dockerfile, so that Docker reads what was meant.
//!
//! A line goes through up to four readers. The parser cuts the file into lines, then either into
//! words or, where it begins with `[`, into a list of JSON. In most instructions the shell-like
//! reader comes next, in a list of JSON too: it takes away quotes and `\`, and puts variables in the
//! place of `$…`. `RUN`, `CMD` and `ENTRYPOINT` don't have it. Sources of `COPY` and `ADD` are
//! patterns of Go's `filepath.Match` at last.

use super::DockerfileError;
use exflow_content::RelPath;
use exflow_diagnostics::printable;
use std::borrow::Cow;

/// How wide lines are where they can be broken.
const WIDTH: usize = 100;

/// `text` for a comment: on one line.
pub(super) fn comment(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(printable(text).replace(['\n', '\t'], " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// `path` as text, if a Dockerfile and a `.dockerignore` can name it.
pub(super) fn text(path: &RelPath) -> Result<&str, DockerfileError> {
    let refused = |reason| DockerfileError::Path { path: path.clone(), reason };
    let text = path.as_str().ok_or_else(|| refused("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused("it has a line end or another control character"));
    }
    if text.contains('\\') {
        // In a pattern it stands for itself or for nothing, depending on what else is in it.
        return Err(refused("it has a `\\`"));
    }
    Ok(text)
}

/// Whether no reader sees anything but itself in `text`, as one word of several.
fn is_plain(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-/+@,=~%:".contains(letter);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(fits)
}

/// `text` for the shell-like reader, without quotes.
pub(super) fn expanded(text: &str) -> String {
    escaped(text, "\\$\"'")
}

fn escaped(text: &str, which: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if which.contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// `text` between double quotes, for the shell-like reader: there, `\` is one where nothing follows
/// that it takes the meaning from.
pub(super) fn between_quotes(
    text: &str,
    what: impl Fn() -> String,
) -> Result<String, DockerfileError> {
    // Where a line ends, so does the instruction, quotes or not.
    if text.contains(['\n', '\r', '\0']) {
        return Err(DockerfileError::Text { what: what(), reason: "it has a line end" });
    }
    Ok(format!("\"{}\"", escaped(text, "\\$\"")))
}

/// `text` for the shell-like reader, between quotes where it needs them.
pub(super) fn quoted(text: &str, what: impl Fn() -> String) -> Result<String, DockerfileError> {
    if is_plain(text) { Ok(text.to_owned()) } else { between_quotes(text, what) }
}

/// `path` as a pattern that only it matches. `\` would do, but the classic builder takes a name for
/// a pattern only if something else in it says so; and no pattern of its matches a `/` at the end.
fn pattern(path: &str) -> String {
    if !path.contains(['*', '?', '[']) {
        return path.to_owned();
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut pattern = String::with_capacity(path.len());
    for letter in path.chars() {
        if "*?[".contains(letter) {
            pattern.extend(['[', letter, ']']);
        } else {
            pattern.push(letter);
        }
    }
    pattern
}

/// A text of JSON (RFC 8259).
fn json(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\t' => json.push_str("\\t"),
            '\r' => json.push_str("\\r"),
            // U+0085 ends a line for some readers, and none of these can be seen.
            letter if letter.is_control() => {
                json.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
    json
}

/// Arguments in exec form: a list of JSON.
pub(super) fn exec(argv: &[String]) -> String {
    let argv: Vec<String> = argv.iter().map(|argument| json(argument)).collect();
    format!("[{}]", argv.join(", "))
}

/// `words` after `instruction`, on as many lines as it takes.
pub(super) fn wrapped(instruction: &str, words: &[String]) -> String {
    let mut text = instruction.to_owned();
    let mut width = text.len();
    for word in words {
        // The space before it and the ` \` after it.
        if width + word.len() + 3 > WIDTH {
            text.push_str(" \\\n   ");
            width = 3;
        }
        text.push(' ');
        text.push_str(word);
        width += word.len() + 1;
    }
    text
}

/// `COPY` or `ADD` of `sources` to `to`; paths as they are, those of folders with a `/` at the end.
pub(super) fn copy(instruction: &str, sources: &[String], to: &str) -> String {
    let mut words: Vec<String> = sources.iter().map(|source| pattern(source)).collect();
    words.push(to.to_owned());
    if !words.iter().all(|word| is_plain(word)) {
        // Only a list of JSON may have spaces in it, and its words are taken for no flag, comment
        // or here-document.
        let last = words.len() - 1;
        for (index, word) in words.iter_mut().enumerate() {
            let begin = if index == 0 { "[" } else { "" };
            let end = if index == last { "]" } else { "," };
            *word = format!("{begin}{}{end}", json(&expanded(word)));
        }
    }
    wrapped(instruction, &words)
}
