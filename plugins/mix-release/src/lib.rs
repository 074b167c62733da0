//! The plugin for `mix release`.

mod release;

use exflow_plugin_sdk::{Answer, Request, SettingKind, SettingSchema, export};

export!(propose, describe);

/// What can be said in a manifest.
#[must_use]
pub fn describe() -> Vec<SettingSchema> {
    let mut settings = vec![
        SettingSchema::optional(
            "release",
            SettingKind::Text,
            "The release of mix.exs that is built, where there are several.",
        ),
        SettingSchema::optional(
            "shell",
            SettingKind::Flag,
            "Whether the image starts with the release's script, as by default; `#false` needs no shell in the base.",
        ),
    ];
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
