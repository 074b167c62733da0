//! Relations between packages (Debian Policy 7.1).

use super::version::compare_versions;

/// One relation: any one of its alternatives will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a>(pub Vec<Alternative<'a>>);

/// A package, in versions that a constraint allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative<'a> {
    /// The package's name, without an architecture qualifier: all is for one architecture here.
    pub name: &'a str,
    /// Which versions.
    pub constraint: Option<Constraint<'a>>,
}

/// Which versions of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constraint<'a> {
    /// `<<`, `<=`, `=`, `>=` or `>>`.
    pub operator: &'a str,
    /// What versions are compared with.
    pub version: &'a str,
}

impl Constraint<'_> {
    /// Whether `version` is allowed.
    pub fn allows(&self, version: &str) -> bool {
        let order = compare_versions(version, self.version);
        match self.operator {
            "<<" => order.is_lt(),
            // `<` and `>` are old spellings of these two.
            "<=" | "<" => order.is_le(),
            ">=" | ">" => order.is_ge(),
            ">>" => order.is_gt(),
            _ => order.is_eq(),
        }
    }
}

impl std::fmt::Display for Alternative<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        if let Some(Constraint { operator, version }) = self.constraint {
            write!(f, " ({operator} {version})")?;
        }
        Ok(())
    }
}

/// Parses `a (>= 1) | b, c:any`. What is not a relation is left out: such an index is signed by
/// Debian, and a name that is no package shows where the solver looks for it.
pub fn parse_relations(text: &str) -> Vec<Relation<'_>> {
    text.split(',')
        .map(|relation| relation.split('|').filter_map(parse_alternative).collect::<Vec<_>>())
        .filter(|alternatives| !alternatives.is_empty())
        .map(Relation)
        .collect()
}

fn parse_alternative(text: &str) -> Option<Alternative<'_>> {
    let text = text.trim();
    let end = text.find([' ', '\t', '\n', '(', '[', '<']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.split(':').next().unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    let constraint = rest.find('(').and_then(|open| {
        let inner = &rest[open + 1..];
        let inner = inner[..inner.find(')')?].trim();
        let end = inner.find(|c: char| !matches!(c, '<' | '>' | '='))?;
        let (operator, version) = inner.split_at(end);
        Some(Constraint { operator, version: version.trim() })
    });
    Some(Alternative { name, constraint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses() {
        let relations = parse_relations("a (>= 1:2-3)|b:any [amd64], c(<<4) ,, d");
        let shown: Vec<Vec<String>> = relations
            .iter()
            .map(|relation| relation.0.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(shown, [vec!["a (>= 1:2-3)", "b"], vec!["c (<< 4)"], vec!["d"]]);
    }

    #[test]
    fn allows() {
        for (operator, allowed) in
            [("<<", "1"), ("<=", "1 2"), ("=", "2"), (">=", "2 3"), (">>", "3")]
        {
            let constraint = Constraint { operator, version: "2" };
            let found: Vec<_> =
                ["1", "2", "3"].into_iter().filter(|v| constraint.allows(v)).collect();
            assert_eq!(found.join(" "), allowed, "{operator}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            parse_relations(&text);
        }
    }
}
