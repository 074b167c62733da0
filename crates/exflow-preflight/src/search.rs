//! Where libraries are looked for.

use crate::elf::{Elf, Machine};
use crate::files::{Blobs, Reader, clean, has_file, in_tree};
use crate::libc::{Libc, musl_interpreter};
use exflow_content::{Entry, RelPath, Tree};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The longest file of settings that is read, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;
/// How many files of settings, and how many folders they may name.
const MAX_FILES: usize = 256;
const MAX_FOLDERS: usize = 256;
/// How much is looked up in all. A release with a hundred programs and libraries takes a hundredth of it.
const MAX_WORK: usize = 20_000_000;
/// What it counts to look for a file, beside looking for a symbol.
const LOOKUP: usize = 10;

/// Looks for libraries in a tree, as a loader does.
pub(crate) struct Search<'a, B: Blobs> {
    pub(crate) tree: &'a Tree,
    pub(crate) reader: &'a Reader<'a, B>,
    /// `LD_LIBRARY_PATH`.
    library_path: Vec<RelPath>,
    /// What ldconfig was told.
    configured: Vec<RelPath>,
    musl: Vec<RelPath>,
    /// What the folders that are the same for all have.
    known: RefCell<BTreeMap<(Libc, Machine, String), Option<RelPath>>>,
    /// How much may still be looked up.
    left: Cell<usize>,
}

/// A library that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Where, as the loader sees it.
    pub(crate) path: RelPath,
    /// Where it is once links are followed.
    pub(crate) real: RelPath,
    pub(crate) elf: Rc<Elf>,
}

impl<'a, B: Blobs> Search<'a, B> {
    pub(crate) fn new(
        tree: &'a Tree,
        reader: &'a Reader<'a, B>,
        library_path: Option<&str>,
    ) -> Result<Self, B::Error> {
        let folders = library_path.unwrap_or_default().split([':', ';']);
        let library_path = folders.filter_map(in_tree).take(MAX_FOLDERS).collect();
        Ok(Self {
            tree,
            reader,
            library_path,
            configured: configured(tree, reader)?,
            musl: musl_folders(tree, reader)?,
            known: RefCell::default(),
            left: Cell::new(MAX_WORK),
        })
    }

    /// Counts what was looked up.
    pub(crate) fn spend(&self, work: usize) {
        self.left.set(self.left.get().saturating_sub(work));
    }

    /// Whether no more is looked up. Then nothing is found, and that says nothing.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// The library of this name. `rpath` and `runpath` are the folders that those say who need it.
    pub(crate) fn library(
        &self,
        name: &str,
        libc: Libc,
        machine: Machine,
        (rpath, runpath): (&[RelPath], &[RelPath]),
    ) -> Result<Option<Found>, B::Error> {
        if name.contains('/') {
            return match in_tree(name) {
                Some(path) => self.at(&path, machine),
                None => Ok(None),
            };
        }
        let Ok(file) = RelPath::new(name) else { return Ok(None) };
        for folder in rpath.iter().chain(&self.library_path).chain(runpath) {
            if let Some(found) = self.at(&folder.join(&file), machine)? {
                return Ok(Some(found));
            }
        }
        let key = (libc, machine, name.to_owned());
        let known = self.known.borrow().get(&key).cloned();
        if let Some(known) = known {
            return known.map_or(Ok(None), |path| self.at(&path, machine));
        }
        let mut found = None;
        for folder in self.folders(libc, machine) {
            found = self.at(&folder.join(&file), machine)?;
            if found.is_some() {
                break;
            }
        }
        self.known.borrow_mut().insert(key, found.as_ref().map(|found| found.path.clone()));
        Ok(found)
    }

    /// The library at `path`. One for another machine is passed over, as loaders do.
    pub(crate) fn at(&self, path: &RelPath, machine: Machine) -> Result<Option<Found>, B::Error> {
        self.spend(LOOKUP);
        if self.is_spent() {
            return Ok(None);
        }
        let Some(real) = self.tree.resolve(path) else { return Ok(None) };
        let Some(Entry::File { blob, .. }) = self.tree.get(&real) else { return Ok(None) };
        let Some(elf) = self.reader.elf(blob)? else { return Ok(None) };
        let found = Found { path: path.clone(), real, elf };
        Ok((found.elf.machine == machine).then_some(found))
    }

    /// The folders that are the same for all.
    pub(crate) fn folders(&self, libc: Libc, machine: Machine) -> Vec<RelPath> {
        if libc == Libc::Musl {
            return self.musl.clone();
        }
        let mut folders = self.configured.clone();
        if let Some(triplet) = machine.multiarch() {
            folders.push(clean(&format!("lib/{triplet}")));
            folders.push(clean(&format!("usr/lib/{triplet}")));
        }
        folders.extend(["lib64", "usr/lib64", "lib", "usr/lib"].map(clean));
        folders
    }
}

/// The folders that DT_RPATH or DT_RUNPATH names, of the file at `path`.
pub(crate) fn folders_of(
    list: Option<&str>,
    path: &RelPath,
    real: &RelPath,
    machine: Machine,
) -> Vec<RelPath> {
    let library = if machine.is_64 { "lib64" } else { "lib" };
    let mut folders = Vec::new();
    for entry in list.unwrap_or_default().split(':').take(MAX_FOLDERS) {
        // musl takes the real folder, glibc that of the path; where they differ, either will do.
        for file in [path, real] {
            let entry = with_origin(entry, file);
            let entry = entry.replace("$LIB", library).replace("${LIB}", library);
            if let Some(folder) = in_tree(&entry)
                && !folders.contains(&folder)
            {
                folders.push(folder);
            }
        }
    }
    folders
}

/// `text` with the folder of `file` in the place of `$ORIGIN`.
pub(crate) fn with_origin(text: &str, file: &RelPath) -> String {
    let origin = format!("/{}", file.parent().unwrap_or_default());
    text.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin)
}

/// The folders of `/etc/ld.so.conf`. The loader reads what ldconfig has made of it, so without that, nobody
/// looks there.
fn configured<B: Blobs>(tree: &Tree, reader: &Reader<'_, B>) -> Result<Vec<RelPath>, B::Error> {
    let mut folders = Vec::new();
    if !has_file(tree, &clean("etc/ld.so.cache")) {
        return Ok(folders);
    }
    let mut files = vec![clean("etc/ld.so.conf")];
    let mut at = 0;
    while let Some(file) = files.get(at).cloned() {
        at += 1;
        let bytes = reader.bytes_at(tree, &file, MAX_SETTINGS)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(pattern) =
                line.strip_prefix("include").filter(|it| it.starts_with([' ', '\t']))
            {
                for included in included(tree, &file, pattern.trim()) {
                    if files.len() < MAX_FILES && !files.contains(&included) {
                        files.push(included);
                    }
                }
            } else if let Some(folder) = in_tree(line)
                && folders.len() < MAX_FOLDERS
            {
                folders.push(folder);
            }
        }
    }
    Ok(folders)
}

/// The files that a line of settings includes: one, or all of a folder that end in the same way.
fn included(tree: &Tree, file: &RelPath, pattern: &str) -> Vec<RelPath> {
    let beside = format!("/{}/{pattern}", file.parent().unwrap_or_default());
    let absolute = if pattern.starts_with('/') { pattern } else { &beside };
    let Some((folder, name)) = absolute.rsplit_once('/') else { return Vec::new() };
    let Some(folder) = in_tree(&format!("{folder}/")) else { return Vec::new() };
    let Some((start, end)) = name.split_once('*') else {
        return RelPath::new(name).map(|name| vec![folder.join(&name)]).unwrap_or_default();
    };
    let Some(folder) = tree.resolve(&folder) else { return Vec::new() };
    let below = tree.within(&folder).filter_map(|(path, _)| {
        let name = path.strip(&folder)?;
        let name = name.as_str()?;
        let is_meant = !name.contains('/')
            && name.len() >= start.len() + end.len()
            && name.starts_with(start)
            && name.ends_with(end);
        is_meant.then(|| path.clone())
    });
    below.take(MAX_FILES).collect()
}

/// The folders that musl looks into: those of a file, or its own.
fn musl_folders<B: Blobs>(tree: &Tree, reader: &Reader<'_, B>) -> Result<Vec<RelPath>, B::Error> {
    let name = musl_interpreter(tree).and_then(|path| Some(path.name()?.to_vec()));
    let name = name.and_then(|name| String::from_utf8(name).ok());
    if let Some(name) = name.as_deref().and_then(|name| name.strip_suffix(".so.1"))
        && let Ok(file) = RelPath::new(format!("etc/{name}.path"))
        && let Some(text) = reader.bytes_at(tree, &file, MAX_SETTINGS)?
    {
        let text = String::from_utf8_lossy(&text);
        return Ok(text.split(['\n', ':']).filter_map(in_tree).take(MAX_FOLDERS).collect());
    }
    Ok(["lib", "usr/local/lib", "usr/lib"].map(clean).to_vec())
}
