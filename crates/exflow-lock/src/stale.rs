use crate::{Lock, Platform, RequestedBase, Wanted};
use std::fmt;

/// One way in which a lock doesn't fit what a workspace asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stale {
    /// A base isn't in the lock.
    BaseMissing {
        /// Which base.
        name: String,
    },
    /// A base is in the lock for other platforms.
    PlatformMissing {
        /// Which base.
        name: String,
        /// The platform that is built for.
        platform: Platform,
    },
    /// A base was locked for another request.
    BaseChanged {
        /// Which base.
        name: String,
        /// What has changed, as a phrase.
        what: String,
    },
    /// The lock has a base that nothing asks for.
    BaseUnused {
        /// Which base.
        name: String,
    },
    /// A plugin isn't in the lock.
    PluginMissing {
        /// Which plugin.
        name: String,
    },
    /// A plugin was locked from elsewhere.
    PluginChanged {
        /// Which plugin.
        name: String,
    },
    /// The lock has a plugin that nothing asks for.
    PluginUnused {
        /// Which plugin.
        name: String,
    },
    /// Something that is fetched isn't in the lock.
    FetchMissing {
        /// What.
        name: String,
    },
    /// Something that is fetched was locked for another request.
    FetchChanged {
        /// What.
        name: String,
    },
    /// The lock has something that is fetched, and that nothing needs.
    FetchUnused {
        /// What.
        name: String,
    },
}

impl Stale {
    /// Whether a build lacks something because of it; an entry that is only unused harms nothing.
    pub fn is_needed(&self) -> bool {
        !matches!(
            self,
            Self::BaseUnused { .. } | Self::PluginUnused { .. } | Self::FetchUnused { .. }
        )
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseMissing { name } => write!(f, "base `{name}` is not in the lock"),
            Self::PlatformMissing { name, platform } => {
                write!(f, "base `{name}` is not locked for {platform}")
            }
            Self::BaseChanged { name, what } => write!(f, "base `{name}`: {what}"),
            Self::BaseUnused { name } => write!(f, "base `{name}` is locked and no longer used"),
            Self::PluginMissing { name } => write!(f, "plugin `{name}` is not in the lock"),
            Self::PluginChanged { name } => {
                write!(f, "plugin `{name}` now comes from somewhere else")
            }
            Self::PluginUnused { name } => {
                write!(f, "plugin `{name}` is locked and no longer used")
            }
            Self::FetchMissing { name } => write!(f, "fetch `{name}` is not in the lock"),
            Self::FetchChanged { name } => write!(f, "fetch `{name}` now asks for something else"),
            Self::FetchUnused { name } => write!(f, "fetch `{name}` is locked and no longer used"),
        }
    }
}

/// Every way in which `lock` doesn't fit `wanted`, by kind and name.
pub fn stale(lock: &Lock, wanted: &Wanted) -> Vec<Stale> {
    let mut stale = Vec::new();
    for (name, requested) in &wanted.bases {
        let name = name.clone();
        let Some(locked) = lock.bases.get(&name) else {
            stale.push(Stale::BaseMissing { name });
            continue;
        };
        let old = &locked.requested;
        if old != requested {
            let what = changed(old, requested);
            stale.push(Stale::BaseChanged { name, what });
        } else if !locked.locked.contains_key(&wanted.platform) {
            stale.push(Stale::PlatformMissing { name, platform: wanted.platform.clone() });
        }
    }
    for (name, requested) in &wanted.plugins {
        let name = name.clone();
        match lock.plugins.get(&name) {
            None => stale.push(Stale::PluginMissing { name }),
            Some(locked) if locked.requested != *requested => {
                stale.push(Stale::PluginChanged { name });
            }
            Some(_) => {}
        }
    }
    for (name, requested) in &wanted.fetches {
        let name = name.clone();
        match lock.fetches.get(&name) {
            None => stale.push(Stale::FetchMissing { name }),
            Some(locked) if locked.requested != *requested => {
                stale.push(Stale::FetchChanged { name });
            }
            Some(_) => {}
        }
    }
    for name in lock.fetches.keys().filter(|name| !wanted.fetches.contains_key(*name)) {
        stale.push(Stale::FetchUnused { name: name.clone() });
    }
    for name in lock.bases.keys().filter(|name| !wanted.bases.contains_key(*name)) {
        stale.push(Stale::BaseUnused { name: name.clone() });
    }
    for name in lock.plugins.keys().filter(|name| !wanted.plugins.contains_key(*name)) {
        stale.push(Stale::PluginUnused { name: name.clone() });
    }
    stale.sort();
    stale
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
