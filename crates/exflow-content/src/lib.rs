//! What content is in exflow: digests, clean relative paths, trees, and the canonical encoding
//! that everything is hashed in.
//!
//! Nothing here reads a file. A [`Tree`] names its blobs by digest and says nothing of where they
//! are; the store knows that.

mod digest;
mod encoding;
mod path;
mod pattern;
mod tree;

pub use digest::{Digest, Hasher, ParseDigestError, Sha256, Sha256Hasher, is_git_object};
pub use encoding::{DecodeError, Decoder, Encoder};
pub use path::{PathError, RelPath};
pub use pattern::{PatternError, PatternSet};
pub use tree::{Entry, Mode, Tree, TreeError};

/// The modification time of every file that a step sees, in seconds of Unix time:
/// 1980-01-02 00:00:00 UTC.
///
/// Not zero, because Mix takes a modification time of zero for "no such file", and not before
/// 1980, because zip cannot say so. The second of January keeps it in 1980 in every time zone.
pub const STEP_MTIME: u64 = 315_619_200;
