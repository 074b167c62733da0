//! Commands for those who write plugins.

pub(crate) mod build;
pub(crate) mod inspect;
mod json;
pub(crate) mod new;
pub(crate) mod push;
pub(crate) mod run;
pub(crate) mod test;
