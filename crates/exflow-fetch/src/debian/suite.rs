//! What packages a suite has today, by its signed indexes.

use super::{Keyring, Mirrors};
use crate::{Client, FetchError, Progress, Wanted};
use exflow_lock::Platform;
use exflow_packages::debian::{Catalog, Release};
use exflow_store::Store;
use std::fs::File;
use std::io::{BufReader, Read};
use std::time::{SystemTime, UNIX_EPOCH};

/// The largest `InRelease` that is read, in bytes.
const MAX_RELEASE: u64 = 8 << 20;
/// The longest list of packages that is read, unpacked, in bytes.
const MAX_PACKAGES: u64 = 512 << 20;
/// The part of the archive that is Debian proper.
const COMPONENT: &str = "main";

/// Loads the packages of `suite` from the first mirror that serves it; from its updates and its
/// security archive too, where the mirrors have them.
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
    loader.load("debian", suite, Some(suite), &mut catalog)?;
    // A suite may be too young, or too old, to have these.
    loader.load("debian", &format!("{suite}-updates"), None, &mut catalog)?;
    loader.load("debian-security", &format!("{suite}-security"), None, &mut catalog)?;
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
    /// is `required`.
    fn load(
        &self,
        archive: &'static str,
        suite: &str,
        required: Option<&str>,
        catalog: &mut Catalog,
    ) -> Result<(), FetchError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mirrors =
            if archive == "debian" { &self.mirrors.debian } else { &self.mirrors.security };
        // Nobody else has it: the snapshot archive has everything, its security updates too.
        let is_snapshot = mirrors.is_empty();
        let snapshot = self.mirrors.snapshot.iter().filter(|_| is_snapshot);
        let roots = mirrors.iter().map(|mirror| mirror.trim_end_matches('/').to_owned()).chain(
            snapshot.map(|snapshot| {
                let stamp = exflow_packages::debian::snapshot_stamp(now - now % 86_400);
                format!("{}/archive/{archive}/{stamp}", snapshot.trim_end_matches('/'))
            }),
        );
        let mut last = None;
        for root in roots {
            match self.load_from(archive, &root, suite, is_snapshot, now, catalog) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(FetchError::Cancelled) => return Err(FetchError::Cancelled),
                Err(error) => last = Some(error),
            }
        }
        match (last, required) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(()),
            (None, Some(suite)) => Err(FetchError::Index {
                url: format!("dists/{suite}/InRelease"),
                reason: format!("no mirror has a suite `{suite}`"),
            }),
        }
    }

    /// Whether the mirror at `root` has the suite.
    fn load_from(
        &self,
        archive: &'static str,
        root: &str,
        suite: &str,
        is_snapshot: bool,
        now: u64,
        catalog: &mut Catalog,
    ) -> Result<bool, FetchError> {
        let folder = format!("{root}/dists/{suite}");
        let url = format!("{folder}/InRelease");
        let Some(message) = self.client.get(&url, MAX_RELEASE)? else { return Ok(false) };
        let text = self
            .keyring
            .verify(&message)
            .map_err(|reason| FetchError::Signature { url: url.clone(), reason })?;
        let release = Release::parse(&text)
            .map_err(|source| FetchError::Release { url: url.clone(), source })?;
        let unusable = |reason: String| FetchError::Index { url: url.clone(), reason };
        if release.codename != suite && release.suite != suite {
            return Err(unusable(format!("it is for `{}`, not for `{suite}`", release.codename)));
        }
        // A mirror that serves yesterday's indexes for ever would hide every security update.
        if release.valid_until.is_some_and(|until| until < now) && !is_snapshot {
            return Err(unusable("it is too old: its validity has ended".into()));
        }
        let architecture = self.platform.debian_architecture();
        let listed = ["xz", "gz"].iter().find_map(|compression| {
            let path = format!("{COMPONENT}/binary-{architecture}/Packages.{compression}");
            release.files.get_key_value(&path)
        });
        let Some((path, index)) = listed else {
            return Err(unusable(format!("it lists no packages for `{architecture}`")));
        };
        let mut urls = vec![format!("{folder}/{path}")];
        if release.by_hash {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            urls.insert(0, format!("{folder}/{parent}/by-hash/SHA256/{}", index.sha256));
        }
        let name = format!("index of {suite}");
        let wanted = Wanted { name: &name, urls: &urls, sha256: index.sha256, size: index.size };
        let file = self.client.download(self.store, wanted, self.progress)?;
        let opened = File::open(&file).map_err(|source| exflow_store::StoreError::Io {
            action: "open",
            path: file.clone(),
            source,
        })?;
        let unpacked: Box<dyn Read> = if path.ends_with(".xz") {
            Box::new(liblzma::read::XzDecoder::new(opened))
        } else {
            Box::new(flate2::read::GzDecoder::new(opened))
        };
        let reader = BufReader::with_capacity(256 << 10, unpacked.take(MAX_PACKAGES));
        catalog
            .add(archive, &release.snapshot(), reader)
            .map_err(|source| FetchError::Catalog { url: urls.swap_remove(0), source })?;
        Ok(true)
    }
}
