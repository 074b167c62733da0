//! Version 0.1.0 of the contract, as `schemas/wit/0.1.0` defines it.

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
        path: "../../schemas/wit/0.1.0",
        world: "release-tool",
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub(crate) use bindings::exports::exflow::plugin::planner::{
    Answer, Diagnostic, Entry, File, Folder, Image, Pair, Place, Proposal, Request, Scalar,
    Setting, Step,
};
#[cfg(test)]
pub(crate) use bindings::exports::exflow::plugin::planner::{Layer, Needs, Used};
pub(crate) use bindings::{ReleaseTool, ReleaseToolPre};
