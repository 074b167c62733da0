//! What a dynamic loader does when it starts a program or opens a library, but for running it.

use crate::Problem;
use crate::elf::Elf;
use crate::files::{Blobs, has_file, in_tree};
use crate::libc::{Libc, is_musl_itself, musl_interpreter};
use crate::search::{Found, Search, folders_of, with_origin};
use exflow_content::RelPath;
use std::collections::{BTreeMap, BTreeSet};

/// The most libraries that one program is followed through. Browsers have two hundred.
const MAX_LIBRARIES: usize = 2000;
/// The most folders that are inherited.
const MAX_RPATH: usize = 256;
/// How many missing symbols of a file are named.
const MAX_SYMBOLS: usize = 5;

/// A file that was loaded.
struct Loaded {
    file: Found,
    /// Where it has its libraries looked for before all else: its DT_RPATH, and those of who loaded it.
    rpath: Vec<RelPath>,
    runpath: Vec<RelPath>,
}

impl Loaded {
    fn new(file: Found, inherited: &[RelPath]) -> Self {
        let folders =
            |list: Option<&str>| folders_of(list, &file.path, &file.real, file.elf.machine);
        let runpath = folders(file.elf.runpath.as_deref());
        // Who has a DT_RUNPATH goes by no DT_RPATH, neither its own nor one that it inherits.
        let (own, inherited) = match file.elf.runpath {
            Some(_) => (Vec::new(), &[][..]),
            None => (folders(file.elf.rpath.as_deref()), inherited),
        };
        let mut rpath = own;
        for folder in inherited {
            if rpath.len() < MAX_RPATH && !rpath.contains(folder) {
                rpath.push(folder.clone());
            }
        }
        Self { file, rpath, runpath }
    }
}

/// Loads `file` and all that it needs: what is wrong with it, and where the libraries are. `around` is the program that it is loaded into,
/// where that is another one.
pub(crate) fn load<B: Blobs>(
    search: &Search<'_, B>,
    file: Found,
    libc: Libc,
    around: Option<Found>,
) -> Result<(BTreeSet<Problem>, Vec<RelPath>), B::Error> {
    let machine = file.elf.machine;
    let mut problems = BTreeSet::new();
    let root = file.real.clone();
    // Who loads it is not what it needs.
    let outside = around.as_ref().map(|around| around.real.clone());
    let by = |loaded: &Loaded| (loaded.file.real != root).then(|| loaded.file.path.clone());
    // What is loaded already is found by its name, or by what it calls itself.
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut places: BTreeMap<RelPath, usize> = BTreeMap::new();
    let mut loaded: Vec<Loaded> = Vec::new();
    let mut add = |loaded: &mut Vec<Loaded>, names: &mut BTreeMap<String, usize>, new: Loaded| {
        let index = *places.entry(new.file.real.clone()).or_insert(loaded.len());
        if index == loaded.len() {
            if let Some(soname) = &new.file.elf.soname {
                names.entry(soname.clone()).or_insert(index);
            }
            loaded.push(new);
        }
        index
    };
    add(&mut loaded, &mut names, Loaded::new(file, &[]));
    let interpreter = loaded[0].file.elf.interpreter.clone();
    if let Some(around) = around {
        add(&mut loaded, &mut names, Loaded::new(around, &[]));
    }
    let own = match libc {
        Libc::Musl => musl_interpreter(search.tree),
        Libc::Glibc => interpreter.as_deref().and_then(in_tree),
    };
    if let Some(own) = own.filter(|path| has_file(search.tree, path))
        && let Some(found) = search.at(&own, machine)?
    {
        let name = own.name().map(|name| String::from_utf8_lossy(name).into_owned());
        let index = add(&mut loaded, &mut names, Loaded::new(found, &[]));
        names.extend(name.map(|name| (name, index)));
    }
    let mut at = 0;
    while at < loaded.len().min(MAX_LIBRARIES) {
        let needed = loaded[at].file.elf.needed.clone();
        for name in needed {
            let is_there = names.contains_key(&name) || libc == Libc::Musl && is_musl_itself(&name);
            if is_there || is_of_the_host(&name) {
                continue;
            }
            let place = with_origin(&name, &loaded[at].file.path);
            let folders = (&loaded[at].rpath[..], &loaded[at].runpath[..]);
            if let Some(found) = search.library(&place, libc, machine, folders)? {
                let new = Loaded::new(found, &loaded[at].rpath);
                let index = add(&mut loaded, &mut names, new);
                names.insert(name, index);
            } else {
                let (by, instead, supply) = (by(&loaded[at]), None, None);
                problems.insert(Problem::MissingLibrary { library: name, by, instead, supply });
            }
        }
        at += 1;
    }
    if libc == Libc::Glibc {
        for file in &loaded {
            for (library, versions) in missing_versions(&file.file.elf, &loaded, &names) {
                let provides = &loaded[names[&library]].file.elf.provides;
                let newest = newest_like(&versions[0], provides);
                problems.insert(Problem::SymbolVersion { library, versions, newest, by: by(file) });
            }
        }
    } else if problems.is_empty() {
        for file in &loaded {
            search.spend(file.file.elf.undefined.len() * loaded.len());
            let symbols = missing_symbols(&file.file.elf, &loaded);
            if !symbols.is_empty() {
                problems.insert(Problem::MissingSymbols { symbols, by: by(file) });
            }
        }
    }
    // What wasn't looked for isn't missing.
    if search.is_spent() {
        problems.clear();
    }
    let places = loaded.into_iter().map(|loaded| loaded.file.real);
    Ok((problems, places.filter(|place| Some(place) != outside.as_ref()).collect()))
}

/// Whether a library belongs to the driver of a graphics card. It comes from the host, with what runs the
/// container.
fn is_of_the_host(library: &str) -> bool {
    library.starts_with("libcuda.so") || library.starts_with("libnvidia-")
}

/// The versions that `elf` needs and the libraries don't have. One without any versions has them all
/// (glibc's `elf/dl-version.c`).
fn missing_versions(
    elf: &Elf,
    loaded: &[Loaded],
    names: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<String>> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for required in elf.requires.iter().filter(|required| !required.is_weak) {
        let Some(index) = names.get(&required.library) else { continue };
        let provides = &loaded[*index].file.elf.provides;
        if !provides.is_empty() && !provides.contains(&required.version) {
            missing.entry(required.library.clone()).or_default().push(required.version.clone());
        }
    }
    missing.into_iter().map(|(library, versions)| (library, newest_first(versions))).collect()
}

/// Each version once.
pub(crate) fn newest_first(mut versions: Vec<String>) -> Vec<String> {
    versions.sort_by_cached_key(|version| std::cmp::Reverse((number(version), version.clone())));
    versions.dedup();
    versions
}

/// Symbols that `elf` needs and nobody has.
fn missing_symbols(elf: &Elf, loaded: &[Loaded]) -> Vec<String> {
    let missing = elf
        .undefined
        .iter()
        .filter(|symbol| !loaded.iter().any(|loaded| loaded.file.elf.defined.contains(*symbol)));
    missing.take(MAX_SYMBOLS).map(|symbol| String::from_utf8_lossy(symbol).into_owned()).collect()
}

/// The newest version whose name begins as that of `version` does.
pub(crate) fn newest_like(version: &str, provides: &[String]) -> Option<String> {
    let start =
        |version: &str| version.split(|it: char| it.is_ascii_digit()).next().map(str::to_owned);
    let alike = provides.iter().filter(|it| start(it) == start(version) && !number(it).is_empty());
    alike.max_by_key(|it| number(it)).cloned()
}

/// The numbers of a version, to compare it by: 2 and 36 of `GLIBC_2.36`. None of `GLIBC_PRIVATE`.
fn number(version: &str) -> Vec<u64> {
    let numbers = version.split(|it: char| !it.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}
