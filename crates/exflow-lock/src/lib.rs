//! The lock: what was asked for, and exactly what that meant, for every input from outside.
//!
//! The values here are the engine's own; the file's format is in [`format`].

mod model;

pub use model::{
    Lock, LockedBase, LockedDebian, LockedPackage, LockedPlugin, Platform, RequestedDebian,
    RequestedPlugin,
};
