//! Packages of distributions: indexes, solving, archives, and bases made of them.
//!
//! Nothing here reads a file or the network: what was fetched comes in as bytes or readers, and
//! what comes out is values. `exflow-fetch` does the fetching.

pub mod alpine;
pub mod archive;
pub mod debian;
mod metered;
mod solver;
mod unsolvable;

pub use metered::Metered;
pub use unsolvable::Unsolvable;
