//! The embedded executor: namespaces of the Linux kernel, by youki's libcontainer.
//!
//! The program starts itself anew for each command, as a small process of one thread: a process
//! with threads can make no user namespace, and libcontainer forks. That process
//!
//! 1. enters a user, a mount and a pid namespace of its own, in which the calling user is root,
//!    whoever they are, so that root and others get the same results;
//! 2. mounts the command's root: an overlay of the base, the inputs and an empty top;
//! 3. lets libcontainer run the command in it, with namespaces for processes, network, IPC, host
//!    name and mounts;
//! 4. checks the outputs into the store, as the command saw them.
//!
//! It dies with its parent, and everything in its pid namespace with it: nothing is left over.

mod helper;
mod job;
mod parent;
mod spec;

pub use helper::sandbox_main;
pub use parent::{Interactive, SandboxExecutor};
