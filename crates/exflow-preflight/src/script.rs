//! Whether the script that an image starts with can be started.

use crate::Problem;
use crate::check::Subject;
use crate::files::{Blobs, Reader, has_file, in_tree};
use exflow_content::RelPath;

/// How much of a script is read: the kernel reads no more of its first line (execve(2)).
const FIRST_LINE: u64 = 256;
/// The longest script that is looked at.
const MAX_SCRIPT: u64 = 16 << 20;
/// Where programs are where `PATH` isn't set.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the first line of the script needs and the image lacks, and the script's path. What is no script, or isn't
/// there, is no matter here.
pub(crate) fn check_script<B: Blobs>(
    subject: &Subject<'_>,
    reader: &Reader<'_, B>,
) -> Result<Option<(Problem, RelPath)>, B::Error> {
    let Some(script) = subject.start.and_then(in_tree) else { return Ok(None) };
    let Some(line) = reader.start_of(subject.whole, &script, FIRST_LINE, MAX_SCRIPT)? else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(&line).into_owned();
    let Some(line) = line.strip_prefix("#!").and_then(|line| line.lines().next()) else {
        return Ok(None);
    };
    let mut words = line.split_ascii_whitespace();
    let Some(program) = words.next() else { return Ok(None) };
    let is_there = |path: &str| in_tree(path).is_some_and(|path| has_file(subject.whole, &path));
    let missing = |interpreter: &str| {
        let interpreter = interpreter.to_owned();
        Some((Problem::NoScriptInterpreter { interpreter }, script.clone()))
    };
    if !is_there(program) {
        return Ok(missing(program));
    }
    if program.rsplit('/').next() != Some("env") {
        return Ok(None);
    }
    let name = words.find(|word| !["-S", "-i", "-", "--"].contains(word) && !word.contains('='));
    // Other options may have a value, which is no program.
    let Some(name) = name.filter(|name| !name.starts_with('-')) else { return Ok(None) };
    let path = subject.path.unwrap_or(PATH);
    let is_found =
        name.contains('/') || path.split(':').any(|folder| is_there(&format!("{folder}/{name}")));
    Ok(if is_found { None } else { missing(name) })
}
