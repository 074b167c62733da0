//! For tests of plugins: asks as exflow does, without it.

use exflow_plugin_sdk::{
    Answer, Entry, File, Folder, MadeFile, Proposal, Request, Scalar, Setting,
};
use std::collections::BTreeSet;

/// A checksum.
pub const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Asks until there is an answer. `made` is what is made, by name and path.
///
/// # Panics
/// Where a plugin never stops asking, or wants to look at what it doesn't name.
pub fn ask(
    propose: fn(&Request) -> Answer,
    root: &str,
    settings: &[(&str, &str)],
    files: &[(&str, &str)],
    made: &[(&str, &str, &str)],
) -> Answer {
    let mut request = Request {
        project: "shop".to_owned(),
        root: root.to_owned(),
        platform: "linux/amd64".to_owned(),
        settings: settings
            .iter()
            .map(|(name, value)| Setting {
                name: (*name).to_owned(),
                value: Scalar::Text((*value).to_owned()),
            })
            .collect(),
        files: Vec::new(),
        folders: Vec::new(),
        made: Vec::new(),
    };
    for _ in 0..8 {
        let Answer::Need(needs) = propose(&request) else { return propose(&request) };
        for path in needs.files {
            let contents = files.iter().find(|(name, _)| *name == path);
            let contents = contents.map(|(_, text)| text.as_bytes().to_vec());
            request.files.push(File { path, contents });
        }
        for look in needs.looks {
            let is_known = needs.fetches.iter().any(|fetch| fetch.name == look.of)
                || needs.steps.iter().any(|step| step.name == look.of);
            assert!(is_known, "{}", look.of);
            let found = made.iter().find(|(of, path, _)| *of == look.of && *path == look.path);
            let contents = found.map(|(.., text)| text.as_bytes().to_vec());
            request.made.push(MadeFile { of: look.of, path: look.path, contents });
        }
        for path in needs.folders {
            let names: BTreeSet<&str> = files
                .iter()
                .filter_map(|(name, _)| name.strip_prefix(&format!("{path}/"))?.split('/').next())
                .collect();
            let entries = names
                .into_iter()
                .map(|name| Entry { name: name.to_owned(), is_folder: !name.contains('.') })
                .collect();
            let entries: Vec<Entry> = entries;
            let entries = Some(entries).filter(|entries| !entries.is_empty());
            request.folders.push(Folder { path, entries });
        }
    }
    panic!("it never stops asking")
}

/// What is to be done.
///
/// # Panics
/// Where it is refused.
pub fn ready(answer: Answer) -> Proposal {
    match answer {
        Answer::Ready(proposal) => proposal,
        Answer::Refused(problems) => {
            panic!("{:?}", problems.iter().map(|problem| &problem.message).collect::<Vec<_>>())
        }
        Answer::Need(_) => unreachable!(),
    }
}

/// The codes of the problems.
///
/// # Panics
/// Where there are none.
pub fn refused(answer: Answer) -> Vec<String> {
    let Answer::Refused(problems) = answer else { panic!("not refused") };
    problems.into_iter().map(|problem| problem.code).collect()
}

/// An entry of a lock.
pub fn hex(app: &str, version: &str, deps: &str) -> String {
    format!(
        "  \"{app}\": {{:hex, :{app}, \"{version}\", \"{SHA}\", [:mix], [{deps}], \"hexpm\", \"{SHA}\"}},\n"
    )
}

/// A `mix.lock`.
pub fn lock(entries: &[String]) -> String {
    format!("%{{\n{}}}\n", entries.concat())
}
