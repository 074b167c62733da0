//! Whether what was built comes out the same again, and whether an image of someone else's is what this commit gives.

mod image;
mod listing;
mod other_user;
mod rebuild;
mod steps;
mod ways;

pub(crate) use image::compare_image;
pub(crate) use listing::say_verified;
pub(crate) use rebuild::Before;
pub(crate) use steps::Verification;
pub(crate) use ways::{Way, ways};
