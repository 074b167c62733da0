//! What an image consists of.

use super::image_purl;
use crate::engine::{Built, base_key};
use crate::prepare::Prepared;
use crate::report::{Failure, store_failed};
use exflow_content::{Digest, Entry, RelPath, Sha256, Tree};
use exflow_fetch::{FetchError, System};
use exflow_lock::RequestedPlugin;
use exflow_packages::debian::{MAX_COPYRIGHT, Paragraphs, licences};
use exflow_packages::hex::{HexPackage, Term, parse_terms};
use exflow_packages::without_secrets;
use exflow_plan::{Action, Origin, PlannedBase, PlannedImage, PlannedRoot};
use exflow_statements::{Bill, Component, Role, alpine, debian, git, hex, otp};
use exflow_store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The longest file of an application or a package that is read, in bytes.
const MAX_METADATA: u64 = 4 << 20;
/// Where Hex serves packages to everyone.
const HEX: &str = "https://repo.hex.pm/tarballs";

/// What an image consists of.
pub(crate) fn bill(prepared: &Prepared, built: &Built) -> Result<Bill, Failure> {
    let planned = &prepared.plan.images[built.image];
    let reader = Reader(&prepared.store);
    let mut components = Vec::new();
    let mut is_complete = true;
    if let Action::Base(base) = &prepared.plan.steps[planned.base].action {
        is_complete = reader.base(base, &built.base, &mut components)?;
    }
    let release = reader.0.tree(&built.release).map_err(store_failed)?;
    let applications = reader.applications(&release)?;
    let packages = reader.packages(prepared, planned, &applications)?;
    let builders = reader.builders(prepared, planned)?;
    for (name, version) in applications {
        if let Some(package) = packages.get(&name) {
            components.push(package.clone());
            continue;
        }
        let role = if builders.contains(&name) { Role::OtpApplication } else { Role::Application };
        components.push(component(role, &name, &version, otp(&name, &version)));
    }
    components.extend(plugin(prepared, planned));
    let platform = planned.settings.platform.clone();
    Ok(Bill::new(&planned.project, built.digest()?, platform, is_complete, components))
}

fn component(role: Role, name: &str, version: &str, purl: Option<String>) -> Component {
    Component {
        role,
        name: name.to_owned(),
        version: version.to_owned(),
        purl,
        sha256: None,
        url: None,
        licences: Vec::new(),
    }
}

fn plugin(prepared: &Prepared, planned: &PlannedImage) -> Option<Component> {
    let locked = prepared.lock.plugins.get(&planned.plugin)?;
    let url = match &locked.requested {
        RequestedPlugin::Url(url) => Some(without_secrets(url)),
        RequestedPlugin::Builtin | RequestedPlugin::Path(_) | RequestedPlugin::Oci(_) => None,
    };
    // What pins it; its authors may not have given it a version.
    let version = format!("blake3:{}", locked.blake3);
    let plain = component(Role::Plugin, &planned.plugin, &version, None);
    Some(Component { sha256: locked.sha256, url, ..plain })
}

/// Reads what is in the store.
struct Reader<'a>(&'a Store);

impl Reader<'_> {
    /// A file of a tree, its links followed; none where there is none, or it is longer than any of its kind.
    fn file(&self, tree: &Tree, path: &RelPath, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        match tree.resolve(path).and_then(|path| tree.get(&path)) {
            Some(Entry::File { blob, size, .. }) if *size <= limit => {
                self.0.read_blob(blob, limit).map(Some).map_err(store_failed)
            }
            _ => Ok(None),
        }
    }

    /// What a base consists of. Whether that is all: what is installed can't always be told.
    fn base(
        &self,
        base: &PlannedBase,
        tree: &Digest,
        components: &mut Vec<Component>,
    ) -> Result<bool, Failure> {
        if let PlannedRoot::Image { image: locked, source, .. } = &base.root {
            let digest = locked.manifest.unwrap_or(locked.config);
            let purl = image_purl(source, locked, &base.platform);
            let version = format!("sha256:{digest}");
            components.push(component(Role::BaseImage, &source.to_string(), &version, purl));
        }
        let tree = self.0.tree(tree).map_err(store_failed)?;
        let locked = locked_packages(&base.root);
        match System::of(self.0, &tree, &base.platform) {
            Ok(System::Debian { suite, installed }) => {
                for (name, package) in installed.packages() {
                    let mut paragraphs = Paragraphs::new(package.paragraph.as_bytes());
                    let paragraph = paragraphs.next_paragraph().ok().flatten();
                    let architecture =
                        paragraph.and_then(|it| it.get("Architecture")).unwrap_or_default();
                    let purl = debian(name, &package.version, architecture, &suite);
                    let plain = component(Role::SystemPackage, name, &package.version, purl);
                    let sha256 = locked.get(&(name.as_str(), package.version.as_str())).copied();
                    let licences = self.licences(&tree, name)?;
                    components.push(Component { sha256, licences, ..plain });
                }
            }
            Ok(System::Alpine(system)) => {
                for package in &system.installed.packages {
                    let (name, version) = (&*package.name, &*package.version);
                    let purl = alpine(name, version, &package.architecture);
                    let licence = Some(package.licence.to_string());
                    components.push(Component {
                        sha256: locked.get(&(name, version)).copied(),
                        licences: licence
                            .filter(|licence| !licence.is_empty())
                            .into_iter()
                            .collect(),
                        ..component(Role::SystemPackage, name, version, purl)
                    });
                }
            }
            Err(FetchError::Store(error)) => return Err(store_failed(error)),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// The licences of a Debian package.
    fn licences(&self, tree: &Tree, package: &str) -> Result<Vec<String>, Failure> {
        let Ok(path) = RelPath::new(format!("usr/share/doc/{package}/copyright")) else {
            return Ok(Vec::new());
        };
        let text = self.file(tree, &path, MAX_COPYRIGHT)?.unwrap_or_default();
        Ok(licences(&String::from_utf8_lossy(&text)).into_iter().collect())
    }

    /// The packages that a release is made with, by the application that each is.
    fn packages(
        &self,
        prepared: &Prepared,
        planned: &PlannedImage,
        applications: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Component>, Failure> {
        let mut packages = BTreeMap::new();
        for node in prepared.plan.closure([planned.release.step]) {
            let Action::Fetch(origin) = &prepared.plan.steps[node].action else { continue };
            let Some(tree) = self.made(&origin.key())? else { continue };
            match origin {
                Origin::Hex(package) => {
                    let (app, licences) = self.hex_metadata(&tree, package)?;
                    let plain =
                        component(Role::HexPackage, &package.name, &package.version, hex(package));
                    let url = (package.repo == "hexpm")
                        .then(|| format!("{HEX}/{}-{}.tar", package.name, package.version));
                    packages
                        .insert(app, Component { sha256: package.outer, url, licences, ..plain });
                }
                Origin::Git(source) => {
                    // Of those that it may be, the ones that there are.
                    let apps = self.apps_of(&tree)?.into_iter();
                    for app in apps.filter(|app| applications.contains_key(app)) {
                        let purl = git(&app, source);
                        let plain = component(Role::GitSource, &app, &source.revision, purl);
                        packages.entry(app).or_insert(plain);
                    }
                }
                // What became of it is not known: it is among the materials.
                Origin::File(_) => {}
            }
        }
        Ok(packages)
    }

    /// The tree that was recorded under a key.
    fn made(&self, key: &Digest) -> Result<Option<Tree>, Failure> {
        let tree = || -> Result<Option<Tree>, StoreError> {
            let Some(record) = self.0.record(key)? else { return Ok(None) };
            record.trees.first().map(|tree| self.0.tree(tree)).transpose()
        };
        tree().map_err(store_failed)
    }

    /// The application that a package of Hex's is, and its licences.
    fn hex_metadata(
        &self,
        tree: &Tree,
        package: &HexPackage,
    ) -> Result<(String, Vec<String>), Failure> {
        let path = RelPath::new("hex_metadata.config").expect("a clean path");
        let bytes = self.file(tree, &path, MAX_METADATA)?.unwrap_or_default();
        let terms = parse_terms(&bytes).unwrap_or_default();
        let field = |wanted: &str| {
            let mut pairs = terms.iter().filter_map(Term::pair);
            pairs.find(|(key, _)| key.text() == Some(wanted)).map(|(_, value)| value)
        };
        let app = field("app").and_then(Term::text).unwrap_or(&package.name);
        let licences = match field("licenses") {
            Some(Term::List(licences)) => {
                licences.iter().filter_map(Term::text).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Ok((app.to_owned(), licences))
    }

    /// The applications that sources may be of: what any mix.exs or `.app.src` in them says.
    fn apps_of(&self, tree: &Tree) -> Result<BTreeSet<String>, Failure> {
        let mut apps = BTreeSet::new();
        for (path, _) in tree.entries() {
            let Some(name) = path.name().and_then(|name| std::str::from_utf8(name).ok()) else {
                continue;
            };
            if let Some(app) = name.strip_suffix(".app.src") {
                apps.insert(app.to_owned());
            }
            if name == "mix.exs"
                && let Some(bytes) = self.file(tree, path, MAX_METADATA)?
            {
                let text = String::from_utf8_lossy(&bytes);
                let is_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
                let said = text
                    .split("app:")
                    .skip(1)
                    .filter_map(|rest| rest.trim_start().strip_prefix(':'));
                apps.extend(said.map(|rest| rest.chars().take_while(is_name).collect::<String>()));
            }
        }
        Ok(apps)
    }

    /// The applications that the bases have which the release was made in: Erlang's and Elixir's.
    fn builders(
        &self,
        prepared: &Prepared,
        planned: &PlannedImage,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut names = BTreeSet::new();
        for node in prepared.plan.closure([planned.release.step]) {
            let Action::Base(base) = &prepared.plan.steps[node].action else { continue };
            let Some(tree) = self.made(&base_key(base))? else { continue };
            names.extend(app_files(&tree).map(|(name, _)| name.to_owned()));
        }
        Ok(names)
    }

    /// The applications of a release, with their versions.
    fn applications(&self, release: &Tree) -> Result<BTreeMap<String, String>, Failure> {
        let mut applications = BTreeMap::new();
        for (name, path) in app_files(release) {
            let bytes = self.file(release, path, MAX_METADATA)?.unwrap_or_default();
            let terms = parse_terms(&bytes).unwrap_or_default();
            let version = match terms.first() {
                Some(Term::Tuple(parts)) => parts.get(2).and_then(|properties| {
                    let pairs = properties.pairs();
                    let found = pairs.iter().find(|(key, _)| key.text() == Some("vsn"));
                    found.and_then(|(_, value)| value.text()).map(str::to_owned)
                }),
                _ => None,
            };
            applications.insert(name.to_owned(), version.unwrap_or_default());
        }
        Ok(applications)
    }
}

/// The `.app` files of a tree, by the applications that they are of.
fn app_files(tree: &Tree) -> impl Iterator<Item = (&str, &RelPath)> {
    tree.entries().filter_map(|(path, _)| {
        let name = std::str::from_utf8(path.name()?).ok()?.strip_suffix(".app")?;
        let folder = path.parent()?;
        (folder.name() == Some(b"ebin")).then_some((name, path))
    })
}

/// The packages that a base is locked to, by name and version.
fn locked_packages(root: &PlannedRoot) -> BTreeMap<(&str, &str), Sha256> {
    let pinned = match root {
        PlannedRoot::Debian { debian, .. } => debian.pinned(),
        PlannedRoot::Image { image, .. } => image.packages.pinned(),
    };
    pinned.into_iter().map(|(name, version, sha256)| ((name, version), *sha256)).collect()
}
