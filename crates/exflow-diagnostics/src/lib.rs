//! A problem that the user can fix, as data.
//!
//! Three kinds of error are kept apart: *problems* that the user can fix are [`Diagnostic`]
//! values; *failures* of the world are error enums of the crates at the edge; *bugs* panic.
//! Pure crates return [`Diagnostics`], every problem at once; only the binary draws them.
//!
//! # Wording
//! A message is a lower-case phrase without a final period, with literals in backticks. A label
//! says what is there, the help says what to do. Every code has a heading in `docs/errors.md`.

mod diagnostic;
mod printable;
#[cfg(feature = "render")]
mod render;
mod suggest;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Label, MAX_SHOWN, Severity, Site, SourceName};
pub use printable::printable;
#[cfg(feature = "render")]
pub use render::{Sources, Style, render};
pub use suggest::did_you_mean;
