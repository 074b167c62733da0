//! Why a step is not cached: what has changed since it last ran, as a value.

use crate::Command;
use crate::plan::source_root;
use exflow_content::{Digest, RelPath, Tree};
use std::fmt;

/// One difference between a command and the one that ran before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The base has other content.
    Base,
    /// The program or its arguments are others.
    Arguments,
    /// A variable was added, changed or taken away.
    Variable {
        /// Its name.
        name: String,
    },
    /// The working folder is another.
    Workdir,
    /// The outputs are others.
    Outputs,
    /// An input is laid at another place, or is new or gone.
    Inputs,
    /// A file of an input was added.
    FileAdded {
        /// Relative to the workspace, or to the root that the step sees where it is none of its files.
        path: RelPath,
    },
    /// A file of an input has other content or another mode.
    FileChanged {
        /// Relative to the workspace, or to the root that the step sees where it is none of its files.
        path: RelPath,
    },
    /// A file of an input was removed.
    FileRemoved {
        /// Relative to the workspace, or to the root that the step sees where it is none of its files.
        path: RelPath,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("its base has changed"),
            Self::Arguments => f.write_str("its command has changed"),
            Self::Variable { name } => write!(f, "variable `{name}` has changed"),
            Self::Workdir => f.write_str("its working folder has changed"),
            Self::Outputs => f.write_str("its outputs have changed"),
            Self::Inputs => f.write_str("it has other inputs"),
            Self::FileAdded { path } => write!(f, "`{path}` was added"),
            Self::FileChanged { path } => write!(f, "`{path}` has changed"),
            Self::FileRemoved { path } => write!(f, "`{path}` was removed"),
        }
    }
}

/// What has changed from `old` to `new`. `tree` reads a tree; where it can't, the files of that
/// input are not compared and the input counts as changed.
pub fn changes(
    old: &Command,
    new: &Command,
    tree: impl Fn(&Digest) -> Option<Tree>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.base != new.base {
        changes.push(Change::Base);
    }
    if old.argv != new.argv {
        changes.push(Change::Arguments);
    }
    for name in old.env.keys().chain(new.env.keys().filter(|name| !old.env.contains_key(*name))) {
        if old.env.get(name) != new.env.get(name) {
            changes.push(Change::Variable { name: name.clone() });
        }
    }
    if old.workdir != new.workdir {
        changes.push(Change::Workdir);
    }
    if old.outputs != new.outputs {
        changes.push(Change::Outputs);
    }
    let places = |command: &Command| -> Vec<RelPath> {
        command.mounts.iter().map(|mount| mount.at.clone()).collect()
    };
    if places(old) != places(new) {
        changes.push(Change::Inputs);
        return changes;
    }
    for (old, new) in old.mounts.iter().zip(&new.mounts) {
        if old.tree == new.tree {
            continue;
        }
        match (tree(&old.tree), tree(&new.tree)) {
            (Some(before), Some(after)) => {
                changes.extend(file_changes(&new.at, &before, &after));
            }
            _ => changes.push(Change::Inputs),
        }
    }
    changes
}

fn shown(at: &RelPath, path: &RelPath) -> RelPath {
    let path = at.join(path);
    path.strip(&source_root()).unwrap_or(path)
}

fn file_changes(at: &RelPath, before: &Tree, after: &Tree) -> Vec<Change> {
    let mut changes = Vec::new();
    for (path, entry) in after.entries() {
        let shown = shown(at, path);
        match before.get(path) {
            None => changes.push(Change::FileAdded { path: shown }),
            Some(old) if old != entry => changes.push(Change::FileChanged { path: shown }),
            Some(_) => {}
        }
    }
    for (path, _) in before.entries() {
        if after.get(path).is_none() {
            changes.push(Change::FileRemoved { path: shown(at, path) });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mount;
    use exflow_content::{Entry, Mode};
    use std::collections::BTreeMap;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("clean")
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (at, content) in files {
            let blob = Digest::of(content.as_bytes());
            let entry = Entry::File { mode: Mode::FILE, blob, size: content.len() as u64 };
            tree.insert(path(at), entry).expect("fits");
        }
        tree
    }

    fn command(sources: &Tree, env: &[(&str, &str)]) -> Command {
        Command {
            base: Digest::of(b"base"),
            mounts: vec![Mount { at: path("src"), tree: sources.digest() }],
            argv: vec!["mix".into()],
            env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            workdir: path("src"),
            outputs: Vec::new(),
        }
    }

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn check(old: (Pairs<'_>, Pairs<'_>), new: (Pairs<'_>, Pairs<'_>), expected: &[&str]) {
        let (before, after) = (tree(old.0), tree(new.0));
        let trees =
            BTreeMap::from([(before.digest(), before.clone()), (after.digest(), after.clone())]);
        let found = changes(&command(&before, old.1), &command(&after, new.1), |digest| {
            trees.get(digest).cloned()
        });
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_the_input_and_the_file() {
        check((&[("a", "1")], &[]), (&[("a", "1")], &[]), &[]);
        check(
            (&[("a", "1"), ("c", "1")], &[]),
            (&[("a", "2"), ("b", "1")], &[]),
            &["`a` has changed", "`b` was added", "`c` was removed"],
        );
        check(
            (&[], &[("A", "1"), ("B", "1")]),
            (&[], &[("A", "2"), ("C", "1")]),
            &["variable `A` has changed", "variable `B` has changed", "variable `C` has changed"],
        );
    }
}
