//! Whether a release can run on the base that its image stands on.
//!
//! An image whose builder and runner don't fit each other is built without a word, and fails when its
//! container starts, or when the first TLS connection is made. So before an image is packed, what its
//! dynamic loader would do is done by reading: [`check()`] follows each program and library of the release
//! through the libraries that it needs, by the rules of ld.so(8) or musl's loader, and lists what is not
//! there. [`diagnose()`] says it to the user, with the package that the builder has it from.
//!
//! Everything is a value: trees come in, and [`Blobs`] opens what is in them. Files are what anyone may
//! have made: what makes no sense counts as no ELF file, and nothing is followed without an end.
//!
//! # What is not seen
//! Libraries that a program opens by name while it runs (dlopen(3)); whether a processor has the
//! instructions that were compiled for; what a script sets `LD_LIBRARY_PATH` to.

mod check;
mod diagnose;
mod elf;
mod erlang;
mod files;
mod libc;
mod loader;
mod owner;
mod script;
mod search;
mod variants;

pub use check::{Subject, check};
pub use diagnose::{Names, diagnose};
pub use elf::{Elf, Machine, RequiredVersion};
pub use files::Blobs;
pub use libc::Libc;

use exflow_content::RelPath;

/// The version of the preflight: the same trees and version, the same findings.
pub const PREFLIGHT_VERSION: u32 = 2;

/// What a check found, and what is known of the two bases where it found something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// What keeps the release from running, in the order of [`Problem`].
    pub mismatches: Vec<Mismatch>,
    /// The base that the image stands on.
    pub base: System,
    /// The base that the release was built in, where it is known.
    pub builder: Option<System>,
}

/// What is known of a base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct System {
    /// What it calls itself: `debian bookworm`, `alpine 3.21.3`.
    pub name: Option<String>,
    /// The version of its glibc, if it has one: `2.36`.
    pub glibc: Option<String>,
}

/// One thing that keeps files of a release from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What it is.
    pub problem: Problem,
    /// The files of the release that it is about, relative to the image's root.
    pub files: Vec<RelPath>,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// The release has no ERTS, and the base no Erlang.
    NoErlang,
    /// The release has no ERTS, and the base another one than it was made for.
    OtherErlang {
        /// The release's version of ERTS.
        wanted: String,
        /// The base's.
        found: Vec<String>,
    },
    /// It is for another machine.
    OtherMachine {
        /// Which.
        machine: Machine,
    },
    /// It is for another libc.
    OtherLibc {
        /// Which.
        wanted: Libc,
        /// The base's.
        found: Option<Libc>,
    },
    /// What starts it isn't there, though the base has the same libc.
    NoInterpreter {
        /// Its path, as the file has it.
        interpreter: String,
    },
    /// What runs the script that the image starts with isn't there.
    NoScriptInterpreter {
        /// Its path, or its name if `env` looks for it.
        interpreter: String,
    },
    /// A library isn't there.
    MissingLibrary {
        /// Its name.
        library: String,
        /// Which other library needs it, if it is not the file itself.
        by: Option<RelPath>,
        /// Another version of the library, which is there.
        instead: Option<String>,
        /// Where the builder has it.
        supply: Option<Supply>,
    },
    /// A library is there, and is too old or too new.
    SymbolVersion {
        /// Its name.
        library: String,
        /// What it lacks.
        versions: Vec<String>,
        /// The newest version of the same kind that it has.
        newest: Option<String>,
        /// Which other library needs it, if it is not the file itself.
        by: Option<RelPath>,
    },
    /// Something is called that none of the libraries has. Only said of musl, whose libraries have no
    /// versions.
    MissingSymbols {
        /// Some of what is missing.
        symbols: Vec<String>,
        /// Which other library needs it, if it is not the file itself.
        by: Option<RelPath>,
    },
}

impl Problem {
    /// Which other library it is about, if it is not the file itself.
    pub(crate) fn by(&self) -> Option<&RelPath> {
        match self {
            Self::MissingLibrary { by, .. }
            | Self::SymbolVersion { by, .. }
            | Self::MissingSymbols { by, .. } => by.as_ref(),
            _ => None,
        }
    }
}

/// Where a builder has a library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Supply {
    /// Its path there.
    pub at: RelPath,
    /// The package that it is of, if its database of packages says.
    pub package: Option<String>,
}

#[cfg(test)]
mod tests;
