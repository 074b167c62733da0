//! Patterns that pick files out of a folder.

use crate::{Entry, RelPath, Tree};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;
use std::ops::Bound;

/// A set of glob patterns over clean relative paths.
///
/// `*` and `?` match within a name, `**` any number of folders, `{a,b}` either, `[a-z]` one of a
/// class. A pattern that names a folder picks all that is below it: `lib` is `lib` and `lib/**`.
/// A pattern that begins with `!` takes away what the others picked, whatever the order.
#[derive(Debug, Clone)]
pub struct PatternSet {
    patterns: Vec<String>,
    picked: Matcher,
    dropped: Matcher,
}

/// Patterns, ready to be asked. Those without a wildcard, or with a `*` at their end, which most are, are looked up: to
/// build an automaton for each takes a thousand times as long.
#[derive(Debug, Clone)]
struct Matcher {
    named: BTreeSet<Box<[u8]>>,
    /// What stands before a `*` that ends a pattern and is its only wildcard. None begins with another one.
    prefixes: BTreeSet<Box<[u8]>>,
    globs: GlobSet,
}

/// A [`Matcher`] while it is made.
#[derive(Debug, Default)]
struct MatcherBuilder {
    named: BTreeSet<Box<[u8]>>,
    prefixes: BTreeSet<Box<[u8]>>,
    globs: Vec<Glob>,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {reason}")]
pub struct PatternError {
    /// The pattern, as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The longest pattern, in bytes: as long as a path may be.
const MAX_LENGTH: usize = 4096;
/// The most alternatives in a pattern.
const MAX_BRACES: usize = 32;
/// What makes a pattern more than a name.
const WILD: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

impl PatternSet {
    /// Compiles `patterns`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, PatternError> {
        let mut kept = Vec::new();
        let mut picked = MatcherBuilder::default();
        let mut dropped = MatcherBuilder::default();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            match pattern.strip_prefix('!') {
                Some(body) => dropped.add(pattern, body)?,
                None => picked.add(pattern, pattern)?,
            }
            kept.push(pattern.to_owned());
        }
        let fail = |error: globset::Error| PatternError {
            pattern: kept.join(" "),
            reason: error.kind().to_string(),
        };
        let picked = picked.build().map_err(fail)?;
        let dropped = dropped.build().map_err(fail)?;
        Ok(Self { patterns: kept, picked, dropped })
    }

    /// Whether a pattern is more than a name, or may be: those are what costs time.
    pub fn has_wildcard(pattern: &str) -> bool {
        pattern.contains(WILD)
    }

    /// Whether `path` is picked.
    pub fn matches(&self, path: &RelPath) -> bool {
        self.picked.matches(path) && !self.dropped.matches(path)
    }

    /// The folders that everything picked is in or below, or is: the part of each pattern before
    /// its first wildcard. None of them is within another.
    pub fn roots(&self) -> Vec<RelPath> {
        let mut roots: Vec<RelPath> = self
            .patterns
            .iter()
            .filter(|pattern| !pattern.starts_with('!'))
            .map(|pattern| {
                let names: Vec<&str> =
                    pattern.split('/').take_while(|name| !Self::has_wildcard(name)).collect();
                RelPath::clean(names.join("/")).expect("the names of a pattern are clean")
            })
            .collect();
        roots.sort();
        roots.dedup_by(|root, before| root.is_within(before));
        roots
    }

    /// The files of `tree` that are picked, with the folders above them.
    ///
    /// Looks only below [`PatternSet::roots`], so its cost is that of the folders that the
    /// patterns name, whatever else the tree holds.
    pub fn pick(&self, tree: &Tree) -> Tree {
        let mut picked = Tree::new();
        for root in self.roots() {
            for (path, entry) in tree.within(&root) {
                if !matches!(entry, Entry::Folder { .. }) && self.matches(path) {
                    picked.insert(path.clone(), entry.clone()).expect("files of a tree fit in one");
                }
            }
        }
        picked
    }

    /// The patterns, as they were written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

impl MatcherBuilder {
    fn add(&mut self, pattern: &str, body: &str) -> Result<(), PatternError> {
        let fail = |reason: String| PatternError { pattern: pattern.to_owned(), reason };
        let body = body.strip_suffix('/').unwrap_or(body);
        if body.is_empty() {
            return Err(fail("it is empty".into()));
        }
        if body.len() > MAX_LENGTH {
            return Err(fail(format!("it is longer than {MAX_LENGTH} bytes")));
        }
        // The compiler of patterns goes one call deeper for each.
        if body.bytes().filter(|byte| *byte == b'{').count() > MAX_BRACES {
            return Err(fail(format!("it has more than {MAX_BRACES} `{{`")));
        }
        // The wildcard characters are valid in names, so the path rules apply to the pattern too.
        RelPath::new(body).map_err(|error| fail(error.to_string()))?;
        if !PatternSet::has_wildcard(body) {
            self.named.insert(body.as_bytes().into());
            return Ok(());
        }
        // All that begins so is picked itself, or below what is.
        if let Some(prefix) = body.strip_suffix('*').filter(|rest| !PatternSet::has_wildcard(rest))
        {
            self.prefixes.insert(prefix.as_bytes().into());
            return Ok(());
        }
        let glob = |text: &str| {
            GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| fail(error.kind().to_string()))
        };
        self.globs.push(glob(body)?);
        // As a part of a name, it is no more than `*`.
        if body != "**" && !body.ends_with("/**") {
            self.globs.push(glob(&format!("{body}/**"))?);
        }
        Ok(())
    }

    fn build(self) -> Result<Matcher, globset::Error> {
        let mut globs = GlobSetBuilder::new();
        for glob in self.globs {
            globs.add(glob);
        }
        let mut prefixes: BTreeSet<Box<[u8]>> = BTreeSet::new();
        for prefix in self.prefixes {
            // In this order, whatever begins with another one comes after it.
            if prefixes.last().is_none_or(|last| !prefix.starts_with(last)) {
                prefixes.insert(prefix);
            }
        }
        Ok(Matcher { named: self.named, prefixes, globs: globs.build()? })
    }
}

impl Matcher {
    fn matches(&self, asked: &RelPath) -> bool {
        let path = asked.as_bytes();
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut ends = above.map(|(end, _)| end).chain([path.len()]);
        if !self.named.is_empty() && ends.any(|end| self.named.contains(&path[..end])) {
            return true;
        }
        // Only the last one before it can be what it begins with.
        let mut before = self.prefixes.range::<[u8], _>((Bound::Unbounded, Bound::Included(path)));
        if before.next_back().is_some_and(|prefix| path.starts_with(prefix)) {
            return true;
        }
        !self.globs.is_empty() && self.globs.is_match(asked.as_path())
    }
}

impl Default for PatternSet {
    /// Picks nothing.
    fn default() -> Self {
        Self::new::<&str>([]).expect("no pattern is wrong where there is none")
    }
}

impl PartialEq for PatternSet {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for PatternSet {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], path: &str, expected: bool) {
        let set = PatternSet::new(patterns).expect("patterns");
        let path = RelPath::new(path).expect("path");
        assert_eq!(set.matches(&path), expected, "{patterns:?} on {path}");
    }

    #[test]
    fn picks() {
        check(&["mix.exs"], "mix.exs", true);
        check(&["mix.exs"], "apps/a/mix.exs", false);
        check(&["apps/*/mix.exs"], "apps/a/mix.exs", true);
        check(&["apps/*/mix.exs"], "apps/a/b/mix.exs", false);
        check(&["lib"], "lib/a/b.ex", true);
        check(&["lib/"], "lib/a/b.ex", true);
        check(&["lib"], "library/a.ex", false);
        check(&["lib/**"], "lib/a/b.ex", true);
        check(&["lib**"], "library/a/b.ex", true);
        check(&["a/lib**"], "a/lib/b.ex", true);
        check(&["lib/**/*.ex"], "lib/b.ex", true);
        check(&["**"], "x/y", true);
        check(&["lib", "!lib/private"], "lib/private/a.ex", false);
        check(&["!lib/private", "lib"], "lib/private/a.ex", false);
        check(&["priv/{static,gettext}"], "priv/gettext/de.po", true);
    }

    /// What is looked up picks what an automaton would.
    #[test]
    fn a_name_is_a_pattern_without_wildcards() {
        let paths = ["a", "a/b", "a/b/c", "a/bc", "ab", "b", "a/b/c/d"];
        for name in paths {
            let as_class = format!("[{}]{}", &name[..1], &name[1..]);
            for path in paths {
                let is_picked =
                    PatternSet::new([name]).unwrap().matches(&RelPath::new(path).unwrap());
                check(&[&as_class], path, is_picked);
                check(&["**", &format!("!{name}")], path, !is_picked);
            }
        }
    }

    /// What is found by its beginning is what an automaton would pick.
    #[test]
    fn a_star_at_the_end_is_a_beginning() {
        let paths =
            ["a", "a/b", "a/bc", "a/bc/d", "a/bd", "ab", "b", "lib/x-1", "lib/x-1/ebin", "lib/y"];
        for pattern in ["*", "a*", "a/*", "a/b*", "lib/x-*", "b*", "lib/*"] {
            let as_class = pattern.replace('*', "[!/]*");
            let as_empty = pattern.replace('*', "{*,*}");
            for path in paths {
                let found = RelPath::new(path).unwrap();
                let is_picked = PatternSet::new([pattern]).unwrap().matches(&found);
                check(&[&as_empty], path, is_picked);
                // It asks for one letter more.
                if PatternSet::new([&as_class]).unwrap().matches(&found) {
                    assert!(is_picked, "{pattern} on {path}");
                }
            }
        }
        let set = PatternSet::new(["a/b*", "a*", "a/bc*", "lib/x*", "lib/x-*"]).unwrap();
        for (path, is_picked) in
            [("a", true), ("a/z", true), ("lib/x", true), ("lib/y", false), ("b", false)]
        {
            assert_eq!(set.matches(&RelPath::new(path).unwrap()), is_picked, "{path}");
        }
    }

    #[test]
    fn roots_are_what_stands_before_the_wildcards() {
        let set = PatternSet::new(["a/b/*.ex", "a/b/c", "lib/**", "!x/y", "a-b", "mix.{exs,lock}"]);
        let roots: Vec<_> = set.expect("patterns").roots();
        assert_eq!(roots, [RelPath::root()]);
        let set = PatternSet::new(["a/b/*.ex", "a/b/c", "lib/**", "!x/y", "a-b"]);
        let roots: Vec<_> =
            set.expect("patterns").roots().iter().map(ToString::to_string).collect();
        assert_eq!(roots, ["a/b", "a-b", "lib"]);
    }

    #[test]
    fn refuses_what_leaves_the_folder() {
        for pattern in
            ["", "!", "/etc", "../x", "a/../b", "{a", "[a", &"{".repeat(100_000), &"x".repeat(5000)]
        {
            assert!(PatternSet::new([pattern]).is_err(), "{pattern:.20}");
        }
    }
}
