//! Blobs, trees and records on disk, shared by all workspaces of a user.
//!
//! | path in the store | what |
//! |---|---|
//! | `format` | the version of this layout |
//! | `blobs/ab/cdef…` | a blob by its digest, mode 0644; `….755` is the same with mode 0755 |
//! | `trees/ab/cdef…` | the canonical encoding of a tree |
//! | `checkouts/abcdef…/` | a tree laid out, its files hard links to blobs |
//! | `records/ab/cdef…` | what came out of the step with this key |
//! | `claims/abcdef…` | a lock: who has it does the work with this key, and nobody else meanwhile |
//! | `logs/….log` | what the step with this key printed when it last ran |
//! | `downloads/abcdef…` | a verified download by its sha256; `….partial` while it grows |
//! | `tmp/…/` | what processes are working on, locked while they live |
//!
//! All of it is closed to others: it holds compiled plugins, which are loaded as machine code.
//!
//! # Soundness
//! Whatever is named by content appears at once, by a rename of something finished, so a crash
//! leaves nothing half-written under a name that is believed. What the kernel had not yet written
//! when the power went can still be short: so the length of a blob is checked wherever it is used
//! and the digest of a tree wherever it is read, and a step's outputs are flushed to the disk
//! before its record is written. Two processes that write the same thing write the same bytes;
//! the second rename changes nothing, so there is no lock.

mod blobs;
mod check;
mod checked;
mod checkout;
mod claim;
mod diagnose;
mod downloads;
mod error;
mod import;
mod leads_to;
mod parallel;
mod record;
mod remove;
mod sources;
mod store;
mod temp;
mod trees;

pub use blobs::BlobWriter;
pub use checked::CheckedBlob;
pub use claim::Claim;
pub use diagnose::diagnose;
pub use error::StoreError;
pub use leads_to::leads_to;
pub use parallel::side_by_side;
pub use record::Record;
pub use store::Store;
pub use temp::TempDir;
