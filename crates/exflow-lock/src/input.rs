//! Inputs, whatever they are: what names one, in the lock and for users.

use crate::{Lock, Wanted};
use std::collections::BTreeMap;
use std::fmt;

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputKind {
    /// A base.
    Base,
    /// A plugin.
    Plugin,
    /// A file or a repository that is fetched.
    Fetch,
}

impl InputKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Base, Self::Plugin, Self::Fetch];

    /// What users call it: `base`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Plugin => "plugin",
            Self::Fetch => "fetch",
        }
    }

    /// An input of this kind.
    pub fn named(self, name: impl Into<String>) -> InputName {
        InputName { kind: self, name: name.into() }
    }

    /// What users write where inputs are named: `NAME`, or `KIND:NAME` for those of one kind only.
    /// What is declared by a node `git` may be called so, too.
    pub fn split(text: &str) -> (Option<Self>, &str) {
        let split = text.split_once(':').and_then(|(word, name)| {
            let kind = match word {
                "git" => Self::Fetch,
                word => Self::ALL.into_iter().find(|kind| kind.word() == word)?,
            };
            Some((Some(kind), name))
        });
        split.unwrap_or((None, text))
    }
}

/// An input, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputName {
    /// What it is.
    pub kind: InputKind,
    /// What it is called in manifests.
    pub name: String,
}

impl InputName {
    /// What users write to name it, and nothing else: `base:builder`.
    pub fn argument(&self) -> String {
        format!("{}:{}", self.kind.word(), self.name)
    }
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.word(), self.name)
    }
}

/// The names of inputs, each kind of which is in a map of its own.
fn named<B, P, F>(
    bases: &BTreeMap<String, B>,
    plugins: &BTreeMap<String, P>,
    fetches: &BTreeMap<String, F>,
) -> impl Iterator<Item = InputName> {
    let bases = bases.keys().map(|name| InputKind::Base.named(name));
    let plugins = plugins.keys().map(|name| InputKind::Plugin.named(name));
    let fetches = fetches.keys().map(|name| InputKind::Fetch.named(name));
    bases.chain(plugins).chain(fetches)
}

impl Lock {
    /// Everything that is locked, by kind and name.
    pub fn inputs(&self) -> impl Iterator<Item = InputName> {
        named(&self.bases, &self.plugins, &self.fetches)
    }

    /// Whether it has an entry of that name.
    pub fn contains(&self, input: &InputName) -> bool {
        match input.kind {
            InputKind::Base => self.bases.contains_key(&input.name),
            InputKind::Plugin => self.plugins.contains_key(&input.name),
            InputKind::Fetch => self.fetches.contains_key(&input.name),
        }
    }

    /// Drops an entry.
    pub fn remove(&mut self, input: &InputName) {
        match input.kind {
            InputKind::Base => drop(self.bases.remove(&input.name)),
            InputKind::Plugin => drop(self.plugins.remove(&input.name)),
            InputKind::Fetch => drop(self.fetches.remove(&input.name)),
        }
    }
}

impl Wanted {
    /// Everything that is asked for, by kind and name.
    pub fn inputs(&self) -> impl Iterator<Item = InputName> {
        named(&self.bases, &self.plugins, &self.fetches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_before_a_colon() {
        for (text, kind, name) in [
            ("x", None, "x"),
            ("fetch:x", Some(InputKind::Fetch), "x"),
            ("git:x", Some(InputKind::Fetch), "x"),
            ("base:a:b", Some(InputKind::Base), "a:b"),
            ("image:x", None, "image:x"),
            ("", None, ""),
        ] {
            assert_eq!(InputKind::split(text), (kind, name), "{text}");
        }
        for kind in InputKind::ALL {
            assert_eq!(InputKind::split(&kind.named("x").argument()), (Some(kind), "x"));
        }
    }
}
