//! Where inputs from outside come from, for a workspace on this host. It is never in a key or in the lock:
//! the content is the identity.

use crate::report::Failure;
use crate::session::unreadable;
use exflow_diagnostics::Diagnostic;
use exflow_fetch::debian::{Keyring, Mirrors, NamedMirrors, SNAPSHOT, apt_sources, find_mirrors};
use exflow_fetch::image::Endpoint;
use exflow_manifest::Workspace;
use exflow_registry::{BaseReference, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const KEYRING: &str = "exflow::lock::bad-keyring";
/// The registries, by host and port and with commas between them, that have no TLS.
const PLAIN_HTTP: &str = "EXFLOW_PLAIN_HTTP_REGISTRIES";
/// Mirrors of registries, with commas between them: `docker.io=mirror.example:5000`.
const REGISTRY_MIRRORS: &str = "EXFLOW_REGISTRY_MIRRORS";

/// What a manifest and the environment say about places.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The root of the workspace, which paths are relative to.
    pub(crate) root: PathBuf,
    debian_mirror: Option<String>,
    security_mirror: Option<String>,
    pub(crate) alpine_mirror: Option<String>,
    registry_mirrors: BTreeMap<String, String>,
    plain_http: BTreeSet<String>,
}

impl Places {
    /// Those of `workspace`, whose root this is. The manifest decides where the environment says something,
    /// too.
    pub(crate) fn of(workspace: &Workspace, root: &Path) -> Self {
        let nodes = &workspace.registries;
        let mut plain_http: BTreeSet<String> = nodes
            .iter()
            .filter(|node| node.plain_http)
            .map(|node| node.host.value.clone())
            .collect();
        plain_http.extend(listed(PLAIN_HTTP));
        let mut registry_mirrors: BTreeMap<String, String> = listed(REGISTRY_MIRRORS)
            .filter_map(|pair| {
                let (registry, mirror) = pair.split_once('=')?;
                Some((registry.trim().to_owned(), mirror.trim().to_owned()))
            })
            .collect();
        registry_mirrors.extend(
            nodes.iter().filter_map(|node| Some((node.host.value.clone(), node.mirror.clone()?))),
        );
        Self {
            root: root.to_owned(),
            debian_mirror: workspace.debian_mirror.clone(),
            security_mirror: workspace.security_mirror.clone(),
            alpine_mirror: named("EXFLOW_ALPINE_MIRROR")
                .or_else(|| workspace.alpine_mirror.clone()),
            registry_mirrors,
            plain_http,
        }
    }

    /// Where Debian's archives are.
    pub(crate) fn debian(&self) -> Mirrors {
        let manifest = NamedMirrors {
            debian: self.debian_mirror.as_deref(),
            security: self.security_mirror.as_deref(),
        };
        let debian = named("EXFLOW_DEBIAN_MIRROR");
        let security = named("EXFLOW_DEBIAN_SECURITY_MIRROR");
        let environment = NamedMirrors { debian: debian.as_deref(), security: security.as_deref() };
        let snapshot = named("EXFLOW_DEBIAN_SNAPSHOT");
        let snapshot = snapshot.as_deref().unwrap_or(SNAPSHOT);
        let apt = apt_sources(Path::new("/etc/apt"));
        find_mirrors(manifest, environment, &apt, Some(snapshot))
    }

    /// How registries are talked to.
    pub(crate) fn registries(&self) -> Settings {
        Settings { plain_http: self.plain_http.clone(), ..Settings::default() }
    }

    /// Where an image may be: a mirror of its registry first, if there is one.
    pub(crate) fn endpoints(&self, image: &BaseReference) -> Vec<Endpoint> {
        let registry = image.registry();
        let hosts = self.registry_mirrors.get(registry).map(String::as_str).into_iter();
        let hosts = hosts.chain([registry]).map(|host| Endpoint {
            host: BaseReference::api_host(host).to_owned(),
            plain_http: self.plain_http.contains(host),
        });
        hosts.collect()
    }
}

fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// What a variable lists.
fn listed(variable: &str) -> impl Iterator<Item = String> {
    let all = named(variable).unwrap_or_default();
    let all: Vec<String> = all.split(',').map(|one| one.trim().to_owned()).collect();
    all.into_iter().filter(|one| !one.is_empty())
}

/// Debian's keys, and those that the user trusts besides.
pub(crate) fn keyring() -> Result<Keyring, Failure> {
    let mut keyring = Keyring::debian();
    if let Some(path) = std::env::var_os("EXFLOW_DEBIAN_KEYRING").filter(|path| !path.is_empty()) {
        let path = Path::new(&path);
        let bytes = fs::read(path).map_err(|source| unreadable(path, &source))?;
        keyring.add(&bytes).map_err(|reason| {
            Diagnostic::error(
                KEYRING,
                format!("`{}` is no OpenPGP keyring: {reason}", path.display()),
            )
            .help("`EXFLOW_DEBIAN_KEYRING` names a file of OpenPGP public keys, armored or not")
        })?;
    }
    Ok(keyring)
}
