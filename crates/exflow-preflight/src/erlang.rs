//! Whether there is an Erlang for a release that brings none.

use crate::Problem;
use crate::check::Subject;
use crate::files::{Blobs, Reader, clean, has_file, in_tree};
use exflow_content::{RelPath, Tree};
use std::collections::BTreeSet;

/// Says which ERTS a release was made for: the version of ERTS, and that of the release.
const START: &str = "releases/start_erl.data";
/// The longest that is read, in bytes.
const MAX_START: u64 = 4096;
/// Where Erlang is, on Debian and Alpine, and in the images of Docker Hub.
pub(crate) const ROOTS: &[&str] = &["usr/lib/erlang", "usr/local/lib/erlang"];
/// Where a release's script looks for it, where the image says nothing else.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) fn check_erlang<B: Blobs>(
    subject: &Subject<'_>,
    reader: &Reader<'_, B>,
) -> Result<Option<Problem>, B::Error> {
    let Some(start) = reader.text_at(subject.release, START, MAX_START)? else { return Ok(None) };
    let Some(wanted) = start.split_whitespace().next().map(str::to_owned) else { return Ok(None) };
    if !versions(subject.release, &RelPath::root()).is_empty() {
        return Ok(None);
    }
    let Some(erl) = find_erl(subject) else { return Ok(Some(Problem::NoErlang)) };
    // `erl` is a link into Erlang's folder, or a script beside it.
    let mut roots: Vec<RelPath> = ROOTS.iter().map(|root| clean(root)).collect();
    roots.extend(erl.parent().and_then(|bin| bin.parent()));
    let found: BTreeSet<String> =
        roots.iter().flat_map(|root| versions(subject.whole, root)).collect();
    // Where it can't be told, nothing is said.
    if found.is_empty() || found.contains(&wanted) {
        return Ok(None);
    }
    Ok(Some(Problem::OtherErlang { wanted, found: found.into_iter().collect() }))
}

/// The program `erl` that a release's script would start.
fn find_erl(subject: &Subject<'_>) -> Option<RelPath> {
    let path = subject.path.unwrap_or(PATH);
    let folders = path.split(':').chain(["/usr/local/bin", "/usr/bin", "/bin"]);
    let beside = ROOTS.iter().map(|root| clean(root).join(&clean("bin")));
    let mut paths = folders.filter_map(in_tree).chain(beside).map(|it| it.join(&clean("erl")));
    let found = paths.find(|path| has_file(subject.whole, path))?;
    subject.whole.resolve(&found)
}

/// The versions of ERTS whose folders are in `root`.
fn versions(tree: &Tree, root: &RelPath) -> Vec<String> {
    let Some(root) = tree.resolve(root) else { return Vec::new() };
    let names: BTreeSet<String> = tree
        .within(&root)
        .filter_map(|(path, _)| {
            let below = path.strip(&root)?;
            let name = below.names().next()?;
            Some(String::from_utf8_lossy(name.strip_prefix(b"erts-")?).into_owned())
        })
        .collect();
    names.into_iter().collect()
}
