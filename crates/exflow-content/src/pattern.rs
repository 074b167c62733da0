//! Patterns that pick files out of a folder.

use crate::RelPath;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A set of glob patterns over clean relative paths.
///
/// `*` and `?` match within a name, `**` any number of folders, `{a,b}` either, `[a-z]` one of a
/// class. A pattern that names a folder picks all that is below it: `lib` is `lib` and `lib/**`.
/// A pattern that begins with `!` takes away what the others picked, whatever the order.
#[derive(Debug, Clone)]
pub struct PatternSet {
    patterns: Vec<String>,
    picked: GlobSet,
    dropped: GlobSet,
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

impl PatternSet {
    /// Compiles `patterns`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, PatternError> {
        let mut kept = Vec::new();
        let mut picked = GlobSetBuilder::new();
        let mut dropped = GlobSetBuilder::new();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let (set, body) = match pattern.strip_prefix('!') {
                Some(body) => (&mut dropped, body),
                None => (&mut picked, pattern),
            };
            for glob in Self::globs(pattern, body)? {
                set.add(glob);
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

    fn globs(pattern: &str, body: &str) -> Result<Vec<globset::Glob>, PatternError> {
        let fail = |reason: String| PatternError { pattern: pattern.to_owned(), reason };
        let body = body.strip_suffix('/').unwrap_or(body);
        if body.is_empty() {
            return Err(fail("it is empty".into()));
        }
        // The wildcard characters are valid in names, so the path rules apply to the pattern too.
        RelPath::new(body).map_err(|error| fail(error.to_string()))?;
        let glob = |text: &str| {
            GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| fail(error.kind().to_string()))
        };
        let mut globs = vec![glob(body)?];
        if !body.ends_with("**") {
            globs.push(glob(&format!("{body}/**"))?);
        }
        Ok(globs)
    }

    /// Whether `path` is picked.
    pub fn matches(&self, path: &RelPath) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        self.picked.is_match(path) && !self.dropped.is_match(path)
    }

    /// The patterns, as they were written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
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
        check(&["lib/**/*.ex"], "lib/b.ex", true);
        check(&["**"], "x/y", true);
        check(&["lib", "!lib/private"], "lib/private/a.ex", false);
        check(&["!lib/private", "lib"], "lib/private/a.ex", false);
        check(&["priv/{static,gettext}"], "priv/gettext/de.po", true);
    }

    #[test]
    fn refuses_what_leaves_the_folder() {
        for pattern in ["", "!", "/etc", "../x", "a/../b", "{a", "[a"] {
            assert!(PatternSet::new([pattern]).is_err(), "{pattern}");
        }
    }
}
