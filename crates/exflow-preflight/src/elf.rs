//! What a dynamic loader reads of an ELF file ("System V ABI", chapters 4 and 5; for versions of symbols
//! "Linux Standard Base Core Specification 5.0", chapter 10.7).
//!
//! As a loader does, it goes by the program headers: sections may be stripped. Only what it needs is read, a
//! few kilobytes even of a large file.

use exflow_lock::Platform;
use object::Endianness;
use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_VERDEF, DT_VERNEED, EM_386,
    EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, ET_DYN, ET_EXEC, FileHeader32,
    FileHeader64, PT_DYNAMIC, PT_INTERP, PT_LOAD, SHT_DYNSYM, STB_GLOBAL, STB_GNU_UNIQUE, STB_WEAK,
    VER_FLG_BASE, VER_FLG_WEAK, Verdaux, Verdef, Vernaux, Verneed,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::read::{ReadCache, ReadCacheOps, ReadRef};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read, Seek};

/// The first bytes of an ELF file.
pub(crate) const MAGIC: [u8; 4] = *b"\x7fELF";
/// The most program headers, entries of the dynamic section, and so on. Files have a few hundred.
const MAX_ENTRIES: usize = 16 << 10;
/// The most symbols, and the longest table of their names in bytes. Of a large library, 10^5 and 10^7.
const MAX_SYMBOLS: u64 = 1 << 20;
const MAX_SYMBOL_NAMES: u64 = 64 << 20;
/// The longest name that is believed, in bytes.
const MAX_NAME: u64 = 4096;

/// What an ELF file says to a dynamic loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// What it is for.
    pub machine: Machine,
    /// Whether it is a program rather than a library: it names an interpreter, or can't be moved.
    pub is_program: bool,
    /// The dynamic loader that starts it.
    pub interpreter: Option<String>,
    /// The libraries that it needs, in its order.
    pub needed: Vec<String>,
    /// Where it has them looked for (DT_RPATH), and those of its libraries.
    pub rpath: Option<String>,
    /// Where it has them looked for (DT_RUNPATH).
    pub runpath: Option<String>,
    /// What it is called by those who need it.
    pub soname: Option<String>,
    /// The versions that it needs of the symbols of others.
    pub requires: Vec<RequiredVersion>,
    /// The versions that its own symbols have.
    pub provides: Vec<String>,
    /// The symbols that it has for others; empty where they weren't asked for.
    pub defined: BTreeSet<Box<[u8]>>,
    /// The symbols that others must have; empty where they weren't asked for.
    pub undefined: BTreeSet<Box<[u8]>>,
}

/// The kind of processor that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// Its number (`e_machine`).
    pub number: u16,
    /// Whether addresses have 64 bits.
    pub is_64: bool,
    /// Whether the highest byte of a number is its first.
    pub is_big_endian: bool,
}

/// A version that a file needs of another one's symbols.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequiredVersion {
    /// The library, as it is needed by.
    pub library: String,
    /// The version: `GLIBC_2.36`.
    pub version: String,
    /// Whether it does without.
    pub is_weak: bool,
}

impl Machine {
    pub(crate) const fn new(number: u16, is_64: bool) -> Self {
        Self { number, is_64, is_big_endian: false }
    }

    /// The folder that Debian keeps its libraries in, which its loader knows.
    pub(crate) const fn multiarch(self) -> Option<&'static str> {
        match (self.number, self.is_64, self.is_big_endian) {
            (EM_X86_64, true, false) => Some("x86_64-linux-gnu"),
            (EM_AARCH64, true, false) => Some("aarch64-linux-gnu"),
            (EM_386, false, false) => Some("i386-linux-gnu"),
            (EM_ARM, false, false) => Some("arm-linux-gnueabihf"),
            (EM_RISCV, true, false) => Some("riscv64-linux-gnu"),
            (EM_PPC64, true, false) => Some("powerpc64le-linux-gnu"),
            (EM_S390, true, true) => Some("s390x-linux-gnu"),
            _ => None,
        }
    }
}

/// The machine of a platform.
pub(crate) const fn machine_of(platform: &Platform) -> Machine {
    match platform {
        Platform::LinuxAmd64 => Machine::new(EM_X86_64, true),
        Platform::LinuxArm64 => Machine::new(EM_AARCH64, true),
    }
}

/// The one whose programs a machine runs besides its own.
pub(crate) const fn ancestor_of(machine: Machine) -> Option<Machine> {
    match machine.number {
        EM_X86_64 => Some(Machine::new(EM_386, false)),
        EM_AARCH64 => Some(Machine::new(EM_ARM, false)),
        _ => None,
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.multiarch().and_then(|triplet| triplet.split('-').next()) {
            Some(name) => f.write_str(name),
            None => write!(
                f,
                "machine {} with {} bits",
                self.number,
                if self.is_64 { "64" } else { "32" }
            ),
        }
    }
}

impl Elf {
    /// Reads a file, and its symbols only where they are asked for. None where it is no ELF file that a
    /// loader would take: an object file, or bytes that make no sense.
    pub fn read(file: impl Read + Seek, with_symbols: bool) -> Option<Self> {
        let file = ReadCache::new(file);
        let ident = (&file).read_bytes_at(0, 16).ok()?;
        if !ident.starts_with(&MAGIC) {
            return None;
        }
        match ident[4] {
            1 => Reading::<FileHeader32<Endianness>, _>::new(&file)?.read(with_symbols),
            2 => Reading::<FileHeader64<Endianness>, _>::new(&file)?.read(with_symbols),
            _ => None,
        }
    }
}

/// A file that is being read.
struct Reading<'a, H: FileHeader<Endian = Endianness>, R: ReadCacheOps> {
    file: &'a ReadCache<R>,
    header: &'a H,
    endian: Endianness,
    programs: &'a [H::ProgramHeader],
}

/// The entries of a dynamic section that matter.
#[derive(Default)]
struct Dynamic {
    needed: Vec<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    soname: Option<u64>,
    strings: Option<u64>,
    strings_size: u64,
    verneed: Option<u64>,
    verdef: Option<u64>,
}

impl<'a, H: FileHeader<Endian = Endianness>, R: ReadCacheOps> Reading<'a, H, R> {
    fn new(file: &'a ReadCache<R>) -> Option<Self> {
        let header = H::parse(file).ok()?;
        let endian = header.endian().ok()?;
        // A loader takes no extended number of them.
        if usize::from(header.e_phnum(endian)) > MAX_ENTRIES {
            return None;
        }
        let programs = header.program_headers(endian, file).ok()?;
        Some(Self { file, header, endian, programs })
    }

    fn read(&self, with_symbols: bool) -> Option<Elf> {
        let endian = self.endian;
        let kind = self.header.e_type(endian);
        if kind != ET_EXEC && kind != ET_DYN {
            return None;
        }
        let interpreter = match self.program(PT_INTERP) {
            Some(program) => {
                let (at, size) = program.file_range(endian);
                let bytes = self.file.read_bytes_at(at, size.min(MAX_NAME)).ok()?;
                Some(text(bytes.split(|byte| *byte == 0).next()?))
            }
            None => None,
        };
        let mut elf = Elf {
            machine: Machine {
                number: self.header.e_machine(endian),
                is_64: self.header.is_class_64(),
                is_big_endian: self.header.is_big_endian(),
            },
            is_program: kind == ET_EXEC || interpreter.is_some(),
            interpreter,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            soname: None,
            requires: Vec::new(),
            provides: Vec::new(),
            defined: BTreeSet::new(),
            undefined: BTreeSet::new(),
        };
        // Without one, it is linked statically.
        if let Some(program) = self.program(PT_DYNAMIC) {
            let dynamic = self.dynamic(program)?;
            let optional = |at: Option<u64>| match at {
                Some(at) => self.string(&dynamic, at).map(Some),
                None => Some(None),
            };
            elf.needed = dynamic
                .needed
                .iter()
                .map(|at| self.string(&dynamic, *at))
                .collect::<Option<_>>()?;
            elf.rpath = optional(dynamic.rpath)?;
            elf.runpath = optional(dynamic.runpath)?;
            elf.soname = optional(dynamic.soname)?;
            elf.requires = self.requires(&dynamic)?;
            elf.provides = self.provides(&dynamic)?;
        }
        if with_symbols {
            self.read_symbols(&mut elf)?;
        }
        Some(elf)
    }

    fn program(&self, kind: u32) -> Option<&'a H::ProgramHeader> {
        self.programs.iter().find(|program| program.p_type(self.endian) == kind)
    }

    /// Where in the file an address is.
    fn offset(&self, address: u64) -> Option<u64> {
        let loaded = self.programs.iter().filter(|program| program.p_type(self.endian) == PT_LOAD);
        let mut offsets = loaded.filter_map(|program| {
            let within = address.checked_sub(program.p_vaddr(self.endian).into())?;
            let (at, size) = program.file_range(self.endian);
            (within < size).then(|| at.checked_add(within))?
        });
        offsets.next()
    }

    fn dynamic(&self, program: &H::ProgramHeader) -> Option<Dynamic> {
        let (at, size) = program.file_range(self.endian);
        let number = usize::try_from(size).ok()? / size_of::<H::Dyn>();
        if number > MAX_ENTRIES {
            return None;
        }
        let entries: &[H::Dyn] = self.file.read_slice_at(at, number).ok()?;
        let mut dynamic = Dynamic::default();
        for entry in entries {
            let value = entry.val(self.endian);
            match entry.tag(self.endian) {
                0 => break,
                DT_NEEDED => dynamic.needed.push(value),
                DT_RPATH => dynamic.rpath = Some(value),
                DT_RUNPATH => dynamic.runpath = Some(value),
                DT_SONAME => dynamic.soname = Some(value),
                DT_STRTAB => dynamic.strings = Some(self.offset(value)?),
                DT_STRSZ => dynamic.strings_size = value,
                DT_VERNEED => dynamic.verneed = Some(self.offset(value)?),
                DT_VERDEF => dynamic.verdef = Some(self.offset(value)?),
                _ => {}
            }
        }
        Some(dynamic)
    }

    fn string(&self, dynamic: &Dynamic, at: u64) -> Option<String> {
        let start = dynamic.strings?.checked_add(at)?;
        let length = dynamic.strings_size.checked_sub(at)?.min(MAX_NAME);
        let end = start.checked_add(length)?.min(self.file.len().ok()?);
        self.file.read_bytes_at_until(start..end, 0).ok().map(text)
    }

    /// Each list is one of lists, linked by what each entry says of the next.
    fn requires(&self, dynamic: &Dynamic) -> Option<Vec<RequiredVersion>> {
        let mut requires = Vec::new();
        let Some(mut at) = dynamic.verneed else { return Some(requires) };
        let endian = self.endian;
        let mut left = MAX_ENTRIES;
        loop {
            left = left.checked_sub(1)?;
            let needed: &Verneed<Endianness> = self.file.read_at(at).ok()?;
            let library = self.string(dynamic, needed.vn_file.get(endian).into())?;
            let mut inner = at.checked_add(needed.vn_aux.get(endian).into())?;
            for _ in 0..needed.vn_cnt.get(endian) {
                left = left.checked_sub(1)?;
                let version: &Vernaux<Endianness> = self.file.read_at(inner).ok()?;
                requires.push(RequiredVersion {
                    library: library.clone(),
                    version: self.string(dynamic, version.vna_name.get(endian).into())?,
                    is_weak: version.vna_flags.get(endian) & VER_FLG_WEAK != 0,
                });
                inner = inner.checked_add(version.vna_next.get(endian).into())?;
            }
            match needed.vn_next.get(endian) {
                0 => return Some(requires),
                next => at = at.checked_add(next.into())?,
            }
        }
    }

    fn provides(&self, dynamic: &Dynamic) -> Option<Vec<String>> {
        let mut provides = Vec::new();
        let Some(mut at) = dynamic.verdef else { return Some(provides) };
        let endian = self.endian;
        for _ in 0..MAX_ENTRIES {
            let version: &Verdef<Endianness> = self.file.read_at(at).ok()?;
            // The first name is its own; what follows are those that it was made from. The one of the file
            // itself is no version.
            if version.vd_flags.get(endian) & VER_FLG_BASE == 0 {
                let name = at.checked_add(version.vd_aux.get(endian).into())?;
                let name: &Verdaux<Endianness> = self.file.read_at(name).ok()?;
                provides.push(self.string(dynamic, name.vda_name.get(endian).into())?);
            }
            match version.vd_next.get(endian) {
                0 => return Some(provides),
                next => at = at.checked_add(next.into())?,
            }
        }
        None
    }

    /// The number of symbols is in no program header, so here the sections count; without, there are none.
    fn read_symbols(&self, elf: &mut Elf) -> Option<()> {
        let endian = self.endian;
        if self.header.e_shnum(endian) == 0 || self.header.e_shoff(endian).into() == 0 {
            return Some(());
        }
        let sections = self.header.section_headers(endian, self.file).ok()?;
        let Some(symbols) = sections.iter().find(|it| it.sh_type(endian) == SHT_DYNSYM) else {
            return Some(());
        };
        let names = sections.get(usize::try_from(symbols.sh_link(endian)).ok()?)?;
        let (at, size) = (names.sh_offset(endian).into(), names.sh_size(endian).into());
        if size > MAX_SYMBOL_NAMES {
            return None;
        }
        let names = self.file.read_bytes_at(at, size).ok()?;
        let number = symbols.sh_size(endian).into() / size_of::<H::Sym>() as u64;
        if number > MAX_SYMBOLS {
            return None;
        }
        let at = symbols.sh_offset(endian).into();
        let symbols: &[H::Sym] = self.file.read_slice_at(at, usize::try_from(number).ok()?).ok()?;
        // Names may share their ends, and so be more than the table.
        let mut left = MAX_SYMBOL_NAMES as usize;
        for symbol in symbols {
            let name = names.get(symbol.st_name(endian) as usize..)?;
            let name = name.split(|byte| *byte == 0).next()?;
            left = left.checked_sub(name.len())?;
            if name.is_empty() {
                continue;
            }
            match (symbol.st_bind(), symbol.is_undefined(endian)) {
                (STB_GLOBAL, true) => elf.undefined.insert(name.into()),
                (STB_GLOBAL | STB_WEAK | STB_GNU_UNIQUE, false) => elf.defined.insert(name.into()),
                _ => continue,
            };
        }
        Some(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
