//! What packages a suite has today, by its signed indexes.

use super::mirrors::has_security_updates;
use super::{Keyring, Mirrors};
use crate::http::shown;
use crate::{Client, Download, FetchError, Progress, Size};
use exflow_lock::Platform;
use exflow_packages::Metered;
use exflow_packages::archive::{ungz, unxz};
use exflow_packages::debian::{Catalog, Release, snapshot_stamp};
use exflow_store::Store;
use std::fs::File;
use std::io::{BufReader, Read};
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest `InRelease` that is read, in bytes.
const MAX_RELEASE: u64 = 1 << 20;
/// The longest list of packages that is read, unpacked, in bytes.
const MAX_PACKAGES: u64 = 512 << 20;
/// The part of the archive that is Debian proper.
const COMPONENT: &str = "main";

/// Loads the packages of `suite` from the first mirror that serves it; from its updates too, where
/// the mirrors have them; and from its security archive, which every suite of Debian's that gets
/// security updates must have.
///
/// Every index is believed only as far as a key of `keyring` has signed it, and every list only
/// by the digest in a signed index.
pub fn load_catalog(
    client: &Client,
    store: &Store,
    mirrors: &Mirrors,
    suite: &str,
    platform: &Platform,
    keyring: &Keyring,
    progress: &dyn Progress,
) -> Result<Catalog, FetchError> {
    let loader = Loader { client, store, mirrors, platform, keyring, progress };
    let mut catalog = Catalog::new();
    let reason = format!("no mirror has a suite `{suite}`");
    loader.load("debian", suite, Some(reason), &mut catalog)?;
    // A suite may be too young, or too old, to have these.
    loader.load("debian", &format!("{suite}-updates"), None, &mut catalog)?;
    // Nobody is to be left without security updates by a mirror that doesn't have them.
    let reason = has_security_updates(suite).then(|| {
        format!(
            "no mirror has the security archive of `{suite}`, without which there would be no \
             security updates: name one that has it by `EXFLOW_DEBIAN_SECURITY_MIRROR`, or by \
             `debian-security-mirror` in the manifest"
        )
    });
    loader.load("debian-security", &format!("{suite}-security"), reason, &mut catalog)?;
    Ok(catalog)
}

struct Loader<'a> {
    client: &'a Client,
    store: &'a Store,
    mirrors: &'a Mirrors,
    platform: &'a Platform,
    keyring: &'a Keyring,
    progress: &'a dyn Progress,
}

impl Loader<'_> {
    /// Adds the packages of `suite`. Where there is no such suite, that is an error only if it
    /// is `required`, for the reason that is given with it.
    fn load(
        &self,
        archive: &'static str,
        suite: &str,
        required: Option<String>,
        catalog: &mut Catalog,
    ) -> Result<(), FetchError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mirrors =
            if archive == "debian" { &self.mirrors.debian } else { &self.mirrors.security };
        let mut last = None;
        let mut tried = format!("dists/{suite}/InRelease");
        for mirror in mirrors {
            let root = mirror.trim_end_matches('/');
            match self.load_from(archive, root, suite, None, now, catalog) {
                Ok(true) => return Ok(()),
                Ok(false) => tried = format!("{}/dists/{suite}/InRelease", shown(root)),
                Err(FetchError::Cancelled) => return Err(FetchError::Cancelled),
                Err(error) => last = Some(error),
            }
        }
        if let Some(error) = last {
            return Err(error);
        }
        // Nobody else has it: the snapshot archive has everything, its security updates too. Of
        // the main archive there is always a mirror, unless nobody has named one.
        let last_resort = mirrors.is_empty() || (archive != "debian" && required.is_some());
        if let Some(snapshot) = self.mirrors.snapshot.as_ref().filter(|_| last_resort) {
            let stamp = snapshot_stamp(now - now % 86_400);
            let root = format!("{}/archive/{archive}/{stamp}", snapshot.trim_end_matches('/'));
            match self.load_from(archive, &root, suite, Some(&stamp), now, catalog) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // It was only asked because the mirrors don't have it, and that is what to mend.
                Err(FetchError::Unreachable { .. }) if !mirrors.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        match required {
            Some(reason) => Err(FetchError::Index { url: tried, reason }),
            None => Ok(()),
        }
    }

    /// Whether the mirror at `root` has the suite; `snapshot` is the stamp where that is the
    /// snapshot archive.
    fn load_from(
        &self,
        archive: &'static str,
        root: &str,
        suite: &str,
        snapshot: Option<&str>,
        now: u64,
        catalog: &mut Catalog,
    ) -> Result<bool, FetchError> {
        let folder = format!("{root}/dists/{suite}");
        let url = format!("{folder}/InRelease");
        let Some(message) = self.client.get(&url, MAX_RELEASE)? else { return Ok(false) };
        let url = shown(&url);
        let text = self
            .keyring
            .verify(&message, now)
            .map_err(|reason| FetchError::Signature { url: url.clone(), reason })?;
        let release = Release::parse(&text)
            .map_err(|source| FetchError::Release { url: url.clone(), source })?;
        let unusable = |reason: String| FetchError::Index { url: url.clone(), reason };
        if release.codename != suite && release.suite != suite {
            return Err(unusable(format!("it is for `{}`, not for `{suite}`", release.codename)));
        }
        // A mirror that serves yesterday's indexes for ever would hide every security update.
        if release.valid_until.is_some_and(|until| until < now) && snapshot.is_none() {
            return Err(unusable("it is too old: its validity has ended".into()));
        }
        let architecture = self.platform.debian_architecture();
        let listed = ["xz", "gz"].iter().find_map(|compression| {
            let path = format!("{COMPONENT}/binary-{architecture}/Packages.{compression}");
            let index = *release.files.get(&path)?;
            Some((*compression, path, index))
        });
        let Some((compression, path, index)) = listed else {
            return Err(unusable(format!("it lists no packages for `{architecture}`")));
        };
        let mut urls = vec![format!("{folder}/{path}")];
        if release.by_hash {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            urls.insert(0, format!("{folder}/{parent}/by-hash/SHA256/{}", index.sha256));
        }
        let name = format!("index of {suite}");
        let wanted = Download {
            name: &name,
            urls: &urls,
            sha256: index.sha256,
            size: Size::Exactly(index.size),
            credentials: None,
        };
        let file = self.client.download(self.store, wanted, self.progress)?;
        let opened = File::open(&file).map_err(|source| exflow_store::StoreError::Io {
            action: "open",
            path: file.clone(),
            source,
        })?;
        let unpacked: Box<dyn Read> = if compression == "xz" {
            let decoder = unxz(opened).map_err(|error| unusable(error.to_string()))?;
            Box::new(decoder)
        } else {
            Box::new(ungz(opened))
        };
        // A list that is cut off would lack packages in silence.
        let unpacked = Metered::new(unpacked, MAX_PACKAGES);
        let reader = BufReader::with_capacity(256 << 10, unpacked);
        // What was found under a stamp can be found under it again. A date of publication is
        // before anything that the snapshot archive has seen of it.
        let stamp = snapshot.map_or_else(|| release.snapshot(), str::to_owned);
        catalog.add(archive, &stamp, reader).map_err(|source| {
            // Perhaps it was damaged on the disk: the next time it is fetched again.
            self.store.drop_download(&index.sha256);
            FetchError::Catalog { url: shown(&urls[0]), source }
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
