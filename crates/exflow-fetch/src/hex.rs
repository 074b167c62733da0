//! Packages of Hex's: where they are, who may know the keys to them, and how they get into the store.

use crate::http::{Transfer, shown};
use crate::workshop::Workshop;
use crate::{Client, Credentials, Download, FetchError, Progress, Size};
use exflow_content::{Digest, Sha256, Tree};
use exflow_packages::hex::{
    HexKey, HexPackage, HexRepository, Limits, TarballError, UnpackedHex, read_tarball,
};
use exflow_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;

/// Where hex.pm publishes its packages.
const PUBLIC: &str = "https://repo.hex.pm";
/// What the variables begin with that hold keys of organisations.
const KEYS: &str = "EXFLOW_HEX_KEY_";

/// The variable that holds the key of an organisation: `EXFLOW_HEX_KEY_ACME`.
pub fn hex_key_variable(organisation: &str) -> String {
    format!("{KEYS}{}", organisation.to_ascii_uppercase().replace('-', "_"))
}

/// Where packages of Hex's are.
#[derive(Clone, Default)]
pub struct HexPlaces {
    /// What is asked in place of hex.pm. It is never told a key.
    pub mirror: Option<String>,
    /// The same, and it may know the keys that hex.pm knows.
    pub trusted_mirror: Option<String>,
    /// What the user has told Hex about repositories: by name, as in mix.lock.
    pub repos: BTreeMap<String, HexRepository>,
    /// Keys of organisations, by the variables that hold them: see [`hex_key_variable`].
    pub keys: BTreeMap<String, HexKey>,
}

/// Without addresses, which may have passwords in them.
impl fmt::Debug for HexPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HexPlaces")
            .field("mirror", &self.mirror.as_deref().map(shown))
            .field("trusted_mirror", &self.trusted_mirror.as_deref().map(shown))
            .field("repos", &self.repos)
            .field("keys", &self.keys)
            .finish()
    }
}

/// Where a tarball may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HexAddress {
    /// Its address.
    pub url: String,
    /// What the server is shown.
    pub key: Option<HexKey>,
}

impl HexPlaces {
    /// Where a package may be, the best place first, and what is shown there.
    ///
    /// A key goes to hex.pm, to the mirror that is trusted, and to the repository that it was configured
    /// for together with its address. It never goes over a connection that others can read.
    pub(crate) fn addresses(&self, package: &HexPackage) -> Result<Vec<HexAddress>, FetchError> {
        let known = |name: &str| self.repos.get(name).cloned().unwrap_or_default();
        let hexpm = known("hexpm");
        let trusted = self.trusted_mirror.clone();
        let mirror = self.mirror.clone().or_else(|| absolute(&hexpm));
        let mut places: Vec<(String, Option<HexKey>)> = Vec::new();
        match package.repo.split_once(':') {
            None if package.repo == "hexpm" => {
                places.extend(trusted.map(|base| (base, hexpm.key)));
                places.extend(mirror.map(|base| (base, None)));
                if places.is_empty() {
                    places.push((PUBLIC.to_owned(), None));
                }
            }
            Some(("hexpm", organisation)) => {
                check_organisation(organisation, package)?;
                let own = known(&package.repo);
                let variable = self.keys.get(&hex_key_variable(organisation)).cloned();
                let key = variable.or_else(|| own.key.clone()).or(hexpm.key);
                let below = |base: String| format!("{}/repos/{organisation}", trim(&base));
                if let Some(url) = absolute(&own).filter(|url| !is_public(url)) {
                    // It has moved away from hex.pm.
                    places.push((url, key));
                } else {
                    places.extend(trusted.map(|base| (below(base), key.clone())));
                    places.extend(mirror.map(|base| (below(base), None)));
                    // Nobody else can have it without the key.
                    places.extend(key.map(|key| (below(PUBLIC.to_owned()), Some(key))));
                    if places.is_empty() {
                        let organisation = organisation.to_owned();
                        return Err(FetchError::HexKey { organisation });
                    }
                }
            }
            Some((source, organisation)) if !self.repos.contains_key(&package.repo) => {
                check_organisation(organisation, package)?;
                let source = known(source);
                let url = absolute(&source).ok_or_else(|| unknown(package))?;
                places.push((format!("{}/repos/{organisation}", trim(&url)), source.key));
            }
            _ => {
                let own = known(&package.repo);
                places.push((absolute(&own).ok_or_else(|| unknown(package))?, own.key));
            }
        }
        let file = format!("{}-{}.tar", encoded(&package.name), encoded(&package.version));
        let addresses = places.into_iter().map(|(base, key)| {
            let url = format!("{}/tarballs/{file}", trim(&base));
            HexAddress { key: key.filter(|_| is_private(&url)), url }
        });
        Ok(addresses.collect())
    }
}

fn unknown(package: &HexPackage) -> FetchError {
    FetchError::HexRepository { repository: package.repo.clone() }
}

/// The address of a repository, where it has one of its own. Hex writes those of organisations without
/// the beginning.
fn absolute(repository: &HexRepository) -> Option<String> {
    repository.url.clone().filter(|url| url.contains("://"))
}

fn is_public(url: &str) -> bool {
    url.strip_prefix(PUBLIC).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn trim(base: &str) -> &str {
    base.trim_end_matches('/')
}

/// Whether the name of an organisation stays one name in an address.
fn check_organisation(organisation: &str, package: &HexPackage) -> Result<(), FetchError> {
    let fits = !organisation.is_empty()
        && organisation.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if fits { Ok(()) } else { Err(unknown(package)) }
}

/// A name as it stands in an address.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'+' | b'~' => {
                text.push(byte.into());
            }
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}

/// Whether nobody on the way can read what is sent there.
fn is_private(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") && is_loopback
}

/// Shows each server the key that it may know.
struct Keys<'a> {
    addresses: &'a [HexAddress],
    /// Whether the package isn't one of hex.pm's that anybody may have.
    is_private: bool,
}

impl<'a> Keys<'a> {
    fn of(package: &HexPackage, addresses: &'a [HexAddress]) -> Self {
        Self { addresses, is_private: package.repo != "hexpm" }
    }
}

impl Credentials for Keys<'_> {
    fn authorization(
        &self,
        url: &str,
        refused: Option<Option<&str>>,
    ) -> Result<Option<String>, FetchError> {
        // What was refused once is refused again.
        if refused.is_some() {
            return Ok(None);
        }
        // A mirror may be hex.pm itself, which is then there twice, once without a key.
        let mut there = self.addresses.iter().filter(|address| address.url == url);
        let key = there.find_map(|address| address.key.as_ref());
        // Without a scheme before it, as Hex does.
        Ok(key.map(|key| key.reveal().to_owned()))
    }

    fn is_private(&self) -> bool {
        self.is_private || self.addresses.iter().any(|address| address.key.is_some())
    }
}

/// Fetches and unpacks a package, unless the store has it: the digest of its tree.
///
/// What comes of it is on the disk and recorded under the package's key when this returns. Whoever wants
/// the same meanwhile waits for it.
pub fn fetch_hex(
    client: &Client,
    store: &Store,
    package: &HexPackage,
    places: &HexPlaces,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    let workshop = Workshop::new(client.clone(), store);
    let fetched = workshop.tree_of(package.key(), || fetch(&workshop, package, places, progress));
    fetched.map_err(|error| error.of_hex(package))
}

fn fetch(
    workshop: &Workshop<'_>,
    package: &HexPackage,
    places: &HexPlaces,
    progress: &dyn Progress,
) -> Result<(Tree, Option<Sha256>), FetchError> {
    let addresses = places.addresses(package)?;
    let fetched = match (package.outer, package.inner) {
        (Some(outer), _) => pinned(workshop, package, outer, &addresses, progress),
        (None, Some(_)) => unpinned(workshop, package, &addresses, progress),
        (None, None) => return Err(FetchError::HexUnpinned),
    };
    let unpacked = fetched.map_err(|error| match (package.organisation(), error) {
        // Where no key was shown, that is what was missing.
        (Some(organisation), FetchError::NotFound { .. } | FetchError::Denied { .. })
            if addresses.iter().all(|address| address.key.is_none()) =>
        {
            FetchError::HexKey { organisation: organisation.to_owned() }
        }
        (_, error) => error,
    })?;
    Ok((unpacked.tree, Some(unpacked.outer)))
}

fn urls(addresses: &[HexAddress]) -> Vec<String> {
    addresses.iter().map(|address| address.url.clone()).collect()
}

/// Fetches a package whose tarball is pinned.
fn pinned(
    workshop: &Workshop<'_>,
    package: &HexPackage,
    outer: Sha256,
    addresses: &[HexAddress],
    progress: &dyn Progress,
) -> Result<UnpackedHex, FetchError> {
    let wanted = Download {
        name: &package.to_string(),
        urls: &urls(addresses),
        sha256: outer,
        size: Size::AtMost(Limits::default().tarball),
        credentials: Some(&Keys::of(package, addresses)),
    };
    workshop.read_download(wanted, progress, |path| {
        let open = |source| StoreError::Io { action: "open", path: path.to_owned(), source };
        unpack(workshop, package, File::open(path).map_err(open)?)
    })
}

/// Fetches a package of which an old lock has only the checksum of what is in the tarball.
fn unpinned(
    workshop: &Workshop<'_>,
    package: &HexPackage,
    addresses: &[HexAddress],
    progress: &dyn Progress,
) -> Result<UnpackedHex, FetchError> {
    let folder = workshop.store.temp_dir()?;
    let path: &Path = &folder.path().join("tarball");
    let wanted = Transfer {
        name: &package.to_string(),
        size: Size::AtMost(Limits::default().tarball),
        credentials: Some(&Keys::of(package, addresses)),
        resumes: false,
    };
    workshop.client.download_unpinned(path, wanted, &urls(addresses), progress, |file| {
        unpack(workshop, package, file)
    })
}

fn unpack(
    workshop: &Workshop<'_>,
    package: &HexPackage,
    file: File,
) -> Result<UnpackedHex, FetchError> {
    let limits = Limits::default();
    let unpacked =
        workshop.unpack(file, |mut reader, keep| read_tarball(&mut reader, package, &limits, keep));
    unpacked.map_err(|error| {
        let blamed = match error {
            TarballError::Archive(error) => workshop.blame(error).map(TarballError::Archive),
            TarballError::Contents(error) => workshop.blame(error).map(TarballError::Contents),
            other => Ok(other),
        };
        blamed.map_or_else(|error| error, FetchError::HexTarball)
    })
}

#[cfg(test)]
mod tests;
