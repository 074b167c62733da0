//! Brings pinned inputs into the store.
//!
//! Whatever is fetched is checked by content before it is believed, so it doesn't matter who
//! serves it: mirrors are tried one after the other, and a bad one costs time and nothing else.

mod alpine;
mod cancel;
mod component;
pub mod debian;
mod diagnose;
mod error;
mod git;
mod hex;
mod http;
pub mod image;
mod progress;
mod remote_file;
mod system;
mod workshop;

pub use alpine::{AddedApks, AlpineSystem, add_alpine, apk_keys};
pub use cancel::Cancel;
pub use component::ComponentPlace;
pub use diagnose::diagnose;
pub use error::FetchError;
pub use git::{GitError, fetch_git, find_git};
pub use hex::{HexPlaces, fetch_hex, hex_key_variable};
pub use http::{Client, Credentials, Download, HttpOptions, Size};
pub use progress::Progress;
pub use remote_file::{fetch_remote_file, find_remote_file};
pub use system::{System, add_debian};
