//! Reads literals out of Elixir source without running it.
//!
//! Not a parser of Elixir: it knows tokens, literals, and how deep brackets and blocks are nested,
//! and calls everything else unknown. What is unknown is never guessed.

mod tokens;

use std::cell::Cell;
use std::collections::BTreeMap;
pub use tokens::{Token, tokens};

/// A value in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Atom(String),
    Number(String),
    List(Vec<Value>),
    /// Its values, and the bytes of the file that it takes, if it stands in one that users know.
    Tuple(Vec<Value>, Option<(usize, usize)>),
    /// Its keys and values.
    Map(Vec<(Value, Value)>),
    /// A pair of a keyword list.
    Pair(String, Box<Value>),
    /// A call of a function of this module: `deps()`, `paths(Mix.env())`.
    Call(String, Argument),
    /// `@version`
    Attribute(String),
    /// Anything else.
    Unknown,
}

/// What a function is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    Nothing,
    /// `Mix.env()`
    Environment,
    Other,
}

/// A module's functions and attributes, as far as they are literal.
#[derive(Debug, Default)]
pub struct Module {
    functions: BTreeMap<String, Vec<Clause>>,
    attributes: BTreeMap<String, Value>,
}

#[derive(Debug)]
struct Clause {
    /// Its arguments, as written.
    arguments: String,
    value: Value,
    start: usize,
    end: usize,
}

/// How deep literals are read.
const MAX_DEPTH: usize = 64;
/// How many names may stand for each other in a row.
const MAX_CALLS: usize = 16;
/// How many values a function may come to: names that stand for several of others each come to any number.
const MAX_VALUES: usize = 100_000;

pub fn read(source: &str) -> Module {
    let tokens = tokens(source);
    let mut module = Module::default();
    // Whose functions are whose can't be told.
    if tokens.iter().filter(|token| token.text == "defmodule").count() > 1 {
        return module;
    }
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "def" | "defp" => at = function(&tokens, at + 1, &mut module),
            "@" => {
                let name = tokens.get(at + 1).map_or("", |token| token.text);
                let (value, next) = value(&tokens, at + 2, 0);
                let ends_line = ends_line(source, &tokens, next);
                if next > at + 2 && is_name(name) {
                    // The first is the definition; what follows are uses, or other values.
                    let is_known = module.attributes.contains_key(name);
                    let is_other =
                        is_known && value != Value::Unknown && on_a_line(source, &tokens, at + 1);
                    if !is_known || is_other {
                        let value = if ends_line && !is_other { value } else { Value::Unknown };
                        module.attributes.insert(name.to_owned(), value);
                    }
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    module
}

/// Whether the token before `next` is the last of its line: an expression that goes on is no
/// literal.
fn ends_line(source: &str, tokens: &[Token<'_>], next: usize) -> bool {
    let Some(last) = next.checked_sub(1).and_then(|last| tokens.get(last)) else { return false };
    let Some(following) = tokens.get(next) else { return true };
    let operators = ["|>", "<>", "++", "--", "||", "&&", "+", "-", "."];
    source[last.end..following.start].contains('\n') && !operators.contains(&following.text)
}

/// Whether the token at `index` and the next stand on one line.
fn on_a_line(source: &str, tokens: &[Token<'_>], index: usize) -> bool {
    let (Some(token), Some(next)) = (tokens.get(index), tokens.get(index + 1)) else {
        return false;
    };
    !source[token.end..next.start].contains('\n')
}

impl Module {
    /// The value of the function without arguments, where Mix's environment is `env`.
    pub fn function(&self, name: &str, env: &str) -> Option<(Value, usize, usize)> {
        let clause = self.clause(name, Argument::Nothing, env)?;
        let left = Cell::new(MAX_VALUES);
        Some((self.resolve(&clause.value, env, &left, 0), clause.start, clause.end))
    }

    /// The first clause that takes the argument, if that can be told.
    fn clause(&self, name: &str, argument: Argument, env: &str) -> Option<&Clause> {
        let clauses = self.functions.get(name)?;
        // With a default, one clause is of several functions.
        if clauses.iter().any(|clause| clause.arguments.contains('\\')) {
            return None;
        }
        for clause in clauses {
            let pattern = clause.arguments.trim();
            // Of another function of this name.
            if pattern.is_empty() != (argument == Argument::Nothing) {
                continue;
            }
            if let Some(atom) = pattern.strip_prefix(':').filter(|atom| is_name(atom)) {
                match argument {
                    Argument::Environment if atom == env => return Some(clause),
                    Argument::Environment => continue,
                    Argument::Nothing | Argument::Other => return None,
                }
            }
            // A variable takes anything; of any other pattern it can't be told.
            return (pattern.is_empty() || is_variable(pattern)).then_some(clause);
        }
        None
    }

    fn resolve(&self, value: &Value, env: &str, left: &Cell<usize>, depth: usize) -> Value {
        if depth > MAX_CALLS || left.get() == 0 {
            return Value::Unknown;
        }
        left.set(left.get() - 1);
        let all = |values: &[Value]| {
            values.iter().map(|value| self.resolve(value, env, left, depth + 1)).collect()
        };
        match value {
            Value::Call(name, argument) => self
                .clause(name, *argument, env)
                .map_or(Value::Unknown, |clause| self.resolve(&clause.value, env, left, depth + 1)),
            Value::Attribute(name) => self
                .attributes
                .get(name)
                .map_or(Value::Unknown, |value| self.resolve(value, env, left, depth + 1)),
            Value::List(values) => Value::List(all(values)),
            Value::Tuple(values, place) => Value::Tuple(all(values), *place),
            Value::Pair(name, value) => {
                Value::Pair(name.clone(), Box::new(self.resolve(value, env, left, depth + 1)))
            }
            Value::Map(entries) => {
                let resolved = |value| self.resolve(value, env, left, depth + 1);
                let entries = entries.iter().map(|(key, value)| (resolved(key), resolved(value)));
                Value::Map(entries.collect())
            }
            other => other.clone(),
        }
    }
}

impl Value {
    /// The value of `key` in a keyword list.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Self::List(values) = self else { return None };
        values.iter().find_map(|value| match value {
            Self::Pair(name, value) if name == key => Some(&**value),
            _ => None,
        })
    }

    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn atom(&self) -> Option<&str> {
        if let Self::Atom(atom) = self { Some(atom) } else { None }
    }

    /// As Elixir source; none where a part of it is unknown.
    pub fn source(&self) -> Option<String> {
        let all = |values: &[Self]| {
            let sources: Option<Vec<String>> = values.iter().map(Self::source).collect();
            Some(sources?.join(", "))
        };
        Some(match self {
            Self::Text(text) => quote(text),
            Self::Atom(atom) => atom_source(atom),
            Self::Number(number) => number.clone(),
            Self::List(values) => format!("[{}]", all(values)?),
            Self::Tuple(values, _) => format!("{{{}}}", all(values)?),
            // Where a list goes on with pairs, tuples are the same.
            Self::Pair(key, value) => format!("{{{}, {}}}", atom_source(key), value.source()?),
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Some(format!("{} => {}", key.source()?, value.source()?)));
                format!("%{{{}}}", entries.collect::<Option<Vec<_>>>()?.join(", "))
            }
            Self::Call(..) | Self::Attribute(_) | Self::Unknown => return None,
        })
    }
}

/// A text as Elixir source.
pub fn quote(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '\\' | '"' | '#' => format!("\\{letter}"),
            '\n' => "\\n".to_owned(),
            letter => letter.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// An atom as Elixir source.
pub fn atom_source(atom: &str) -> String {
    match atom {
        "true" | "false" | "nil" => atom.to_owned(),
        _ if is_name(atom) => format!(":{atom}"),
        _ => format!(":{}", quote(atom)),
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_?!".contains(&byte))
}

fn is_variable(text: &str) -> bool {
    is_name(text) && !["true", "false", "nil"].contains(&text)
}

/// `name(arguments) do value end`, `name, do: value`; gives the index after its head.
fn function(tokens: &[Token<'_>], mut at: usize, module: &mut Module) -> usize {
    let Some(name) = tokens.get(at).filter(|token| is_name(token.text)) else { return at };
    at += 1;
    let mut arguments = Vec::new();
    if tokens.get(at).is_some_and(|token| token.text == "(") {
        let close = closing(tokens, at);
        arguments.extend(tokens[at + 1..close.min(tokens.len())].iter().map(|token| token.text));
        at = close + 1;
    }
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (value, start, next, ended) = if text(at) == "do" {
        let (value, next) = value(tokens, at + 1, 0);
        (value, at + 1, next, text(next) == "end")
    } else if text(at) == "," && text(at + 1) == "do:" {
        let (value, next) = value(tokens, at + 2, 0);
        let ended = matches!(text(next), "def" | "defp" | "end" | "@" | "");
        (value, at + 2, next, ended)
    } else {
        (Value::Unknown, at, at, false)
    };
    let place = |index: usize| tokens.get(index).or(tokens.last());
    module.functions.entry(name.text.to_owned()).or_default().push(Clause {
        arguments: arguments.join(" "),
        value: if ended { value } else { Value::Unknown },
        start: place(start).map_or(0, |token| token.start),
        end: place(next.saturating_sub(1)).map_or(0, |token| token.end),
    });
    at
}

/// The index of the bracket that closes the one at `open`, or the end. Each token knows it: nothing is looked through
/// for it, however often it is asked.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    tokens.get(open).map_or(tokens.len(), |token| token.closed_by.min(tokens.len()))
}

/// The value that begins at the token `at`, and the index after it. More may follow that makes it another: it is the
/// whole only where it ends with what it stands in.
pub fn value_at(tokens: &[Token<'_>], at: usize) -> (Value, usize) {
    value(tokens, at, 0)
}

fn value(tokens: &[Token<'_>], at: usize, depth: usize) -> (Value, usize) {
    let Some(token) = tokens.get(at) else { return (Value::Unknown, at) };
    let text = token.text;
    let next = |index: usize| tokens.get(index).map_or("", |token| token.text);
    if depth > MAX_DEPTH {
        return (Value::Unknown, at + 1);
    }
    match text {
        "[" => list(tokens, at, "]", depth)
            .map_or((Value::Unknown, closing(tokens, at) + 1), |(values, end)| {
                (Value::List(values), end)
            }),
        "{" => list(tokens, at, "}", depth).map_or(
            (Value::Unknown, closing(tokens, at) + 1),
            |(values, end)| {
                let place = (token.start, tokens[end - 1].end);
                (Value::Tuple(values, Some(place)), end)
            },
        ),
        "true" | "false" | "nil" => (Value::Atom(text.to_owned()), at + 1),
        "@" if is_name(next(at + 1)) => (Value::Attribute(next(at + 1).to_owned()), at + 2),
        _ if text.starts_with("\"\"\"") => (Value::Unknown, at + 1),
        _ if text.starts_with('"') => (string(text), at + 1),
        _ if text.starts_with("~w") => (words(text), at + 1),
        "%{" => map(tokens, at, depth)
            .map_or((Value::Unknown, closing(tokens, at) + 1), |(entries, end)| {
                (Value::Map(entries), end)
            }),
        _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Value::Number(text.to_owned()), at + 1)
        }
        _ if text.starts_with(':') && text.len() > 1 => {
            let name = match string(&text[1..]) {
                Value::Text(name) if text[1..].starts_with('"') => Value::Atom(name),
                other if text[1..].starts_with('"') => other,
                _ => Value::Atom(text[1..].to_owned()),
            };
            (name, at + 1)
        }
        _ if is_name(text) && !["do", "end", "fn", "if", "case", "not"].contains(&text) => {
            if next(at + 1) == "(" {
                let close = closing(tokens, at + 1);
                let inner: Vec<&str> =
                    tokens[at + 2..close.max(at + 2)].iter().map(|token| token.text).collect();
                let argument = match inner.as_slice() {
                    [] => Argument::Nothing,
                    ["Mix", ".", "env"] | ["Mix", ".", "env", "(", ")"] => Argument::Environment,
                    _ => Argument::Other,
                };
                (Value::Call(text.to_owned(), argument), close + 1)
            } else {
                (Value::Call(text.to_owned(), Argument::Nothing), at + 1)
            }
        }
        _ => (Value::Unknown, at + 1),
    }
}

/// The tokens up to the one that closes the bracket at `open`, if that is a `close`. Nothing in a bracket is looked for
/// behind its end, so that no token is looked at more than once for each bracket that it is in.
fn inside<'t, 's>(tokens: &'t [Token<'s>], open: usize, close: &str) -> Option<&'t [Token<'s>]> {
    let end = closing(tokens, open);
    tokens.get(end).filter(|token| token.text == close).map(|_| &tokens[..end])
}

/// The entries of a map whose keys and values are values alone.
fn map(tokens: &[Token<'_>], open: usize, depth: usize) -> Option<(Vec<(Value, Value)>, usize)> {
    let tokens = inside(tokens, open, "}")?;
    let mut entries = Vec::new();
    let mut at = open + 1;
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    while at < tokens.len() {
        let (key, next) = match text(at).strip_suffix(':').filter(|key| is_name(key)) {
            Some(key) => (Value::Atom(key.to_owned()), at + 1),
            None => {
                let (key, next) = value(tokens, at, depth + 1);
                if text(next) != "=>" {
                    return None;
                }
                (key, next + 1)
            }
        };
        let (found, next) = value(tokens, next, depth + 1);
        entries.push((key, found));
        at = match text(next) {
            "," => next + 1,
            "" if next == tokens.len() => next,
            _ => return None,
        };
    }
    Some((entries, tokens.len() + 1))
}

fn string(text: &str) -> Value {
    let body = text.trim_start_matches('"').trim_end_matches('"');
    if body.contains('\\') || body.contains("#{") {
        Value::Unknown
    } else {
        Value::Text(body.to_owned())
    }
}

/// The words of `~w(a b)`, or of `~w(a b)a`, which are atoms.
fn words(text: &str) -> Value {
    let body = text[2..].trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let modifier = &text[2 + body.len()..];
    let mut letters = body.chars();
    let (Some(_), Some(_)) = (letters.next(), letters.next_back()) else { return Value::Unknown };
    let body = letters.as_str();
    if body.contains(['\\', '#']) {
        return Value::Unknown;
    }
    let words = body.split_ascii_whitespace().map(str::to_owned);
    match modifier {
        "" | "s" => Value::List(words.map(Value::Text).collect()),
        "a" => Value::List(words.map(Value::Atom).collect()),
        _ => Value::Unknown,
    }
}

/// The values in a bracket. What is not a value alone, as `a ++ b`, is unknown as a whole.
fn list(
    tokens: &[Token<'_>],
    open: usize,
    close: &str,
    depth: usize,
) -> Option<(Vec<Value>, usize)> {
    let tokens = inside(tokens, open, close)?;
    let mut values = Vec::new();
    let mut at = open + 1;
    while let Some(token) = tokens.get(at) {
        if token.text == "," {
            at += 1;
            continue;
        }
        let key =
            token.text.strip_suffix(':').filter(|key| !key.is_empty() && !key.starts_with(':'));
        let from = if key.is_some() { at + 1 } else { at };
        let (mut found, mut next) = value(tokens, from, depth + 1);
        if next != tokens.len() && tokens.get(next).is_none_or(|token| token.text != ",") {
            // An expression: skip it whole.
            found = Value::Unknown;
            next = next.max(end_of_expression(tokens, from));
        }
        values.push(match key {
            Some(key) => match string(key) {
                Value::Text(key) => Value::Pair(key, Box::new(found)),
                _ => Value::Unknown,
            },
            None => found,
        });
        at = next.max(at + 1);
    }
    Some((values, tokens.len() + 1))
}

/// The index of the comma that ends the expression at `from`, or the end.
fn end_of_expression(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "," if depth == 0 => return index,
            "(" | "[" | "{" | "%{" | "<<" | "do" | "fn" => depth += 1,
            ")" | "]" | "}" | ">>" | "end" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(source: &str) -> Value {
        read(source).function("project", "prod").expect("a project").0
    }

    #[test]
    fn literals_are_read() {
        let value = project(
            r#"
            defmodule A.MixProject do
              use Mix.Project
              @version "1.2.3" # here
              @url "https://x" <> "/y"
              def project do
                [
                  app: :a, version: @version, url: @url,
                  "quoted": "x#{1}",
                  elixirc_paths: elixirc_paths(Mix.env()),
                  start: Mix.env() == :prod,
                  deps: deps(),
                  releases: releases(),
                ]
              end
              defp elixirc_paths(:test), do: ["lib", "test/support"]
              defp elixirc_paths(_), do: ["lib"]
              defp deps do
                [{:b, path: "../b"}, {:c, "~> 1.0", only: [:dev, :test]}]
              end
              def releases, do: [a: [steps: [:assemble, &copy/1], cookie: "x"]]
            end
            "#,
        );
        assert_eq!(value.get("app").unwrap().atom(), Some("a"));
        assert_eq!(value.get("version").unwrap().text(), Some("1.2.3"));
        assert_eq!(value.get("url"), Some(&Value::Unknown));
        assert_eq!(value.get("quoted"), Some(&Value::Unknown));
        assert_eq!(value.get("start"), Some(&Value::Unknown));
        assert_eq!(value.get("elixirc_paths"), Some(&Value::List(vec![Value::Text("lib".into())])));
        let Some(Value::List(deps)) = value.get("deps") else { panic!("{value:?}") };
        assert_eq!(deps.len(), 2);
        assert_eq!(
            value.get("releases").unwrap().get("a").unwrap().get("cookie").unwrap().text(),
            Some("x")
        );
    }

    #[test]
    fn what_is_computed_is_unknown() {
        for source in [
            "def project do\n x = 1\n [app: :a]\nend",
            "def project do\n [app: :a] ++ more()\nend",
            "def project, do: Keyword.merge([app: :a], [])\n",
            "def project do\n if x do [app: :a] end\nend",
        ] {
            let value = project(source);
            assert_eq!(value.get("app"), None, "{source}: {value:?}");
        }
        assert_eq!(
            project("def project do\n [deps: deps() ++ more()]\nend").get("deps"),
            Some(&Value::Unknown)
        );
    }

    #[test]
    fn the_clause_of_the_environment() {
        let source = "def project, do: [paths: paths(Mix.env()), other: paths(:x)]\n\
             defp paths(:prod), do: [\"lib\", \"prod\"]\ndefp paths(_), do: [\"lib\"]\n";
        let paths = |env: &str| {
            let (value, ..) = read(source).function("project", env).expect("a project");
            assert_eq!(value.get("other"), Some(&Value::Unknown));
            value.get("paths").cloned()
        };
        let lib = || Value::Text("lib".into());
        assert_eq!(paths("prod"), Some(Value::List(vec![lib(), Value::Text("prod".into())])));
        assert_eq!(paths("staging"), Some(Value::List(vec![lib()])));
    }

    /// What looks like what is meant, and isn't.
    #[test]
    fn what_could_be_something_else_is_unknown() {
        for source in [
            // Another module's functions.
            "defmodule A do\n def deps, do: []\nend\ndefmodule B do\n def project, do: [deps: deps()]\nend",
            // A default, or a function of another arity.
            "def project, do: [deps: deps()]\ndefp deps(env \\\\ :x), do: [:a]\ndefp deps, do: [:b]",
            "def project, do: [deps: deps()]\ndefp deps(env), do: [:a]",
            "def project, do: [deps: deps(Mix.env())]\ndefp deps, do: [:a]",
            "def project, do: [deps: deps(Mix.env())]\ndefp deps(nil), do: [:a]\ndefp deps(_), do: [:b]",
            // An attribute that has several values.
            "@deps [:a]\n@deps [:b]\ndef project, do: [deps: @deps]",
        ] {
            let value = read(source).function("project", "prod").map(|(value, ..)| value);
            let deps = value.as_ref().and_then(|value| value.get("deps"));
            assert!(matches!(deps, None | Some(Value::Unknown)), "{source}: {value:?}");
        }
        let value =
            project("def project, do: [a: :\"x#{1}\", \"b#{1}\": 1, c: :\"d e\", \"f g\": 2]");
        assert_eq!(value.get("a"), Some(&Value::Unknown));
        assert_eq!(value.get("b#{1}"), None);
        assert_eq!(value.get("c"), Some(&Value::Atom("d e".into())));
        assert_eq!(value.get("f g"), Some(&Value::Number("2".into())));
        // The one that is called, and no other of its name.
        let source =
            "def project, do: [deps: deps()]\ndefp deps(:x), do: [:a]\ndefp deps(), do: [:b]";
        let atoms = Value::List(vec![Value::Atom("b".into())]);
        assert_eq!(project(source).get("deps"), Some(&atoms));
        let source =
            "@version \"1\"\n@x [\n  @version,\n  \"2\"\n]\ndef project, do: [version: @version]";
        assert_eq!(project(source).get("version").unwrap().text(), Some("1"));
    }

    #[test]
    fn texts_within_texts_and_words() {
        let value = project(
            "def project do\n [v: \"#{String.replace(\"a#b\", \"x\", '}')}\", c: ?\", d: ?#,\n \
             w: ~w(a b), x: ~w[c d]a, y: ~w(e)c, app: :last]\nend",
        );
        assert_eq!(value.get("v"), Some(&Value::Unknown));
        let texts = vec![Value::Text("a".into()), Value::Text("b".into())];
        assert_eq!(value.get("w"), Some(&Value::List(texts)));
        let atoms = vec![Value::Atom("c".into()), Value::Atom("d".into())];
        assert_eq!(value.get("x"), Some(&Value::List(atoms)));
        assert_eq!(value.get("y"), Some(&Value::Unknown));
        assert_eq!(value.get("app").unwrap().atom(), Some("last"));
    }

    #[test]
    fn nothing_makes_it_panic_or_loop() {
        let all = "def project do [a: :b, \"c\": ~w(d e)a, x: @y, f: g(), <<1>> %{a: 1} \"\"\"\nx\n\"\"\" 'y' #{ end é ?é \"#{\"a\"}\"";
        for start in (0..all.len()).filter(|at| all.is_char_boundary(*at)) {
            for end in (start..=all.len()).filter(|at| all.is_char_boundary(*at)) {
                read(&all[start..end]).function("project", "prod");
            }
        }
        read(&"[".repeat(100_000)).function("project", "prod");
        read(&format!("def project do {} end", "[a: ".repeat(50_000))).function("project", "prod");
        // What fails late is not begun again for each bracket that it is in, nor for each line.
        for odd in ["[), ", "{a, [b: ", "[ao d [:a, {} ct, ", "%{a: [b => {c, ", "[x y, {end, "] {
            let text = format!("def project, do: [{}]", odd.repeat(2000));
            read(&text).function("project", "prod");
        }
        for odd in ["@a [", "def a do [", "def a(", "def a, do: {[", "@a %{b: ["] {
            read(&odd.repeat(50_000)).function("a", "prod");
        }
        let laughs: Vec<String> = ('a'..='y')
            .zip('b'..)
            .map(|(name, next)| {
                format!("defp {name}, do: [{}]\n", format!("{next}(), ").repeat(20))
            })
            .collect();
        read(&format!("def project, do: [a()]\n{}", laughs.concat())).function("project", "prod");
        let cycle = read("def project, do: a()\ndefp a, do: b()\ndefp b, do: a()\n");
        assert_eq!(cycle.function("project", "prod").unwrap().0, Value::Unknown);
    }
}
