//! ELF files made by hand: for any machine, without a compiler.

use crate::elf::Machine;

/// What an ELF file is to say.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) machine: Machine,
    pub(crate) interpreter: Option<&'static str>,
    pub(crate) needed: Vec<&'static str>,
    pub(crate) rpath: Option<&'static str>,
    pub(crate) runpath: Option<&'static str>,
    pub(crate) soname: Option<&'static str>,
    /// Library, version, and whether it is weak.
    pub(crate) requires: Vec<(&'static str, &'static str, bool)>,
    pub(crate) provides: Vec<&'static str>,
    pub(crate) undefined: Vec<&'static str>,
    pub(crate) defined: Vec<&'static str>,
}

pub(crate) const AMD64: Machine = Machine::new(62, true);

pub(crate) fn library() -> Made {
    Made {
        machine: AMD64,
        interpreter: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        soname: None,
        requires: Vec::new(),
        provides: Vec::new(),
        undefined: Vec::new(),
        defined: Vec::new(),
    }
}

pub(crate) fn program(interpreter: &'static str) -> Made {
    Made { interpreter: Some(interpreter), ..library() }
}

impl Made {
    pub(crate) fn needs(mut self, library: &'static str) -> Self {
        self.needed.push(library);
        self
    }

    pub(crate) fn requires(mut self, library: &'static str, version: &'static str) -> Self {
        self.requires.push((library, version, false));
        self
    }

    pub(crate) fn provides(mut self, versions: &[&'static str]) -> Self {
        self.provides.extend(versions);
        self
    }

    pub(crate) fn soname(mut self, name: &'static str) -> Self {
        self.soname = Some(name);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Out { machine: self.machine, bytes: Vec::new() };
        let mut names = vec![0];
        let mut name = |text: &str| {
            let at = names.len() as u64;
            names.extend(text.as_bytes());
            names.push(0);
            at
        };
        let wide = self.machine.is_64;
        let (header, program, section, symbol) =
            if wide { (64, 56, 64, 24) } else { (52, 32, 40, 16) };
        let start = header + 3 * program;
        out.bytes.resize(start, 0);
        let interpreter = (out.at(), self.interpreter.map_or(0, |it| it.len() as u64 + 1));
        out.bytes.extend(self.interpreter.unwrap_or_default().as_bytes());
        out.bytes.push(0);
        let symbols = out.at();
        out.bytes.resize(out.bytes.len() + symbol, 0);
        let all =
            self.undefined.iter().map(|it| (it, 0)).chain(self.defined.iter().map(|it| (it, 1)));
        for (text, section) in all {
            out.number(4, name(text));
            if wide {
                out.number(1, 0x10).number(1, 0).number(2, section).number(8, 0).number(8, 0);
            } else {
                out.number(4, 0).number(4, 0).number(1, 0x10).number(1, 0).number(2, section);
            }
        }
        let symbols_size = out.at() - symbols;
        let verneed = out.at();
        for (index, (library, version, is_weak)) in self.requires.iter().enumerate() {
            let next = if index + 1 < self.requires.len() { 32 } else { 0 };
            out.number(2, 1).number(2, 1).number(4, name(library)).number(4, 16).number(4, next);
            let weak = if *is_weak { 2 } else { 0 };
            out.number(4, 0).number(2, weak).number(2, 2).number(4, name(version)).number(4, 0);
        }
        let verdef = out.at();
        let own = self.soname.unwrap_or("itself");
        let versions = std::iter::once(&own).chain(&self.provides);
        for (index, version) in versions.enumerate() {
            let next = if index < self.provides.len() { 28 } else { 0 };
            out.number(2, 1).number(2, u64::from(index == 0)).number(2, index as u64 + 1);
            out.number(2, 1).number(4, 0).number(4, 20).number(4, next);
            out.number(4, name(version)).number(4, 0);
        }
        let mut entries: Vec<(u64, u64)> = Vec::new();
        entries.extend(self.needed.iter().map(|library| (1, name(library))));
        entries.extend(self.rpath.map(|it| (15, name(it))));
        entries.extend(self.runpath.map(|it| (29, name(it))));
        entries.extend(self.soname.map(|it| (14, name(it))));
        entries.extend((!self.requires.is_empty()).then_some((0x6fff_fffe, verneed)));
        entries.extend((!self.provides.is_empty()).then_some((0x6fff_fffc, verdef)));
        let strings = out.at();
        out.bytes.extend(&names);
        entries.extend([(5, strings), (10, names.len() as u64), (0, 0)]);
        let dynamic = out.at();
        for (tag, value) in &entries {
            out.word(*tag).word(*value);
        }
        let dynamic_size = out.at() - dynamic;
        let sections = out.at();
        let names = (strings, names.len() as u64);
        for (kind, (at, size), link) in
            [(0, (0, 0), 0), (11, (symbols, symbols_size), 2), (3, names, 0)]
        {
            out.number(4, 0).number(4, kind).word(0).word(0).word(at).word(size);
            out.number(4, link).number(4, 0).word(0).word(0);
        }
        let size = out.at();
        let mut head = Out { machine: self.machine, bytes: b"\x7fELF".to_vec() };
        head.number(1, if wide { 2 } else { 1 });
        head.number(1, if self.machine.is_big_endian { 2 } else { 1 }).number(1, 1);
        head.bytes.resize(16, 0);
        head.number(2, 3).number(2, self.machine.number.into()).number(4, 1).word(0);
        head.word(header as u64).word(sections).number(4, 0).number(2, header as u64);
        head.number(2, program as u64).number(2, 3).number(2, section).number(2, 3).number(2, 0);
        let interpreter_kind = if self.interpreter.is_some() { 3 } else { 4 };
        let is_dynamic = entries.len() > 3;
        let dynamic_kind = if is_dynamic { 2 } else { 4 };
        for (kind, at, size) in [
            (1, 0, size),
            (dynamic_kind, dynamic, dynamic_size),
            (interpreter_kind, interpreter.0, interpreter.1),
        ] {
            head.number(4, kind);
            if wide {
                head.number(4, 4);
            }
            head.word(at).word(at).word(at).word(size).word(size);
            if !wide {
                head.number(4, 4);
            }
            head.word(1);
        }
        out.bytes[..start].copy_from_slice(&head.bytes);
        out.bytes
    }
}

struct Out {
    machine: Machine,
    bytes: Vec<u8>,
}

impl Out {
    fn at(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn number(&mut self, size: usize, number: u64) -> &mut Self {
        if self.machine.is_big_endian {
            self.bytes.extend(&number.to_be_bytes()[8 - size..]);
        } else {
            self.bytes.extend(&number.to_le_bytes()[..size]);
        }
        self
    }

    fn word(&mut self, number: u64) -> &mut Self {
        self.number(if self.machine.is_64 { 8 } else { 4 }, number)
    }
}
