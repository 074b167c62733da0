//! Reads terms that are written as Elixir literals, and nothing but literals: a `mix.lock`, and what the
//! driver prints. What is code is refused, at its place.

use crate::elixir::{Token, Value, tokens};

/// A term, and the bytes of the text that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) term: Term,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    Text(String),
    Atom(String),
    Number(String),
    List(Vec<Node>),
    Tuple(Vec<Node>),
    /// Its keys and values, in their order.
    Map(Vec<(Node, Node)>),
    /// A pair of a keyword list.
    Pair(String, Box<Node>),
    /// A sigil: a literal as well, but of no use here.
    Sigil,
}

/// Something that is no literal, or no term: the bytes that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoLiteral {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// How deep terms are read.
const MAX_DEPTH: usize = 32;

/// Reads a text that is one term.
///
/// # Errors
/// With the place of the first thing that is no literal.
pub(crate) fn parse(source: &str) -> Result<Node, NoLiteral> {
    let mut parser = Parser { tokens: tokens(source), at: 0, length: source.len() };
    let node = parser.term(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(NoLiteral { start: token.start, end: token.end }),
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    length: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    /// What stands here is not what could.
    fn refused(&self) -> NoLiteral {
        let end = self.length;
        self.peek().map_or(NoLiteral { start: end, end }, |token| NoLiteral {
            start: token.start,
            end: token.end,
        })
    }

    fn next(&mut self) -> Result<Token<'a>, NoLiteral> {
        let token = self.peek().cloned().ok_or_else(|| self.refused())?;
        self.at += 1;
        Ok(token)
    }

    fn is_next(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.text == text)
    }

    fn term(&mut self, depth: usize) -> Result<Node, NoLiteral> {
        let refused = self.refused();
        if depth > MAX_DEPTH {
            return Err(refused);
        }
        let token = self.next()?;
        let text = token.text;
        let term = match text {
            "[" => Term::List(self.until("]", depth)?),
            "{" => Term::Tuple(self.until("}", depth)?),
            "%{" => self.map(depth)?,
            "true" | "false" | "nil" => Term::Atom(text.to_owned()),
            "-" => Term::Number(format!("-{}", self.number()?)),
            _ if text.starts_with("\"\"\"") => return Err(refused),
            _ if text.starts_with('"') => Term::Text(unquoted(text).ok_or(refused)?),
            _ if text.starts_with(":\"") => Term::Atom(unquoted(&text[1..]).ok_or(refused)?),
            _ if text.starts_with(':') && text.len() > 1 => Term::Atom(text[1..].to_owned()),
            // Those in upper case take what stands in them as it is; the others run what is interpolated.
            _ if text.starts_with('~') && text.len() > 2 => {
                let runs = !text[1..].starts_with(|letter: char| letter.is_ascii_uppercase());
                if runs && text.contains("#{") {
                    return Err(refused);
                }
                Term::Sigil
            }
            _ if text.starts_with(|letter: char| letter.is_ascii_digit()) => {
                self.at -= 1;
                Term::Number(self.number()?)
            }
            _ => return Err(refused),
        };
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last));
        Ok(Node { term, start: token.start, end: end.map_or(token.end, |token| token.end) })
    }

    fn number(&mut self) -> Result<String, NoLiteral> {
        let refused = self.refused();
        let digits = self.next()?.text;
        let is_number = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        };
        if !is_number(digits) {
            return Err(refused);
        }
        let mut number = digits.to_owned();
        if self.is_next(".") {
            self.at += 1;
            let fraction = self.next()?.text;
            if !fraction.starts_with(|letter: char| letter.is_ascii_digit()) {
                return Err(refused);
            }
            number = format!("{number}.{fraction}");
        }
        Ok(number)
    }

    fn until(&mut self, close: &str, depth: usize) -> Result<Vec<Node>, NoLiteral> {
        let mut nodes = Vec::new();
        while !self.is_next(close) {
            let node = match self.key()? {
                Some((key, start)) => {
                    let value = self.term(depth + 1)?;
                    let end = value.end;
                    Node { term: Term::Pair(key, Box::new(value)), start, end }
                }
                None => self.term(depth + 1)?,
            };
            nodes.push(node);
            self.comma(close)?;
        }
        self.at += 1;
        Ok(nodes)
    }

    fn map(&mut self, depth: usize) -> Result<Term, NoLiteral> {
        let mut entries = Vec::new();
        while !self.is_next("}") {
            let here = self.refused();
            let key = match self.key()? {
                Some((key, start)) => Node { term: Term::Atom(key), start, end: here.end },
                None => {
                    let key = self.term(depth + 1)?;
                    if !self.is_next("=>") {
                        return Err(self.refused());
                    }
                    self.at += 1;
                    key
                }
            };
            entries.push((key, self.term(depth + 1)?));
            self.comma("}")?;
        }
        self.at += 1;
        Ok(Term::Map(entries))
    }

    fn comma(&mut self, close: &str) -> Result<(), NoLiteral> {
        if self.is_next(",") {
            self.at += 1;
            return Ok(());
        }
        if self.is_next(close) { Ok(()) } else { Err(self.refused()) }
    }

    /// `name:` or `"name":`, and where it begins.
    fn key(&mut self) -> Result<Option<(String, usize)>, NoLiteral> {
        let refused = self.refused();
        let Some(token) = self.peek() else { return Err(refused) };
        let Some(key) = token.text.strip_suffix(':').filter(|key| !key.is_empty()) else {
            return Ok(None);
        };
        let start = token.start;
        let key = if key.starts_with('"') { unquoted(key).ok_or(refused)? } else { key.to_owned() };
        self.at += 1;
        Ok(Some((key, start)))
    }
}

/// The text of `"…"`; none where a part of it is computed, or it isn't ended.
fn unquoted(text: &str) -> Option<String> {
    let body = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut found = String::with_capacity(body.len());
    let mut letters = body.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => found.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                's' => ' ',
                'e' => '\u{1b}',
                '0' => '\0',
                letter @ ('"' | '\\' | '#' | '\'' | '/') => letter,
                _ => return None,
            }),
            '#' if letters.peek() == Some(&'{') => return None,
            letter => found.push(letter),
        }
    }
    Some(found)
}

impl Node {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Term::Text(text) = &self.term { Some(text) } else { None }
    }

    pub(crate) fn atom(&self) -> Option<&str> {
        if let Term::Atom(atom) = &self.term { Some(atom) } else { None }
    }

    pub(crate) fn list(&self) -> Option<&[Node]> {
        if let Term::List(nodes) = &self.term { Some(nodes) } else { None }
    }

    /// As source files' values are held. Places are those in another text.
    pub(crate) fn value(&self) -> Value {
        let all = |nodes: &[Node]| nodes.iter().map(Node::value).collect();
        match &self.term {
            Term::Text(text) => Value::Text(text.clone()),
            Term::Atom(atom) => Value::Atom(atom.clone()),
            Term::Number(number) => Value::Number(number.clone()),
            Term::List(nodes) => Value::List(all(nodes)),
            Term::Tuple(nodes) => Value::Tuple(all(nodes), None),
            Term::Pair(key, value) => Value::Pair(key.clone(), Box::new(value.value())),
            Term::Map(entries) => Value::Map(
                entries.iter().map(|(key, value)| (key.value(), value.value())).collect(),
            ),
            Term::Sigil => Value::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms() {
        let source = "%{\n  \"a\": {:hex, :a, \"1.0\", [:mix], [{:b, \"~> 1\", [hex: :b, optional: false]}]},\n  \"b\" => [1, -2, 1.5, nil, :\"x-y\", ~r/a/],\n}\n";
        let node = parse(source).unwrap();
        let Term::Map(entries) = &node.term else { panic!("{node:?}") };
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].0.atom(), Some("a"));
        assert_eq!(&source[entries[0].1.start..entries[0].1.end].chars().next(), &Some('{'));
        assert_eq!(entries[1].0.text(), Some("b"));
        assert_eq!(entries[1].1.list().unwrap().len(), 6);
        assert_eq!(parse("\"a\\\"b\\n\\#{x}\"").unwrap().text(), Some("a\"b\n#{x}"));
    }

    #[test]
    fn code_is_refused_at_its_place() {
        for (source, at) in [
            ("%{\"a\": System.cmd(\"x\", [])}", "System"),
            ("%{\"a\": \"#{x}\"}", "\"#{x}\""),
            ("%{\"a\": {:hex} |> f()}", "|>"),
            ("%{a: b}", "b"),
            ("f()", "f"),
            ("%{} ++ x", "++"),
            ("<<<<<<< HEAD\n%{}", "<<"),
            ("%{\n<<<<<<< HEAD\n \"a\": {}\n}", "<<"),
            ("fn -> 1 end", "fn"),
            ("[1, 2", ""),
            ("", ""),
            ("\"abc", "\"abc"),
        ] {
            let refused = parse(source).expect_err(source);
            assert_eq!(&source[refused.start..refused.end], at, "{source}");
        }
        parse(&"[".repeat(100_000)).unwrap_err();
    }

    #[test]
    fn nothing_makes_it_panic() {
        let all = "%{\"a\": {:b, 1.5, -2}, c => ~w(a), d: \"\\x\", é: ?a, \"\"\"\n\"\"\" #{ <<1>>}";
        for start in (0..all.len()).filter(|at| all.is_char_boundary(*at)) {
            for end in (start..=all.len()).filter(|at| all.is_char_boundary(*at)) {
                let _ = parse(&all[start..end]);
            }
        }
    }
}
