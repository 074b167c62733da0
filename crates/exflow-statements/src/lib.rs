//! What an image consists of, and what it was made of: a [`Bill`] of materials, printed as SPDX or CycloneDX, and a
//! [`Provenance`], printed as an in-toto statement.
//!
//! All of it follows from the image and what was locked: the same image has the same documents, byte for byte. Times are
//! left out, and where a format wants one it is that of all files of exflow's.

mod bill;
mod cyclonedx;
mod licence;
mod provenance;
mod purl;
mod spdx;

pub use bill::{Bill, Component, Role};
pub use cyclonedx::{MEDIA_TYPE as CYCLONEDX_TYPE, cyclonedx};
pub use provenance::{
    BUILD_TYPE, MEDIA_TYPE as IN_TOTO_TYPE, Material, PREDICATE_TYPE, Provenance,
};
pub use purl::{alpine, debian, git, hex, image, otp};
pub use spdx::{MEDIA_TYPE as SPDX_TYPE, spdx};

/// Where exflow is at home: what made these documents.
const HOME: &str = "https://github.com/exflow/exflow";
/// The version of exflow that writes.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints a document, with a line's end.
fn printed(document: &serde_json::Value) -> String {
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests;
