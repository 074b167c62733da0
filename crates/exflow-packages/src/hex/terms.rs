//! Erlang terms, as `file:consult/1` reads them: what Hex writes its files in.

use std::fmt::{self, Write as _};

/// How deep terms may stand in one another.
const MAX_DEPTH: usize = 64;

/// Words that are no atoms unless they stand in quotes.
const RESERVED: &[&str] = &[
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or",
    "orelse", "receive", "rem", "try", "when", "xor",
];

/// A value of Erlang's that can be written down.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// An atom.
    Atom(String),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// A binary. What is text is UTF-8 as a rule.
    Binary(Vec<u8>),
    /// A list that was written as a text.
    String(String),
    /// A list.
    List(Vec<Term>),
    /// A tuple.
    Tuple(Vec<Term>),
    /// A map, in the order in which it was written.
    Map(Vec<(Term, Term)>),
}

/// Why a text is no sequence of terms. What stands there is not said: it may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TermError {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Term {
    /// The text that an atom, a binary or a string is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Atom(text) | Self::String(text) => Some(text),
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The pairs of a map, or of a list of pairs, which Erlang used where there were no maps.
    pub fn pairs(&self) -> Vec<(&Self, &Self)> {
        match self {
            Self::Map(pairs) => pairs.iter().map(|(key, value)| (key, value)).collect(),
            Self::List(items) => items.iter().filter_map(Self::pair).collect(),
            _ => Vec::new(),
        }
    }

    /// The two of a pair.
    pub fn pair(&self) -> Option<(&Self, &Self)> {
        match self {
            Self::Tuple(items) => match items.as_slice() {
                [key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Reads terms, each with a full stop behind it. They are in UTF-8, or where they aren't, in Latin-1, as
/// Hex has it.
pub fn parse_terms(bytes: &[u8]) -> Result<Vec<Term>, TermError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let mut parser = Parser { text: &text, at: 0 };
    let mut terms = Vec::new();
    loop {
        parser.skip_space();
        if parser.rest().is_empty() {
            return Ok(terms);
        }
        terms.push(parser.term(0)?);
        if !parser.takes(".") {
            return Err(parser.error("expected `.` behind the term"));
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn error(&self, what: &'static str) -> TermError {
        let line = 1 + self.text[..self.at].bytes().filter(|byte| *byte == b'\n').count();
        TermError { line, what }
    }

    fn skip_space(&mut self) {
        loop {
            self.at += self.rest().len()
                - self.rest().trim_start_matches([' ', '\t', '\r', '\n', '\x0c']).len();
            if !self.rest().starts_with('%') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Takes this, with space before it, if it is there.
    fn takes(&mut self, what: &str) -> bool {
        self.skip_space();
        let takes = self.rest().starts_with(what);
        if takes {
            self.at += what.len();
        }
        takes
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        if depth > MAX_DEPTH {
            return Err(self.error("terms stand too deep in one another"));
        }
        if self.takes("<<") {
            return self.binary().map(Term::Binary);
        }
        if self.takes("#{") {
            return self.map(depth).map(Term::Map);
        }
        match self.peek() {
            Some('"') => self.string().map(Term::String),
            Some('\'') => {
                self.at += 1;
                self.quoted('\'').map(Term::Atom)
            }
            Some('[') => {
                self.at += 1;
                self.items("]", depth).map(Term::List)
            }
            Some('{') => {
                self.at += 1;
                self.items("}", depth).map(Term::Tuple)
            }
            Some('$' | '+' | '-' | '0'..='9') => self.number(),
            Some(letter) if letter.is_lowercase() => {
                let name = self
                    .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '@'));
                Ok(Term::Atom(name.to_owned()))
            }
            Some(_) => Err(self.error("expected a term")),
            None => Err(self.error("it ends in the middle of a term")),
        }
    }

    /// Terms with commas between them, until `end`.
    fn items(&mut self, end: &str, depth: usize) -> Result<Vec<Term>, TermError> {
        let mut items = Vec::new();
        if self.takes(end) {
            return Ok(items);
        }
        loop {
            items.push(self.term(depth + 1)?);
            if self.takes(end) {
                return Ok(items);
            }
            if !self.takes(",") {
                return Err(self.error("expected `,` or the end of a list or tuple"));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Term, Term)>, TermError> {
        let mut pairs = Vec::new();
        if self.takes("}") {
            return Ok(pairs);
        }
        loop {
            let key = self.term(depth + 1)?;
            if !self.takes("=>") {
                return Err(self.error("expected `=>` behind the key of a map"));
            }
            pairs.push((key, self.term(depth + 1)?));
            if self.takes("}") {
                return Ok(pairs);
            }
            if !self.takes(",") {
                return Err(self.error("expected `,` or the end of a map"));
            }
        }
    }

    fn binary(&mut self) -> Result<Vec<u8>, TermError> {
        let mut bytes = Vec::new();
        if self.takes(">>") {
            return Ok(bytes);
        }
        loop {
            self.skip_space();
            let letters: Vec<char> = if self.peek() == Some('"') {
                self.string()?.chars().collect()
            } else {
                let Term::Integer(number) = self.number()? else {
                    return Err(self.error("expected a whole number or a text in a binary"));
                };
                let letter = u32::try_from(number).ok().and_then(char::from_u32);
                vec![letter.ok_or_else(|| self.error("expected a byte in a binary"))?]
            };
            if self.takes("/") {
                if !self.takes("utf8") {
                    return Err(self.error("expected `utf8` behind `/` in a binary"));
                }
                bytes.extend(letters.into_iter().collect::<String>().as_bytes());
            } else {
                // What doesn't fit into a byte loses its upper bits, as in Erlang.
                bytes.extend(letters.into_iter().map(|letter| letter as u8));
            }
            if self.takes(">>") {
                return Ok(bytes);
            }
            if !self.takes(",") {
                return Err(self.error("expected `,` or the end of a binary"));
            }
        }
    }

    /// A text, and those that follow it directly, which are the same one.
    fn string(&mut self) -> Result<String, TermError> {
        let mut string = String::new();
        while self.takes("\"") {
            string += &self.quoted('"')?;
        }
        Ok(string)
    }

    /// What stands before the quote that ends it.
    fn quoted(&mut self, quote: char) -> Result<String, TermError> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(self.error("it ends in the middle of a text")),
                Some('\\') => text.extend(self.escape()?),
                Some(letter) if letter == quote => return Ok(text),
                Some(letter) => text.push(letter),
            }
        }
    }

    /// What stands for a letter behind `\`.
    fn escape(&mut self) -> Result<Option<char>, TermError> {
        let Some(letter) = self.next() else {
            return Err(self.error("it ends in the middle of a text"));
        };
        let number = match letter {
            'n' => return Ok(Some('\n')),
            'r' => return Ok(Some('\r')),
            't' => return Ok(Some('\t')),
            'v' => return Ok(Some('\x0b')),
            'b' => return Ok(Some('\x08')),
            'f' => return Ok(Some('\x0c')),
            'e' => return Ok(Some('\x1b')),
            's' => return Ok(Some(' ')),
            'd' => return Ok(Some('\x7f')),
            '^' => match self.next() {
                Some(letter @ '@'..='_') => return Ok(Some(char::from(letter as u8 & 31))),
                _ => None,
            },
            'x' if self.rest().starts_with('{') => {
                self.at += 1;
                let digits = self.take_while(|letter| letter.is_ascii_hexdigit());
                let ends = self.next() == Some('}');
                u32::from_str_radix(digits, 16).ok().filter(|_| ends)
            }
            'x' => {
                let digits = self.rest().get(..2).unwrap_or_default();
                self.at += digits.len();
                u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
            }
            '0'..='7' => {
                let rest = &self.text[self.at - 1..];
                let octal = |letter: char| ('0'..='7').contains(&letter);
                let length = rest.chars().take(3).take_while(|letter| octal(*letter)).count();
                self.at += length - 1;
                u32::from_str_radix(&rest[..length], 8).ok()
            }
            other => return Ok(Some(other)),
        };
        match number.and_then(char::from_u32) {
            Some(letter) => Ok(Some(letter)),
            None => Err(self.error("no letter has the number behind `\\`")),
        }
    }

    fn number(&mut self) -> Result<Term, TermError> {
        if self.takes("$") {
            let letter = match self.next() {
                Some('\\') => self.escape()?,
                other => other,
            };
            let letter = letter.ok_or_else(|| self.error("expected a letter behind `$`"))?;
            return Ok(Term::Integer(u32::from(letter).into()));
        }
        let is_negative = self.rest().starts_with('-');
        if is_negative || self.rest().starts_with('+') {
            self.at += 1;
        }
        let sign = if is_negative { "-" } else { "" };
        let mut digits = self.digits(10);
        let mut radix = 10;
        if self.rest().starts_with('#') {
            self.at += 1;
            radix = digits.parse().unwrap_or(0);
            if !(2..=36).contains(&radix) {
                return Err(self.error("a number can't have this base"));
            }
            digits = self.digits(radix);
        } else if self.fraction_follows() {
            return self.fraction(&format!("{sign}{digits}"));
        }
        if digits.is_empty() {
            return Err(self.error("expected a number"));
        }
        match i128::from_str_radix(&format!("{sign}{digits}"), radix) {
            Ok(number) => Ok(Term::Integer(number)),
            Err(_) => Err(self.error("the number is too large")),
        }
    }

    /// Digits, without what may stand between them.
    fn digits(&mut self, radix: u32) -> String {
        let taken = self.take_while(|letter| letter == '_' || letter.is_digit(radix));
        taken.replace('_', "")
    }

    fn fraction_follows(&self) -> bool {
        let mut letters = self.rest().chars();
        letters.next() == Some('.') && letters.next().is_some_and(|letter| letter.is_ascii_digit())
    }

    fn fraction(&mut self, whole: &str) -> Result<Term, TermError> {
        self.at += 1;
        let mut text = format!("{whole}.{}", self.digits(10));
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            text.push('e');
            if let Some(sign @ ('+' | '-')) = self.peek() {
                self.at += 1;
                text.push(sign);
            }
            text += &self.digits(10);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Term::Float(number)),
            _ => Err(self.error("that is no number")),
        }
    }
}

/// As Erlang writes it.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(name) if is_plain(name) => f.write_str(name),
            Self::Atom(name) => write_quoted(f, '\'', name),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => {
                let text = format!("{number:?}");
                // A fraction always has a point.
                match text.split_once('e') {
                    Some((whole, power)) if !whole.contains('.') => write!(f, "{whole}.0e{power}"),
                    _ => f.write_str(&text),
                }
            }
            Self::Binary(bytes) => write_binary(f, bytes),
            Self::String(text) => write_quoted(f, '"', text),
            Self::List(items) => write_items(f, "[", items, "]"),
            Self::Tuple(items) => write_items(f, "{", items, "}"),
            Self::Map(pairs) => {
                f.write_str("#{")?;
                for (number, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key} => {value}", if number > 0 { "," } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Whether an atom needs no quotes.
fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@'))
        && !RESERVED.contains(&name)
}

fn write_items(f: &mut fmt::Formatter<'_>, begin: &str, items: &[Term], end: &str) -> fmt::Result {
    f.write_str(begin)?;
    for (number, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if number > 0 { "," } else { "" })?;
    }
    f.write_str(end)
}

fn write_quoted(f: &mut fmt::Formatter<'_>, quote: char, text: &str) -> fmt::Result {
    f.write_char(quote)?;
    for letter in text.chars() {
        match letter {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            letter if letter == quote => write!(f, "\\{letter}")?,
            letter if letter.is_control() => write!(f, "\\x{{{:X}}}", u32::from(letter))?,
            letter => f.write_char(letter)?,
        }
    }
    f.write_char(quote)
}

fn write_binary(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("<<")?;
    match std::str::from_utf8(bytes) {
        Ok("") => {}
        Ok(text) => {
            write_quoted(f, '"', text)?;
            if !text.is_ascii() {
                f.write_str("/utf8")?;
            }
        }
        Err(_) => {
            for (number, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte}", if number > 0 { "," } else { "" })?;
            }
        }
    }
    f.write_str(">>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Term {
        let terms = parse_terms(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(terms.len(), 1, "{text}");
        terms.into_iter().next().unwrap()
    }

    fn atom(name: &str) -> Term {
        Term::Atom(name.into())
    }

    fn binary(text: &str) -> Term {
        Term::Binary(text.as_bytes().to_vec())
    }

    #[test]
    fn all_kinds() {
        for (text, expected) in [
            ("abc_D@1.", atom("abc_D@1")),
            ("'$repos'.", atom("$repos")),
            ("'it\\'s'.", atom("it's")),
            ("-12.", Term::Integer(-12)),
            ("1_000.", Term::Integer(1000)),
            ("16#fF .", Term::Integer(255)),
            ("$a.", Term::Integer(97)),
            ("$\\n.", Term::Integer(10)),
            ("1.5.", Term::Float(1.5)),
            ("-1.0e-3.", Term::Float(-0.001)),
            ("<<>>.", binary("")),
            ("<<\"a\\\"b\">>.", binary("a\"b")),
            ("<<\"é\"/utf8>>.", binary("é")),
            ("<<\"\\x{e9}\"/utf8>>.", binary("é")),
            ("<<\"a\" \"b\", 99>>.", binary("abc")),
            ("<<\"\\303\\251\">>.", binary("é")),
            ("\"te\\tx\\x41t\" \"s\".", Term::String("te\txAts".into())),
            ("[].", Term::List(vec![])),
            ("[ a , {} ].", Term::List(vec![atom("a"), Term::Tuple(vec![])])),
            ("#{a => 1,\n<<\"b\">>=>[]} % end\n .", {
                let pairs = vec![(atom("a"), Term::Integer(1)), (binary("b"), Term::List(vec![]))];
                Term::Map(pairs)
            }),
            ("% a comment\n{a,b}.% another", Term::Tuple(vec![atom("a"), atom("b")])),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
        assert_eq!(parse_terms(b"{a,1}.\n{b,2}.\n").unwrap().len(), 2);
        assert_eq!(parse_terms(b"a.1.").unwrap(), [atom("a"), Term::Integer(1)]);
        assert_eq!(parse_terms(b"").unwrap(), []);
    }

    #[test]
    fn latin_1_is_read_where_it_is_no_utf_8() {
        assert_eq!(parse_terms(b"<<\"\xe9\">>.").unwrap(), [Term::Binary(vec![0xe9])]);
        assert_eq!(parse_terms(b"<<\"\xe9\"/utf8>>.").unwrap(), [binary("é")]);
    }

    #[test]
    fn what_is_no_term() {
        for text in [
            "a",
            "a b.",
            "[a",
            "[a.",
            "{a,}.",
            "[a|b].",
            "<<a>>.",
            "<<\"a\".",
            "<<1/float>>.",
            "<<-1>>.",
            "\"a",
            "'a",
            "#{a}.",
            "#{a => }.",
            "Variable.",
            "-.",
            "99#1.",
            "1#0.",
            "16#.",
            "\"\\x{D800}\".",
            "\"\\x{",
            "\"\\xZZ\".",
            "\"\\",
            "$",
            ".",
            "1.0e.",
            "999999999999999999999999999999999999999999.",
            "1.0e999.",
            "1.5eé.",
            "1.5é",
            "\"\\^",
        ] {
            assert!(parse_terms(text.as_bytes()).is_err(), "{text}");
        }
        let error = parse_terms(b"{a,\n\n<<secret>>}.").unwrap_err();
        assert_eq!(error.to_string(), "line 3: expected a number");
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |depth| format!("{}{}.", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_terms(nested(60).as_bytes()).is_ok());
        for text in [nested(100), nested(1_000_000), "#{1=>".repeat(1_000_000), "{".repeat(99)] {
            assert!(parse_terms(text.as_bytes()).is_err());
        }
    }

    fn terms() -> impl Strategy<Value = Term> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Term::Atom),
            "[a-z]{1,8}".prop_map(Term::Atom),
            any::<i128>().prop_map(Term::Integer),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Term::Float),
            proptest::collection::vec(any::<u8>(), 0..12).prop_map(Term::Binary),
            any::<String>().prop_map(|text| Term::Binary(text.into_bytes())),
            any::<String>().prop_map(Term::String),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let items = || proptest::collection::vec(inner.clone(), 0..5);
            prop_oneof![
                items().prop_map(Term::List),
                items().prop_map(Term::Tuple),
                proptest::collection::vec((inner.clone(), inner.clone()), 0..5).prop_map(Term::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(terms in proptest::collection::vec(terms(), 0..4)) {
            let texts: Vec<String> = terms.iter().map(|term| format!("{term}.\n")).collect();
            let text = texts.concat();
            prop_assert_eq!(parse_terms(text.as_bytes()), Ok(terms), "{}", text);
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse_terms(&bytes);
        }

        #[test]
        fn nothing_that_looks_like_terms_panics(text in r#"([{}\[\]<>"',.#=/\\x\$é0-9a-z% \n])*"#) {
            let _ = parse_terms(text.as_bytes());
        }
    }
}
