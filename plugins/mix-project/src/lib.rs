//! What plugins for release tools on top of Mix have in common: `mix.exs` and `mix.lock` are read as text, each
//! package becomes a step of its own, and the release one more, which is the tool's.
//!
//! What decides which packages there are is never guessed: where `mix.exs` doesn't say it in literals, Mix is
//! asked, in a step of its own. Of the rest, what isn't literal is left to Mix when the release is made: it
//! goes to a folder that is named here, so that no path holds a name or a version that was guessed.
//!
//! A plugin implements [`ReleaseTool`], and its `propose` is [`propose`] with it.

mod discover;
mod driver;
pub mod elixir;
pub mod graph;
mod literal;
pub mod lock;
mod packages;
pub mod project;
pub mod release;
pub mod requirement;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;

use exflow_plugin_sdk::{Answer, Diagnostic, Entry, Needs, Place, Proposal, Request, escaped};
use graph::{Graph, Part};
pub use release::Release;
pub use settings::{Settings, describe};
use std::collections::BTreeMap;

/// A tool that makes releases of Mix projects.
pub trait ReleaseTool {
    /// The plugin's name, as users write it.
    fn name(&self) -> &'static str;

    /// The applications of an umbrella that are in the release, if the project says which.
    fn applications(&mut self, reader: &mut Reader<'_>, root: &Part) -> Option<Vec<String>>;

    /// How the release of the project `root` is made; none where that can't be said yet, or is a problem, which
    /// the reader is told. What has to be seen for that, the reader is asked.
    fn release(&mut self, reader: &mut Reader<'_>, graph: &Graph, root: &Part) -> Option<Release>;
}

/// Says what is to be done for a project.
#[must_use]
pub fn propose(request: &Request, tool: &mut dyn ReleaseTool) -> Answer {
    match Reader::new(request, tool.name()).proposal(tool) {
        Ok(proposal) => Answer::Ready(proposal),
        Err(Stop::Need(needs)) => Answer::Need(needs),
        Err(Stop::Refuse(problems)) => Answer::Refused(problems),
    }
}

enum Stop {
    Need(Needs),
    Refuse(Vec<Diagnostic>),
}

/// Reads what is shown, and notes what has to be shown besides, and what is wrong.
pub struct Reader<'a> {
    request: &'a Request,
    tool: &'static str,
    settings: Settings,
    files: BTreeMap<&'a str, Option<&'a [u8]>>,
    needs: Needs,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a Request, tool: &'static str) -> Self {
        let files = request
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.contents.as_deref()))
            .collect();
        let needs = Needs::of_files([]);
        let (problems, warnings) = (Vec::new(), Vec::new());
        let settings = Settings::default();
        let mut reader = Self { request, tool, settings, files, needs, problems, warnings };
        reader.read_settings();
        reader
    }

    /// What is said to all plugins of this kind.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Notes a problem, which ends the build.
    pub fn refuse(&mut self, code: &str, message: String, place: Place, label: &str, help: &str) {
        let problem = diagnostic(code, message, place, label, help);
        // What several projects ask for is refused once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Notes a warning about the project as a whole.
    pub fn warn(&mut self, code: &str, message: String, help: &str) {
        self.warn_at(code, message, Place::Nowhere, "", help);
    }

    /// Notes a warning.
    pub fn warn_at(&mut self, code: &str, message: String, place: Place, label: &str, help: &str) {
        let warning = diagnostic(code, message, place, label, help);
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The text of a file, or a request to see it.
    #[allow(clippy::option_option, reason = "not seen yet and not there are two things")]
    pub fn text(&mut self, path: &str) -> Option<Option<&'a str>> {
        let Some(contents) = self.files.get(path) else {
            if !self.needs.files.iter().any(|needed| needed == path) {
                self.needs.files.push(path.to_owned());
            }
            return None;
        };
        let Some(contents) = contents else { return Some(None) };
        let text = std::str::from_utf8(contents);
        if let Err(error) = &text {
            let at = error.valid_up_to();
            self.refuse(
                "not-utf8",
                format!("`{path}` is not UTF-8"),
                graph::place_in(path, (at, at)),
                "not from here on",
                "Elixir reads nothing else: convert it, for example with `iconv -f latin1 -t utf8`",
            );
        }
        text.ok().map(Some)
    }

    /// What is in a folder, or a request to see it: names, and whether each is a folder.
    #[allow(clippy::option_option, reason = "not seen yet and not there are two things")]
    pub fn folder(&mut self, path: &str) -> Option<Option<&'a [Entry]>> {
        if let Some(listed) = self.request.folders.iter().find(|listed| listed.path == path) {
            return Some(listed.entries.as_deref());
        }
        if !self.needs.folders.iter().any(|needed| needed == path) {
            self.needs.folders.push(path.to_owned());
        }
        None
    }

    /// Whether there is a file or a folder at this path; none where that can't be seen yet. Nothing of it is read.
    pub fn is_there(&mut self, path: &str) -> Option<bool> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = self.folder(folder)?;
        Some(entries.is_some_and(|entries| entries.iter().any(|entry| entry.name == name)))
    }

    /// Whether something has to be made first, so that what depends on it isn't known yet.
    pub fn is_waiting(&self) -> bool {
        !self.needs.looks.is_empty()
    }

    fn proposal(mut self, tool: &mut dyn ReleaseTool) -> Result<Proposal, Stop> {
        let graph = self.discover(tool);
        let release = graph.root().and_then(|root| tool.release(&mut self, &graph, root));
        if !self.is_waiting() {
            self.check_plugins(&graph);
        }
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
        match release {
            Some(release) => self.steps(&graph, &release).map_err(Stop::Refuse),
            None => Err(Stop::Refuse(self.problems)),
        }
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

/// Whether this can be the name of a release or of an environment.
pub fn is_name(text: &str) -> bool {
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
pub fn join(folder: &str, path: &str) -> Option<String> {
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
pub fn pattern(folder: &str, name: &str) -> Option<String> {
    match join(folder, name)?.as_str() {
        "" => Some("**".to_owned()),
        path => Some(escaped(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in a path is never taken for a pattern.
    #[test]
    fn patterns_of_odd_names() {
        assert_eq!(pattern("svc[1]", "lib"), Some(r"svc\[1\]/lib".to_owned()));
        assert_eq!(pattern("", "!x"), Some(r"\!x".to_owned()));
        assert_eq!(pattern("a", "../../b"), None);
        assert_eq!(pattern("", "."), Some("**".to_owned()));
        assert_eq!(pattern("a", ".."), Some("**".to_owned()));
        let read = discover::probe_sources("svc[1]");
        assert!(read.contains(&r"svc\[1\]/*.exs".to_owned()), "{read:?}");
    }
}
