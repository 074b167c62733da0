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
        path: "../../schemas/wit/0.2.0",
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
    Answer, Diagnostic, Entry, Fetch, File, Folder, GitRevision, Guest, HexPackage, Image, Layer,
    Look, MadeFile, Needs, Origin, Pair, Place, Proposal, RemoteFile, Request, Scalar, Setting,
    Span, Step, StepOutput, Used, UsedThing, WrittenFile,
};

/// Makes a component whose answers are those of a function from [`Request`] to [`Answer`].
///
/// ```
/// use exflow_plugin_sdk::{Answer, Needs, Request, export};
///
/// fn propose(request: &Request) -> Answer {
///     let files = vec![format!("{}/rebar.config", request.root)];
///     let (folders, fetches, steps, looks) = (vec![], vec![], vec![], vec![]);
///     Answer::Need(Needs { files, folders, fetches, steps, looks })
/// }
///
/// export!(propose);
/// ```
#[macro_export]
macro_rules! export {
    ($propose:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Plugin;

            impl $crate::Guest for Plugin {
                fn propose(request: $crate::Request) -> $crate::Answer {
                    $propose(&request)
                }
            }

    $crate::__export_component!(Plugin with_types_in $crate::bindings);
        };
    };
}
