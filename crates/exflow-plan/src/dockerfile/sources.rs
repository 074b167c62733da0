//! Which folders and files of the workspace a step is given.

use super::{DockerfileError, quote};
use crate::InlineFiles;
use exflow_content::{Entry, RelPath, Tree};
use std::collections::BTreeMap;

/// How a part of the workspace's files gets into a stage.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// By folder: the files of it that are copied by name, or none where it is copied as a whole.
    pub(super) folders: BTreeMap<RelPath, Option<Vec<RelPath>>>,
    /// Commands of a shell that make what `COPY` doesn't: empty folders, and symbolic links in
    /// folders that are not copied as a whole.
    pub(super) script: Vec<String>,
}

/// Covers `tree`, which is a part of `sources`, with as few copies as there can be. Nothing that a
/// path of `apart` is in is copied as a whole. `at` is where the tree is laid in the stage.
pub(super) fn copies(
    sources: &Tree,
    tree: &Tree,
    at: &RelPath,
    apart: &[&RelPath],
) -> Result<Copies, DockerfileError> {
    let there = files_below(sources);
    let seen = files_below(tree);
    let mut copies = Copies::default();
    let (mut folders, mut links) = (Vec::new(), Vec::new());
    let mut whole: Option<&RelPath> = None;
    for (path, entry) in tree.entries() {
        let is_folder = matches!(entry, Entry::Folder { .. });
        if !is_folder && sources.get(path) != Some(entry) {
            return Err(DockerfileError::NotASource { path: path.clone() });
        }
        // What is in a folder follows it directly.
        if whole.is_some_and(|whole| path.is_within(whole)) {
            continue;
        }
        let folder = path.parent().unwrap_or_default();
        match entry {
            Entry::Folder { .. } if !seen.contains_key(path) => {
                // One that only has empty folders is made with those.
                let mut within = tree.within(path);
                if within.nth(1).is_none() {
                    folders.push(quoted(&at.join(path))?);
                }
            }
            Entry::Folder { .. } => {
                let is_apart = apart.iter().any(|apart| apart.is_within(path));
                if !is_apart && seen.get(path) == there.get(path) {
                    whole = Some(path);
                    copies.folders.insert(path.clone(), None);
                }
            }
            Entry::File { .. } => {
                let files = copies.folders.entry(folder).or_default();
                files.get_or_insert_default().push(path.clone());
            }
            Entry::Symlink { target } => {
                let target = std::str::from_utf8(target).map_err(|_| DockerfileError::Path {
                    path: path.clone(),
                    reason: "it is a link to what is not UTF-8",
                })?;
                let folder = at.join(&folder);
                if !folder.is_root() {
                    folders.push(quoted(&folder)?);
                }
                let link = quoted(&at.join(path))?;
                links.push(format!("ln -sfn -- {} {link}", in_shell(target)));
            }
        }
    }
    folders.sort();
    folders.dedup();
    if !folders.is_empty() {
        copies.script.push(format!("mkdir -p {}", folders.join(" ")));
    }
    copies.script.extend(links);
    Ok(copies)
}

/// How many files and links are below each folder that has any.
fn files_below(tree: &Tree) -> BTreeMap<RelPath, usize> {
    let mut files = BTreeMap::new();
    for (path, entry) in tree.entries() {
        if !matches!(entry, Entry::Folder { .. }) {
            for folder in path.parents() {
                *files.entry(folder).or_default() += 1;
            }
        }
    }
    files
}

/// A script that writes files whose texts are known.
pub(super) fn written(files: &InlineFiles, at: &RelPath) -> Result<String, DockerfileError> {
    let mut lines = Vec::new();
    for (path, text) in files.files() {
        let path = at.join(path);
        if let Some(folder) = path.parent().filter(|folder| !folder.is_root()) {
            lines.push(format!("mkdir -p {}", quoted(&folder)?));
        }
        lines.push(format!("printf %s {} > {}", in_shell(text), quoted(&path)?));
    }
    Ok(lines.join("; "))
}

/// An absolute path, as a word of a shell.
fn quoted(path: &RelPath) -> Result<String, DockerfileError> {
    Ok(in_shell(&format!("/{}", quote::text(path)?)))
}

fn in_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
