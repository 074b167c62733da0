//! The settings that a plugin declares, and whether those of a project are among them.

use crate::contract_0_2::described;
use crate::{PluginError, convert};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, did_you_mean};
use exflow_manifest::{Scalar, Setting};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const UNKNOWN: &str = "exflow::plugin::unknown-setting";
const WRONG: &str = "exflow::plugin::wrong-setting";
const MISSING: &str = "exflow::plugin::missing-setting";
/// The most settings that a plugin may have, and the most choices of one.
const MOST: usize = 256;
/// The longest choice, in bytes.
const LONGEST_CHOICE: usize = 64;
/// The longest description, in bytes.
const LONGEST_HELP: usize = 1024;

/// A setting that a plugin declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingSchema {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// What its value is.
    pub kind: SettingKind,
    /// Whether it has to be there.
    pub is_required: bool,
    /// What it is for.
    pub help: String,
}

/// What the value of a setting is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Any text.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// A whole number.
    Number,
    /// True or false.
    Flag,
}

impl SettingKind {
    fn allows(&self, value: &Scalar) -> bool {
        match (self, value) {
            (Self::Text, Scalar::Text(_))
            | (Self::Number, Scalar::Number(_))
            | (Self::Flag, Scalar::Flag(_)) => true,
            (Self::Choice(choices), Scalar::Text(text)) => choices.contains(text),
            _ => false,
        }
    }
}

/// As it is said to users: `a text`, ``one of `a`, `b` ``.
impl std::fmt::Display for SettingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Choice(choices) => write!(f, "one of `{}`", choices.join("`, `")),
            Self::Number => f.write_str("a whole number"),
            Self::Flag => f.write_str("`#true` or `#false`"),
        }
    }
}

/// What a plugin declares, checked as strictly as what it proposes.
pub(crate) fn declared(
    found: Vec<described::SettingSchema>,
) -> Result<Vec<SettingSchema>, PluginError> {
    let invalid = |reason: String| Err(PluginError::Invalid { reason });
    if found.len() > MOST {
        return invalid(format!("{} settings, of at most {MOST}", found.len()));
    }
    let mut names = BTreeSet::new();
    let mut declared = Vec::with_capacity(found.len());
    for setting in found {
        let name = convert::name(&setting.name, "a setting")?;
        if !names.insert(name.clone()) {
            return invalid(format!("two settings `{name}`"));
        }
        if setting.help.len() > LONGEST_HELP || setting.help.contains(char::is_control) {
            return invalid(format!(
                "the description of `{name}` is longer than {LONGEST_HELP} bytes, or no line of text"
            ));
        }
        let kind = match setting.kind {
            described::SettingKind::Text => SettingKind::Text,
            described::SettingKind::Number => SettingKind::Number,
            described::SettingKind::Flag => SettingKind::Flag,
            described::SettingKind::Choice(choices) => {
                let fits = |choice: &String| {
                    !choice.is_empty()
                        && choice.len() <= LONGEST_CHOICE
                        && !choice.contains(char::is_control)
                };
                if choices.is_empty() || choices.len() > MOST || !choices.iter().all(fits) {
                    return invalid(format!(
                        "the choices of `{name}`: up to {MOST} texts of 1 to {LONGEST_CHOICE} bytes are"
                    ));
                }
                SettingKind::Choice(choices)
            }
        };
        let is_required = setting.is_required;
        declared.push(SettingSchema { name, kind, is_required, help: setting.help });
    }
    Ok(declared)
}

/// What is wrong with the settings of a project, each at its place; what is missing, where the plugin is
/// asked for.
pub(crate) fn check(
    declared: &[SettingSchema],
    plugin: &str,
    settings: &BTreeMap<String, Setting>,
    site: Option<&Site>,
) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for (name, setting) in settings {
        let Some(known) = declared.iter().find(|known| known.name == *name) else {
            let names: Vec<&str> = declared.iter().map(|known| known.name.as_str()).collect();
            let help = match did_you_mean(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => format!("`{plugin}` has no settings"),
                None => format!("its settings are `{}`", names.join("`, `")),
            };
            let message = format!("`{plugin}` has no setting `{name}`");
            problems.push(
                Diagnostic::error(UNKNOWN, message).at(&setting.site, "not known").help(help),
            );
            continue;
        };
        if !known.kind.allows(&setting.value) {
            let message = format!("the value of `{name}` is not valid");
            let problem = Diagnostic::error(WRONG, message)
                .at(&setting.site, format!("expected {}", known.kind));
            problems.push(with_help(problem, &known.help));
        }
    }
    for known in declared.iter().filter(|known| known.is_required) {
        if !settings.contains_key(&known.name) {
            let message = format!("`{plugin}` has to be told its `{}`", known.name);
            let problem = Diagnostic::error(MISSING, message).at_known(site, "not said here");
            let help = format!("add `{}=…`: {}", known.name, known.kind);
            problems.push(problem.help(match known.help.as_str() {
                "" => help,
                what => format!("{help}; {what}"),
            }));
        }
    }
    problems
}

/// Whether it is only that a setting isn't known.
pub(crate) fn is_unknown(problem: &Diagnostic) -> bool {
    problem.code.as_str() == UNKNOWN
}

fn with_help(problem: Diagnostic, help: &str) -> Diagnostic {
    if help.is_empty() { problem } else { problem.help(help) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_diagnostics::SourceName;

    fn schema(name: &str, kind: described::SettingKind) -> described::SettingSchema {
        described::SettingSchema {
            name: name.to_owned(),
            kind,
            is_required: false,
            help: "What it is for.".to_owned(),
        }
    }

    fn settings(settings: &[(&str, Scalar)]) -> BTreeMap<String, Setting> {
        let site = Site { source: SourceName::new("exflow.kdl"), start: 0, end: 1 };
        let setting = |value: &Scalar| Setting { value: value.clone(), site: site.clone() };
        settings.iter().map(|(name, value)| ((*name).to_owned(), setting(value))).collect()
    }

    fn said(known: Vec<described::SettingSchema>, given: &[(&str, Scalar)]) -> Vec<String> {
        let known = declared(known).unwrap();
        let problems = check(&known, "mine", &settings(given), None);
        let text = |problem: &Diagnostic| {
            let help = problem.help.as_deref().unwrap_or_default();
            format!("{}: {}: {help}", problem.code.as_str(), problem.message)
        };
        problems.iter().map(text).collect()
    }

    #[test]
    fn values_are_of_their_kind() {
        use described::SettingKind::{Choice, Flag, Number, Text};
        let known = || {
            vec![
                schema("text", Text),
                schema("flag", Flag),
                schema("number", Number),
                schema("choice", Choice(vec!["a".into(), "b".into()])),
            ]
        };
        let text = |text: &str| Scalar::Text(text.to_owned());
        let fit = [
            ("text", text("")),
            ("flag", Scalar::Flag(false)),
            ("number", Scalar::Number(-1)),
            ("choice", text("b")),
        ];
        assert_eq!(said(known(), &fit), [""; 0]);
        assert_eq!(said(known(), &[]), [""; 0]);
        let wrong = [
            ("text", Scalar::Number(1)),
            ("flag", text("true")),
            ("number", text("1")),
            ("choice", text("c")),
        ];
        let problems = said(known(), &wrong);
        assert_eq!(problems.len(), 4);
        assert_eq!(
            problems[0],
            "exflow::plugin::wrong-setting: the value of `choice` is not valid: What it is for."
        );
    }

    #[test]
    fn what_is_not_declared_is_not_known() {
        let known = || vec![schema("release", described::SettingKind::Text)];
        let near = [("relase", Scalar::Flag(true))];
        assert_eq!(
            said(known(), &near),
            [
                "exflow::plugin::unknown-setting: `mine` has no setting `relase`: did you mean `release`?"
            ]
        );
        let far = [("x", Scalar::Flag(true))];
        assert!(said(known(), &far)[0].ends_with("its settings are `release`"));
        assert!(said(Vec::new(), &far)[0].ends_with("`mine` has no settings"));
    }

    #[test]
    fn what_is_required_is_missed() {
        let mut known = schema("release", described::SettingKind::Text);
        known.is_required = true;
        assert_eq!(
            said(vec![known], &[]),
            ["exflow::plugin::missing-setting: `mine` has to be told its `release`: \
              add `release=…`: a text; What it is for."]
        );
    }

    #[test]
    fn declarations_that_can_not_be() {
        use described::SettingKind::{Choice, Text};
        let long = "x".repeat(LONGEST_CHOICE + 1);
        for name in ["", "Release", "mix_env", "1", "-", &long, "a b", "a\u{1b}"] {
            assert!(declared(vec![schema(name, Text)]).is_err(), "{name:?}");
        }
        assert!(declared(vec![schema("a", Text), schema("a", Text)]).is_err());
        for choices in [vec![], vec![String::new()], vec!["\n".to_owned()], vec![long]] {
            assert!(declared(vec![schema("a", Choice(choices))]).is_err());
        }
        let many = (0..=MOST).map(|number| schema(&format!("a{number}"), Text)).collect();
        assert!(declared(many).is_err());
        for help in ["x".repeat(2000), "\u{1b}[2J".to_owned(), "a\nb".to_owned()] {
            let wordy = described::SettingSchema { help, ..schema("a", Text) };
            assert!(declared(vec![wordy]).is_err());
        }
    }
}
