//! Which folders of a workspace hold its members.

use crate::model::{Manifest, Spanned};
use exflow_content::{PatternError, PatternSet, RelPath};

/// The name of a manifest's file.
pub const MANIFEST: &str = "exflow.kdl";
/// How deep below the workspace `**` looks.
const DEEPEST: usize = 16;
/// Folders of what tools make and fetch: what is in them is no project of this workspace, unless a
/// pattern names the folder.
const MADE: [&str; 3] = ["_build", "deps", "node_modules"];

/// The patterns of `members`, and what they mean, for all who ask: whoever looks for members, whoever
/// wants to know whether a folder is one, and the check that each pattern names one.
///
/// A pattern names the folders themselves, not what is below them: `services/*` is `services/a`, and
/// not `services/a/b`. What `!` names is taken away, with all that is below it, whatever the order.
#[derive(Debug, Clone)]
pub struct Members {
    picked: Vec<Picked>,
    /// All but what is taken away.
    left: PatternSet,
}

#[derive(Debug, Clone)]
struct Picked {
    pattern: Spanned<String>,
    /// Of manifests rather than of folders: a pattern that names a folder picks all that is below.
    manifests: PatternSet,
    place: MemberPlace,
}

/// Where members may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPlace {
    /// In this folder, or below it.
    pub root: RelPath,
    /// A member's path has so many names at most.
    pub depth: usize,
}

impl Members {
    /// Those of the workspace whose root has this manifest. Patterns that are none name nothing: they
    /// were reported when it was read.
    pub fn of(root: &Manifest) -> Self {
        let mut picked = Vec::new();
        let mut left = vec!["**"];
        for pattern in root.workspace.iter().flat_map(|workspace| &workspace.members) {
            if pattern.value.starts_with('!') {
                left.push(&pattern.value);
            } else if let Ok((manifests, place)) = compile(&pattern.value) {
                picked.push(Picked { pattern: pattern.clone(), manifests, place });
            }
        }
        Self { picked, left: PatternSet::new(left).unwrap_or_default() }
    }

    /// Whether a manifest in `folder` is a member's.
    pub fn contains(&self, folder: &RelPath) -> bool {
        self.picked.iter().any(|picked| self.is_of(picked, folder))
    }

    /// Where to look for members. Below these, folders whose name [`Members::is_passed_over`] hold
    /// none.
    pub fn places(&self) -> impl Iterator<Item = &MemberPlace> {
        self.picked.iter().map(|picked| &picked.place)
    }

    /// Whether a wildcard never stands for a folder with this name: it is hidden, or a tool made it.
    pub fn is_passed_over(name: &str) -> bool {
        name.starts_with('.') || MADE.contains(&name)
    }

    /// The patterns that name none of `folders`.
    pub(crate) fn without<'a>(
        &'a self,
        folders: &[&RelPath],
    ) -> impl Iterator<Item = &'a Spanned<String>> {
        let without: Vec<&Picked> = self
            .picked
            .iter()
            .filter(|picked| !folders.iter().any(|folder| self.is_of(picked, folder)))
            .collect();
        without.into_iter().map(|picked| &picked.pattern)
    }

    fn is_of(&self, picked: &Picked, folder: &RelPath) -> bool {
        let Picked { manifests, place, .. } = picked;
        // The root is the workspace itself. Names that are no text can't be written in a lock.
        let Some(below) = folder.strip(&place.root) else { return false };
        !folder.is_root()
            && folder.names().count() <= place.depth
            && below
                .names()
                .all(|name| std::str::from_utf8(name).is_ok_and(|name| !Self::is_passed_over(name)))
            && manifests.matches(&folder.join(&manifest()))
            && self.left.matches(folder)
    }
}

/// What is wrong with a pattern of members, if anything is.
pub(crate) fn check(pattern: &str) -> Result<(), PatternError> {
    PatternSet::new([pattern])?;
    compile(pattern.strip_prefix('!').unwrap_or(pattern)).map(drop)
}

/// The manifests in the folders that `pattern` names, and where those are.
fn compile(pattern: &str) -> Result<(PatternSet, MemberPlace), PatternError> {
    let folder = pattern.strip_suffix('/').unwrap_or(pattern);
    let manifests = PatternSet::new([format!("{folder}/{MANIFEST}")])
        .map_err(|error| PatternError { pattern: pattern.to_owned(), ..error })?;
    // That of the folders: of the manifests it may be the file itself.
    let root = PatternSet::new([pattern])?.roots().into_iter().next().unwrap_or_default();
    // Slashes between braces count too, which makes it deeper than it need be, and nothing else.
    let depth = if folder.contains("**") { DEEPEST } else { folder.split('/').count() };
    Ok((manifests, MemberPlace { root, depth }))
}

fn manifest() -> RelPath {
    RelPath::new(MANIFEST).expect("a clean path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use exflow_diagnostics::SourceName;

    fn members(patterns: &[&str]) -> Members {
        let patterns: Vec<String> = patterns.iter().map(|text| format!("{text:?}")).collect();
        let text = format!("workspace \"w\" {{ members {} }}", patterns.join(" "));
        Members::of(&parse(&SourceName::new(MANIFEST), &text).expect("a manifest"))
    }

    fn check(patterns: &[&str], folder: &str, expected: bool) {
        let folder = RelPath::new(folder).expect("a path");
        assert_eq!(members(patterns).contains(&folder), expected, "{patterns:?} on {folder}");
    }

    #[test]
    fn a_pattern_names_folders_and_not_what_is_below() {
        check(&["services/*"], "services/a", true);
        check(&["services/*/"], "services/a", true);
        check(&["services/*"], "services/a/b", false);
        check(&["services/*"], "services", false);
        check(&["services"], "services", true);
        check(&["services"], "services/a", false);
        check(&["services/**"], "services/a/b", true);
        check(&["services/**"], "libs/a", false);
        check(&["{apps,libs/core}/*"], "libs/core/a", true);
        check(&["{apps,libs/core}/*"], "libs/core", false);
        check(&["**"], "a/b/c", true);
        check(&["**"], "", false);
        check(&["**"], &["a"; 17].join("/"), false);
    }

    #[test]
    fn what_is_taken_away_is_gone_with_all_below_it() {
        check(&["services/*", "!services/old"], "services/old", false);
        check(&["!services/old", "services/*"], "services/old", false);
        check(&["services/*", "!services/old"], "services/new", true);
        check(&["services/**", "!services/old"], "services/old/a", false);
        check(&["!services/old"], "services/new", false);
    }

    #[test]
    fn what_tools_make_is_no_member_unless_it_is_named() {
        check(&["**"], "deps/jason", false);
        check(&["**"], "a/.cache/b", false);
        check(&["**", "deps/*"], "deps/jason", true);
        check(&["*/deps/*"], "a/deps/b", false);
    }

    #[test]
    fn it_is_known_which_pattern_names_nothing() {
        let members = members(&["services/*", "libs/*", "old/*", "!old/*", "!nowhere"]);
        let folders = ["services/a", "old/b", "libs/a/b"].map(|text| RelPath::new(text).unwrap());
        let folders: Vec<&RelPath> = folders.iter().collect();
        let without: Vec<&str> =
            members.without(&folders).map(|pattern| pattern.value.as_str()).collect();
        assert_eq!(without, ["libs/*", "old/*"]);
    }

    #[test]
    fn where_to_look() {
        let members = members(&["services/*", "apps/a", "x/{a,b/c}", "y/**", "!z"]);
        let places: Vec<String> =
            members.places().map(|place| format!("{} {}", place.root, place.depth)).collect();
        assert_eq!(places, ["services 2", "apps/a 2", "x 3", "y 16"]);
    }
}
