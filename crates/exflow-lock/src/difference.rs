//! What differs between two locks.

use crate::{
    FetchedContent, InputKind, InputName, Lock, LockedBase, LockedFetch, LockedPlugin, LockedRoot,
    Platform,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How an input is locked to something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which input.
    pub input: InputName,
    /// On which platform; none where it is the same for all.
    pub platform: Option<Platform>,
    /// What differs in it, by name.
    pub changes: Vec<Change>,
}

impl Difference {
    /// Whose it is: "base `builder` on linux/amd64".
    pub fn subject(&self) -> String {
        match &self.platform {
            Some(platform) => format!("{} on {platform}", self.input),
            None => self.input.to_string(),
        }
    }
}

/// A part of an input that differs: a package, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The package's name; what the input is where it is all of it: `image`, `component`.
    pub what: String,
    /// Its version or digest before; none where it wasn't there.
    pub old: Option<String>,
    /// Its version or digest now; none where it isn't there any more.
    pub new: Option<String>,
}

impl Change {
    /// Whether it is there before and after; what is only added or dropped doesn't move.
    pub fn is_move(&self) -> bool {
        self.old.is_some() && self.new.is_some()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old == new => write!(f, "{what} {new}, published anew"),
            (Some(old), Some(new)) => write!(f, "{what} {old} → {new}"),
            (None, Some(new)) => write!(f, "{what} {new}, new"),
            (Some(old), None) => write!(f, "{what} {old}, gone"),
            (None, None) => f.write_str(what),
        }
    }
}

/// What an input is locked to.
#[derive(Default)]
struct Parts {
    /// What it is as a whole, `image` or `component`, and its digest; nothing where it is made of packages alone.
    whole: BTreeMap<String, Content>,
    packages: BTreeMap<String, Content>,
}

/// A version or a digest as it is shown, and the digest of the content.
type Content = (String, String);

/// Everything that is locked otherwise in `new` than in `old`, by input and platform. What only one of them has is
/// all new, or all gone.
pub fn differences(old: &Lock, new: &Lock) -> Vec<Difference> {
    let mut found = Vec::new();
    let names: BTreeSet<&String> = old.bases.keys().chain(new.bases.keys()).collect();
    for name in names {
        let [old, new] = [old, new].map(|lock| lock.bases.get(name));
        let platforms: BTreeSet<&Platform> =
            [old, new].into_iter().flatten().flat_map(|base| base.locked.keys()).collect();
        for platform in platforms {
            let root = |base: Option<&LockedBase>| {
                base.and_then(|base| base.locked.get(platform)).map(Parts::of_root)
            };
            found.push(Difference {
                input: InputKind::Base.named(name),
                platform: Some(platform.clone()),
                changes: Parts::between(root(old), root(new)),
            });
        }
    }
    found.extend(of_all_platforms(InputKind::Plugin, &old.plugins, &new.plugins, Parts::of_plugin));
    found.extend(of_all_platforms(InputKind::Fetch, &old.fetches, &new.fetches, Parts::of_fetch));
    found.retain(|difference| !difference.changes.is_empty());
    found
}

/// The differences of inputs that are the same for all platforms.
fn of_all_platforms<T>(
    kind: InputKind,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    parts: impl Fn(&T) -> Parts,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let difference = |name: &String| Difference {
        input: kind.named(name),
        platform: None,
        changes: Parts::between(old.get(name).map(&parts), new.get(name).map(&parts)),
    };
    names.into_iter().map(difference).collect()
}

impl Parts {
    fn of_root(root: &LockedRoot) -> Self {
        let whole = match root {
            LockedRoot::Debian(_) => BTreeMap::new(),
            LockedRoot::Image(image) => {
                whole("image", format!("sha256:{}", image.manifest.unwrap_or(image.config)))
            }
        };
        let packages = root.packages().into_iter();
        let packages = packages.map(|(name, version, sha256)| (name, version, sha256.to_string()));
        Self { whole, packages: by_name(packages) }
    }

    fn of_plugin(plugin: &LockedPlugin) -> Self {
        Self { whole: whole("component", plugin.blake3.to_string()), ..Self::default() }
    }

    fn of_fetch(fetch: &LockedFetch) -> Self {
        let whole = match &fetch.locked {
            FetchedContent::File { sha256, .. } => whole("file", format!("sha256:{sha256}")),
            FetchedContent::Git { revision, tree } => {
                BTreeMap::from([("revision".to_owned(), (revision.clone(), tree.to_string()))])
            }
        };
        Self { whole, ..Self::default() }
    }

    fn between(old: Option<Self>, new: Option<Self>) -> Vec<Change> {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let mut changes = changes(&old.whole, &new.whole);
        changes.extend(self::changes(&old.packages, &new.packages));
        changes
    }
}

/// The packages of which one list has others than another: each with its name, its version, and what its content is known
/// by.
pub fn package_changes<'a>(
    old: impl IntoIterator<Item = (&'a str, &'a str, String)>,
    new: impl IntoIterator<Item = (&'a str, &'a str, String)>,
) -> Vec<Change> {
    changes(&by_name(old), &by_name(new))
}

fn by_name<'a>(
    packages: impl IntoIterator<Item = (&'a str, &'a str, String)>,
) -> BTreeMap<String, Content> {
    let packages = packages.into_iter();
    packages
        .map(|(name, version, content)| (name.to_owned(), (version.to_owned(), content)))
        .collect()
}

fn whole(what: &str, digest: String) -> BTreeMap<String, Content> {
    BTreeMap::from([(what.to_owned(), (digest.clone(), digest))])
}

fn changes(old: &BTreeMap<String, Content>, new: &BTreeMap<String, Content>) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let (old, new) = (old.get(name), new.get(name));
        let shown = |content: Option<&Content>| content.map(|(shown, _)| shown.clone());
        (old != new).then(|| Change { what: name.clone(), old: shown(old), new: shown(new) })
    };
    names.into_iter().filter_map(change).collect()
}
