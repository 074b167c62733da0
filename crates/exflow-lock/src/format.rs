//! The file format of `exflow.lock`: JSON, sorted, a package a line.
//!
//! The structs here are the wire format and nothing else; they are converted to the model at once.

mod fetch;
mod image;

use self::fetch::WireFetch;
use self::image::{WireApk, WireDefaults, WireLayer};
use crate::{
    Lock, LockedBase, LockedDebian, LockedPackage, LockedPlugin, LockedRoot, Platform,
    RequestedBase, RequestedDebian, RequestedPlugin,
};
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;

/// The newest version of the format that is read and written: 2 knows bases that are images, 3 plugins that are
/// fetched, and 4 files and repositories that are.
pub const VERSION: u32 = 4;
/// The newest minor version of that: what it adds may be overlooked.
const MINOR: u32 = 0;
/// The first version that knows files and repositories that are fetched.
const FETCHES: u32 = 4;
/// The first version that knows plugins that are fetched.
const PLUGINS: u32 = 3;
/// The first version that knows bases that are images.
const IMAGES: u32 = 2;
/// The first version that there was, in which every base is made of Debian packages.
const OLDEST: u32 = 1;

/// The longest lock that is read, in bytes. A package takes some 200.
pub const MAX_BYTES: usize = 32 << 20;

const INVALID: &str = "exflow::lock::invalid";
const CONFLICT: &str = "exflow::lock::merge-conflict";
const NEWER: &str = "exflow::lock::newer-version";

/// Every input from outside: what the manifests ask for, and what that is by content.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Lock"))]
#[serde(rename_all = "kebab-case")]
struct WireLock {
    /// The version of the format: another one has other meanings.
    #[expect(dead_code, reason = "it is read before all else, as `Version`")]
    version: u32,
    /// What was added to that version, and may be overlooked; without it, nothing was.
    #[expect(dead_code, reason = "it is read before all else, as `Version`")]
    #[serde(default)]
    minor: u32,
    /// The version of how images are put together.
    image_assembly: u32,
    /// Bases by name.
    #[serde(default, deserialize_with = "unique")]
    bases: BTreeMap<String, WireBase>,
    /// Plugins by name.
    #[serde(default, deserialize_with = "unique")]
    plugins: BTreeMap<String, WirePlugin>,
    /// Files and repositories that are fetched, by name.
    #[serde(default, deserialize_with = "unique")]
    fetches: BTreeMap<String, WireFetch>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Base"))]
struct WireBase {
    /// As the manifest says it.
    requested: WireRequested,
    /// What that is on each platform: `linux/amd64`.
    #[serde(deserialize_with = "unique")]
    locked: BTreeMap<String, WireRoot>,
}

/// Of `debian`, `image`, `layout`, `archive` and `daemon` exactly one is there.
#[derive(Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Requested"))]
struct WireRequested {
    #[serde(skip_serializing_if = "Option::is_none")]
    debian: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slim: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    packages: Vec<String>,
}

/// What a base is: Debian packages, or an image with perhaps packages added to it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Root"))]
#[serde(rename_all = "kebab-case")]
struct WireRoot {
    index: Option<String>,
    manifest: Option<String>,
    config: Option<String>,
    defaults: Option<WireDefaults>,
    layers: Option<Vec<WireLayer>>,
    snapshot: Option<String>,
    packages: Option<Vec<WirePackage>>,
    apks: Option<Vec<WireApk>>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Package"))]
struct WirePackage {
    name: String,
    version: String,
    architecture: String,
    archive: String,
    path: String,
    size: u64,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Plugin"))]
struct WirePlugin {
    requested: WireSource,
    locked: WireComponent,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Source"))]
#[serde(rename_all = "kebab-case")]
enum WireSource {
    Builtin(#[serde(deserialize_with = "yes")] bool),
    Path(String),
    Url(String),
    Oci(String),
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Component"))]
struct WireComponent {
    blake3: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Reads a map, and refuses one that has a key twice, as a careless merge leaves it: JSON itself
/// lets the last one win.
fn unique<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Unique<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = access.next_key::<String>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!("`{key}` stands here twice")));
                }
                let value = access.next_value()?;
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}

/// Reads `true`: the file says what something is, and never what it isn't.
fn yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    if bool::deserialize(deserializer)? {
        return Ok(true);
    }
    Err(D::Error::custom("`false` means nothing here: leave it out, or write `true`"))
}

/// Prints `lock` as the file that is committed.
///
/// Everything is sorted and each package has a line of its own, so that a change touches the lines
/// of what changed, and two branches that change different things merge.
pub fn print(lock: &Lock) -> String {
    let mut out = format!(
        "{{\n  \"version\": {},\n  \"image-assembly\": {},\n  \"bases\": {{",
        version_of(lock),
        lock.image_assembly
    );
    for (number, (name, base)) in lock.bases.iter().enumerate() {
        out += separator(number);
        let _ = writeln!(out, "    {}: {{", json(name));
        let requested = wire_requested(&base.requested);
        let _ = write!(out, "      \"requested\": {},\n      \"locked\": {{", json(&requested));
        for (number, (platform, root)) in base.locked.iter().enumerate() {
            out += separator(number);
            let _ = writeln!(out, "        {}: {{", json(&platform.to_string()));
            match root {
                LockedRoot::Debian(debian) => print_debian(&mut out, debian),
                LockedRoot::Image(image) => image::print(&mut out, image),
            }
            out += "\n        }";
        }
        out += "\n      }\n    }";
    }
    out += "\n  },\n  \"plugins\": {";
    for (number, (name, plugin)) in lock.plugins.iter().enumerate() {
        out += separator(number);
        let requested = match &plugin.requested {
            RequestedPlugin::Builtin => WireSource::Builtin(true),
            RequestedPlugin::Path(path) => WireSource::Path(path.clone()),
            RequestedPlugin::Url(url) => WireSource::Url(url.clone()),
            RequestedPlugin::Oci(reference) => WireSource::Oci(reference.clone()),
        };
        let locked = WireComponent {
            blake3: plugin.blake3.to_string(),
            size: plugin.size,
            sha256: plugin.sha256.map(|digest| digest.to_string()),
        };
        let _ = write!(
            out,
            "    {}: {{\n      \"requested\": {},\n      \"locked\": {}\n    }}",
            json(name),
            json(&requested),
            json(&locked)
        );
    }
    if !lock.fetches.is_empty() {
        out += "\n  },\n  \"fetches\": {";
        for (number, (name, fetch)) in lock.fetches.iter().enumerate() {
            out += separator(number);
            fetch::print(&mut out, name, fetch);
        }
    }
    out += "\n  }\n}\n";
    out
}

/// The oldest version that can say what this lock says.
fn version_of(lock: &Lock) -> u32 {
    let has_image =
        lock.bases.values().any(|base| matches!(base.requested, RequestedBase::Image(_)));
    if !lock.fetches.is_empty() {
        FETCHES
    } else if lock.plugins.values().any(|plugin| plugin.sha256.is_some()) {
        PLUGINS
    } else if has_image {
        IMAGES
    } else {
        OLDEST
    }
}

fn wire_requested(requested: &RequestedBase) -> WireRequested {
    match requested {
        RequestedBase::Debian(RequestedDebian { suite, slim, packages }) => WireRequested {
            debian: Some(suite.clone()),
            slim: Some(*slim),
            packages: packages.clone(),
            ..WireRequested::default()
        },
        RequestedBase::Image(image) => image::requested(image),
    }
}

fn print_debian(out: &mut String, debian: &LockedDebian) {
    let _ = writeln!(out, "          \"snapshot\": {},", json(&debian.snapshot));
    let packages = debian.packages.iter().map(|package| json(&wire_package(package)));
    print_list(out, "packages", packages);
}

/// A list with a line for each of its values.
fn print_list(out: &mut String, name: &str, values: impl Iterator<Item = String>) {
    let _ = write!(out, "          {}: [", json(&name));
    let mut is_empty = true;
    for (number, value) in values.enumerate() {
        is_empty = false;
        out.push_str(separator(number));
        let _ = write!(out, "            {value}");
    }
    out.push_str(if is_empty { "]" } else { "\n          ]" });
}

fn separator(number: usize) -> &'static str {
    if number == 0 { "\n" } else { ",\n" }
}

/// One line of JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists become JSON")
}

fn wire_package(package: &LockedPackage) -> WirePackage {
    WirePackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        archive: package.archive.clone(),
        path: package.path.clone(),
        size: package.size,
        sha256: package.sha256.to_string(),
    }
}

/// Reads a lock; `source` names it in problems.
pub fn parse(source: &SourceName, text: &str) -> Result<Lock, Diagnostics> {
    let invalid = |message: String, site: Option<Site>, label: &str| {
        let diagnostic = Diagnostic::error(INVALID, message).help(
            "restore the file from version control, or delete it and run `exflow lock`, which \
             pins everything anew",
        );
        diagnostic.at_known(site.as_ref(), label)
    };
    if text.len() > MAX_BYTES {
        let message = format!("`{source}` is longer than {} MiB", MAX_BYTES >> 20);
        return Err(invalid(message, None, "").into());
    }
    if let Some(at) = conflict(text) {
        let site = Site::new(source, at..at + 7);
        return Err(Diagnostic::error(CONFLICT, format!("`{source}` has an unresolved merge"))
            .at(&site, "conflict marker")
            .help(
                "take either side of the file, for example by `git checkout --ours exflow.lock`, \
                 and run `exflow lock`, which adds what is missing and drops what is unused",
            )
            .into());
    }
    // The version decides how to read the rest, so it is read first.
    let fail = |error: &serde_json::Error| {
        let at = offset(text, error.line(), error.column());
        let site = Site::new(source, at..at);
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        Diagnostics::from(invalid(format!("`{source}` is not a lock"), Some(site), &reason))
    };
    let Version { version, minor } = serde_json::from_str(text).map_err(|error| fail(&error))?;
    if version > VERSION {
        let message = format!("`{source}` has version {version}, and this exflow reads {VERSION}");
        return Err(Diagnostic::error(NEWER, message)
            .help("it was written by a newer exflow: update exflow to read it")
            .into());
    }
    if version < OLDEST {
        let message = format!("`{source}` has version {version}, which there never was");
        return Err(invalid(message, None, "").into());
    }
    let mut unknown = Vec::new();
    let mut file = serde_json::Deserializer::from_str(text);
    let wire = serde_ignored::deserialize(&mut file, |path| {
        // `?` is what may be left out, which says nothing to anyone.
        unknown.push(path.to_string().replace(".?", ""));
    });
    let wire = wire.and_then(|wire: WireLock| file.end().map(|()| wire));
    // Whoever wrote it may have known more, or has mistyped what is looked for in vain.
    let is_newer = version == VERSION && minor > MINOR;
    if let Some(path) = unknown.first().filter(|_| !is_newer) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let quoted = json(&name);
        let site = text.find(&quoted).map(|at| Site::new(source, at..at + quoted.len()));
        let message = format!("`{source}` is not a lock of version {version}: it has `{path}`");
        return Err(invalid(message, site, "not known here").into());
    }
    let wire = wire.map_err(|error| fail(&error))?;
    let lock = lower(wire).map(|lock| Lock { unknown, ..lock });
    lock.map_err(|Wrong { value, message }| {
        // As it stands in the file, so that it isn't found within another one.
        let quoted = json(&value);
        let site = text.find(&quoted).map(|at| Site::new(source, at..at + quoted.len()));
        invalid(message, site, "here").into()
    })
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Version {
    version: u32,
    #[serde(default)]
    minor: u32,
}

fn conflict(text: &str) -> Option<usize> {
    ["<<<<<<<", ">>>>>>>"].iter().find_map(|marker| {
        if text.starts_with(marker) {
            return Some(0);
        }
        text.find(&format!("\n{marker}")).map(|at| at + 1)
    })
}

/// The byte offset of a line and column as serde_json counts them: from one, in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// A value that JSON allows and a lock doesn't.
struct Wrong {
    value: String,
    message: String,
}

fn lower(wire: WireLock) -> Result<Lock, Wrong> {
    let mut lock = Lock { image_assembly: wire.image_assembly, ..Lock::default() };
    for (name, base) in wire.bases {
        let requested = lower_requested(&name, base.requested)?;
        let mut locked = BTreeMap::new();
        for (platform, root) in base.locked {
            let parsed = Platform::parse(&platform).ok_or_else(|| Wrong {
                message: format!("`{platform}` is not a platform that exflow builds for"),
                value: platform,
            })?;
            locked.insert(parsed, lower_root(&name, &requested, root)?);
        }
        lock.bases.insert(name, LockedBase { requested, locked });
    }
    for (name, plugin) in wire.plugins {
        let requested = match plugin.requested {
            WireSource::Builtin(_) => RequestedPlugin::Builtin,
            WireSource::Path(path) => RequestedPlugin::Path(path),
            WireSource::Url(url) => RequestedPlugin::Url(url),
            WireSource::Oci(reference) => RequestedPlugin::Oci(reference),
        };
        let WireComponent { blake3, size, sha256 } = plugin.locked;
        let blake3 =
            blake3.parse().map_err(|error| Wrong { message: format!("{error}"), value: blake3 })?;
        let is_fetched = matches!(requested, RequestedPlugin::Url(_) | RequestedPlugin::Oci(_));
        if is_fetched != sha256.is_some() {
            let message = format!("plugin `{name}` has a sha256 if it is fetched, and only then");
            return Err(Wrong { message, value: name });
        }
        let sha256 = sha256.map(|text| {
            text.parse().map_err(|error| Wrong { message: format!("{error}"), value: text })
        });
        let sha256 = sha256.transpose()?;
        lock.plugins.insert(name, LockedPlugin { requested, blake3, size, sha256 });
    }
    for (name, wire) in wire.fetches {
        let locked = fetch::lower(&name, wire)?;
        lock.fetches.insert(name, locked);
    }
    Ok(lock)
}

fn lower_requested(name: &str, requested: WireRequested) -> Result<RequestedBase, Wrong> {
    match requested {
        WireRequested {
            debian: Some(suite),
            slim: Some(slim),
            image: None,
            layout: None,
            archive: None,
            daemon: None,
            name: None,
            packages,
        } => Ok(RequestedBase::Debian(RequestedDebian { suite, slim, packages })),
        other => image::lower_requested(name, other).map(RequestedBase::Image),
    }
}

fn lower_root(name: &str, requested: &RequestedBase, root: WireRoot) -> Result<LockedRoot, Wrong> {
    match (requested, root) {
        (
            RequestedBase::Debian(_),
            WireRoot {
                index: None,
                manifest: None,
                config: None,
                defaults: None,
                layers: None,
                apks: None,
                snapshot: Some(snapshot),
                packages: Some(packages),
            },
        ) => lower_debian(snapshot, packages).map(LockedRoot::Debian),
        (RequestedBase::Image(_), root) => {
            image::lower(name, root).map(Box::new).map(LockedRoot::Image)
        }
        (RequestedBase::Debian(_), _) => Err(Wrong {
            message: format!("base `{name}` is not locked as what is requested"),
            value: name.to_owned(),
        }),
    }
}

fn lower_debian(snapshot: String, wire: Vec<WirePackage>) -> Result<LockedDebian, Wrong> {
    // It becomes part of an address.
    if !is_stamp(&snapshot) {
        let message = format!("`{snapshot}` is not a time such as `20261101T000000Z`");
        return Err(Wrong { message, value: snapshot });
    }
    let mut packages: Vec<LockedPackage> = Vec::with_capacity(wire.len().min(4096));
    for package in wire {
        let WirePackage { name, version, architecture, archive, path, size, sha256 } = package;
        // It becomes part of file names.
        if !is_debian_package(&name) {
            return Err(Wrong {
                message: format!("`{name}` is not the name of a package"),
                value: name,
            });
        }
        let sha256 =
            sha256.parse().map_err(|error| Wrong { message: format!("{error}"), value: sha256 })?;
        for (field, value) in [("version", &version), ("architecture", &architecture)] {
            if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) {
                let message = format!("package `{name}` has the {field} `{value}`, which is none");
                return Err(Wrong { message, value: name });
            }
        }
        // The path becomes part of an address and a file name.
        match RelPath::new(&path) {
            Ok(clean) if !clean.is_root() => {}
            Ok(_) => {
                return Err(Wrong {
                    message: format!("package `{name}` has no path"),
                    value: name,
                });
            }
            Err(error) => return Err(Wrong { message: error.to_string(), value: path }),
        }
        if !matches!(&archive[..], "debian" | "debian-security") {
            let message = format!("`{archive}` is not an archive that exflow knows");
            return Err(Wrong { message, value: archive });
        }
        if packages.last().is_some_and(|last| last.name >= name) {
            let message = format!("package `{name}` stands twice, or out of order");
            return Err(Wrong { message, value: name });
        }
        packages.push(LockedPackage { name, version, architecture, archive, path, size, sha256 });
    }
    Ok(LockedDebian { snapshot, packages })
}

/// Whether `text` is a time as the snapshot archive writes it: `20261101T000000Z`.
fn is_stamp(text: &str) -> bool {
    text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// Whether Debian allows `name` as that of a package (Debian Policy 5.6.1).
pub fn is_debian_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

#[cfg(test)]
mod tests;
