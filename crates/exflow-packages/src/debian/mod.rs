//! Debian's formats, as its Policy Manual and the manual pages of dpkg and apt describe them.

mod alternatives;
mod ar;
mod base;
mod catalog;
mod control;
mod deb;
mod metered;
mod relation;
mod release;
mod resolve;
mod version;

pub use base::{Assembled, BaseError, MAX_READ, SLIM_DROPS, UnpackedPackage, assemble, base_key};
pub use catalog::{Catalog, CatalogError, Package};
pub use control::{ControlError, Paragraph, Paragraphs};
pub use deb::{Control, Deb, DebError, Keep, Limits, read_deb, ungz, unxz};
pub use metered::Metered;
pub use relation::{Alternative, Constraint, Relation, parse_relations};
pub use release::{IndexFile, Release, ReleaseError, parse_snapshot_stamp, snapshot_stamp};
pub use resolve::{SLIM_SKIPS, Unsolvable, diagnose, resolve};
pub use version::compare_versions;
