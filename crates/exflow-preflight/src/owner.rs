//! What bases say of themselves, and of whom their libraries are.

use crate::elf::Machine;
use crate::files::{Blobs, Reader, clean};
use crate::libc::Libc;
use crate::loader::newest_like;
use crate::search::Search;
use crate::{Supply, System};
use exflow_content::{RelPath, Tree};
use exflow_packages::alpine::parse_installed;

/// The longest list of files, and the longest database of all packages that are read, in bytes.
const MAX_LIST: u64 = 16 << 20;
const MAX_DATABASE: u64 = 64 << 20;

/// What a base says of itself.
pub(crate) fn system<B: Blobs>(
    tree: &Tree,
    reader: &Reader<'_, B>,
    machine: Machine,
) -> Result<System, B::Error> {
    let mut name = None;
    for path in ["etc/os-release", "usr/lib/os-release"] {
        if name.is_none()
            && let Some(text) = reader.text_at(tree, path, 1 << 16)?
        {
            name = system_name(&text);
        }
    }
    let search = Search::new(tree, reader, None)?;
    let libc = search.library("libc.so.6", Libc::Glibc, machine, (&[], &[]))?;
    let glibc = libc.and_then(|libc| newest_like("GLIBC_2", &libc.elf.provides));
    let glibc = glibc.map(|version| version.trim_start_matches("GLIBC_").to_owned());
    Ok(System { name, glibc })
}

/// `debian bookworm`, `alpine 3.21.3` (os-release(5)).
fn system_name(text: &str) -> Option<String> {
    let field = |wanted: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix('='));
        line.map(|value| value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
    };
    let version = field("VERSION_CODENAME").or_else(|| field("VERSION_ID"));
    let id = field("ID")?;
    Some(version.map_or_else(|| id.to_owned(), |version| format!("{id} {version}")))
}

/// Another version of a library, which is there: `libssl.so.3` instead of `libssl.so.1.1`.
pub(crate) fn instead<B: Blobs>(
    search: &Search<'_, B>,
    library: &str,
    libc: Libc,
    machine: Machine,
) -> Option<String> {
    let (stem, _) = library.split_once(".so.")?;
    let start = format!("{stem}.so.");
    search.folders(libc, machine).iter().find_map(|folder| {
        let folder = search.tree.resolve(folder)?;
        let names = search.tree.within(&folder).filter_map(|(path, _)| {
            let name = path.strip(&folder)?;
            name.as_str().filter(|name| name.starts_with(&start)).map(str::to_owned)
        });
        // `libx.so.3` rather than `libx.so.3.0.1`.
        names.min_by_key(String::len)
    })
}

/// Where a builder has a library, and from which package.
pub(crate) fn supply<B: Blobs>(
    builder: &Search<'_, B>,
    library: &str,
    machine: Machine,
) -> Result<Option<Supply>, B::Error> {
    let Some(libc) = Libc::of_tree(builder.tree, machine).0 else { return Ok(None) };
    let Some(found) = builder.library(library, libc, machine, (&[], &[]))? else { return Ok(None) };
    let mut package = None;
    for path in [&found.path, &found.real] {
        if package.is_none() {
            package = owner(builder.tree, builder.reader, path)?;
        }
    }
    Ok(Some(Supply { at: found.path, package }))
}

/// The package that has `path`, by the database of dpkg or apk.
pub(crate) fn owner<B: Blobs>(
    tree: &Tree,
    reader: &Reader<'_, B>,
    path: &RelPath,
) -> Result<Option<String>, B::Error> {
    // Packages may have a file below `/lib` where that is a link to `/usr/lib`.
    let text = path.to_string();
    let other = match text.strip_prefix("usr/") {
        Some(rest) => rest.to_owned(),
        None => format!("usr/{text}"),
    };
    let is_it = |line: &str| {
        let line = line.trim_start_matches('/');
        line == text || line == other
    };
    for (folder, ending) in [("var/lib/dpkg/info", ".list"), ("var/lib/dpkg/status.d", ".md5sums")]
    {
        let Some(folder) = tree.resolve(&clean(folder)) else { continue };
        for (list, _) in tree.within(&folder) {
            let Some(name) = list.name().and_then(|name| std::str::from_utf8(name).ok()) else {
                continue;
            };
            let Some(name) = name.strip_suffix(ending) else { continue };
            let bytes = reader.bytes_at(tree, list, MAX_LIST)?.unwrap_or_default();
            let mut lines = bytes.split(|byte| *byte == b'\n');
            // md5sum(1): a digest, two spaces, a path.
            let has_it = lines.any(|line| {
                let line = String::from_utf8_lossy(line);
                is_it(if ending == ".list" { &line } else { line.get(34..).unwrap_or_default() })
            });
            if has_it {
                return Ok(name.split(':').next().map(str::to_owned));
            }
        }
    }
    for database in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        let Some(bytes) = reader.bytes_at(tree, &clean(database), MAX_DATABASE)? else { continue };
        let Ok(installed) = parse_installed(&bytes) else { continue };
        let package = installed
            .packages
            .iter()
            .find(|package| package.files.iter().any(|file| is_it(&file.path.to_string())));
        if let Some(package) = package {
            return Ok(Some(package.name.to_string()));
        }
    }
    Ok(None)
}
