//! The plugin for `mix release`.

mod release;

use exflow_plugin_sdk::{Answer, Request, SettingKind, SettingSchema, export};

export!(propose, describe);

/// What can be said in a manifest.
#[must_use]
pub fn describe() -> Vec<SettingSchema> {
    let help = "The release of mix.exs that is built, where there are several.";
    let mut settings = vec![SettingSchema::optional("release", SettingKind::Text, help)];
    settings.extend(mix_project::describe());
    settings
}

/// Says what is to be done for a project.
#[must_use]
pub fn propose(request: &Request) -> Answer {
    mix_project::propose(request, &mut release::MixRelease)
}

#[cfg(test)]
mod tests;
