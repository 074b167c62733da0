//! Debian archives: where they are, what their signed indexes say, and bases made of packages.

mod base;
mod mirrors;
mod signature;
mod suite;

pub(crate) use base::fetch_packages;
pub use base::{fetch_base, package_keys};
pub use mirrors::{
    AptSource, Mirrors, NamedMirrors, SNAPSHOT, apt_sources, find_mirrors, parse_apt_sources,
};
pub use signature::Keyring;
pub use suite::load_catalog;
