//! Alpine packages: what an image says of them, what its repositories have, and packages added to it.

use crate::http::shown;
use crate::system::{MAX_DATABASE, read};
use crate::workshop::{Finished, Workshop, known_tree, side_by_side};
use crate::{Client, Download, FetchError, Progress, Size};
use exflow_content::{DecodeError, Decoder, Digest, Encoder, RelPath, Sha256, Tree};
use exflow_lock::{LockedAlpine, LockedApk, Platform};
use exflow_packages::alpine::{
    Apk, ApkError, Catalog, Checksum, ChosenApk, Installed, Keys, Limits, PkgInfo, UnpackedApk,
    install, parse_installed, read_apk, read_index,
};
use exflow_packages::debian::MAX_READ;
use exflow_store::{Record, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::File;

/// Where Alpine publishes its packages.
const PUBLIC: &str = "https://dl-cdn.alpinelinux.org/alpine";
/// The largest index that is read, in bytes as it is sent. That of `main` takes 0.5 MB.
const MAX_INDEX: u64 = 32 << 20;
/// The largest package that is read, in bytes.
const MAX_APK: u64 = 1 << 30;
/// How many repositories an image may name.
const MAX_REPOSITORIES: usize = 64;

const INSTALLED: &str = "lib/apk/db/installed";
const WORLD: &str = "etc/apk/world";
const REPOSITORIES: &str = "etc/apk/repositories";
const KEYS: &str = "etc/apk/keys";

/// What an image of Alpine's says of its packages.
#[derive(Debug)]
pub struct AlpineSystem {
    /// What is installed.
    pub installed: Installed,
    /// What was asked for.
    world: String,
    /// Who may sign indexes.
    keys: Keys,
    /// Its repositories, each with the addresses that it has it from.
    repositories: Vec<(String, Vec<String>)>,
    architecture: &'static str,
}

impl AlpineSystem {
    /// Looks at the files of an image.
    pub(crate) fn of(store: &Store, tree: &Tree, platform: &Platform) -> Result<Self, FetchError> {
        let bytes = |at: &str| {
            Ok::<_, FetchError>(read(store, tree, at, MAX_DATABASE)?.unwrap_or_default())
        };
        let text =
            |at: &str| Ok::<_, FetchError>(String::from_utf8_lossy(&bytes(at)?).into_owned());
        let Some(database) = read(store, tree, INSTALLED, MAX_DATABASE)? else {
            let reason = "there is none".to_owned();
            return Err(FetchError::Database { what: INSTALLED.to_owned(), reason });
        };
        let installed = parse_installed(&database).map_err(|error| FetchError::Database {
            what: INSTALLED.to_owned(),
            reason: error.to_string(),
        })?;
        let mut keys = Keys::new();
        let folder = RelPath::new(KEYS).expect("a clean path");
        for (at, _) in tree.within(&folder) {
            let Some(name) = at.name().and_then(|name| std::str::from_utf8(name).ok()) else {
                continue;
            };
            if !name.ends_with(".rsa.pub") {
                continue;
            }
            if let Some(key) = read(store, tree, &at.to_string(), MAX_READ)? {
                keys.add(name, &key).map_err(|error| FetchError::Database {
                    what: at.to_string(),
                    reason: error.to_string(),
                })?;
            }
        }
        Ok(Self {
            installed,
            world: text(WORLD)?,
            keys,
            repositories: parse_repositories(&text(REPOSITORIES)?),
            architecture: match platform {
                Platform::LinuxAmd64 => "x86_64",
                Platform::LinuxArm64 => "aarch64",
            },
        })
    }

    /// Which release it is of, for messages: `v3.21`.
    pub fn release(&self) -> &str {
        let first = self.repositories.first().map_or("Alpine", |(name, _)| name);
        first.split('/').next().unwrap_or(first)
    }

    /// The addresses of a file of a repository: of the mirror that is named, if one is; then what the
    /// image itself says; then Alpine's own.
    fn urls(&self, mirror: Option<&str>, repository: &str, file: &str) -> Vec<String> {
        let own = self.repositories.iter().find(|(name, _)| name == repository);
        let named = mirror.map(|mirror| format!("{}/{repository}", mirror.trim_end_matches('/')));
        let own = own.into_iter().flat_map(|(_, addresses)| addresses.clone());
        let public = is_public(repository).then(|| format!("{PUBLIC}/{repository}"));
        let mut urls: Vec<String> = Vec::new();
        for address in named.into_iter().chain(own).chain(public) {
            let url = format!("{address}/{}/{file}", self.architecture);
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// What its repositories have today. An index is believed as far as a key of the image's has
    /// signed it.
    pub fn catalog(&self, client: &Client, mirror: Option<&str>) -> Result<Catalog, FetchError> {
        self.read_catalog(client, mirror).map_err(FetchError::of_alpine)
    }

    fn read_catalog(&self, client: &Client, mirror: Option<&str>) -> Result<Catalog, FetchError> {
        let mut catalog = Catalog::new();
        for (repository, _) in &self.repositories {
            let mut last = None;
            for url in self.urls(mirror, repository, "APKINDEX.tar.gz") {
                let index = match client.get(&url, MAX_INDEX) {
                    Ok(Some(bytes)) => read_index(&bytes, &self.keys)
                        .map_err(|source| FetchError::ApkIndex { url: shown(&url), source }),
                    Ok(None) => Err(FetchError::NotFound { url: shown(&url) }),
                    Err(FetchError::Cancelled) => return Err(FetchError::Cancelled),
                    Err(error) => Err(error),
                };
                let added = index.and_then(|index| {
                    catalog
                        .add(repository, &index)
                        .map_err(|source| FetchError::ApkCatalog { url: shown(&url), source })
                });
                match added {
                    Ok(()) => {
                        last = None;
                        break;
                    }
                    // The first is the place that was named.
                    Err(error) => drop(last.get_or_insert(error)),
                }
            }
            if let Some(error) = last {
                return Err(error);
            }
        }
        Ok(catalog)
    }

    /// Fetches packages that an index names by a checksum of theirs, to be locked by their whole content.
    pub fn lock(
        &self,
        client: &Client,
        store: &Store,
        chosen: &[ChosenApk],
        mirror: Option<&str>,
        old: Option<&LockedAlpine>,
        progress: &dyn Progress,
    ) -> Result<LockedAlpine, FetchError> {
        // What is locked already stays as it is.
        let (known, jobs): (Vec<_>, Vec<&ChosenApk>) =
            chosen.iter().partition(|apk| old.is_some_and(|old| locked_as(old, apk).is_some()));
        let mut packages: Vec<LockedApk> = side_by_side(client, store, jobs, |workshop, apk| {
            progress.begin(&apk.name, apk.size);
            let locked = self.lock_one(workshop, apk, mirror);
            progress.end(&apk.name);
            locked.map_err(FetchError::of_alpine)
        })?;
        let known = known.into_iter().filter_map(|apk| locked_as(old?, apk));
        packages.extend(known);
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(LockedAlpine { packages })
    }

    fn lock_one(
        &self,
        workshop: &Workshop<'_>,
        chosen: &ChosenApk,
        mirror: Option<&str>,
    ) -> Result<LockedApk, FetchError> {
        // The first is the place that was named.
        let mut failed = None;
        for url in self.urls(mirror, &chosen.repository, &chosen.file_name()) {
            let bytes = match workshop.client.get(&url, chosen.size.min(MAX_APK)) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(FetchError::Cancelled) => return Err(FetchError::Cancelled),
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let read =
                read_apk(&bytes[..], &chosen.checksum, &Limits::default(), &mut |_, content| {
                    let mut hashed = exflow_content::Hasher::new();
                    let size = std::io::copy(content, &mut hashed)?;
                    Ok((hashed.finish(), size))
                });
            match read {
                Ok(_) => {
                    let sha256 = Sha256::of(&bytes);
                    // It is needed again when it is built.
                    workshop.store.put_download(&sha256, &bytes)?;
                    return Ok(LockedApk {
                        name: chosen.name.clone(),
                        version: chosen.version.clone(),
                        architecture: chosen.architecture.clone(),
                        repository: chosen.repository.clone(),
                        size: bytes.len() as u64,
                        sha256,
                        checksum: chosen.checksum.to_string(),
                    });
                }
                // Another place may have what the index means.
                Err(source) => {
                    let package = chosen.name.clone();
                    failed.get_or_insert(FetchError::Apk { package, source });
                }
            }
        }
        Err(failed.unwrap_or(FetchError::NotFound { url: chosen.file_name() }))
    }
}

/// What a package is locked as, where it is locked as just this one.
fn locked_as(old: &LockedAlpine, chosen: &ChosenApk) -> Option<LockedApk> {
    let is_same = |apk: &&LockedApk| {
        apk.name == chosen.name
            && apk.version == chosen.version
            && apk.repository == chosen.repository
            && apk.checksum == chosen.checksum.to_string()
    };
    old.packages.iter().find(is_same).cloned()
}

/// Whether a repository may be one of Alpine's own. Nobody else is told of others.
fn is_public(repository: &str) -> bool {
    let Some((release, name)) = repository.split_once('/') else { return false };
    let is_release = release == "edge"
        || release == "latest-stable"
        || release
            .strip_prefix('v')
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    is_release && matches!(name, "main" | "community" | "testing")
}

/// The repositories that a file names (apk-repositories(5)): the last two names of each address, which
/// all mirrors share, and the addresses. Those with a tag are only for what is asked for by it.
fn parse_repositories(text: &str) -> Vec<(String, Vec<String>)> {
    let mut repositories: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        // Nothing of this host is to be opened because an image says so.
        if !["http://", "https://"].iter().any(|scheme| line.starts_with(scheme)) {
            continue;
        }
        let address = line.trim_end_matches('/').to_owned();
        let names: Vec<&str> = address.split('/').skip(3).collect();
        let name = names[names.len().saturating_sub(2)..].join("/");
        if RelPath::new(&name).is_err() || name.is_empty() || repositories.len() >= MAX_REPOSITORIES
        {
            continue;
        }
        match repositories.iter_mut().find(|(known, _)| *known == name) {
            Some((_, addresses)) => addresses.push(address),
            None => repositories.push((name, vec![address])),
        }
    }
    repositories
}

/// Packages of Alpine's that are added to an image.
#[derive(Debug, Clone, Copy)]
pub struct AddedApks<'a> {
    /// The packages.
    pub locked: &'a LockedAlpine,
    /// What was asked for.
    pub named: &'a [String],
    /// The mirror that is named, if one is.
    pub mirror: Option<&'a str>,
}

/// Fetches packages that the store doesn't have, and adds them to the files of an image: the digest of
/// what comes of it.
pub fn add_alpine(
    client: &Client,
    store: &Store,
    image: &Tree,
    apks: AddedApks<'_>,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    let system = AlpineSystem::of(store, image, platform)?;
    let mut jobs: Vec<&LockedApk> = apks.locked.packages.iter().collect();
    jobs.sort_by_key(|apk| apk.size);
    let packages = side_by_side(client, store, jobs, |workshop, apk| {
        system.fetch(workshop, apk, apks.mirror, progress).map_err(FetchError::of_alpine)
    })?;
    let read = |digest: &Digest| Ok(store.read_blob(digest, MAX_READ)?);
    let (installed, world) = (system.installed.text(), &system.world);
    let installed =
        install::<FetchError>(image.clone(), packages, installed, world, apks.named, &read)?;
    for blob in &installed.new_blobs {
        store.put_blob(blob)?;
    }
    Ok(store.put_tree(&installed.tree)?)
}

impl AlpineSystem {
    fn fetch(
        &self,
        workshop: &Workshop<'_>,
        apk: &LockedApk,
        mirror: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<UnpackedApk, FetchError> {
        let store = workshop.store;
        let key = apk_key(apk);
        if let Some(known) = known(store, apk, &key)? {
            return Ok(known);
        }
        let claim = workshop.claim(&key)?;
        if let Some(known) = known(store, apk, &key)? {
            return Ok(known);
        }
        let file_name = format!("{}-{}.apk", apk.name, apk.version);
        let urls = self.urls(mirror, &apk.repository, &file_name);
        let wanted = Download {
            name: &apk.name,
            urls: &urls,
            sha256: apk.sha256,
            size: Size::Exactly(apk.size),
            credentials: None,
        };
        let path = workshop.client.download(store, wanted, progress)?;
        let failed = |source| StoreError::Io { action: "open", path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let bad = |source| FetchError::Apk { package: apk.name.clone(), source };
        let checksum: Checksum = apk
            .checksum
            .parse()
            .map_err(|_| bad(ApkError::Format("its checksum in the lock is none".into())))?;
        let read = workshop
            .unpack(file, |reader, keep| read_apk(reader, &checksum, &Limits::default(), keep));
        let Apk { info, scripts, tree, checksums } = read.map_err(|error| {
            let error = match error {
                ApkError::Archive(error) => match workshop.blame(error) {
                    Ok(error) => ApkError::Archive(error),
                    Err(error) => return error,
                },
                other => other,
            };
            store.drop_download(&apk.sha256);
            bad(error)
        })?;
        let unpacked = UnpackedApk { locked: apk.clone(), info, scripts, tree, checksums };
        let tree = store.put_tree(&unpacked.tree)?;
        let record = Record { trees: vec![tree], data: encode(&unpacked) };
        workshop.finished(Finished { key, record, download: apk.sha256, claim });
        Ok(unpacked)
    }
}

/// The package, if it has been unpacked before and nothing of it was lost since.
fn known(store: &Store, apk: &LockedApk, key: &Digest) -> Result<Option<UnpackedApk>, FetchError> {
    let Some((record, tree)) = known_tree(store, key)? else { return Ok(None) };
    Ok(decode(&record.data, apk, tree).ok())
}

/// The keys under which packages that are added to an image are kept.
pub fn apk_keys(alpine: &LockedAlpine) -> impl Iterator<Item = Digest> {
    alpine.packages.iter().map(apk_key)
}

/// # Encoding
/// The key of an unpacked package: tag `exflow apk 1`; its sha256; its checksum in the index.
fn apk_key(apk: &LockedApk) -> Digest {
    let mut encoder = Encoder::new("exflow apk 1");
    encoder.sha256(&apk.sha256).text(&apk.checksum);
    encoder.digest_of()
}

const TAG: &str = "exflow apk description 1";

/// # Encoding
/// What is kept of a package besides its tree: tag `exflow apk description 1`; its description; the lists of
/// its scripts by name, each with its content, and of the checksums of its files by blob.
fn encode(apk: &UnpackedApk) -> Vec<u8> {
    let mut encoder = Encoder::new(TAG);
    encoder.text(apk.info.as_str());
    encoder.list(apk.scripts.iter(), |encoder, (name, content)| {
        encoder.text(name).bytes(content);
    });
    encoder.list(apk.checksums.iter(), |encoder, (blob, checksum)| {
        encoder.digest(blob).text(&checksum.to_string());
    });
    encoder.finish()
}

fn decode(data: &[u8], apk: &LockedApk, tree: Tree) -> Result<UnpackedApk, DecodeError> {
    let mut decoder = Decoder::new(data, TAG)?;
    let info = PkgInfo::new(decoder.text()?.to_owned());
    let mut scripts = BTreeMap::new();
    for _ in 0..decoder.number()? {
        scripts.insert(decoder.text()?.to_owned(), decoder.bytes()?.to_vec());
    }
    let mut checksums = BTreeMap::new();
    for _ in 0..decoder.number()? {
        let blob = decoder.digest()?;
        let checksum = decoder.text()?.parse().map_err(|_| DecodeError::Field("checksum"))?;
        checksums.insert(blob, checksum);
    }
    decoder.end()?;
    Ok(UnpackedApk { locked: apk.clone(), info, scripts, tree, checksums })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_called_what_all_mirrors_call_them() {
        let text = "https://dl-cdn.alpinelinux.org/alpine/v3.21/main\n\
            # https://x/alpine/v3.21/testing\nfile:///etc/v3.21/main\n\
            http://mirror.example/a/b/alpine/v3.21/main/\n\
            @edge https://x/alpine/edge/main\n/media/cdrom/apks\nhttps://x/apk\nhttps://x\n";
        let parsed = parse_repositories(text);
        let names: Vec<&str> = parsed.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["v3.21/main", "apk"]);
        assert!(is_public("v3.21/main") && is_public("edge/testing"));
        assert!(!is_public("apk") && !is_public("secret/main") && !is_public("v3.21/secret"));
        assert_eq!(
            parsed[0].1,
            [
                "https://dl-cdn.alpinelinux.org/alpine/v3.21/main",
                "http://mirror.example/a/b/alpine/v3.21/main"
            ]
        );
    }
}
