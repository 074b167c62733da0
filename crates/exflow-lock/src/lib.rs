//! The lock: what was asked for, and exactly what that meant, for every input from outside.
//!
//! [`Lock`] and its parts are the engine's own values. [`parse`] and [`print()`] are the file format,
//! [`stale()`] tells where a lock no longer fits what a workspace asks for, and [`moved`] whether what it holds on to stayed.
//!
//! # How the format changes
//! `version` counts the meanings of the file. A reader refuses a version that it doesn't know, and
//! a writer writes the oldest version that can say what it has to say. What an older reader may
//! overlook without building something else is a new `minor` of the newest version: a reader takes any, and
//! knows what it has overlooked ([`Lock::unknown`]), so that it doesn't write the file without that.
//! Where `minor` isn't newer than the reader, fields that it doesn't know are errors.

mod difference;
mod format;
mod hold;
mod input;
mod model;
mod stale;

pub use difference::{Change, Difference, differences, package_changes};
pub use format::{MAX_BYTES, VERSION, is_debian_package, parse, print};
pub use hold::moved;
pub use input::{InputKind, InputName};
pub use model::{
    AddedPackages, Compression, FetchedContent, ImageDefaults, ImageSource, LocalImage, Lock,
    LockedAlpine, LockedApk, LockedBase, LockedDebian, LockedFetch, LockedImage, LockedLayer,
    LockedPackage, LockedPlugin, LockedRoot, MAX_LAYER_SIZE, MAX_LAYERS, Platform, RequestedBase,
    RequestedDebian, RequestedFetch, RequestedImage, RequestedPlugin, RequestedVersion, Wanted,
};
pub use stale::{Stale, Staleness, stale};
