//! Alpine's formats, as the manual pages of apk-tools describe them: apk-v2(5), apk-package(5),
//! apk-world(5), apk-keys(5). What those leave open is as apk-tools 2.14 and 3.0 have it.
//!
//! Only the packages of version 2 are read, which is what Alpine's repositories hold.

mod apk;
mod checksum;
mod database;
mod dependency;
mod index;
mod install;
mod installed;
mod pkginfo;
mod resolve;
mod segment;
mod signature;
mod signed_index;
mod version;
mod world;

pub use crate::debian::Limits;
pub use apk::{Apk, ApkError, read_apk};
pub use checksum::{Checksum, ParseChecksumError};
pub use dependency::{Constraint, Dependency, parse_dependencies};
pub use index::{Catalog, CatalogError, Package, is_alpine_package};
pub use install::{InstallError, UnpackedApk, install};
pub use installed::{
    Installed, InstalledError, InstalledFile, InstalledPackage, MAX_INSTALLED, parse_installed,
};
pub use pkginfo::PkgInfo;
pub use resolve::{ChosenApk, diagnose, resolve};
pub use signature::{Algorithm, Keys, Signature, SignatureError};
pub use signed_index::{IndexError, read_index};
pub use version::compare_versions;
pub use world::world_with;

#[cfg(test)]
mod testing;
