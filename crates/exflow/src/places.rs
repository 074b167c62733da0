//! Where inputs from outside come from, for a workspace on this host. It is never in a key or in the lock:
//! the content is the identity.

use crate::files::unreadable;
use crate::report::Failure;
use exflow_diagnostics::Diagnostic;
use exflow_fetch::debian::{Keyring, Mirrors, NamedMirrors, SNAPSHOT, apt_sources, find_mirrors};
use exflow_fetch::image::{Endpoint, Repository};
use exflow_fetch::{HexPlaces, HttpOptions, hex_key_variable};
use exflow_manifest::Workspace;
use exflow_packages::hex::{HexKey, HexRepository, read_hex_config};
use exflow_registry::{BaseReference, Login, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const KEYRING: &str = "exflow::lock::bad-keyring";
const HEX_CONFIG: &str = "exflow::workspace::bad-hex-config";
/// The largest `hex.config` that is read, in bytes.
const MAX_HEX_CONFIG: u64 = 1 << 20;
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

/// The variable that names a folder with downloads which others have made.
const DOWNLOADS: &str = "EXFLOW_DOWNLOADS";

/// How things are fetched here.
pub(crate) fn http(offline: bool) -> HttpOptions {
    let shared = std::env::var_os(DOWNLOADS).filter(|folder| !folder.is_empty());
    HttpOptions { offline, shared: shared.map(PathBuf::from), ..HttpOptions::default() }
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
            // The manifest first, as for Debian.
            alpine_mirror: workspace
                .alpine_mirror
                .clone()
                .or_else(|| named("EXFLOW_ALPINE_MIRROR")),
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

    /// Where packages of Hex's are, and what opens those that are private: what the environment says, and
    /// what the user has told Hex.
    #[expect(clippy::unused_self, reason = "the manifest may have its say one day, as for Debian")]
    pub(crate) fn hex(&self) -> Result<HexPlaces, Failure> {
        let keys = std::env::vars_os().filter_map(|(name, key)| {
            let name =
                name.into_string().ok().filter(|name| name.starts_with(&hex_key_variable("")))?;
            Some((name, HexKey::new(key.to_str()?)?))
        });
        let repos = match hex_config(&|name| std::env::var_os(name)) {
            Some(path) => read_hex_file(&path)?,
            None => BTreeMap::new(),
        };
        Ok(HexPlaces {
            mirror: named("EXFLOW_HEX_MIRROR"),
            trusted_mirror: named("EXFLOW_HEX_TRUSTED_MIRROR"),
            repos,
            keys: keys.collect(),
        })
    }

    /// How registries are talked to.
    pub(crate) fn registries(&self) -> Settings {
        Settings { plain_http: self.plain_http.clone(), ..Settings::default() }
    }

    /// The repository that an image or another artifact is in: wherever it may be.
    pub(crate) fn repository<'a>(
        &self,
        reference: &BaseReference,
        login: &'a Login,
    ) -> Repository<'a> {
        Repository {
            endpoints: self.endpoints(reference),
            repository: reference.repository().to_owned(),
            credentials: login,
        }
    }

    /// Where an image may be: a mirror of its registry first, if there is one.
    fn endpoints(&self, image: &BaseReference) -> Vec<Endpoint> {
        let registry = image.registry();
        let hosts = self.registry_mirrors.get(registry).map(String::as_str).into_iter();
        let hosts = hosts.chain([registry]).map(|host| Endpoint {
            host: BaseReference::api_host(host).to_owned(),
            plain_http: self.plain_http.contains(host),
        });
        hosts.collect()
    }
}

/// Where Hex keeps what it was told: as Hex itself finds it.
fn hex_config(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || named("HOME");
    let folder = match named("HEX_HOME") {
        Some(folder) => folder,
        None if named("MIX_XDG")
            .is_some_and(|value| ["1", "true"].contains(&&*value.to_string_lossy())) =>
        {
            named("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")))?.join("hex")
        }
        None => home()?.join(".hex"),
    };
    Some(folder.join("hex.config"))
}

fn read_hex_file(path: &Path) -> Result<BTreeMap<String, HexRepository>, Failure> {
    let mut bytes = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(MAX_HEX_CONFIG + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(path, &error)),
        Ok(_) => {}
    }
    let bad = |reason: String| {
        Diagnostic::error(HEX_CONFIG, format!("`{}` can't be read: {reason}", path.display()))
            .help("it is Hex's own: have it written anew with `mix hex.organization auth` or `mix hex.repo`")
    };
    if bytes.len() as u64 > MAX_HEX_CONFIG {
        return Err(bad(format!("it has more than {MAX_HEX_CONFIG} bytes")).into());
    }
    Ok(read_hex_config(&bytes).map_err(|error| bad(error.to_string()))?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_found_as_hex_finds_it() {
        for (set, expected) in [
            (&[("HOME", "/h")][..], Some("/h/.hex/hex.config")),
            (&[("HOME", "/h"), ("HEX_HOME", "/x")], Some("/x/hex.config")),
            (&[("HOME", "/h"), ("MIX_XDG", "1")], Some("/h/.config/hex/hex.config")),
            (
                &[("HOME", "/h"), ("MIX_XDG", "true"), ("XDG_CONFIG_HOME", "/c")],
                Some("/c/hex/hex.config"),
            ),
            (&[("HOME", "/h"), ("MIX_XDG", "0"), ("HEX_HOME", "")], Some("/h/.hex/hex.config")),
            (&[], None),
        ] {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            assert_eq!(hex_config(&variable), expected.map(PathBuf::from), "{set:?}");
        }
    }

    #[test]
    fn what_hex_was_told_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hex.config");
        assert!(read_hex_file(&path).unwrap().is_empty(), "it need not be there");
        fs::write(&path, "{'$repos',#{<<\"own\">> => #{url => <<\"https://own\">>}}}.").unwrap();
        assert_eq!(read_hex_file(&path).unwrap()["own"].url.as_deref(), Some("https://own"));
        fs::write(&path, "[key: \"secret\"]").unwrap();
        let Err(Failure::Problems(problems)) = read_hex_file(&path) else { panic!() };
        let said = format!("{problems:?}");
        assert!(said.contains("exflow::workspace::bad-hex-config"), "{said}");
        assert!(said.contains("hex.config") && !said.contains("secret"), "{said}");
    }
}
