//! Brings pinned inputs into the store.
//!
//! Whatever is fetched is checked by content before it is believed, so it doesn't matter who
//! serves it: mirrors are tried one after the other, and a bad one costs time and nothing else.

mod alpine;
mod cancel;
pub mod debian;
mod error;
mod http;
pub mod image;
mod progress;
mod system;
mod workshop;

pub use alpine::{AddedApks, AlpineSystem, add_alpine};
pub use cancel::Cancel;
pub use error::{FetchError, diagnose};
pub use http::{Client, Credentials, HttpOptions, Wanted};
pub use progress::Progress;
pub use system::{System, add_debian};
