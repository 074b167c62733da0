//! The Docker Engine: where its daemon is, and what exflow asks of it.
//!
//! Everything here waits: the runtime that the client needs is inside [`Daemon`], and nothing of it
//! is seen outside. [`find`] says where the daemon is, as `docker` itself would, without talking to
//! it.

mod container;
mod daemon;
mod endpoint;
mod error;
mod filters;
mod images;

pub use container::{ContainerSpec, Event, Leftover, Running};
pub use daemon::{Daemon, Version};
pub use endpoint::{Endpoint, Tls, find};
pub use error::{DockerError, diagnose};
pub use images::DaemonImage;
