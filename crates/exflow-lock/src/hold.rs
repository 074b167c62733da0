//! What a lock holds on to: which of its contents stay although something else is asked for.
//!
//! Whoever completes a lock takes what is held as it is, where that can be had. [`moved`] then tells whether all of it
//! stayed, whatever was found in the world meanwhile.

use crate::{Difference, InputKind, Lock, RequestedBase, RequestedFetch, differences};

impl RequestedBase {
    /// Whether what is locked for this stays where `new` is asked for: its image, and those of its packages that are
    /// still wanted. Another suite has other packages: nothing of the old one is left that could move.
    pub fn holds_for(&self, new: &Self) -> bool {
        match (self, new) {
            (Self::Debian(old), Self::Debian(new)) => old.suite == new.suite,
            (Self::Image(old), Self::Image(new)) => old.source == new.source,
            _ => false,
        }
    }
}

impl RequestedFetch {
    /// Whether what is locked for this stays where `new` is asked for: the file at another address, unless the manifest
    /// says what is there; the revision of a branch or a tag, from another repository or with other folders, too.
    pub fn holds_for(&self, new: &Self) -> bool {
        match (self, new) {
            (Self::File { .. }, Self::File { sha256, .. }) => sha256.is_none(),
            (Self::Git { version: old, .. }, Self::Git { version: new, .. }) => old == new,
            _ => false,
        }
    }

    /// Whether a revision has the same files for both.
    pub fn takes_the_same_files(&self, new: &Self) -> bool {
        match (self, new) {
            (
                Self::Git { folder: old, submodules: with, .. },
                Self::Git { folder: new, submodules, .. },
            ) => old == new && with == submodules,
            _ => false,
        }
    }
}

/// What is locked otherwise in `new` than in `old`, although `old` holds on to it. What is only added or dropped doesn't
/// move.
pub fn moved(old: &Lock, new: &Lock) -> Vec<Difference> {
    let mut found = differences(old, new);
    found.retain_mut(|difference| {
        let name = &difference.input.name;
        let (is_held, takes_other_files) = match difference.input.kind {
            InputKind::Base => {
                let bases = old.bases.get(name).zip(new.bases.get(name));
                (bases.is_some_and(|(old, new)| old.requested.holds_for(&new.requested)), false)
            }
            // One that moves house is the same plugin.
            InputKind::Plugin => (true, false),
            InputKind::Fetch => {
                let fetches = old.fetches.get(name).zip(new.fetches.get(name));
                fetches.map_or((false, false), |(old, new)| {
                    let (old, new) = (&old.requested, &new.requested);
                    (old.holds_for(new), !old.takes_the_same_files(new))
                })
            }
        };
        difference.changes.retain(|change| {
            // Other files of the same revision are no other revision.
            change.is_move() && !(takes_other_files && change.old == change.new)
        });
        is_held && !difference.changes.is_empty()
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AddedPackages, FetchedContent, ImageDefaults, ImageSource, LockedAlpine, LockedApk,
        LockedBase, LockedDebian, LockedFetch, LockedImage, LockedPackage, LockedPlugin,
        LockedRoot, Platform, RequestedDebian, RequestedImage, RequestedPlugin, RequestedVersion,
    };
    use exflow_content::{Digest, Sha256};
    use std::collections::BTreeMap;

    fn check(old: &Lock, new: &Lock, expected: &[&str]) {
        let found: Vec<String> = moved(old, new)
            .iter()
            .flat_map(|Difference { input, changes, .. }| {
                changes.iter().map(move |change| format!("{input}: {change}"))
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn packages_stay_while_their_suite_does() {
        let base = |suite: &str, slim, packages: &[(&str, &str)]| {
            let asked_for = packages.iter().map(|(name, _)| (*name).to_owned()).collect();
            let packages = packages.iter().map(|(name, version)| LockedPackage {
                name: (*name).into(),
                version: (*version).into(),
                architecture: "all".into(),
                archive: "debian".into(),
                path: "pool".into(),
                size: 1,
                sha256: Sha256::of(version.as_bytes()),
            });
            let packages = packages.collect();
            let root = LockedRoot::Debian(LockedDebian { snapshot: String::new(), packages });
            let requested = RequestedDebian { suite: suite.into(), slim, packages: asked_for };
            let base = LockedBase {
                requested: RequestedBase::Debian(requested),
                locked: BTreeMap::from([(Platform::LinuxAmd64, root)]),
            };
            Lock { bases: BTreeMap::from([("a".into(), base)]), ..Lock::default() }
        };
        let old = base("bookworm", false, &[("x", "1"), ("y", "1")]);
        check(&old, &old, &[]);
        check(&old, &base("bookworm", false, &[("x", "1"), ("z", "1")]), &[]);
        let moved = &["base `a`: x 1 → 2"];
        check(&old, &base("bookworm", false, &[("x", "2"), ("y", "1")]), moved);
        check(&old, &base("bookworm", true, &[("x", "2")]), moved);
        check(&old, &base("trixie", false, &[("x", "2")]), &[]);
        check(&old, &Lock::default(), &[]);
        check(&Lock::default(), &old, &[]);
    }

    #[test]
    fn an_image_stays_while_its_place_does() {
        let base = |source: &str, image: &str, packages: &[(&str, &str, &str)]| {
            let asked_for = packages.iter().map(|(name, ..)| (*name).to_owned()).collect();
            let requested = RequestedImage {
                source: ImageSource::Registry(source.into()),
                packages: asked_for,
            };
            let packages = packages.iter().map(|(name, version, content)| LockedApk {
                name: (*name).into(),
                version: (*version).into(),
                architecture: "x86_64".into(),
                repository: "v3.21/main".into(),
                size: 1,
                sha256: Sha256::of(content.as_bytes()),
                checksum: "Q1".into(),
            });
            let root = LockedImage {
                index: None,
                manifest: Some(Sha256::of(image.as_bytes())),
                config: Sha256::of(b"config"),
                defaults: ImageDefaults::default(),
                layers: Vec::new(),
                packages: AddedPackages::Alpine(LockedAlpine { packages: packages.collect() }),
            };
            let base = LockedBase {
                requested: RequestedBase::Image(requested),
                locked: BTreeMap::from([(Platform::LinuxAmd64, LockedRoot::Image(Box::new(root)))]),
            };
            Lock { bases: BTreeMap::from([("a".into(), base)]), ..Lock::default() }
        };
        let [old, new] = ["old", "new"].map(|image| Sha256::of(image.as_bytes()));
        let locked = base("x:1", "old", &[("p", "1", "p")]);
        check(&locked, &base("x:1", "old", &[("p", "1", "p"), ("q", "1", "q")]), &[]);
        check(&locked, &base("x:1", "old", &[]), &[]);
        let moved = format!("base `a`: image sha256:{old} → sha256:{new}");
        check(&locked, &base("x:1", "new", &[("p", "1", "p")]), &[&moved]);
        check(&locked, &base("x:1", "old", &[("p", "2", "q")]), &["base `a`: p 1 → 2"]);
        check(&locked, &base("x:1", "old", &[("p", "1", "q")]), &["base `a`: p 1, published anew"]);
        check(&locked, &base("x:2", "new", &[("p", "2", "q")]), &[]);

        // What is locked for another platform beside it is new, and nothing of what is here moves.
        let mut both = locked.clone();
        let elsewhere = base("x:1", "new", &[("p", "2", "q")]);
        let entry = both.bases.get_mut("a").unwrap();
        entry.locked.insert(
            Platform::LinuxArm64,
            elsewhere.bases["a"].locked[&Platform::LinuxAmd64].clone(),
        );
        check(&locked, &both, &[]);
        check(&both, &locked, &[]);

        // It is no image any more.
        let requested =
            RequestedDebian { suite: "x".into(), slim: false, packages: vec!["p".into()] };
        let debian = LockedDebian { snapshot: String::new(), packages: Vec::new() };
        let mut other = locked.clone();
        let entry = other.bases.get_mut("a").unwrap();
        entry.requested = RequestedBase::Debian(requested);
        entry.locked.insert(Platform::LinuxAmd64, LockedRoot::Debian(debian));
        check(&locked, &other, &[]);
        check(&other, &locked, &[]);
    }

    #[test]
    fn a_plugin_stays_wherever_it_is() {
        let plugin = |requested, of: &str| {
            let blake3 = Digest::of(of.as_bytes());
            let plugin = LockedPlugin { requested, blake3, size: 1, sha256: None };
            Lock { plugins: BTreeMap::from([("p".into(), plugin)]), ..Lock::default() }
        };
        let [old, new] = ["old", "new"].map(|of| Digest::of(of.as_bytes()));
        let here = plugin(RequestedPlugin::Builtin, "old");
        check(&here, &plugin(RequestedPlugin::Path("p.wasm".into()), "old"), &[]);
        let moved = format!("plugin `p`: component {old} → {new}");
        check(&here, &plugin(RequestedPlugin::Path("p.wasm".into()), "new"), &[&moved]);
        check(&here, &plugin(RequestedPlugin::Builtin, "new"), &[&moved]);
    }

    #[test]
    fn what_is_fetched_stays_unless_the_manifest_says_what_it_is() {
        let locked = |requested, locked| {
            let fetch = LockedFetch { requested, locked };
            Lock { fetches: BTreeMap::from([("f".into(), fetch)]), ..Lock::default() }
        };
        let digest = |of: &str| Sha256::of(of.as_bytes());
        let file = |url: &str, sha256: Option<&str>, of| {
            let requested = RequestedFetch::File { url: url.into(), sha256: sha256.map(digest) };
            locked(requested, FetchedContent::File { sha256: digest(of), size: 1 })
        };
        let old = file("here", None, "old");
        check(&old, &file("there", None, "old"), &[]);
        let moved = format!("fetch `f`: file sha256:{} → sha256:{}", digest("old"), digest("new"));
        check(&old, &file("there", None, "new"), &[&moved]);
        check(&old, &file("here", Some("new"), "new"), &[]);
        check(&file("here", Some("old"), "old"), &file("here", None, "new"), &[&moved]);

        let git = |url: &str, version, folder: Option<&str>, revision: &str, tree: &str| {
            let folder = folder.map(str::to_owned);
            let requested =
                RequestedFetch::Git { url: url.into(), version, folder, submodules: false };
            let tree = Digest::of(tree.as_bytes());
            locked(requested, FetchedContent::Git { revision: revision.into(), tree })
        };
        let branch = || RequestedVersion::Branch("main".into());
        let old = git("here", branch(), None, "1", "t");
        check(&old, &git("there", branch(), None, "1", "t"), &[]);
        check(&old, &git("here", branch(), Some("lib"), "1", "u"), &[]);
        check(
            &old,
            &git("here", branch(), None, "1", "u"),
            &["fetch `f`: revision 1, published anew"],
        );
        check(&old, &git("there", branch(), Some("lib"), "2", "u"), &["fetch `f`: revision 1 → 2"]);
        check(&old, &git("here", RequestedVersion::Default, None, "2", "u"), &[]);
        check(&old, &file("here", None, "new"), &[]);
        check(&file("here", None, "new"), &old, &[]);
        let mut with_submodules = git("here", branch(), None, "1", "u");
        let entry = with_submodules.fetches.get_mut("f").unwrap();
        let RequestedFetch::Git { submodules, .. } = &mut entry.requested else { unreachable!() };
        *submodules = true;
        check(&old, &with_submodules, &[]);
    }
}
