//! What `rel/config.exs` says, as far as it says it in literals.
//!
//! It is code, which Distillery evaluates (`Distillery.Releases.Config`). Most of these files are nothing but what
//! `mix distillery.init` has written, with a few settings: `use`, `environment` and `release`, and in these `set` and
//! `plugin`. What is anything else is not guessed: a block that holds it may have further settings, and a file
//! further blocks.

use crate::chosen::is_name;
use mix_project::elixir::{Token, Value, tokens, value_at};

/// Bytes of the file.
pub(crate) type Span = (usize, usize);

/// A whole `rel/config.exs`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// The module that it uses: `Distillery.Releases.Config`.
    pub(crate) module: Option<(String, Span)>,
    pub(crate) default_release: Choice,
    pub(crate) default_environment: Choice,
    /// In the order of the file.
    pub(crate) environments: Vec<Block>,
    pub(crate) releases: Vec<Block>,
    /// Whether there may be more blocks than these.
    pub(crate) is_computed: bool,
}

/// What is taken where nobody says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Default,
    Named(String, Span),
    /// `Mix.env()`
    MixEnv(Span),
    Unknown,
}

/// `environment :prod do … end`, or `release :shop do … end`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) name: String,
    /// The place of its name.
    pub(crate) place: Span,
    pub(crate) settings: Vec<Setting>,
    /// Whether it may have more settings than these.
    pub(crate) is_computed: bool,
}

/// `set key: value`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// The place of both.
    pub(crate) place: Span,
}

impl Block {
    /// What is set last, as the last one counts.
    pub(crate) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|setting| setting.key == key)
    }
}

impl Config {
    pub(crate) fn environment(&self, name: &str) -> Option<&Block> {
        self.environments.iter().rev().find(|block| block.name == name)
    }

    pub(crate) fn release(&self, name: &str) -> Option<&Block> {
        self.releases.iter().rev().find(|block| block.name == name)
    }
}

/// Reads a `rel/config.exs`.
pub(crate) fn parse(source: &str) -> Config {
    let mut parser = Parser { source, tokens: tokens(source), at: 0 };
    let mut config = Config::default();
    while parser.at < parser.tokens.len() {
        match parser.text(0) {
            "use" => parser.uses(&mut config),
            kind @ ("environment" | "release") => {
                let blocks = match kind {
                    "release" => &mut config.releases,
                    _ => &mut config.environments,
                };
                let block = parser.block();
                config.is_computed |= block.is_none();
                blocks.extend(block);
            }
            _ => {
                let from = parser.at;
                parser.at = parser.end_of_statement();
                // Loops, conditions, and other files may have blocks.
                config.is_computed |= !parser.is_harmless(from);
            }
        }
    }
    config
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The text of the token that many after the next.
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn span(&self, from: usize, to: usize) -> Span {
        let start = self.tokens.get(from).map_or(self.source.len(), |token| token.start);
        let end = to.checked_sub(1).and_then(|last| self.tokens.get(last));
        (start, end.map_or(start, |token| token.end).max(start))
    }

    /// The index after the expression that begins here: it ends before a comma, what closes a bracket or a block
    /// around it, or a line's end.
    fn end_of_expression(&self, from: usize) -> usize {
        let mut depth = 0usize;
        let mut at = from;
        while let Some(token) = self.tokens.get(at) {
            match token.text {
                "," | ")" | "]" | "}" | ">>" | "end" if depth == 0 => return at,
                "(" | "[" | "{" | "%{" | "<<" | "do" | "fn" => depth += 1,
                ")" | "]" | "}" | ">>" | "end" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && self.ends_line(at) {
                return at;
            }
        }
        at
    }

    /// Whether nothing goes on over the line's end before the token `next`.
    fn ends_line(&self, next: usize) -> bool {
        let (Some(last), Some(following)) =
            (next.checked_sub(1).and_then(|last| self.tokens.get(last)), self.tokens.get(next))
        else {
            return true;
        };
        let goes_on = |text: &str| {
            [
                "|>", "<>", "++", "--", "||", "&&", "==", "->", "=>", "=", ".", "+", "*", "/", "|",
                "and", "or", "in",
            ]
            .contains(&text)
        };
        self.source[last.end..following.start].contains('\n')
            && !goes_on(last.text)
            && !goes_on(following.text)
    }

    /// The index after the whole statement that begins here, with all of its arguments.
    fn end_of_statement(&self) -> usize {
        let mut at = self.at;
        loop {
            let end = self.end_of_expression(at);
            at = match self.tokens.get(end).map(|token| token.text) {
                Some(",") => end + 1,
                // Closes nothing: passed over.
                _ if end == at => return at + 1,
                _ => return end,
            };
        }
    }

    /// Whether what was passed over since `from` makes no blocks. It has to name them, because blocks are macros of
    /// the file that they stand in; what other files make, or a macro of the user's own, can't be told.
    fn is_harmless(&self, from: usize) -> bool {
        let passed = &self.tokens[from..self.at.min(self.tokens.len())];
        let text = |at: usize| passed.get(at).map_or("", |token: &Token<'_>| token.text);
        let is_call = text(0).starts_with(|letter: char| letter.is_ascii_lowercase())
            && text(1) != "="
            && !["alias", "case", "cond", "if", "import", "require", "try", "unless"]
                .contains(&text(0));
        !is_call && !passed.iter().any(|token| ["environment", "release"].contains(&token.text))
    }

    /// `use Module, default_release: :a, default_environment: :b`
    fn uses(&mut self, config: &mut Config) {
        let end = self.end_of_statement();
        let from = self.at + 1;
        let mut at = from;
        while at < end && self.tokens[at].text != "," {
            at += 1;
        }
        let module: String = self.tokens[from..at].iter().map(|token| token.text).collect();
        config.module = Some((module, self.span(from, at)));
        self.at = at + 1;
        while self.at < end {
            let Some(setting) = self.pair() else { break };
            let choice = match setting.value {
                Value::Atom(name) if name == "default" => Choice::Default,
                Value::Atom(name) => Choice::Named(name, setting.place),
                _ if self.source[setting.place.0..setting.place.1]
                    .trim_end_matches("()")
                    .ends_with("Mix.env") =>
                {
                    Choice::MixEnv(setting.place)
                }
                _ => Choice::Unknown,
            };
            match setting.key.as_str() {
                "default_release" => config.default_release = choice,
                "default_environment" => config.default_environment = choice,
                _ => {}
            }
        }
        self.at = end;
    }

    /// `key: value`, and a comma after it.
    fn pair(&mut self) -> Option<Setting> {
        let key = self
            .text(0)
            .strip_suffix(':')
            .filter(|key| !key.is_empty() && !key.starts_with('"'))?;
        let from = self.at + 1;
        let end = self.end_of_expression(from);
        let (value, next) = value_at(&self.tokens[..end], from);
        let value = if next == end && end > from { value } else { Value::Unknown };
        let place = self.span(self.at, end);
        self.at = end;
        if self.text(0) == "," {
            self.at += 1;
        }
        Some(Setting { key: key.to_owned(), value, place })
    }

    /// A block whose name is an atom; none where it is computed, or can't be a file's.
    fn block(&mut self) -> Option<Block> {
        let (value, next) = value_at(&self.tokens, self.at + 1);
        let is_block = self.tokens.get(next).is_some_and(|token| token.text == "do");
        let name = value.atom().filter(|name| is_block && is_name(name));
        let Some(name) = name.map(str::to_owned) else {
            self.at = self.end_of_statement();
            return None;
        };
        let place = self.span(self.at + 1, next);
        let mut block = Block { name, place, settings: Vec::new(), is_computed: false };
        self.at = next + 1;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "end" => {
                    self.at += 1;
                    return Some(block);
                }
                "set" => self.set(&mut block),
                "plugin" => self.at = self.end_of_statement(),
                _ => {
                    block.is_computed = true;
                    self.at = self.end_of_statement();
                }
            }
        }
        // It isn't ended: Elixir says so.
        block.is_computed = true;
        Some(block)
    }

    /// `set key: value, key: value`, with or without brackets.
    fn set(&mut self, block: &mut Block) {
        let end = self.end_of_statement();
        self.at += 1;
        while matches!(self.text(0), "(" | "[") {
            self.at += 1;
        }
        let mut is_empty = true;
        while self.at < end {
            let Some(setting) = self.pair() else { break };
            block.settings.push(setting);
            is_empty = false;
        }
        while self.at < end && matches!(self.text(0), ")" | "]") {
            self.at += 1;
        }
        block.is_computed |= is_empty || self.at != end;
        self.at = end;
    }
}

/// The modules that a file uses, and where.
pub(crate) fn used_modules(source: &str) -> Vec<(String, Span)> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.text != "use" {
            continue;
        }
        let is_part = |token: &&Token<'_>| {
            token.text == "." || token.text.starts_with(|letter: char| letter.is_ascii_uppercase())
        };
        let parts: Vec<&Token<'_>> = tokens[at + 1..].iter().take_while(is_part).collect();
        if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            let module = parts.iter().map(|part| part.text).collect();
            found.push((module, (first.start, last.end)));
        }
    }
    found
}
