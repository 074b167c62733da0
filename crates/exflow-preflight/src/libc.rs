//! Which libc a file was built for, and which one a base has.

use crate::elf::{Elf, Machine};
use crate::files::{clean, has_file};
use exflow_content::{RelPath, Tree};
use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};
use std::fmt;

/// An implementation of the C library. What is built for one runs with no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Libc {
    /// GNU's: Debian, Ubuntu, Fedora.
    Glibc,
    /// Alpine's.
    Musl,
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        })
    }
}

impl Libc {
    /// The package that has it.
    pub(crate) const fn package(self) -> &'static str {
        match self {
            Self::Glibc => "libc6",
            Self::Musl => "musl",
        }
    }

    /// The one that an interpreter is part of.
    pub(crate) fn of_interpreter(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with("ld-musl-") || name.contains("gcompat") {
            Some(Self::Musl)
        } else if name.starts_with("ld-linux") || matches!(name, "ld64.so.1" | "ld64.so.2") {
            Some(Self::Glibc)
        } else {
            None
        }
    }

    /// The one that a file was built for, as far as it says.
    pub(crate) fn of(elf: &Elf) -> Option<Self> {
        if let Some(interpreter) = &elf.interpreter {
            return Self::of_interpreter(interpreter);
        }
        elf.needed.iter().find_map(|name| match &**name {
            // With glibc, this is the text of a linker.
            "libc.so" => Some(Self::Musl),
            name if name.starts_with("libc.musl-") => Some(Self::Musl),
            "libc.so.6" => Some(Self::Glibc),
            _ => None,
        })
    }

    /// The one of a base, and whether it also starts what is built for the other one.
    pub(crate) fn of_tree(tree: &Tree, machine: Machine) -> (Option<Self>, bool) {
        // gcompat puts a link to its own in glibc's place.
        let glibc = glibc_interpreter(machine).filter(|at| has_file(tree, &clean(at)));
        let real = glibc.and_then(|at| tree.resolve(&clean(at)));
        let real = real.map(|at| at.to_string());
        let has_musl = musl_interpreter(tree).is_some();
        match real {
            Some(real) if Self::of_interpreter(&real) != Some(Self::Musl) => {
                (Some(Self::Glibc), has_musl)
            }
            Some(_) => (Some(Self::Musl), true),
            None => (has_musl.then_some(Self::Musl), false),
        }
    }
}

/// Where musl's loader is, which is musl as a whole.
pub(crate) fn musl_interpreter(tree: &Tree) -> Option<RelPath> {
    let names = ["x86_64", "aarch64", "armhf", "arm", "i386", "riscv64", "powerpc64le", "s390x"];
    let mut paths = names.iter().map(|name| clean(&format!("lib/ld-musl-{name}.so.1")));
    paths.find(|path| has_file(tree, path))
}

const fn glibc_interpreter(machine: Machine) -> Option<&'static str> {
    match (machine.number, machine.is_64) {
        (EM_X86_64, true) => Some("lib64/ld-linux-x86-64.so.2"),
        (EM_AARCH64, true) => Some("lib/ld-linux-aarch64.so.1"),
        (EM_386, false) => Some("lib/ld-linux.so.2"),
        (EM_ARM, false) => Some("lib/ld-linux-armhf.so.3"),
        (EM_RISCV, true) => Some("lib/ld-linux-riscv64-lp64d.so.1"),
        (EM_PPC64, true) => Some("lib64/ld64.so.2"),
        (EM_S390, true) => Some("lib/ld64.so.1"),
        _ => None,
    }
}

/// Whether musl takes a name for itself, whatever comes behind the dot (`load_library` of its
/// `ldso/dynlink.c`).
pub(crate) fn is_musl_itself(library: &str) -> bool {
    let name = library.strip_prefix("lib").and_then(|name| name.split_once('.'));
    name.is_some_and(|(name, _)| {
        matches!(name, "c" | "pthread" | "rt" | "m" | "dl" | "util" | "xnet")
    })
}
