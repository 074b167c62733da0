//! The plugin for Distillery.
//!
//! `rel/config.exs` is read and not run: what it says in literals is checked here, before anything is built, and
//! what it computes is left to Distillery. The release is taken as the folder that Distillery makes: its archive
//! holds the same files a second time, differs each time, and can't be made at all on OTP 25 and newer.

mod checks;
mod chosen;
pub mod config;
mod inputs;
mod profile;
mod release;
mod version;

use exflow_plugin_sdk::{Answer, Request, SettingKind, SettingSchema, export};

export!(propose, describe);

/// What can be said in a manifest.
#[must_use]
pub fn describe() -> Vec<SettingSchema> {
    let text = |name: &str, help: &str| SettingSchema::optional(name, SettingKind::Text, help);
    let mut settings = vec![
        text("release", "The release of rel/config.exs that is built, as `--name` says it."),
        text("environment", "The environment of rel/config.exs, as `--env` says it."),
        text("profile", "Both of them, as `--profile` says it: `shop:prod`."),
    ];
    settings.extend(mix_project::describe());
    settings
}

/// Says what is to be done for a project.
#[must_use]
pub fn propose(request: &Request) -> Answer {
    mix_project::propose(request, &mut release::Distillery::default())
}

#[cfg(test)]
mod tests;
