//! Looks whether a release can run on its base, before it is packed.

use crate::pack::PackError;
use exflow_content::{Digest, Encoder, Tree};
use exflow_plan::{ImageSettings, PlannedImage};
use exflow_preflight::{Blobs, Names, PREFLIGHT_VERSION, Subject, check, diagnose};
use exflow_store::{Record, Store, StoreError};
use std::fs::File;

/// The bases of an image, as the manifest calls them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bases<'a> {
    /// The one that it stands on.
    pub(crate) base: &'a str,
    /// The one that its release was built in, and its files, where it is known.
    pub(crate) builder: Option<(&'a str, Digest)>,
}

/// The trees that are compared.
pub(crate) struct Trees<'a> {
    pub(crate) base: (&'a Digest, &'a Tree),
    pub(crate) release: (&'a Digest, &'a Tree),
    /// The release laid over the base.
    pub(crate) whole: &'a Tree,
}

struct StoredBlobs<'a>(&'a Store);

impl Blobs for StoredBlobs<'_> {
    type Error = StoreError;
    type Reader = File;

    fn open(&self, blob: &Digest) -> Result<File, StoreError> {
        self.0.open_blob(blob)
    }
}

/// Says what keeps the release from running on the base. That nothing does is remembered.
pub(crate) fn preflight(
    store: &Store,
    image: &PlannedImage,
    bases: &Bases<'_>,
    trees: &Trees<'_>,
) -> Result<(), PackError> {
    let key = key(&image.settings, trees.base.0, trees.release.0);
    if store.record(&key)?.is_some() {
        return Ok(());
    }
    let settings = &image.settings;
    let env = |name: &str| settings.env.get(name).map(String::as_str);
    let subject = Subject {
        base: trees.base.1,
        release: trees.release.1,
        at: &settings.at,
        whole: trees.whole,
        platform: settings.platform.clone(),
        start: start(settings),
        library_path: env("LD_LIBRARY_PATH"),
        path: env("PATH"),
        // As the script of a release understands it.
        is_distributed: env("RELEASE_DISTRIBUTION") != Some("none"),
    };
    let findings = check(&subject, &StoredBlobs(store), || match &bases.builder {
        Some((_, digest)) if store.has_tree(digest) => store.tree(digest).map(Some),
        _ => Ok(None),
    })?;
    if findings.mismatches.is_empty() {
        store.put_record(&key, &Record::default())?;
        return Ok(());
    }
    let names = Names {
        base: bases.base,
        builder: bases.builder.map(|(name, _)| name),
        platform: &settings.platform,
    };
    Err(PackError::Problems(diagnose(&findings, &names, image.site.as_ref())))
}

/// What an image starts with.
fn start(settings: &ImageSettings) -> Option<&str> {
    settings.entrypoint.iter().chain(&settings.command).next().map(String::as_str)
}

/// The key of a check that found nothing.
///
/// # Encoding
/// Tag `exflow preflight 2`; the version of the check; the digests of the base's tree and the release's; where
/// the release is; the platform; what it starts with, `LD_LIBRARY_PATH`, `PATH` and `RELEASE_DISTRIBUTION`, each as
/// an optional text.
fn key(settings: &ImageSettings, base: &Digest, release: &Digest) -> Digest {
    let mut encoder = Encoder::new("exflow preflight 2");
    encoder
        .number(PREFLIGHT_VERSION.into())
        .digest(base)
        .digest(release)
        .bytes(settings.at.as_bytes())
        .text(&settings.platform.to_string());
    let env = ["LD_LIBRARY_PATH", "PATH", "RELEASE_DISTRIBUTION"]
        .map(|name| settings.env.get(name).map(String::as_str));
    for text in [start(settings)].into_iter().chain(env) {
        encoder.optional(text, |encoder, value| {
            encoder.text(value);
        });
    }
    encoder.digest_of()
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_content::RelPath;
    use exflow_lock::Platform;
    use std::collections::BTreeMap;

    fn sample() -> ImageSettings {
        let env = [("PATH", "/usr/bin"), ("RELEASE_DISTRIBUTION", "none"), ("LANG", "C.UTF-8")];
        ImageSettings {
            platform: Platform::LinuxAmd64,
            assembly: 1,
            kept: Vec::new(),
            at: RelPath::new("app").expect("a path"),
            layers: Vec::new(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            workdir: RelPath::root(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            user: None,
            ports: Vec::new(),
            labels: BTreeMap::new(),
            volumes: Vec::new(),
            stop_signal: None,
        }
    }

    fn key_of(settings: &ImageSettings) -> Digest {
        key(settings, &Digest::of(b"base"), &Digest::of(b"release"))
    }

    fn with(name: &str, value: &str) -> ImageSettings {
        let mut settings = sample();
        settings.env.insert(name.to_owned(), value.to_owned());
        settings
    }

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in its tag, and say so in the changelog. A new version of the check changes it, too.
    #[test]
    fn the_key_of_a_preflight_is_pinned() {
        assert_eq!(
            (PREFLIGHT_VERSION, key_of(&sample()).to_string().as_str()),
            (2, "d3cea57706cde963d27e965670a70d5aada88612b9e6a9a2c6596c794cb4a1da")
        );
    }

    #[test]
    fn what_a_preflight_looks_at_is_in_its_key_and_nothing_else() {
        let own = key_of(&sample());
        let others = [
            ImageSettings { platform: Platform::LinuxArm64, ..sample() },
            ImageSettings { at: RelPath::new("srv").expect("a path"), ..sample() },
            with("PATH", "/bin"),
            with("RELEASE_DISTRIBUTION", "name"),
            with("LD_LIBRARY_PATH", ""),
            ImageSettings { entrypoint: vec!["/bin/x".into()], ..sample() },
            ImageSettings { command: vec!["/bin/y".into()], ..sample() },
        ];
        let mut keys: Vec<Digest> = others.iter().map(key_of).collect();
        let other = Digest::of(b"other");
        keys.push(key(&sample(), &other, &Digest::of(b"release")));
        keys.push(key(&sample(), &Digest::of(b"base"), &other));
        keys.push(own);
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        for same in [with("LANG", "C"), ImageSettings { user: Some("nobody".into()), ..sample() }] {
            assert_eq!(key_of(&same), own);
        }
    }
}
