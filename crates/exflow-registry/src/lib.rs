//! Container registries, as the OCI distribution specification 1.1 describes them.
//!
//! [`Registry::push`] sends an image and only what a repository lacks of it. What is pulled,
//! [`exflow_fetch`] fetches; [`Login`] tells registries who we are meanwhile. Credentials are those
//! of `docker login`: from Docker's configuration, or from the credential helper that it names. They
//! are asked for when they are needed, and never kept, logged or shown.
//!
//! Everything here waits: the runtime that the client needs is inside [`Registry`].

mod credentials;
mod error;
mod login;
mod push;
mod reference;
mod registry;

pub use error::{RegistryError, diagnose};
pub use login::Login;
pub use push::{Push, Pushed};
pub use reference::{BaseReference, ImageReference, ReferenceError};
pub use registry::{Registry, Settings};
