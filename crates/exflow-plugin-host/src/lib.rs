//! Runs plugins: WASM components that propose steps, with limits and without permissions.
//!
//! A plugin is a pure function: it imports nothing, so it can read no clock, file or environment,
//! and its answers are kept by what it was asked. A build with nothing to do asks the store, and
//! neither calls a plugin nor loads one. [`Host::propose`] is the whole interface.
//!
//! Each version of the contract has a folder in `schemas/wit`, a module here that calls it, and a
//! conversion to the engine's own types, which is also where everything that a plugin proposes is
//! checked.

mod contract_0_1;
mod contract_0_2;
mod convert;
mod encode;
mod error;
mod host;
mod plugin;
mod question;
mod runtime;
mod settings;

pub use encode::{NEWEST, NEWEST_WIT, component_of};
pub use error::{PluginError, diagnose};
pub use host::{Asked, Host, Inspected, Proposed, World};
pub use plugin::{MAX_COMPONENT, Plugin, PluginBytes, read_component};
pub use question::Subject;
pub use runtime::Limits;
pub use settings::{SettingKind, SettingSchema};
