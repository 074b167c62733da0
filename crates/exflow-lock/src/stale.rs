//! How a lock doesn't fit what a workspace asks for.

use crate::{InputKind, InputName, Lock, Platform, RequestedBase, Wanted};
use std::collections::BTreeMap;
use std::fmt;

/// One way in which a lock doesn't fit what a workspace asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stale {
    /// Which input.
    pub input: InputName,
    /// How its entry doesn't fit.
    pub how: Staleness,
}

/// How an entry of a lock doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Staleness {
    /// It isn't there.
    Missing,
    /// It is there for other platforms than this one, which is built for.
    MissingFor(Platform),
    /// It was locked for another request: what has changed, as a phrase.
    Changed(String),
    /// Nothing asks for it.
    Unused,
}

impl Stale {
    /// Whether a build lacks something because of it; an entry that is only unused harms nothing.
    pub fn is_needed(&self) -> bool {
        self.how != Staleness::Unused
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = &self.input;
        match &self.how {
            Staleness::Missing => write!(f, "{input} is not in the lock"),
            Staleness::MissingFor(platform) => write!(f, "{input} is not locked for {platform}"),
            Staleness::Changed(what) => write!(f, "{input}: {what}"),
            Staleness::Unused => write!(f, "{input} is locked and no longer used"),
        }
    }
}

/// Every way in which `lock` doesn't fit `wanted`, by kind and name.
pub fn stale(lock: &Lock, wanted: &Wanted) -> Vec<Stale> {
    let mut stale = Vec::new();
    compare(&mut stale, InputKind::Base, &wanted.bases, &lock.bases, |requested, locked| {
        if locked.requested != *requested {
            return Some(Staleness::Changed(changed(&locked.requested, requested)));
        }
        let platform = &wanted.platform;
        let is_there = locked.locked.contains_key(platform);
        (!is_there).then(|| Staleness::MissingFor(platform.clone()))
    });
    compare(&mut stale, InputKind::Plugin, &wanted.plugins, &lock.plugins, |requested, locked| {
        let what = "the manifest takes it from somewhere else now";
        (locked.requested != *requested).then(|| Staleness::Changed(what.to_owned()))
    });
    compare(&mut stale, InputKind::Fetch, &wanted.fetches, &lock.fetches, |requested, locked| {
        let what = "the manifest asks for something else now";
        (locked.requested != *requested).then(|| Staleness::Changed(what.to_owned()))
    });
    stale.sort();
    stale
}

/// Compares the inputs of one kind; `how` says of one that is both wanted and locked how it doesn't fit.
fn compare<R, L>(
    stale: &mut Vec<Stale>,
    kind: InputKind,
    wanted: &BTreeMap<String, R>,
    locked: &BTreeMap<String, L>,
    how: impl Fn(&R, &L) -> Option<Staleness>,
) {
    for (name, requested) in wanted {
        let how = match locked.get(name) {
            None => Some(Staleness::Missing),
            Some(locked) => how(requested, locked),
        };
        stale.extend(how.map(|how| Stale { input: kind.named(name), how }));
    }
    let unused = locked.keys().filter(|name| !wanted.contains_key(*name));
    stale.extend(unused.map(|name| Stale { input: kind.named(name), how: Staleness::Unused }));
}

/// What has changed in a request, as a phrase.
fn changed(old: &RequestedBase, new: &RequestedBase) -> String {
    let asks =
        |new: &str, old: &str| format!("the manifest asks for `{new}`, the lock has `{old}`");
    match (old, new) {
        (RequestedBase::Debian(old), RequestedBase::Debian(new)) => {
            if old.suite != new.suite {
                asks(&new.suite, &old.suite)
            } else if old.slim != new.slim {
                "`slim` has changed".to_owned()
            } else {
                packages_changed(&old.packages, &new.packages)
            }
        }
        (RequestedBase::Image(old), RequestedBase::Image(new)) if old.source == new.source => {
            packages_changed(&old.packages, &new.packages)
        }
        _ => {
            let (new, old) = (shown(new), shown(old));
            if new == old { "its image comes from elsewhere".to_owned() } else { asks(&new, &old) }
        }
    }
}

/// A base in a few words.
fn shown(base: &RequestedBase) -> String {
    match base {
        RequestedBase::Debian(debian) => debian.suite.clone(),
        RequestedBase::Image(image) => image.source.to_string(),
    }
}

fn packages_changed(old: &[String], new: &[String]) -> String {
    let list = |from: &[String], without: &[String]| {
        let names: Vec<_> = from
            .iter()
            .filter(|name| !without.contains(name))
            .map(|name| format!("`{name}`"))
            .collect();
        names.join(", ")
    };
    let (added, removed) = (list(new, old), list(old, new));
    match (added.is_empty(), removed.is_empty()) {
        (false, false) => format!("the manifest adds {added} and drops {removed}"),
        (false, true) => format!("the manifest adds {added}"),
        _ => format!("the manifest drops {removed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ImageSource, LockedBase, LockedDebian, LockedRoot, Platform, RequestedDebian,
        RequestedImage, RequestedPlugin,
    };
    use std::collections::BTreeMap;

    fn base(packages: &[&str]) -> RequestedBase {
        RequestedBase::Debian(RequestedDebian {
            suite: "bookworm".into(),
            slim: false,
            packages: packages.iter().map(|&name| name.into()).collect(),
        })
    }

    fn check(locked: &[(&str, &[&str])], wanted: &[(&str, &[&str])], expected: &[&str]) {
        let lock = Lock {
            image_assembly: 1,
            bases: locked
                .iter()
                .map(|(name, packages)| {
                    let debian = LockedDebian { snapshot: String::new(), packages: Vec::new() };
                    let locked =
                        BTreeMap::from([(Platform::LinuxAmd64, LockedRoot::Debian(debian))]);
                    ((*name).into(), LockedBase { requested: base(packages), locked })
                })
                .collect(),
            plugins: BTreeMap::new(),
            ..Lock::default()
        };
        let wanted = Wanted {
            bases: wanted.iter().map(|(name, list)| ((*name).into(), base(list))).collect(),
            plugins: BTreeMap::from([("mix-release".into(), RequestedPlugin::Builtin)]),
            fetches: BTreeMap::new(),
            platform: Platform::LinuxAmd64,
        };
        let found: Vec<_> = stale(&lock, &wanted).iter().map(ToString::to_string).collect();
        let plugin = "plugin `mix-release` is not in the lock";
        let expected: Vec<_> = expected.iter().copied().chain([plugin]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn says_what_has_changed() {
        check(&[("a", &["x"])], &[("a", &["x"])], &[]);
        check(&[], &[("a", &["x"])], &["base `a` is not in the lock"]);
        check(
            &[("a", &["x"]), ("b", &[])],
            &[("a", &["y"])],
            &[
                "base `a`: the manifest adds `y` and drops `x`",
                "base `b` is locked and no longer used",
            ],
        );
    }

    #[test]
    fn says_how_an_image_has_changed() {
        let image = |source, packages: &[&str]| {
            let packages = packages.iter().map(|&name| name.into()).collect();
            RequestedBase::Image(RequestedImage { source, packages })
        };
        let registry = |name: &str| ImageSource::Registry(name.into());
        for (old, new, expected) in [
            (
                image(registry("a:1"), &[]),
                image(registry("a:2"), &[]),
                "the manifest asks for `a:2`, the lock has `a:1`",
            ),
            (image(registry("a:1"), &["x"]), image(registry("a:1"), &[]), "the manifest drops `x`"),
            (
                image(registry("a:1"), &[]),
                image(ImageSource::Daemon("a:1".into()), &[]),
                "its image comes from elsewhere",
            ),
            (
                base(&[]),
                image(registry("a:1"), &[]),
                "the manifest asks for `a:1`, the lock has `bookworm`",
            ),
        ] {
            assert_eq!(changed(&old, &new), expected);
        }
    }
}
