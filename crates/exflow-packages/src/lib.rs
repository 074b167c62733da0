//! Packages of distributions: indexes, solving, archives, and bases made of them.
//!
//! Nothing here reads a file or the network: what was fetched comes in as bytes or readers, and
//! what comes out is values. `exflow-fetch` does the fetching.

mod address;
pub mod alpine;
pub mod archive;
pub mod debian;
pub mod git;
pub mod hex;
mod metered;
mod remote_file;
mod solver;
#[cfg(test)]
mod testing;
mod unsolvable;

pub use address::without_secrets;
pub use metered::Metered;
pub use remote_file::{MAX_REMOTE_FILE, RemoteFile};
pub use unsolvable::Unsolvable;
