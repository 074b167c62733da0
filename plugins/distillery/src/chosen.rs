//! Which release it is, of those in rel/config.exs.

use crate::config::{Block, Choice, Config};
use mix_project::Reader;
use mix_project::elixir::Value;

/// What the manifest says of which release it is.
pub(crate) struct Wanted {
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    /// The settings that say it.
    pub(crate) says_release: &'static str,
    pub(crate) says_environment: &'static str,
}

impl Wanted {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let mut wanted = Self {
            release: name_of(reader, "release"),
            environment: name_of(reader, "environment"),
            says_release: "release",
            says_environment: "environment",
        };
        let Some(profile) = reader.text_of("profile") else { return wanted };
        match profile.split_once(':') {
            Some((release, environment)) if is_name(release) && is_name(environment) => {
                for (setting, has) in [
                    ("release", wanted.release.is_some()),
                    ("environment", wanted.environment.is_some()),
                ] {
                    if has {
                        let expected = "`profile` says it, too";
                        reader.wrong_setting(setting, expected, "leave one of them out");
                    }
                }
                wanted.release = Some(release.to_owned());
                wanted.environment = Some(environment.to_owned());
                (wanted.says_release, wanted.says_environment) = ("profile", "profile");
            }
            _ => {
                let expected = "expected the names of a release and of an environment";
                reader.wrong_setting("profile", expected, "for example `profile=\"shop:prod\"`");
            }
        }
        wanted
    }
}

fn name_of(reader: &mut Reader<'_>, setting: &str) -> Option<String> {
    let name = reader.text_of(setting)?;
    if is_name(&name) {
        return Some(name);
    }
    reader.wrong_setting(setting, "expected a name", "a name is letters, digits, `_` and `-`");
    None
}

/// Whether this can be the name of a release or of an environment: Distillery has no more rules than files have.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.len() <= 200
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

impl Config {
    /// The release that is made.
    pub(crate) fn chosen_release(&self, wanted: Option<&str>) -> Option<&Block> {
        match (wanted, &self.default_release) {
            (Some(name), _) => self.release(name),
            (None, Choice::Named(name, _)) => self.release(name),
            (None, Choice::Default) if !self.is_computed => {
                // As Distillery takes it: the first of a map, whose keys are atoms.
                self.releases.iter().min_by_key(|block| &block.name)
            }
            _ => None,
        }
    }
}

/// The applications that a release names, where all of them are literal, and nothing else of the file needs others:
/// Distillery evaluates all of it, and `current_version(:app)` of any release has to find that application.
pub(crate) fn applications(config: &Config, release: &Block) -> Option<Vec<String>> {
    let is_said = |block: &Block| {
        let version = block.setting("version");
        !block.is_computed && version.is_none_or(|version| version.value.text().is_some())
    };
    if config.is_computed || !config.releases.iter().all(is_said) {
        return None;
    }
    let mut named = Vec::new();
    // Each adds to those before it.
    for setting in release.settings.iter().filter(|setting| setting.key == "applications") {
        let Value::List(values) = &setting.value else { return None };
        for value in values {
            match value {
                Value::Atom(app) | Value::Pair(app, _) => named.push(app.clone()),
                _ => return None,
            }
        }
    }
    (!named.is_empty()).then_some(named)
}
