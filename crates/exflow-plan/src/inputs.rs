//! What a step sees that no step makes: what is fetched, and what a plugin brings along.

use exflow_content::{Digest, Entry, Mode, RelPath, Tree, TreeError};
use exflow_packages::RemoteFile;
use exflow_packages::git::GitSource;
use exflow_packages::hex::HexPackage;
use std::collections::BTreeMap;

/// Something from outside, known by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package of Hex's, or of a repository of its kind.
    Hex(HexPackage),
    /// A revision of a git repository.
    Git(GitSource),
    /// A single file.
    File(RemoteFile),
}

impl Origin {
    /// The key of its tree.
    pub fn key(&self) -> Digest {
        match self {
            Self::Hex(package) => package.key(),
            Self::Git(source) => source.key(),
            Self::File(file) => file.key(),
        }
    }
}

/// A few small files, with their texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InlineFiles {
    tree: Tree,
    texts: BTreeMap<Digest, String>,
}

impl InlineFiles {
    /// These files.
    ///
    /// # Errors
    /// Where one is a folder of another.
    pub fn new<'a>(
        files: impl IntoIterator<Item = (&'a RelPath, &'a String)>,
    ) -> Result<Self, TreeError> {
        let mut found = Self::default();
        for (path, text) in files {
            let (blob, size) = (Digest::of(text.as_bytes()), text.len() as u64);
            found.tree.insert(path.clone(), Entry::File { mode: Mode::FILE, blob, size })?;
            found.texts.insert(blob, text.clone());
        }
        Ok(found)
    }

    /// The files.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What is in them, by path.
    pub fn files(&self) -> impl Iterator<Item = (&RelPath, &str)> {
        self.tree.entries().filter_map(|(path, entry)| match entry {
            Entry::File { blob, .. } => Some((path, self.texts.get(blob)?.as_str())),
            _ => None,
        })
    }
}
