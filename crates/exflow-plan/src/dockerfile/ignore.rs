//! What of the workspace Docker is given: the text of a `.dockerignore`.
//!
//! A folder that is copied as a whole must not bring along what exflow doesn't see: what ignore files
//! leave out, such as a `_build` of this machine. So their patterns (gitignore(5)) are said again as
//! those of Docker, in which the last that matches decides, as in git's.
//!
//! Some things are not quite the same, and then more is let in rather than less, so that no source is
//! missing. A pattern with `!` takes a file back in below a folder that is left out, too, and one for
//! folders (`!*/`) the files in them. A folder whose pattern ends in `/` may be left over as an empty
//! one. Patterns with named classes (`[[:alpha:]]`) leave out nothing. And all are patterns of this
//! moment: an ignore file that is changed later says nothing before it is exported again.

use super::quote::comment;
use exflow_content::RelPath;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// The file that only exflow obeys, and before the other kind.
const OWN: &[u8] = b".exflowignore";

/// The text of a `.dockerignore` that lets in `wanted`, without what `files` leave out, and
/// `archives` in any case.
pub(super) fn ignore(
    project: &str,
    wanted: &BTreeSet<RelPath>,
    archives: &[&RelPath],
    files: &BTreeMap<RelPath, String>,
) -> String {
    let mut lines = vec![
        format!(
            "# What the image of project `{}` is made of, as `exflow export dockerfile` wrote it.",
            comment(project)
        ),
        "*".to_owned(),
    ];
    // A folder is followed by what is in it.
    let mut last: Option<&RelPath> = None;
    for path in wanted {
        if last.is_none_or(|last| !path.is_within(last)) {
            lines.push(format!("!{}", name_in_reach(path)));
            last = Some(path);
        }
    }
    let mut files: Vec<(&RelPath, &String)> = files.iter().collect();
    // The last that matches decides: that of the innermost folder.
    files.sort_by_key(|(path, _)| (path.name() == Some(OWN), path.names().count(), *path));
    for (path, text) in files {
        let folder = path.parent().unwrap_or_default();
        let patterns: Vec<String> =
            text.lines().filter_map(|line| translated(&folder, line)).collect();
        if !patterns.is_empty() {
            lines.push(format!("# {}", comment(&path.to_string())));
            lines.extend(patterns);
        }
    }
    lines.push("# Never a part of the sources".to_owned());
    lines.push("**/.git".to_owned());
    lines.extend(archives.iter().map(|path| format!("!{}", name_in_reach(path))));
    lines.join("\n") + "\n"
}

/// A pattern for `path`, or for the first folder above it whose name has to be written as a pattern:
/// Docker looks into a folder that is left out only where another pattern begins with its name.
fn name_in_reach(path: &RelPath) -> String {
    let mut pattern = String::new();
    for name in path.names() {
        if !pattern.is_empty() {
            pattern.push('/');
        }
        let name = String::from_utf8_lossy(name);
        let escaped = literal(&name);
        pattern.push_str(&escaped);
        if escaped != name {
            break;
        }
    }
    pattern
}

/// A pattern that `name` matches: letters that mean something, to Docker or to the regular
/// expression that it makes of a pattern, without their meaning. A space is `?`, because those at the
/// end of a line are lost.
fn literal(name: &str) -> String {
    name.chars().map(literal_letter).collect()
}

fn literal_letter(letter: char) -> String {
    match letter {
        letter if letter.is_whitespace() || letter.is_control() => "?".to_owned(),
        '*' | '?' | '[' | ']' | '\\' | '+' | '(' | ')' | '|' | '{' | '}' | '^' => {
            format!("\\{letter}")
        }
        letter => letter.to_string(),
    }
}

/// A line of an ignore file in `folder` as a line of Docker's; none where it says nothing.
fn translated(folder: &RelPath, line: &str) -> Option<String> {
    let line = if line.ends_with("\\ ") { line } else { line.trim_end() };
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (sign, line) = line.strip_prefix('!').map_or(("", line), |line| ("!", line));
    let (line, only_folders) = line.strip_suffix('/').map_or((line, false), |line| (line, true));
    let is_anchored = line.contains('/');
    let line = line.strip_prefix('/').unwrap_or(line);
    let mut pattern = String::new();
    for name in folder.names() {
        pattern.push_str(&literal(&String::from_utf8_lossy(name)));
        pattern.push('/');
    }
    if !is_anchored {
        pattern.push_str("**/");
    }
    for (index, name) in line.split('/').enumerate() {
        if index > 0 {
            pattern.push('/');
        }
        pattern.push_str(&translated_name(name)?);
    }
    if only_folders && sign.is_empty() {
        // Docker can't tell a folder from a file, which may be one of the sources; but only a folder
        // has something in it.
        pattern.push_str("/**");
    }
    if sign.is_empty() && pattern.starts_with(['#', '!']) {
        pattern.insert(0, '\\');
    }
    Some(format!("{sign}{pattern}"))
}

/// The part of a pattern of git's that is for one name; none where git takes it for none, or Docker
/// would take it for another or none at all, and then refuse the whole file.
fn translated_name(name: &str) -> Option<String> {
    match name {
        // Docker resolves these; to git they are names that nothing has.
        "" | "." | ".." => return None,
        "**" => return Some(name.to_owned()),
        _ => {}
    }
    let mut pattern = String::new();
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => pattern.push_str(&literal_letter(letters.next()?)),
            '[' => pattern.push_str(&translated_class(&mut letters)?),
            '?' => pattern.push('?'),
            '*' => {
                // Within a name, two are no more than one; to Docker, they go beyond it.
                while letters.next_if_eq(&'*').is_some() {}
                pattern.push('*');
            }
            letter => pattern.push_str(&literal_letter(letter)),
        }
    }
    Some(pattern)
}

/// The rest of a class, after its `[`: each letter in it as one that means nothing else.
fn translated_class(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut class = String::from("[");
    if letters.next_if(|letter| matches!(letter, '!' | '^')).is_some() {
        class.push('^');
    }
    let escaped = |letter: char| {
        let means_nothing = letter.is_alphanumeric() || !letter.is_ascii();
        if means_nothing { letter.to_string() } else { format!("\\{letter}") }
    };
    let mut is_first = true;
    loop {
        // A class that doesn't end is no pattern.
        let from = match letters.next()? {
            ']' if !is_first => break,
            '\\' => letters.next()?,
            // Names of classes, such as `[:alpha:]`.
            '[' if matches!(letters.peek(), Some(':' | '.' | '=')) => return None,
            letter => letter,
        };
        is_first = false;
        class.push_str(&escaped(from));
        let mut ahead = letters.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|letter| *letter != ']') {
            *letters = ahead;
            let to = match letters.next()? {
                '\\' => letters.next()?,
                letter => letter,
            };
            if from > to {
                return None;
            }
            class.push('-');
            class.push_str(&escaped(to));
        }
    }
    class.push(']');
    Some(class)
}
