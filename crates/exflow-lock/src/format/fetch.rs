//! Files and repositories that are fetched, as they stand in the file.

use super::{Wrong, json};
use crate::{FetchedContent, LockedFetch, RequestedFetch, RequestedVersion};
use exflow_content::{RelPath, is_git_object};
use serde::{Deserialize, Serialize};

/// Something that is fetched.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Fetch"))]
pub(super) struct WireFetch {
    requested: WireRequestedFetch,
    locked: WireContent,
}

/// Of `url` and `git` exactly one is there.
#[derive(Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RequestedFetch"))]
struct WireRequestedFetch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    git: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    submodules: Option<bool>,
}

/// A file by `sha256` and `size`, a repository by `revision` and `tree`, which is the digest of its files.
#[derive(Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "FetchedContent"))]
struct WireContent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tree: Option<String>,
}

pub(super) fn print(out: &mut String, name: &str, fetch: &LockedFetch) {
    let requested = match &fetch.requested {
        RequestedFetch::File { url, sha256 } => WireRequestedFetch {
            url: Some(url.clone()),
            sha256: sha256.map(|sha256| sha256.to_string()),
            ..WireRequestedFetch::default()
        },
        RequestedFetch::Git { url, version, folder, submodules } => {
            let mut wire = WireRequestedFetch {
                git: Some(url.clone()),
                folder: folder.clone(),
                submodules: submodules.then_some(true),
                ..WireRequestedFetch::default()
            };
            match version.clone() {
                RequestedVersion::Default => {}
                RequestedVersion::Branch(name) => wire.branch = Some(name),
                RequestedVersion::Tag(name) => wire.tag = Some(name),
                RequestedVersion::Revision(name) => wire.revision = Some(name),
            }
            wire
        }
    };
    let locked = match &fetch.locked {
        FetchedContent::File { sha256, size } => WireContent {
            sha256: Some(sha256.to_string()),
            size: Some(*size),
            ..WireContent::default()
        },
        FetchedContent::Git { revision, tree } => WireContent {
            revision: Some(revision.clone()),
            tree: Some(tree.to_string()),
            ..WireContent::default()
        },
    };
    *out += &format!(
        "    {}: {{\n      \"requested\": {},\n      \"locked\": {}\n    }}",
        json(&name),
        json(&requested),
        json(&locked)
    );
}

pub(super) fn lower(name: &str, wire: WireFetch) -> Result<LockedFetch, Wrong> {
    let requested = requested(name, wire.requested)?;
    let locked = match (&requested, wire.locked) {
        (
            RequestedFetch::File { sha256: wanted, .. },
            WireContent { sha256: Some(sha256), size: Some(size), revision: None, tree: None },
        ) => {
            let sha256 = digest(sha256)?;
            if wanted.as_ref().is_some_and(|wanted| *wanted != sha256) {
                let message = format!("`{name}` is not locked as what is requested");
                return Err(Wrong { message, value: sha256.to_string() });
            }
            FetchedContent::File { sha256, size }
        }
        (
            RequestedFetch::Git { version, .. },
            WireContent { sha256: None, size: None, revision: Some(revision), tree: Some(tree) },
        ) => {
            let other =
                matches!(version, RequestedVersion::Revision(wanted) if *wanted != revision);
            if !is_git_object(&revision) || other {
                let message =
                    format!("`{name}` is locked to `{revision}`, which is not what is requested");
                return Err(Wrong { message, value: revision });
            }
            FetchedContent::Git { revision, tree: digest(tree)? }
        }
        _ => {
            let message = format!("`{name}` is not locked as what is requested");
            return Err(Wrong { message, value: name.to_owned() });
        }
    };
    Ok(LockedFetch { requested, locked })
}

fn requested(name: &str, wire: WireRequestedFetch) -> Result<RequestedFetch, Wrong> {
    let wrong = |message: String| Wrong { message, value: name.to_owned() };
    match wire {
        WireRequestedFetch {
            url: Some(url),
            sha256,
            git: None,
            branch: None,
            tag: None,
            revision: None,
            folder: None,
            submodules: None,
        } => {
            let sha256 = sha256.map(digest).transpose()?;
            Ok(RequestedFetch::File { url, sha256 })
        }
        WireRequestedFetch {
            url: None,
            sha256: None,
            git: Some(url),
            branch,
            tag,
            revision,
            folder,
            submodules,
        } => {
            let version = match (branch, tag, revision) {
                (None, None, None) => RequestedVersion::Default,
                (Some(name), None, None) => RequestedVersion::Branch(name),
                (None, Some(name), None) => RequestedVersion::Tag(name),
                (None, None, Some(name)) => RequestedVersion::Revision(name),
                _ => return Err(wrong(format!("`{name}` has two versions"))),
            };
            if let Some(folder) = &folder {
                RelPath::new(folder).map_err(|error| wrong(format!("`{name}`: {error}")))?;
            }
            Ok(RequestedFetch::Git { url, version, folder, submodules: submodules == Some(true) })
        }
        _ => Err(wrong(format!("`{name}` is neither a file nor a repository"))),
    }
}

fn digest<T: std::str::FromStr<Err: std::fmt::Display>>(text: String) -> Result<T, Wrong> {
    text.parse().map_err(|error| Wrong { message: format!("{error}"), value: text })
}
