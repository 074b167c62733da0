//! Version 0.2 of the contract, as `schemas/wit/0.2.0` defines it: the newest, whose types all others are
//! converted to. 0.2.1 has nothing else but [`described`] beside it, so a component for it is called as one for
//! 0.2.0 is: names of exports that differ in their last number only are taken for each other.

#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    reason = "generated from schemas/wit, where the documentation is"
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../schemas/wit/0.2.0",
        world: "release-tool",
        additional_derives: [serde::Serialize, serde::Deserialize],
    });

    pub(crate) mod described {
        wasmtime::component::bindgen!({
            path: "../../schemas/wit/0.2.1",
            world: "described",
        });
    }
}

pub(crate) use bindings::exports::exflow::plugin::planner::{
    Answer, Diagnostic, Entry, Fetch, File, Folder, Image, Layer, MadeFile, Needs, Origin, Pair,
    Place, Proposal, Request, Scalar, Setting, Span, Step, StepOutput, Used, UsedThing,
};
#[cfg(test)]
pub(crate) use bindings::exports::exflow::plugin::planner::{
    HexPackage, Look, RemoteFile, WrittenFile,
};
pub(crate) use bindings::{ReleaseTool, ReleaseToolPre};

/// What 0.2.1 added: the settings that a plugin declares.
pub(crate) mod described {
    use super::bindings::described;

    pub(crate) use described::exports::exflow::plugin::settings::{SettingKind, SettingSchema};
    pub(crate) use described::{Described, DescribedPre};
}
