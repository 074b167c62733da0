//! One file for each command.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod fmt;
pub(crate) mod lock;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod run;
pub(crate) mod statements;
pub(crate) mod update;
pub(crate) mod verify;
pub(crate) mod why;
