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
mod steps;

use exflow_plugin_sdk::{
    Answer, Diagnostic, Needs, Pair, Place, Proposal, Request, Scalar, Setting, export,
};
use std::collections::BTreeMap;

export!(propose);

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

/// What the manifest says to this plugin.
#[derive(Default)]
struct Settings {
    release: Option<String>,
    mix_env: String,
    /// Whose configuration a package may read besides its own, by package.
    compile_config: BTreeMap<String, Vec<String>>,
    /// The packages that are plugins of rebar3 to a package, by package.
    rebar3_plugins: BTreeMap<String, Vec<String>>,
    /// Where rebar3 is fetched from, if it isn't that of the base, and its sha256.
    rebar3: Option<(String, String)>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a Request) -> Self {
        let files = request
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.contents.as_deref()))
            .collect();
        let needs = Needs {
            files: Vec::new(),
            folders: Vec::new(),
            fetches: Vec::new(),
            steps: Vec::new(),
            looks: Vec::new(),
        };
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
            let (fetches, steps, looks) = (Vec::new(), Vec::new(), Vec::new());
            return Err(Stop::Need(Needs { files, folders, fetches, steps, looks }));
        }
        if !self.problems.is_empty() {
            return Err(Stop::Refuse(self.problems));
        }
        if !self.needs.looks.is_empty() {
            return Err(Stop::Need(self.needs));
        }
        self.steps(&graph).map_err(Stop::Refuse)
    }

    fn wrong_setting(&mut self, setting: &Setting, expected: &str, help: &str) {
        let message = format!("the value of `{}` is not valid", setting.name);
        let place = Place::InSetting(setting.name.clone());
        self.refuse("wrong-setting", message, place, expected, help);
    }

    fn read_settings(&mut self) {
        "prod".clone_into(&mut self.settings.mix_env);
        let (mut url, mut sha256) = (None, None);
        for setting in &self.request.settings {
            let text = match &setting.value {
                Scalar::Text(text) => Some(text.as_str()),
                _ => None,
            };
            match (&setting.value, setting.name.as_str()) {
                (Scalar::Text(text), "release") if is_name(text) => {
                    self.settings.release = Some(text.clone());
                }
                (Scalar::Text(text), "mix-env") if is_name(text) => {
                    self.settings.mix_env.clone_from(text);
                }
                (_, "compile-config") => match text.and_then(by_package) {
                    Some(found) => self.settings.compile_config = found,
                    None => self.wrong_setting(
                        setting,
                        "expected packages, and whose configuration they read",
                        "for example `compile-config=\"phoenix_html: phoenix, guardian: joken jose\"`",
                    ),
                },
                (_, "rebar3-plugins") => match text.and_then(by_package) {
                    Some(found) => self.settings.rebar3_plugins = found,
                    None => self.wrong_setting(
                        setting,
                        "expected packages, and the packages that are plugins to them",
                        "for example `rebar3-plugins=\"jiffy: pc, erlexec: pc rebar3_archive_plugin\"`",
                    ),
                },
                (Scalar::Text(text), "rebar3") if is_address(text) => url = Some(text.clone()),
                (_, "rebar3") => self.wrong_setting(
                    setting,
                    "expected an address of https or http",
                    "for example `rebar3=\"https://github.com/erlang/rebar3/releases/download/3.24.0/rebar3\"`",
                ),
                (Scalar::Text(text), "rebar3-sha256") if lock::is_sha256(text) => {
                    sha256 = Some(text.to_ascii_lowercase());
                }
                (_, "rebar3-sha256") => self.wrong_setting(
                    setting,
                    "expected 64 hexadecimal digits",
                    "`sha256sum rebar3` says it of a file that you trust",
                ),
                (_, "release" | "mix-env") => self.wrong_setting(
                    setting,
                    "expected a name",
                    "a name is lower-case letters, digits and `_`",
                ),
                _ => self.refuse(
                    "unknown-setting",
                    format!("`mix-release` has no setting `{}`", setting.name),
                    Place::InSetting(setting.name.clone()),
                    "not known",
                    "its settings are `release`, `mix-env`, `compile-config`, `rebar3`, `rebar3-sha256` and \
                     `rebar3-plugins`",
                ),
            }
        }
        let is_named =
            |name: &str| self.request.settings.iter().any(|setting| setting.name == name);
        match (is_named("rebar3"), is_named("rebar3-sha256")) {
            (true, false) => self.refuse(
                "unpinned-rebar3",
                "rebar3 is fetched, and nothing says which".to_owned(),
                Place::InSetting("rebar3".to_owned()),
                "it has no digest",
                "add `rebar3-sha256=\"…\"`: `sha256sum rebar3` says it of a file that you trust",
            ),
            (false, true) => self.refuse(
                "wrong-setting",
                "`rebar3-sha256` is of nothing".to_owned(),
                Place::InSetting("rebar3-sha256".to_owned()),
                "the digest of what is fetched",
                "add `rebar3=\"https://…\"`, where it is fetched from, or take it away",
            ),
            _ => self.settings.rebar3 = url.zip(sha256),
        }
    }
}

fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads `package: app app, package: app`.
fn by_package(text: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in text.split(',') {
        let (package, apps) = entry.split_once(':')?;
        let apps: Vec<String> = apps.split_ascii_whitespace().map(str::to_owned).collect();
        if apps.is_empty() || !apps.iter().all(|app| is_app(app)) || !is_app(package.trim()) {
            return None;
        }
        found.entry(package.trim().to_owned()).or_default().extend(apps);
    }
    Some(found)
}

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
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

/// A pattern that picks what has this path, and nothing else.
fn escaped(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for (at, letter) in path.char_indices() {
        // As the first letter, `!` takes away.
        if "*?[]{}\\".contains(letter) || (at == 0 && letter == '!') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

#[cfg(test)]
mod tests;
