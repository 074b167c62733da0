//! What a plugin for exflow is written with: the contract's types, and the export of a component.
//!
//! A plugin is a function from a [`Request`] to an [`Answer`], and [`export!`] makes a component of
//! it. It can read no clock, file or environment; what it has to see, it asks for with
//! [`Answer::Need`], and it is called again. Use `BTreeMap` rather than `HashMap`: the same request
//! must get the same answer.
//!
//! Build a plugin for `wasm32-unknown-unknown`, with `wasm-component-ld` as the linker. For any
//! other target, [`export!`] does nothing, so that the logic can be tested natively.

#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated from schemas/wit, where the documentation is"
)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../schemas/wit/0.2.1",
        world: "release-tool",
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "exflow_plugin_sdk::bindings",
    });
}

#[doc(hidden)]
pub use bindings::export_component as __export_component;

pub use bindings::exports::exflow::plugin::planner::{
    Answer, Diagnostic, Entry, Fetch, File, Folder, GitRevision, HexPackage, Image, Layer, Look,
    MadeFile, Needs, Origin, Pair, Place, Proposal, RemoteFile, Request, Scalar, Setting, Span,
    Step, StepOutput, Used, UsedThing, WrittenFile,
};
pub use bindings::exports::exflow::plugin::settings::{SettingKind, SettingSchema};

impl SettingSchema {
    /// A setting that may be left out: its name, what its value is, and what it is for, in a sentence.
    pub fn optional(name: &str, kind: SettingKind, help: &str) -> Self {
        Self { name: name.to_owned(), kind, is_required: false, help: help.to_owned() }
    }

    /// A setting that has to be there.
    pub fn required(name: &str, kind: SettingKind, help: &str) -> Self {
        Self { is_required: true, ..Self::optional(name, kind, help) }
    }
}

impl Needs {
    /// To be shown these files, and nothing else.
    pub fn of_files(files: impl IntoIterator<Item = String>) -> Self {
        Self {
            files: files.into_iter().collect(),
            folders: Vec::new(),
            fetches: Vec::new(),
            steps: Vec::new(),
            looks: Vec::new(),
        }
    }
}

/// A variable, or a label.
pub fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

/// The path of what is called `name` in `folder`; the root of the workspace is empty.
pub fn path(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A pattern of sources that is meant within `folder`, of which nothing is taken for a pattern.
pub fn below(folder: &str, pattern: &str) -> String {
    path(&escaped(folder), pattern)
}

/// A pattern that picks what has this path, and nothing else.
pub fn escaped(path: &str) -> String {
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

/// Makes a component whose answers are those of a function from [`Request`] to [`Answer`], and whose settings
/// are what another function declares; without one, it has no settings.
///
/// ```
/// use exflow_plugin_sdk::{Answer, Needs, Request, SettingKind, SettingSchema, export, path};
///
/// fn settings() -> Vec<SettingSchema> {
///     vec![SettingSchema::optional("profile", SettingKind::Text, "The profile of rebar3.")]
/// }
///
/// fn propose(request: &Request) -> Answer {
///     Answer::Need(Needs::of_files([path(&request.root, "rebar.config")]))
/// }
///
/// export!(propose, settings);
/// ```
#[macro_export]
macro_rules! export {
    ($propose:path) => {
        $crate::export!($propose, ::std::vec::Vec::new);
    };
    ($propose:path, $settings:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Plugin;

            impl $crate::bindings::exports::exflow::plugin::planner::Guest for Plugin {
                fn propose(request: $crate::Request) -> $crate::Answer {
                    $propose(&request)
                }
            }

            impl $crate::bindings::exports::exflow::plugin::settings::Guest for Plugin {
                fn describe() -> ::std::vec::Vec<$crate::SettingSchema> {
                    $settings()
                }
            }

    $crate::__export_component!(Plugin with_types_in $crate::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_folder_is_called_is_no_pattern() {
        assert_eq!(below("", "lib/*.ex"), "lib/*.ex");
        assert_eq!(below("svc[1]", "**"), "svc\\[1\\]/**");
        assert_eq!(below("!a/!b", "c"), "\\!a/!b/c");
        assert_eq!(escaped("a*b?{c}\\"), "a\\*b\\?\\{c\\}\\\\");
        assert_eq!(path("", "a"), "a");
        assert_eq!(path("a", "b"), "a/b");
    }
}
