//! The tokens of Elixir source.

use super::MAX_DEPTH;

/// A piece of a source file, and its place: bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub start: usize,
    pub end: usize,
    /// Of a bracket that opens: the index of the one that closes it; of all else, and of one that nothing closes, beyond
    /// all tokens.
    pub closed_by: usize,
}

/// The tokens of a source file, without comments and white space.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut open = Vec::new();
    let mut at = 0;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'#' => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    at += 1;
                }
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'"' => at = quoted(bytes, at, b'"', 0),
            b'\'' => at = quoted(bytes, at, b'\'', 0),
            // A character, whatever it is: `?"`, `?#`, `?\\s`.
            b'?' => {
                at += if bytes.get(at + 1) == Some(&b'\\') { 2 } else { 1 };
                at +=
                    source.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            }
            b'~' => at = sigil(bytes, at),
            b':' if bytes.get(at + 1) == Some(&b'"') => at = quoted(bytes, at + 1, b'"', 0),
            b':' if bytes.get(at + 1).is_some_and(|byte| is_word(*byte)) => {
                at += 1;
                while at < bytes.len() && (is_word(bytes[at]) || b"?!@.".contains(&bytes[at])) {
                    at += 1;
                }
            }
            byte if is_word(byte) => {
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
                if bytes.get(at).is_some_and(|byte| b"?!".contains(byte)) {
                    at += 1;
                }
                at = key(bytes, at);
            }
            _ => {
                let two = source.get(at..at + 2).unwrap_or_default();
                let operators =
                    ["%{", "<<", ">>", "|>", "<>", "++", "--", "||", "&&", "==", "->", "=>"];
                at += if operators.contains(&two) {
                    2
                } else {
                    source[at..].chars().next().map_or(1, char::len_utf8)
                };
            }
        }
        if bytes[start] == b'"' {
            at = key(bytes, at);
        }
        let text = &source[start..at];
        match text {
            "(" | "[" | "{" | "%{" | "<<" => open.push(tokens.len()),
            ")" | "]" | "}" | ">>" => {
                if let Some(open) = open.pop() {
                    tokens[open].closed_by = tokens.len();
                }
            }
            _ => {}
        }
        tokens.push(Token { text, start, end: at, closed_by: usize::MAX });
    }
    tokens
}

/// Takes the colon of a keyword's key with it: `name:` before a space.
fn key(bytes: &[u8], at: usize) -> usize {
    let colon = bytes.get(at) == Some(&b':');
    if colon && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) { at + 1 } else { at }
}

/// The index after the text that begins at `at`: `"…"`, or `"""…"""`.
/// What is interpolated may hold texts of its own.
fn quoted(bytes: &[u8], at: usize, quote: u8, depth: usize) -> usize {
    let heredoc = [quote; 3];
    let end: &[u8] = if bytes[at..].starts_with(&heredoc) { &heredoc } else { &heredoc[..1] };
    let mut at = at + end.len();
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(end) {
            return at + end.len();
        } else if bytes[at..].starts_with(b"#{") {
            at = interpolated(bytes, at + 2, depth + 1);
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The index after the `}` that closes an interpolation.
fn interpolated(bytes: &[u8], mut at: usize, depth: usize) -> usize {
    if depth > MAX_DEPTH {
        return bytes.len();
    }
    let mut open = 1usize;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at = quoted(bytes, at, quote, depth);
                continue;
            }
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    bytes.len()
}

/// The index after a sigil: `~w(a b)a`.
fn sigil(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
        at += 1;
    }
    let Some(open) = bytes.get(at) else { return bytes.len() };
    let close = match open {
        b'(' => b')',
        b'[' => b']',
        b'{' => b'}',
        b'<' => b'>',
        b'/' | b'|' | b'"' | b'\'' => {
            at = quoted(bytes, at, *open, 0);
            while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
                at += 1;
            }
            return at;
        }
        _ => return at,
    };
    while at < bytes.len() && bytes[at] != close {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at = (at + 1).min(bytes.len());
    while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
        at += 1;
    }
    at
}
