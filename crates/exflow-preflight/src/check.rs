//! The check of a release against a base.

use crate::elf::{Elf, Machine, ancestor_of, machine_of};
use crate::erlang::{ROOTS, check_erlang};
use crate::files::{Blobs, Reader, clean, has_file, in_tree};
use crate::libc::Libc;
use crate::loader::{load, newest_first};
use crate::owner::{instead, supply, system};
use crate::script::check_script;
use crate::search::{Found, Search};
use crate::variants::without_machine;
use crate::{Findings, Mismatch, Problem};
use exflow_content::{Entry, RelPath, Tree};
use exflow_lock::Platform;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The most files of a release that are followed.
const MAX_FILES: usize = 20_000;
/// Applications of OTP that come along with others, and whose libraries no server has: `wx` is part of
/// `observer`, and is opened when someone looks at a window.
const UNUSED: &[&str] = &["wx"];

/// What is checked.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The base that the image stands on.
    pub base: &'a Tree,
    /// The release.
    pub release: &'a Tree,
    /// Where in the image it is.
    pub at: &'a RelPath,
    /// The files of the image: the release laid over the base.
    pub whole: &'a Tree,
    /// What the image is for.
    pub platform: Platform,
    /// What the image starts with: an absolute path, or a name in `PATH`.
    pub start: Option<&'a str>,
    /// `LD_LIBRARY_PATH` of the image.
    pub library_path: Option<&'a str>,
    /// `PATH` of the image.
    pub path: Option<&'a str>,
    /// Whether other nodes can talk to it, so that `epmd` is started.
    pub is_distributed: bool,
}

/// A file of the release that a loader may be given.
struct Candidate {
    path: RelPath,
    elf: Rc<Elf>,
    is_optional: bool,
}

/// Lists what keeps the release from running on the base.
///
/// `builder` gives the base that the release was built in, where that is known. Only hints come from it, so it is
/// asked for only where there is something to say.
pub fn check<B: Blobs>(
    subject: &Subject<'_>,
    blobs: &B,
    builder: impl FnOnce() -> Result<Option<Tree>, B::Error>,
) -> Result<Findings, B::Error> {
    let machine = machine_of(&subject.platform);
    let (libc, takes_both) = Libc::of_tree(subject.whole, machine);
    let reader = Reader::new(blobs, libc == Some(Libc::Musl) && !takes_both);
    let mut found: BTreeMap<Problem, BTreeSet<RelPath>> = BTreeMap::new();
    if let Some(problem) = check_erlang(subject, &reader)? {
        found.entry(problem).or_default();
    }
    if let Some((problem, script)) = check_script(subject, &reader)? {
        found.entry(problem).or_default().insert(script);
    }
    let candidates = candidates(subject, &reader)?;
    let search = Search::new(subject.whole, &reader, subject.library_path)?;
    let emulator = emulator(subject, &search, machine)?;
    let of_emulator = match (&emulator, libc) {
        (Some(emulator), Some(libc)) => load(&search, emulator.clone(), libc, None)?.0,
        _ => BTreeSet::new(),
    };
    let mut loadable = BTreeSet::new();
    let mut unloadable = Vec::new();
    // A library is loaded by whoever needs it, with the folders that those have it looked for in. Only what
    // nobody needs is loaded for itself.
    let mut reached: BTreeSet<RelPath> = BTreeSet::new();
    let mut own_problems: BTreeMap<&RelPath, (&Candidate, BTreeSet<Problem>)> = BTreeMap::new();
    for candidate in &candidates {
        match starts(subject, candidate, machine, libc, takes_both) {
            Ok(own) => {
                loadable.insert(without_machine(&candidate.path));
                let is_reached = reached.contains(&candidate.path);
                let Some(own) = own.filter(|_| !candidate.is_optional && !is_reached) else {
                    continue;
                };
                let Some(file) = search.at(&candidate.path, candidate.elf.machine)? else {
                    continue;
                };
                let around = if file.elf.is_program { None } else { emulator.clone() };
                let (mut problems, places) = load(&search, file, own, around)?;
                if reader.is_spent()
                    || !knows_symbols(&candidate.elf, takes_both, emulator.as_ref())
                {
                    problems.retain(|it| !matches!(it, Problem::MissingSymbols { .. }));
                }
                // What is wrong with the emulator is said of that.
                let emulator_path = emulator.as_ref().map(|emulator| &emulator.path);
                problems.retain(|problem| {
                    candidate.elf.is_program
                        || !of_emulator.contains(problem)
                            && (problem.by().is_none() || problem.by() != emulator_path)
                });
                for place in places.into_iter().filter(|place| *place != candidate.path) {
                    own_problems.remove(&place);
                    reached.insert(place);
                }
                own_problems.insert(&candidate.path, (candidate, problems));
            }
            Err(problem) => unloadable.push((problem, candidate)),
        }
    }
    let own_libraries = library_names(&candidates);
    for (candidate, mut problems) in own_problems.into_values() {
        let path = &candidate.path;
        if !candidate.elf.is_program {
            problems.retain(|problem| !may_be_loaded(problem, subject, &own_libraries));
        }
        for problem in problems {
            found.entry(problem).or_default().insert(path.clone());
        }
    }
    for (problem, candidate) in unloadable {
        if !loadable.contains(&without_machine(&candidate.path)) {
            found.entry(problem).or_default().insert(candidate.path.clone());
        }
    }
    findings(subject, &search, libc, machine, merged(found), builder)
}

/// The files of the release that a loader may be given: programs, and libraries. Not object files, and not
/// archives.
fn candidates<B: Blobs>(
    subject: &Subject<'_>,
    reader: &Reader<'_, B>,
) -> Result<Vec<Candidate>, B::Error> {
    let mut candidates = Vec::new();
    for (path, entry) in subject.release.entries() {
        let Entry::File { mode, blob, .. } = entry else { continue };
        let name = path.name().map(|name| String::from_utf8_lossy(name).into_owned());
        let name = name.unwrap_or_default();
        let is_library = format!("{name}.").contains(".so.");
        // What was stripped of another file has its headers, and nothing behind them.
        let is_rest = name.rsplit('.').next() == Some("debug");
        if is_rest || !is_library && mode.bits() & 0o111 == 0 {
            continue;
        }
        if let Some(elf) = reader.elf(blob)? {
            let mut names = path.names();
            let application = (names.next() == Some(b"lib")).then(|| names.next()).flatten();
            // Debian's is linked to systemd's library, which small bases can do without.
            let is_idle = !subject.is_distributed && is_of_erts(path, b"epmd");
            let is_optional = is_idle
                || application.is_some_and(|application| {
                    let name = application.split(|byte| *byte == b'-').next().unwrap_or_default();
                    UNUSED.iter().any(|unused| unused.as_bytes() == name)
                });
            candidates.push(Candidate { path: subject.at.join(path), elf, is_optional });
            if candidates.len() == MAX_FILES {
                break;
            }
        }
    }
    candidates.sort_by_key(|candidate| !candidate.elf.is_program);
    Ok(candidates)
}

/// What the libraries of the release are called.
fn library_names(candidates: &[Candidate]) -> BTreeSet<String> {
    let libraries = candidates.iter().filter(|candidate| !candidate.elf.is_program);
    let names = libraries.flat_map(|library| {
        let name = library.path.name().map(|name| String::from_utf8_lossy(name).into_owned());
        name.into_iter().chain(library.elf.soname.clone())
    });
    names.collect()
}

/// Whether a library that wasn't found is elsewhere in the release. Whoever opens what needs it may have
/// opened it before, and then it isn't looked for: so does Java.
fn may_be_loaded(problem: &Problem, subject: &Subject<'_>, own: &BTreeSet<String>) -> bool {
    let Problem::MissingLibrary { library, by, .. } = problem else { return false };
    own.contains(library) && by.as_ref().is_none_or(|by| by.is_within(subject.at))
}

/// Whether a file can be started here at all: then the libc that loads it, if one does.
fn starts(
    subject: &Subject<'_>,
    candidate: &Candidate,
    machine: Machine,
    base: Option<Libc>,
    takes_both: bool,
) -> Result<Option<Libc>, Problem> {
    let elf = &candidate.elf;
    // What is linked statically runs on every base.
    let is_static = elf.interpreter.is_none() && elf.needed.is_empty();
    let interpreter = elf.interpreter.as_deref().filter(|_| !is_static);
    let is_there = interpreter.and_then(in_tree).is_some_and(|path| has_file(subject.whole, &path));
    if elf.machine != machine {
        // Processors run programs for their ancestors, where those have libraries there.
        let runs =
            ancestor_of(machine) == Some(elf.machine) && elf.is_program && (is_static || is_there);
        if !runs {
            return Err(Problem::OtherMachine { machine: elf.machine });
        }
    }
    if is_static {
        return Ok(None);
    }
    let wanted = Libc::of(elf);
    if let Some(interpreter) = interpreter {
        if is_there {
            // A link in its place decides who it really is.
            let real = in_tree(interpreter).and_then(|path| subject.whole.resolve(&path));
            let real = real.and_then(|path| Libc::of_interpreter(&path.to_string()));
            return Ok(real.or(wanted));
        }
        return Err(match wanted {
            Some(wanted) if base != Some(wanted) => Problem::OtherLibc { wanted, found: base },
            _ => Problem::NoInterpreter { interpreter: interpreter.to_owned() },
        });
    }
    match wanted {
        Some(wanted) if base != Some(wanted) && !takes_both => {
            Err(Problem::OtherLibc { wanted, found: base })
        }
        _ => Ok(base),
    }
}

/// The program that loads the libraries of the release: its own, or the base's.
fn emulator<B: Blobs>(
    subject: &Subject<'_>,
    search: &Search<'_, B>,
    machine: Machine,
) -> Result<Option<Found>, B::Error> {
    let is_emulator = |path: &RelPath| is_of_erts(path, b"beam.smp");
    let own = subject.release.entries().find(|(path, _)| is_emulator(path));
    if let Some((path, _)) = own {
        return search.at(&subject.at.join(path), machine);
    }
    for root in ROOTS.iter().map(|root| clean(root)) {
        let base = subject
            .base
            .within(&root)
            .find(|(path, _)| path.strip(&root).is_some_and(|path| is_emulator(&path)));
        if let Some((path, _)) = base {
            return search.at(path, machine);
        }
    }
    Ok(None)
}

/// Whether it is this program of ERTS: `erts-…/bin/epmd`.
fn is_of_erts(path: &RelPath, program: &[u8]) -> bool {
    let names: Vec<&[u8]> = path.names().collect();
    matches!(&names[..], [erts, b"bin", name] if erts.starts_with(b"erts-") && *name == program)
}

/// Whether all that has symbols for `elf` is known: it is a program, or a library that the emulator opens.
fn knows_symbols(elf: &Elf, takes_both: bool, emulator: Option<&Found>) -> bool {
    let is_nif = elf.defined.contains(&b"nif_init"[..]);
    !takes_both && (elf.is_program || is_nif && emulator.is_some())
}

/// Files may lack different versions of the same library: that is one mismatch.
fn merged(found: BTreeMap<Problem, BTreeSet<RelPath>>) -> BTreeMap<Problem, BTreeSet<RelPath>> {
    let mut merged: BTreeMap<Problem, BTreeSet<RelPath>> = BTreeMap::new();
    let mut all: BTreeMap<Problem, Vec<String>> = BTreeMap::new();
    for (mut problem, files) in found {
        if let Problem::SymbolVersion { versions, .. } = &mut problem {
            let versions = std::mem::take(versions);
            all.entry(problem.clone()).or_default().extend(versions);
        }
        merged.entry(problem).or_default().extend(files);
    }
    let restored = merged.into_iter().map(|(mut problem, files)| {
        let versions = all.remove(&problem);
        if let (Problem::SymbolVersion { versions, .. }, Some(all)) = (&mut problem, versions) {
            *versions = newest_first(all);
        }
        (problem, files)
    });
    restored.collect()
}

/// Adds what there is to say about what was found.
fn findings<B: Blobs>(
    subject: &Subject<'_>,
    search: &Search<'_, B>,
    libc: Option<Libc>,
    machine: Machine,
    found: BTreeMap<Problem, BTreeSet<RelPath>>,
    builder: impl FnOnce() -> Result<Option<Tree>, B::Error>,
) -> Result<Findings, B::Error> {
    let mut findings = Findings::default();
    if found.is_empty() {
        return Ok(findings);
    }
    let builder = builder()?;
    let builder = match &builder {
        Some(tree) => Some(Search::new(tree, search.reader, None)?),
        None => None,
    };
    findings.base = system(subject.base, search.reader, machine)?;
    if let Some(builder) = &builder {
        findings.builder = Some(system(builder.tree, search.reader, machine)?);
    }
    for (mut problem, files) in found {
        if let Problem::MissingLibrary { library, instead: other, supply: from, .. } = &mut problem
        {
            *other = libc.and_then(|libc| instead(search, library, libc, machine));
            if let Some(builder) = &builder {
                *from = supply(builder, library, machine)?;
            }
        }
        findings.mismatches.push(Mismatch { problem, files: files.into_iter().collect() });
    }
    Ok(findings)
}
