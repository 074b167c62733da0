//! OCI images, byte for byte the same for the same trees.
//!
//! Assembly is pure: trees and settings in, bytes out over `Read` and `Write`. [`split`] cuts the
//! base and the release into layers, [`write_layer`] makes the bytes of one, [`describe`] makes the
//! configuration and the manifest, and [`index`] and [`write_archive`] what holds them together.
//!
//! Images from elsewhere are read here, too: [`Document`] and [`Configuration`] say what there is, and
//! [`read_layer`] and [`LayerContents::apply`] make a tree of layers.
//!
//! # What makes an image the same everywhere
//! | of a layer | how |
//! |---|---|
//! | order | that of the paths' bytes, folders before what is in them |
//! | times | none: 0 |
//! | owners | none: user and group 0, without names |
//! | modes | those of the tree |
//! | hard links | none: each file stands for itself |
//! | compression | gzip without a name or a time, zlib-rs at level 6 |
//!
//! JSON has its keys sorted and no white space. Whatever changes any of this changes
//! [`ASSEMBLY_VERSION`], which is in every lock.

mod archive;
mod artifact;
mod config;
mod contents;
mod documents;
mod layer;
mod unzstd;
mod user;

pub use archive::{IndexError, LAYOUT, check_index, image_name, index, write_archive};
pub use artifact::{
    ComponentArtifact, EMPTY_CONFIG, INDEX_TYPE, MANIFEST_TYPE, Referrer, component_of,
    list_referrers, statement_manifest,
};
pub use config::{Described, LayerDigests, describe};
pub use contents::{LayerContents, LayerLimits, changes, decompress, read_layer};
pub use documents::{
    Configuration, Document, DocumentError, Indexed, MAX_DOCUMENT, Manifest, ManifestLayer, choose,
    image_base_key, named,
};
pub use layer::{Layer, compress_layer, split, write_layer, write_tar};
pub use user::{UserError, resolve_user};

/// The version of the image assembly: the same trees, settings and version, the same bytes.
pub const ASSEMBLY_VERSION: u32 = 1;

#[cfg(test)]
mod tests;
