//! Debian's formats, as its Policy Manual and the manual pages of dpkg and apt describe them.

mod alternatives;
mod ar;
mod base;
mod catalog;
mod control;
mod copyright;
mod deb;
mod installed;
mod relation;
mod release;
mod resolve;
mod version;

pub use crate::unsolvable::Unsolvable;
pub use base::{
    Assembled, BaseError, MAX_READ, SLIM_DROPS, UnpackedPackage, add_packages, assemble, base_key,
};
pub use catalog::{Catalog, CatalogError, Package};
pub use control::{ControlError, Paragraph, Paragraphs};
pub use copyright::{MAX_COPYRIGHT, licences};
pub use deb::{Control, Deb, DebError, Limits, read_deb};
pub use installed::{Installed, InstalledPackage, STATUS, STATUS_FOLDER, system};
pub use relation::{Alternative, Constraint, Relation, parse_relations};
pub use release::{IndexFile, Release, ReleaseError, parse_snapshot_stamp, snapshot_stamp};
pub use resolve::{SLIM_SKIPS, diagnose, resolve, resolve_added};
pub use version::compare_versions;
