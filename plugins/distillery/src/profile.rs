//! What the two blocks that make a profile say together.

use crate::config::{Block, Setting, Span};
use mix_project::elixir::Value;

/// A value in the two blocks that make a profile.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    Set(&'a Setting),
    Unset,
    /// It may be set, and not by a literal.
    Unknown,
}

/// An environment and a release: what holds is in both.
pub(crate) struct Profile<'a> {
    pub(crate) environment: Option<&'a Block>,
    pub(crate) release: Option<&'a Block>,
}

impl<'a> Profile<'a> {
    /// What holds: that of the environment, unless it is `nil` or `[]`.
    pub(crate) fn get(&self, key: &str) -> Found<'a> {
        for block in [self.environment, self.release] {
            let Some(block) = block else { return Found::Unknown };
            match block.setting(key) {
                Some(setting) if is_nothing(&setting.value) => {}
                Some(setting) if is_known(&setting.value) => return Found::Set(setting),
                Some(_) => return Found::Unknown,
                None => {}
            }
            if block.is_computed {
                return Found::Unknown;
            }
        }
        Found::Unset
    }

    /// The text that is set, and where.
    pub(crate) fn text(&self, key: &str) -> Option<(&'a str, Span)> {
        let Found::Set(setting) = self.get(key) else { return None };
        Some((setting.value.text()?, setting.place))
    }

    /// Where it is set to this.
    pub(crate) fn is(&self, key: &str, atom: &str) -> Option<Span> {
        let Found::Set(setting) = self.get(key) else { return None };
        (setting.value.atom() == Some(atom)).then_some(setting.place)
    }
}

fn is_nothing(value: &Value) -> bool {
    value.atom() == Some("nil") || matches!(value, Value::List(values) if values.is_empty())
}

fn is_known(value: &Value) -> bool {
    !matches!(value, Value::Unknown | Value::Call(..) | Value::Attribute(_))
}

/// Whether it asks for something.
pub(crate) fn is_set(value: &Value) -> bool {
    !is_nothing(value)
        && value.atom() != Some("false")
        && !matches!(value, Value::List(_) if value.get("enabled").and_then(Value::atom) == Some("false"))
}
