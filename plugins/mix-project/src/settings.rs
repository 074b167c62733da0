//! What the manifest says to all plugins of this kind.

use crate::{Reader, is_app, is_name, lock};
use exflow_plugin_sdk::{Place, Scalar, Setting, SettingKind, SettingSchema};
use std::collections::BTreeMap;

/// What can be said.
#[must_use]
pub fn describe() -> Vec<SettingSchema> {
    let text = |name: &str, help: &str| SettingSchema::optional(name, SettingKind::Text, help);
    vec![
        text("mix-env", "The environment of Mix; without it, `prod`."),
        text(
            "compile-config",
            "Whose configuration packages read while they are compiled, besides their own: \
             `phoenix_html: phoenix, guardian: joken jose`.",
        ),
        text("rebar3", "Where rebar3 is fetched from, where the base has none."),
        text("rebar3-sha256", "The sha256 of the rebar3 that is fetched."),
        text(
            "rebar3-plugins",
            "The packages of mix.lock that are rebar3's plugins, by the package that needs them: `jiffy: pc`.",
        ),
    ]
}

/// What is said. Kinds of values were checked before.
#[derive(Default)]
pub struct Settings {
    /// The environment of Mix.
    pub mix_env: String,
    /// Whose configuration a package may read besides its own, by package.
    pub compile_config: BTreeMap<String, Vec<String>>,
    /// The packages that are plugins of rebar3 to a package, by package.
    pub rebar3_plugins: BTreeMap<String, Vec<String>>,
    /// Where rebar3 is fetched from, if it isn't that of the base, and its sha256.
    pub rebar3: Option<(String, String)>,
}

impl Reader<'_> {
    pub(crate) fn read_settings(&mut self) {
        "prod".clone_into(&mut self.settings.mix_env);
        let (mut url, mut sha256) = (None, None);
        for setting in &self.request.settings {
            let Scalar::Text(text) = &setting.value else { continue };
            match setting.name.as_str() {
                "mix-env" if is_name(text) => self.settings.mix_env.clone_from(text),
                "compile-config" => match by_package(text) {
                    Some(found) => self.settings.compile_config = found,
                    None => self.wrong_setting(
                        &setting.name,
                        "expected packages, and whose configuration they read",
                        "for example `compile-config=\"phoenix_html: phoenix, guardian: joken jose\"`",
                    ),
                },
                "rebar3-plugins" => match by_package(text) {
                    Some(found) => self.settings.rebar3_plugins = found,
                    None => self.wrong_setting(
                        &setting.name,
                        "expected packages, and the packages that are plugins to them",
                        "for example `rebar3-plugins=\"jiffy: pc, erlexec: pc rebar3_archive_plugin\"`",
                    ),
                },
                "rebar3" if is_address(text) => url = Some(text.clone()),
                "rebar3" => self.wrong_setting(
                    &setting.name,
                    "expected an address of https or http",
                    "for example `rebar3=\"https://github.com/erlang/rebar3/releases/download/3.24.0/rebar3\"`",
                ),
                "rebar3-sha256" if lock::is_sha256(text) => sha256 = Some(text.to_ascii_lowercase()),
                "rebar3-sha256" => self.wrong_setting(
                    &setting.name,
                    "expected 64 hexadecimal digits",
                    "`sha256sum rebar3` says it of a file that you trust",
                ),
                "mix-env" => self.wrong_name(setting),
                // The tool's own.
                _ => {}
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

    /// The name that a setting of the tool's own says.
    pub fn name_of(&mut self, name: &str) -> Option<String> {
        let setting = self.request.settings.iter().find(|setting| setting.name == name)?;
        match &setting.value {
            Scalar::Text(text) if is_name(text) => return Some(text.clone()),
            _ => self.wrong_name(setting),
        }
        None
    }

    /// The text that a setting of the tool's own says.
    pub fn text_of(&self, name: &str) -> Option<String> {
        let setting = self.request.settings.iter().find(|setting| setting.name == name)?;
        if let Scalar::Text(text) = &setting.value { Some(text.clone()) } else { None }
    }

    /// What a flag of the tool's own says, if it is there.
    pub fn flag_of(&self, name: &str) -> Option<bool> {
        let setting = self.request.settings.iter().find(|setting| setting.name == name)?;
        if let Scalar::Flag(flag) = setting.value { Some(flag) } else { None }
    }

    fn wrong_name(&mut self, setting: &Setting) {
        self.wrong_setting(
            &setting.name,
            "expected a name",
            "a name is lower-case letters, digits and `_`",
        );
    }

    /// Refuses a setting's value.
    pub fn wrong_setting(&mut self, setting: &str, expected: &str, help: &str) {
        let message = format!("the value of `{setting}` is not valid");
        let place = Place::InSetting(setting.to_owned());
        self.refuse("wrong-setting", message, place, expected, help);
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
