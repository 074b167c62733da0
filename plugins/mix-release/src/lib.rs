//! The plugin for `mix release`: reads `mix.exs` and `mix.lock` as text, and proposes how packages and the
//! release are made.
//!
//! What decides which packages there are is never guessed: where `mix.exs` doesn't say it in literals, Mix is
//! asked, in a step of its own. Of the rest, what isn't literal is left to Mix when the release is made: it
//! goes to a folder that this plugin names, so that no path holds a name or a version that was guessed.

mod discover;
mod elixir;
mod graph;
mod literal;
mod lock;
mod project;
mod release;
mod requirement;
mod settings;
mod steps;

use exflow_plugin_sdk::{Answer, Diagnostic, Needs, Place, Proposal, Request, escaped, export};
use settings::Settings;
pub use settings::describe;
use std::collections::BTreeMap;

export!(propose, describe);

/// Says what is to be done for a project.
#[must_use]
pub fn propose(request: &Request) -> Answer {
    match Reader::new(request).proposal() {
        Ok(proposal) => Answer::Ready(proposal),
        Err(Stop::Need(needs)) => Answer::Need(needs),
        Err(Stop::Refuse(problems)) => Answer::Refused(problems),
    }
}

enum Stop {
    Need(Needs),
    Refuse(Vec<Diagnostic>),
}

/// Reads what is shown, and notes what has to be shown besides.
struct Reader<'a> {
    request: &'a Request,
    settings: Settings,
    files: BTreeMap<&'a str, Option<&'a [u8]>>,
    needs: Needs,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a Request) -> Self {
        let files = request
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.contents.as_deref()))
            .collect();
        let needs = Needs::of_files([]);
        let (problems, warnings) = (Vec::new(), Vec::new());
        let mut reader =
            Self { request, settings: Settings::default(), files, needs, problems, warnings };
        reader.read_settings();
        reader
    }

    fn refuse(&mut self, code: &str, message: String, place: Place, label: &str, help: &str) {
        let problem = diagnostic(code, message, place, label, help);
        // What several projects ask for is refused once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The text of a file, or a request to see it.
    #[expect(clippy::option_option, reason = "not seen yet and not there are two things")]
    fn text(&mut self, path: &str) -> Option<Option<&'a str>> {
        match self.files.get(path) {
            Some(contents) => {
                Some(contents.and_then(|contents| std::str::from_utf8(contents).ok()))
            }
            None => {
                if !self.needs.files.iter().any(|needed| needed == path) {
                    self.needs.files.push(path.to_owned());
                }
                None
            }
        }
    }

    fn proposal(mut self) -> Result<Proposal, Stop> {
        let graph = self.discover();
        if !self.needs.files.is_empty() || !self.needs.folders.is_empty() {
            // What is made takes time, and more may be wrong with what hasn't been seen yet.
            let Needs { files, folders, .. } = self.needs;
            return Err(Stop::Need(Needs { folders, ..Needs::of_files(files) }));
        }
        if !self.problems.is_empty() {
            return Err(Stop::Refuse(self.problems));
        }
        if !self.needs.looks.is_empty() {
            return Err(Stop::Need(self.needs));
        }
        self.steps(&graph).map_err(Stop::Refuse)
    }
}

fn diagnostic(code: &str, message: String, place: Place, label: &str, help: &str) -> Diagnostic {
    Diagnostic {
        code: code.to_owned(),
        message,
        place,
        label: label.to_owned(),
        help: help.to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether this can be an application's name in a path and in an argument.
fn is_app(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name.len() <= 200
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'@')
}

/// `path` from `folder`, cleaned; none where it leaves the workspace.
fn join(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// The pattern that picks what has this name below `folder`, and what is below that; none where it leaves the
/// workspace.
fn pattern(folder: &str, name: &str) -> Option<String> {
    Some(escaped(&join(folder, name)?))
}

#[cfg(test)]
mod tests;
