//! Where two trees differ that should be the same: by file, inside a BEAM file by chunk, and what usually causes it.
//!
//! It decides nothing and reads nothing: whoever has the trees gives the bytes of the files that differ.

mod beam;
mod cause;
mod tree;

pub use beam::{BeamError, chunks, differing_chunks};
pub use cause::Cause;
pub use tree::{Difference, How, compare};
