//! Trees, and the bytes of what is in them.

use crate::elf::{Elf, MAGIC};
use exflow_content::{Digest, Entry, RelPath, Tree};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::rc::Rc;

/// How much the names of all symbols may take, in bytes. Those of a release and its libraries take 10^6.
const MAX_SYMBOLS: usize = 256 << 20;
/// What a name takes besides its bytes.
const NAME: usize = 32;

/// Opens what is in trees.
pub trait Blobs {
    /// Why a blob can't be opened.
    type Error;
    /// Its bytes. Where reading fails, the file counts as one that makes no sense: what is packed is read
    /// again, and checked.
    type Reader: Read + Seek;

    /// Opens a blob of a tree.
    fn open(&self, blob: &Digest) -> Result<Self::Reader, Self::Error>;
}

/// Blobs, of which each is read once at most.
pub(crate) struct Reader<'a, B: Blobs> {
    blobs: &'a B,
    with_symbols: bool,
    /// How much the names of symbols may still take.
    left: Cell<usize>,
    known: RefCell<BTreeMap<Digest, Option<Rc<Elf>>>>,
}

impl<'a, B: Blobs> Reader<'a, B> {
    pub(crate) fn new(blobs: &'a B, with_symbols: bool) -> Self {
        Self { blobs, with_symbols, left: Cell::new(MAX_SYMBOLS), known: RefCell::default() }
    }

    /// Whether there were too many symbols, so that not all are known.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// What an ELF file says; none of any other.
    pub(crate) fn elf(&self, blob: &Digest) -> Result<Option<Rc<Elf>>, B::Error> {
        if let Some(known) = self.known.borrow().get(blob) {
            return Ok(known.clone());
        }
        let mut file = self.blobs.open(blob)?;
        let mut magic = [0; MAGIC.len()];
        let is_elf = file.read_exact(&mut magic).is_ok() && magic == MAGIC;
        let with_symbols = self.with_symbols && !self.is_spent();
        let elf = if is_elf { Elf::read(file, with_symbols).map(Rc::new) } else { None };
        let symbols = elf.iter().flat_map(|elf| elf.defined.iter().chain(&elf.undefined));
        let size = symbols.map(|name| name.len() + NAME).sum();
        self.left.set(self.left.get().saturating_sub(size));
        self.known.borrow_mut().insert(*blob, elf.clone());
        Ok(elf)
    }

    /// The file at `path` of `tree`, its links followed, if it is there and not longer than `limit`.
    pub(crate) fn bytes_at(
        &self,
        tree: &Tree,
        path: &RelPath,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, B::Error> {
        self.start_of(tree, path, limit, limit)
    }

    /// The first bytes of the file at `path` of `tree`, its links followed, if it is there and not longer than `limit`.
    pub(crate) fn start_of(
        &self,
        tree: &Tree,
        path: &RelPath,
        length: u64,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, B::Error> {
        match tree.resolve(path).and_then(|path| tree.get(&path)) {
            Some(Entry::File { blob, size, .. }) if *size <= limit => {
                let mut bytes = Vec::new();
                let read = self.blobs.open(blob)?.take(length).read_to_end(&mut bytes);
                Ok(read.is_ok().then_some(bytes))
            }
            _ => Ok(None),
        }
    }

    /// As [`Reader::bytes_at`], as text.
    pub(crate) fn text_at(
        &self,
        tree: &Tree,
        path: &str,
        limit: u64,
    ) -> Result<Option<String>, B::Error> {
        let bytes = self.bytes_at(tree, &clean(path), limit)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// A path of our own.
pub(crate) fn clean(path: &str) -> RelPath {
    RelPath::new(path).expect("a clean path")
}

/// What an absolute path means in a tree; none where it is not absolute, or leads out of it.
pub(crate) fn in_tree(path: &str) -> Option<RelPath> {
    RelPath::clean(path.strip_prefix('/')?.trim_start_matches('/')).ok()
}

/// Whether there is a file at `path`, its links followed.
pub(crate) fn has_file(tree: &Tree, path: &RelPath) -> bool {
    let found = tree.resolve(path);
    found.is_some_and(|path| matches!(tree.get(&path), Some(Entry::File { .. })))
}
