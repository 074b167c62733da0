//! What the tests of exflow stand on: a Debian archive of made-up packages, signed with a key of its
//! own; a server that misbehaves on request; a mirror that remembers; a workspace and a store in a
//! temporary folder; and the program itself, run in them.
//!
//! Nothing here is part of the product. Everything panics where a test could not go on.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests end where these panic")]

mod alpine;
mod archive;
mod component;
mod dockerd;
mod hex;
mod image;
mod mirror;
mod registry;
mod relay;
mod requirement;
mod server;
mod shell;
mod workspace;

pub use alpine::{ALPINE_ARCHITECTURE, AlpinePackage, AlpineRepository};
pub use archive::{Archive, Package, deb_of, entry, tar_of};
pub use component::{Contract, component, declaring};
pub use dockerd::Dockerd;
pub use hex::{HexFixture, HexMirror};
pub use image::{ARCHITECTURE, Image, Squeeze, archive_of, registry, write_files};
pub use mirror::Mirror;
pub use registry::{DockerRegistry, USER};
pub use relay::Relay;
pub use requirement::{missing, ordinary_user};
pub use server::{Fault, Server};
pub use shell::busybox;
pub use workspace::{Run, Workspace};
