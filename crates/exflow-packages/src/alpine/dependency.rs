//! What a package needs, provides, replaces, or can't be beside (apk-world(5), "PACKAGE
//! SPECIFICATION").

use super::version::{compare_prefix, compare_versions};
use std::fmt;

/// A name, in versions that a constraint allows.
///
/// Names of packages, of what packages provide (`so:libc.musl-x86_64.so.1`, `cmd:sh`, `pc:zlib`),
/// and of files (`/bin/sh`) all are names: the latter are only met by a package that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency<'a> {
    /// The name.
    pub name: &'a str,
    /// The repository's tag that it is pinned to: `edge` in `name@edge`.
    pub tag: Option<&'a str>,
    /// Which versions.
    pub constraint: Option<Constraint<'a>>,
    /// Whether it must not be there: `!name`.
    pub conflict: bool,
}

/// Which versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constraint<'a> {
    /// Of the characters `<`, `=`, `>` and `~`.
    pub operator: &'a str,
    /// What versions are compared with.
    pub version: &'a str,
}

impl Constraint<'_> {
    /// Whether `version` is allowed.
    ///
    /// The operator `><` asks for a package by its checksum, which only `apk add FILE` writes: no
    /// version is allowed by it.
    pub fn allows(&self, version: &str) -> bool {
        let has = |operator| self.operator.contains(operator);
        if has('<') && has('>') {
            return false;
        }
        let order = if has('~') {
            compare_prefix(version, self.version)
        } else {
            compare_versions(version, self.version)
        };
        order.is_lt() && has('<')
            || order.is_gt() && has('>')
            || order.is_eq() && (has('=') || has('~'))
    }
}

impl fmt::Display for Dependency<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.conflict {
            f.write_str("!")?;
        }
        f.write_str(self.name)?;
        if let Some(tag) = self.tag {
            write!(f, "@{tag}")?;
        }
        if let Some(Constraint { operator, version }) = self.constraint {
            write!(f, "{operator}{version}")?;
        }
        Ok(())
    }
}

/// Parses `name so:libx.so.1 other>=1.2 !conflict`. What has no name is left out.
pub fn parse_dependencies(text: &str) -> impl Iterator<Item = Dependency<'_>> {
    text.split_ascii_whitespace().filter_map(parse_dependency)
}

fn parse_dependency(text: &str) -> Option<Dependency<'_>> {
    let is_operator = |c| matches!(c, '<' | '=' | '>' | '~');
    let (text, conflict) = text.strip_prefix('!').map_or((text, false), |text| (text, true));
    let start = text.find(is_operator).unwrap_or(text.len());
    let (name, rest) = text.split_at(start);
    let end = rest.find(|c| !is_operator(c)).unwrap_or(rest.len());
    let (operator, version) = rest.split_at(end);
    let (name, tag) = name.split_once('@').map_or((name, None), |(name, tag)| (name, Some(tag)));
    let constraint = (!operator.is_empty()).then_some(Constraint { operator, version });
    (!name.is_empty()).then_some(Dependency { name, tag, constraint, conflict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses() {
        let text = " musl so:libc.musl-x86_64.so.1=1 a>=1.2-r0\nb~3 !c<2 /bin/sh d@edge=1 ! =1 ";
        let shown: Vec<_> = parse_dependencies(text).map(|found| found.to_string()).collect();
        assert_eq!(
            shown,
            [
                "musl",
                "so:libc.musl-x86_64.so.1=1",
                "a>=1.2-r0",
                "b~3",
                "!c<2",
                "/bin/sh",
                "d@edge=1"
            ]
        );
        let pinned = parse_dependencies("d@edge=1").next().unwrap();
        assert_eq!((pinned.name, pinned.tag), ("d", Some("edge")));
        assert!(parse_dependencies("!c<2").next().unwrap().conflict);
    }

    #[test]
    fn allows() {
        for (operator, allowed) in [
            ("<", "1"),
            ("<=", "1 2"),
            ("=", "2"),
            (">=", "2 2.1 3"),
            (">", "2.1 3"),
            ("~", "2 2.1"),
            ("=~", "2 2.1"),
            ("<~", "1 2 2.1"),
            (">~", "2 2.1 3"),
            ("><", ""),
        ] {
            let constraint = Constraint { operator, version: "2" };
            let found: Vec<_> =
                ["1", "2", "2.1", "3"].into_iter().filter(|v| constraint.allows(v)).collect();
            assert_eq!(found.join(" "), allowed, "{operator}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_parsed(text in "[ !a-c@<=>~0-2.]{0,30}") {
            let parsed: Vec<_> = parse_dependencies(&text).collect();
            let shown: Vec<_> = parsed.iter().map(ToString::to_string).collect();
            let shown = shown.join(" ");
            prop_assert_eq!(parse_dependencies(&shown).collect::<Vec<_>>(), parsed);
        }
    }
}
