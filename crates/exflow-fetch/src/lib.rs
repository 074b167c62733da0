//! Brings pinned inputs into the store.
//!
//! Whatever is fetched is checked by content before it is believed, so it doesn't matter who
//! serves it: mirrors are tried one after the other, and a bad one costs time and nothing else.

mod cancel;
pub mod debian;
mod error;
mod http;
mod progress;

pub use cancel::Cancel;
pub use error::{FetchError, diagnose};
pub use http::{Client, HttpOptions, Wanted};
pub use progress::Progress;
