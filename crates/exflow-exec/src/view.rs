//! What every command sees, whichever executor runs it.

/// The name of its host.
pub(crate) const HOST_NAME: &str = "exflow";

/// As many open files as may be opened on every host. The BEAM makes a table of that size.
pub(crate) const OPEN_FILES: u64 = 4096;
