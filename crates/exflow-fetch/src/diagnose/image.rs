//! What is wrong with images, and with plugins in registries.

use super::{
    COMPONENT, DAEMON, DENIED, IMAGE, LAYER, LOCAL, NOT_FOUND, SYSTEM, TOO_LARGE, UNREACHABLE,
    WRONG_DIGEST, diagnose,
};
use crate::FetchError;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_image::DocumentError;

/// Says what is wrong with an image: the whole in `error`, and the reason in `source`.
pub(super) fn diagnose_image(
    error: &FetchError,
    source: &FetchError,
    site: Option<&Site>,
) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Denied { url, .. } => {
            // Docker Hub is where it logs in when nothing else is said.
            let host = url.split('/').nth(2).filter(|host| !host.ends_with(".docker.io"));
            let command = host.map_or("docker login".to_owned(), |host| format!("docker login {host}"));
            let help = format!(
                "check the image's name; where it is not public, log in with `{command}`, whose \
                 credentials exflow uses"
            );
            (DENIED, help)
        }
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection and the registry's name; one that has no TLS must be declared: \
             `registry \"HOST\" plain-http=#true` in `workspace`; what was fetched so far is kept"
                .to_owned(),
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "check its name and tag; where it is locked, the registry no longer has what was pinned: \
             `exflow update` with the name of this base pins what is there today"
                .to_owned(),
        ),
        FetchError::TooLarge { .. } => (
            TOO_LARGE,
            "nothing of its kind should be so large: docs/images.md has the limits".to_owned(),
        ),
        FetchError::WrongDigest { .. } => (
            WRONG_DIGEST,
            "the registry or its mirror is damaged or lies, or a file has changed since it was locked; \
             what came was thrown away"
                .to_owned(),
        ),
        FetchError::Document { source: DocumentError::Platform { .. }, .. } => {
            (IMAGE, "take an image, or a tag of it, that is made for this platform".to_owned())
        }
        FetchError::Document {
            source: DocumentError::Ambiguous(_) | DocumentError::NoSuchImage { .. },
            ..
        } => (IMAGE, "name one of them: `image \"…\" from=\"…\" name=\"…\"`".to_owned()),
        FetchError::Document { .. } => {
            (IMAGE, "have it made anew, by a current version of what made it".to_owned())
        }
        FetchError::Layer { .. }
        | FetchError::OtherFiles { .. }
        | FetchError::OtherLength { .. }
        | FetchError::ImageTooLarge { .. } => (
            LAYER,
            "its content is what its digest says, so every registry has the same: take another \
             image, or have it made anew; docs/images.md has the limits"
                .to_owned(),
        ),
        FetchError::Local { .. } => (
            LOCAL,
            "paths are relative to the workspace; it is a folder with `index.json` and `blobs`, or \
             an archive of one, or what `docker save` writes"
                .to_owned(),
        ),
        FetchError::System { .. } | FetchError::Database { .. } => (
            SYSTEM,
            "take away `packages`, and an image that has what is needed; or make a base of Debian \
             packages: `debian \"bookworm\"`"
                .to_owned(),
        ),
        FetchError::Daemon { .. } => (
            DAEMON,
            "`docker image ls` shows what it has; an image that is locked by its ID has to be there, on \
             every machine that builds"
                .to_owned(),
        ),
        other => return diagnose(other, site),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}

/// Says what is wrong with the component of a plugin: the whole in `error`, and the reason in `source`.
pub(super) fn diagnose_component(
    error: &FetchError,
    source: &FetchError,
    site: Option<&Site>,
) -> Diagnostic {
    let (code, help) = match source {
        FetchError::Unreachable { .. } => (
            UNREACHABLE,
            "check the connection and the plugin's `source`; a registry that has no TLS must be declared: \
             `registry \"HOST\" plain-http=#true` in `workspace`",
        ),
        FetchError::NotFound { .. } => (
            NOT_FOUND,
            "check the plugin's `source`; where it is locked, what was pinned is no longer there: \
             `exflow update` with the plugin's name pins what is there today",
        ),
        FetchError::TooLarge { .. } => {
            (TOO_LARGE, "no component is so large: docs/plugins.md has the limits")
        }
        FetchError::WrongDigest { .. } => (
            WRONG_DIGEST,
            "what is there was changed since it was locked, or the server lies, and it was thrown away; to take what is \
             there now, run `exflow update` with the plugin's name",
        ),
        FetchError::Denied { .. } => (
            DENIED,
            "check the plugin's `source`; where a registry isn't public, log in with `docker login`, whose credentials \
             exflow uses",
        ),
        FetchError::NoComponent { .. } | FetchError::Document { .. } => (
            COMPONENT,
            "`source` leads to something else: name the component itself, or what `exflow plugin push` has made of it",
        ),
        other => return diagnose(other, site),
    };
    Diagnostic::error(code, error.to_string()).help(help).at_known(site, "needed for this")
}
