//! What a command works on: the workspace around the current folder, and the user's store.

use crate::report::{Failure, say_all};
use crate::ui::Ui;
use exflow_content::{Digest, PatternSet, RelPath};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName, Sources};
use exflow_lock::{Lock, Platform, RequestedDebian, RequestedPlugin, Wanted};
use exflow_manifest::{MAX_BYTES, Manifest, Workspace, assemble, member_patterns, parse};
use exflow_plugin_host::{Plugin, PluginBytes};
use exflow_store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The name of a manifest's file.
pub(crate) const MANIFEST: &str = "exflow.kdl";
/// The plugins that ship inside exflow: their names and components.
pub(crate) const BUILTIN: &[(&str, &[u8])] =
    &[("mix-release", include_bytes!("../../../plugins/prebuilt/mix-release.wasm"))];
/// The largest component that is read, in bytes.
const MAX_PLUGIN: u64 = 256 << 20;

const NO_MANIFEST: &str = "exflow::workspace::no-manifest";
const UNREADABLE: &str = "exflow::workspace::unreadable";
const NO_STORE: &str = "exflow::store::no-place";

/// Everything that a command has at hand.
pub(crate) struct Session {
    pub(crate) ui: Ui,
    /// The texts that problems point into.
    pub(crate) texts: Sources,
    /// The root of the workspace, once it has been found.
    pub(crate) root: PathBuf,
    store: Option<Store>,
}

impl Session {
    pub(crate) fn new(ui: Ui) -> Self {
        Self { ui, texts: Sources::new(), root: PathBuf::new(), store: None }
    }

    /// The user's store.
    pub(crate) fn store(&mut self) -> Result<Store, Failure> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let named = |name: &str| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let place = named("EXFLOW_STORE")
            .or_else(|| Some(named("XDG_CACHE_HOME")?.join("exflow")))
            .or_else(|| Some(named("HOME")?.join(".cache/exflow")));
        let place = place.ok_or_else(|| {
            Diagnostic::error(NO_STORE, "there is no place for the store: HOME is not set")
                .help("name one: `EXFLOW_STORE=DIR`")
        })?;
        let place = std::path::absolute(&place).unwrap_or(place);
        let store = Store::open(place).map_err(store_failed)?;
        self.store = Some(store.clone());
        Ok(store)
    }

    /// Reads every manifest of the workspace, and puts them together.
    pub(crate) fn workspace(&mut self) -> Result<Workspace, Failure> {
        let (root, manifest) = self.find_root()?;
        self.root = root;
        let source = SourceName::new(MANIFEST);
        let mut problems = Diagnostics::new();
        let mut members = Vec::new();
        for folder in self.member_folders(&manifest) {
            let path = self.root.join(folder.to_string()).join(MANIFEST);
            match self.read_manifest(&path, &format!("{folder}/{MANIFEST}")) {
                Ok(manifest) => members.push((folder, manifest)),
                Err(Failure::Problems(more)) => problems.extend(more),
                Err(other) => return Err(other),
            }
        }
        let builtin: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
        match assemble(&source, manifest, members, &builtin) {
            Ok(workspace) => Ok(problems.into_result(workspace)?),
            Err(more) => {
                problems.extend(more);
                Err(problems.into())
            }
        }
    }

    /// The manifest at the root of the workspace that the folder is in: the nearest one upwards
    /// that declares a workspace, or else the nearest.
    fn find_root(&mut self) -> Result<(PathBuf, Manifest), Failure> {
        let folder = fs::canonicalize(".").map_err(|source| unreadable(Path::new("."), &source))?;
        let mut nearest: Option<(PathBuf, Manifest, Sources)> = None;
        for root in folder.ancestors() {
            let path = root.join(MANIFEST);
            if !path.is_file() {
                continue;
            }
            // What is wrong with a manifest further up is of no interest to one that stands alone.
            let texts = self.texts.clone();
            match self.read_manifest(&path, MANIFEST) {
                Ok(manifest) if manifest.workspace.is_some() => {
                    // A project that is no member of it stands alone, as one that was copied here.
                    let is_its = match &nearest {
                        Some((folder, ..)) => is_member(root, &manifest, folder),
                        None => true,
                    };
                    if is_its {
                        return Ok((root.to_owned(), manifest));
                    }
                }
                Ok(manifest) => {
                    nearest.get_or_insert((root.to_owned(), manifest, self.texts.clone()));
                }
                Err(failure) if nearest.is_none() => return Err(failure),
                Err(_) => {}
            }
            self.texts = texts;
        }
        let (root, manifest, texts) = nearest.ok_or_else(|| {
            Diagnostic::error(
                NO_MANIFEST,
                format!("there is no `{MANIFEST}` in {} or above", folder.display()),
            )
            .help(
                "go to a workspace, name one with `-C DIR`, or write a manifest: docs/manifest.md",
            )
        })?;
        self.texts = texts;
        Ok((root, manifest))
    }

    /// Reads one manifest. `name` is what problems call it.
    fn read_manifest(&mut self, path: &Path, name: &str) -> Result<Manifest, Failure> {
        let text = read_text(path)?;
        let source = SourceName::new(name);
        self.texts.insert(source.clone(), text.clone());
        Ok(parse(&source, &text)?)
    }

    /// The folders that the patterns of a workspace name, and that hold a manifest.
    pub(crate) fn member_folders(&self, manifest: &Manifest) -> Vec<RelPath> {
        let mut found = Vec::new();
        for pattern in member_patterns(manifest) {
            let Ok(set) = PatternSet::new([&pattern.value]) else { continue };
            let depth =
                if pattern.value.contains("**") { 16 } else { pattern.value.split('/').count() };
            for start in set.roots() {
                self.find_members(&start, &set, depth, &mut found);
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn find_members(
        &self,
        folder: &RelPath,
        set: &PatternSet,
        depth: usize,
        found: &mut Vec<RelPath>,
    ) {
        let path =
            if folder.is_root() { self.root.clone() } else { self.root.join(folder.to_string()) };
        if !folder.is_root() && set.matches(folder) && path.join(MANIFEST).is_file() {
            found.push(folder.clone());
        }
        if folder.names().count() >= depth {
            return;
        }
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // What tools make holds no project of its own.
            if name.starts_with('.') || ["_build", "deps", "node_modules"].contains(&name) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = RelPath::new(name)
            {
                self.find_members(&folder.join(&name), set, depth, found);
            }
        }
    }

    /// Every manifest of the workspace; the nearest alone where it has mistakes, and so doesn't tell
    /// which others there are.
    pub(crate) fn manifest_files(&mut self) -> Result<Vec<PathBuf>, Failure> {
        let (root, manifest) = match self.find_root() {
            Ok(found) => found,
            Err(failure) => {
                let folder = fs::canonicalize(".").unwrap_or_default();
                let files = folder.ancestors().map(|folder| folder.join(MANIFEST));
                let nearest = files.into_iter().find(|file| file.is_file()).ok_or(failure)?;
                nearest.parent().unwrap_or(Path::new("/")).clone_into(&mut self.root);
                return Ok(vec![nearest]);
            }
        };
        self.root.clone_from(&root);
        let members = self.member_folders(&manifest);
        let members =
            members.into_iter().map(|folder| root.join(folder.to_string()).join(MANIFEST));
        Ok([root.join(MANIFEST)].into_iter().chain(members).collect())
    }

    /// Reads the files that problems point into and that haven't been read yet.
    pub(crate) fn show_sources(&mut self, failure: &Failure) {
        if let Failure::Problems(problems) = failure {
            self.show_sources_of(problems);
        }
    }

    fn show_sources_of(&mut self, problems: &Diagnostics) {
        for site in problems.iter().flat_map(|problem| &problem.labels).map(|label| &label.site) {
            if !self.texts.contains(&site.source)
                && let Ok(text) = read_text(&self.root.join(site.source.as_str()))
            {
                self.texts.insert(site.source.clone(), text);
            }
        }
    }

    /// Says what is not wrong, but worth knowing.
    pub(crate) fn warn(&mut self, problems: &Diagnostics) {
        self.show_sources_of(problems);
        say_all(problems, &self.texts, &self.ui);
    }
}

/// Whether the workspace at `root` names the project in `folder` as a member.
fn is_member(root: &Path, manifest: &Manifest, folder: &Path) -> bool {
    let Ok(below) = folder.strip_prefix(root) else { return false };
    let Ok(below) = RelPath::new(below.as_os_str().as_bytes()) else { return false };
    let patterns = member_patterns(manifest);
    PatternSet::new(patterns.iter().map(|pattern| &pattern.value))
        .is_ok_and(|set| set.matches(&below))
}

/// The platform that is built for: this machine's.
pub(crate) fn platform() -> Platform {
    if cfg!(target_arch = "aarch64") { Platform::LinuxArm64 } else { Platform::LinuxAmd64 }
}

/// What the lock has to answer.
pub(crate) fn wanted(workspace: &Workspace) -> Wanted {
    let bases = workspace.bases.iter().map(|(name, base)| {
        let mut packages: Vec<String> =
            base.packages.iter().map(|package| package.value.clone()).collect();
        packages.sort();
        packages.dedup();
        let suite = base.suite.value.clone();
        (name.clone(), RequestedDebian { suite, slim: base.slim, packages })
    });
    let tools = workspace.units.iter().filter_map(|unit| unit.tool.as_ref());
    let plugins = tools.map(|tool| {
        let name = &tool.plugin.value;
        let requested = match workspace.plugins.get(name) {
            Some(plugin) => RequestedPlugin::Path(plugin.path.value.to_string()),
            None => RequestedPlugin::Builtin,
        };
        (name.clone(), requested)
    });
    Wanted { bases: bases.collect(), plugins: plugins.collect(), platform: platform() }
}

/// Where a plugin comes from, for a message.
pub(crate) fn plugin_path(root: &Path, name: &str, requested: &RequestedPlugin) -> PathBuf {
    match requested {
        RequestedPlugin::Path(path) => root.join(path),
        RequestedPlugin::Builtin => name.into(),
    }
}

/// The bytes of a plugin as it is now.
pub(crate) fn plugin_bytes(
    root: &Path,
    name: &str,
    requested: &RequestedPlugin,
) -> io::Result<Vec<u8>> {
    match requested {
        RequestedPlugin::Builtin => BUILTIN
            .iter()
            .find(|(builtin, _)| *builtin == name)
            .map(|(_, bytes)| bytes.to_vec())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
        RequestedPlugin::Path(path) => {
            let mut bytes = Vec::new();
            fs::File::open(root.join(path))?.take(MAX_PLUGIN).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
    }
}

/// A plugin as it is locked, or as it is now where it isn't. None if it can't be read.
pub(crate) fn plugin(
    root: &Path,
    name: &str,
    requested: &RequestedPlugin,
    lock: &Lock,
) -> io::Result<Plugin> {
    let locked = lock.plugins.get(name).filter(|locked| locked.requested == *requested);
    let digest = match locked {
        Some(locked) => locked.blake3,
        None => Digest::of(&plugin_bytes(root, name, requested)?),
    };
    let bytes = match requested {
        RequestedPlugin::Builtin => PluginBytes::Embedded(
            BUILTIN.iter().find(|(builtin, _)| *builtin == name).map_or(&[], |(_, bytes)| bytes),
        ),
        RequestedPlugin::Path(path) => PluginBytes::File(root.join(path)),
    };
    Ok(Plugin { name: name.to_owned(), digest, bytes })
}

/// The settings of each project, for those that have none.
pub(crate) static NO_SETTINGS: BTreeMap<String, exflow_manifest::Setting> = BTreeMap::new();

/// Reads a manifest's text: one that is too long is cut, and then refused for its length.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 2).read_to_end(&mut bytes))
        .map_err(|source| unreadable(path, &source))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::error(UNREADABLE, format!("`{}` is not UTF-8", path.display()))
            .help(format!("its first {at} bytes are; save it as UTF-8"))
            .into()
    })
}

pub(crate) fn unreadable(path: &Path, source: &io::Error) -> Failure {
    Diagnostic::error(UNREADABLE, format!("can't read `{}`: {source}", path.display()))
        .help("check that it is there, and that you may read it")
        .into()
}

/// Says what is wrong with the store.
pub(crate) fn store_failed(error: exflow_store::StoreError) -> Failure {
    exflow_fetch::diagnose(&error.into(), None).into()
}

/// The place of a base in the manifest, or that of one of its packages.
pub(crate) fn base_site(workspace: &Workspace, base: &str, package: Option<&str>) -> Option<Site> {
    let base = workspace.bases.get(base)?;
    let package =
        package.and_then(|name| base.packages.iter().find(|package| package.value == name));
    Some(package.map_or(&base.site, |package| &package.site).clone())
}
