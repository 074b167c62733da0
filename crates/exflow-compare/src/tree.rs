use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use std::fmt;

/// One path at which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: RelPath,
    /// How.
    pub how: How,
}

/// How an entry of one tree differs from what the other has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Only the first has it.
    Missing,
    /// Only the second has it.
    Added,
    /// One is a file, the other a folder or a link.
    Kind,
    /// They have other permissions.
    Mode {
        /// Of the first.
        first: Mode,
        /// Of the second.
        second: Mode,
    },
    /// Links that lead elsewhere.
    Target,
    /// Files of other content.
    Content {
        /// The content of the first.
        first: Digest,
        /// The content of the second.
        second: Digest,
    },
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Added => f.write_str("is new"),
            Self::Kind => f.write_str("is a thing of another kind"),
            Self::Mode { first, second } => {
                write!(f, "has the mode {:04o} and not {:04o}", second.bits(), first.bits())
            }
            Self::Target => f.write_str("is a link that leads elsewhere"),
            Self::Content { .. } => f.write_str("has other content"),
        }
    }
}

/// Where `second` differs from `first`, in the order of the paths. What is below a folder that only one of them has
/// is not listed: the folder is.
pub fn compare(first: &Tree, second: &Tree) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut ours = first.entries().peekable();
    let mut theirs = second.entries().peekable();
    // What is below this is no news.
    let mut whole: Option<RelPath> = None;
    loop {
        let (path, how) = match (ours.peek(), theirs.peek()) {
            (None, None) => return differences,
            (Some((path, _)), None) => ((*path).clone(), Some(How::Missing)),
            (None, Some((path, _))) => ((*path).clone(), Some(How::Added)),
            (Some((one, a)), Some((other, b))) => match one.cmp(other) {
                std::cmp::Ordering::Less => ((*one).clone(), Some(How::Missing)),
                std::cmp::Ordering::Greater => ((*other).clone(), Some(How::Added)),
                std::cmp::Ordering::Equal => ((*one).clone(), how(a, b)),
            },
        };
        if !matches!(how, Some(How::Added)) {
            ours.next();
        }
        if !matches!(how, Some(How::Missing)) {
            theirs.next();
        }
        let Some(how) = how else { continue };
        if whole.as_ref().is_some_and(|whole| path.is_within(whole)) {
            continue;
        }
        if matches!(how, How::Missing | How::Added | How::Kind) {
            whole = Some(path.clone());
        }
        differences.push(Difference { path, how });
    }
}

fn how(first: &Entry, second: &Entry) -> Option<How> {
    match (first, second) {
        (Entry::File { mode, blob, .. }, Entry::File { mode: other, blob: theirs, .. }) => {
            if blob != theirs {
                return Some(How::Content { first: *blob, second: *theirs });
            }
            (mode != other).then_some(How::Mode { first: *mode, second: *other })
        }
        (Entry::Folder { mode }, Entry::Folder { mode: other }) => {
            (mode != other).then_some(How::Mode { first: *mode, second: *other })
        }
        (Entry::Symlink { target }, Entry::Symlink { target: other }) => {
            (target != other).then_some(How::Target)
        }
        _ => Some(How::Kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(entries: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, what) in entries {
            let blob = Digest::of(what.as_bytes());
            let file = Entry::File { mode: Mode::FILE, blob, size: what.len() as u64 };
            let entry = match *what {
                "dir" => Entry::Folder { mode: Mode::FOLDER },
                "closed" => Entry::Folder { mode: Mode::new(0o700) },
                "run" => Entry::File { mode: Mode::EXECUTABLE, blob: Digest::of(b"x"), size: 1 },
                link if link.starts_with("->") => {
                    Entry::Symlink { target: link.as_bytes()[2..].into() }
                }
                _ => file,
            };
            tree.insert(RelPath::new(path).unwrap(), entry).unwrap();
        }
        tree
    }

    fn said(first: &[(&str, &str)], second: &[(&str, &str)]) -> Vec<String> {
        let differences = compare(&tree(first), &tree(second));
        differences.iter().map(|one| format!("{} {}", one.path, one.how)).collect()
    }

    #[test]
    fn each_difference_is_said_once_where_it_begins() {
        assert_eq!(said(&[("a/b", "1"), ("c", "2")], &[("a/b", "1"), ("c", "2")]), [""; 0]);
        assert_eq!(said(&[("a", "1")], &[("a", "2")]), ["a has other content"]);
        assert_eq!(said(&[("a", "x")], &[("a", "run")]), ["a has the mode 0755 and not 0644"]);
        assert_eq!(said(&[("a", "dir")], &[("a", "closed")]), ["a has the mode 0700 and not 0755"]);
        assert_eq!(said(&[("a", "->b")], &[("a", "->c")]), ["a is a link that leads elsewhere"]);
        assert_eq!(
            said(&[("a/b/c", "1"), ("a/b/d", "1"), ("e", "1")], &[("e", "2"), ("f/g", "1")]),
            ["a is missing", "e has other content", "f is new"]
        );
        assert_eq!(said(&[("a", "1")], &[("a/b/c", "1")]), ["a is a thing of another kind"]);
        assert_eq!(said(&[("a/b", "1"), ("a.b", "1")], &[("a", "->x")]).len(), 2);
    }

    proptest! {
        #[test]
        fn trees_differ_where_and_only_where_their_digests_do(
            first in proptest::collection::btree_map("[ab](/[ab]){0,2}", "[xy]", 0..6),
            second in proptest::collection::btree_map("[ab](/[ab]){0,2}", "[xy]", 0..6),
        ) {
            let made = |entries: &std::collections::BTreeMap<String, String>| {
                let mut tree = Tree::new();
                for (path, text) in entries {
                    let blob = Digest::of(text.as_bytes());
                    let entry = Entry::File { mode: Mode::FILE, blob, size: 1 };
                    let _ = tree.insert(RelPath::new(path).unwrap(), entry);
                }
                tree
            };
            let (first, second) = (made(&first), made(&second));
            let there = compare(&first, &second);
            prop_assert_eq!(there.is_empty(), first.digest() == second.digest());
            let back = compare(&second, &first);
            let paths = |all: &[Difference]| all.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
            prop_assert_eq!(paths(&there), paths(&back));
        }
    }
}
