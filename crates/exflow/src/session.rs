//! What a command works on: the workspace around the current folder, and the user's store.

use crate::fetches;
use crate::report::{Failure, io_failed, say_all};
use crate::ui::Ui;
use exflow_content::{Digest, RelPath};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName, Sources};
use exflow_lock::{
    ImageSource, LocalImage, Lock, Platform, RequestedBase, RequestedDebian, RequestedImage,
    RequestedPlugin, Wanted,
};
use exflow_manifest::{
    BaseImage, BaseSource, ImageOrigin, MANIFEST, MAX_BYTES, Manifest, Members, PluginSource,
    Workspace, assemble, parse,
};
use exflow_plugin_host::{Plugin, PluginBytes, read_component};
use exflow_registry::BaseReference;
use exflow_store::Store;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The plugins that ship inside exflow: their names and components.
pub(crate) const BUILTIN: &[(&str, &[u8])] = &[
    ("distillery", include_bytes!("../../../plugins/prebuilt/distillery.wasm")),
    ("mix-release", include_bytes!("../../../plugins/prebuilt/mix-release.wasm")),
];

const NO_MANIFEST: &str = "exflow::workspace::no-manifest";
const UNREADABLE: &str = "exflow::workspace::unreadable";
const BAD_REFERENCE: &str = "exflow::workspace::bad-image-reference";
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

/// The root of a workspace.
struct Root {
    folder: PathBuf,
    manifest: Manifest,
    /// What is wrong with manifests further up. Perhaps one of them declares the workspace that this
    /// is a member of; as it is, this stands alone.
    above: Diagnostics,
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
        let place = store_place(|name| std::env::var_os(name))?;
        let place = std::path::absolute(&place).unwrap_or(place);
        let store = Store::open(place).map_err(store_failed)?;
        self.store = Some(store.clone());
        Ok(store)
    }

    /// Whether there is a manifest in this folder, or above it.
    pub(crate) fn has_manifest() -> bool {
        fs::canonicalize(".")
            .is_ok_and(|folder| folder.ancestors().any(|folder| folder.join(MANIFEST).is_file()))
    }

    /// Reads every manifest of the workspace, and puts them together.
    pub(crate) fn workspace(&mut self) -> Result<Workspace, Failure> {
        let root = self.find_root()?;
        self.assembled(root)
    }

    /// The same, of the workspace whose root is `folder`, whatever is above it.
    pub(crate) fn workspace_at(&mut self, folder: &Path) -> Result<Workspace, Failure> {
        let manifest = self.read_manifest(&folder.join(MANIFEST), MANIFEST)?;
        let above = Diagnostics::new();
        self.assembled(Root { folder: folder.to_owned(), manifest, above })
    }

    fn assembled(&mut self, root: Root) -> Result<Workspace, Failure> {
        let Root { folder, manifest, above } = root;
        self.root = folder;
        let source = SourceName::new(MANIFEST);
        let mut problems = Diagnostics::new();
        let mut members = Vec::new();
        for folder in self.member_folders(&manifest) {
            let path = self.root.join(folder.as_path()).join(MANIFEST);
            match self.read_manifest(&path, &format!("{folder}/{MANIFEST}")) {
                Ok(manifest) => members.push((folder, manifest)),
                Err(Failure::Problems(more)) => problems.extend(more),
                Err(other) => return Err(other),
            }
        }
        let builtin: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
        match assemble(&source, manifest, members, &builtin) {
            Ok(workspace) => {
                problems.extend(bad_references(&workspace));
                Ok(problems.into_result(workspace)?)
            }
            Err(more) => {
                problems.extend(more);
                // Perhaps it fails because it doesn't stand alone, and that couldn't be read.
                let all = above.into_iter().chain(problems);
                Err(all.collect::<Diagnostics>().into())
            }
        }
    }

    /// The manifest at the root of the workspace that the folder is in: the nearest one upwards
    /// that declares a workspace, or else the nearest.
    fn find_root(&mut self) -> Result<Root, Failure> {
        let folder = fs::canonicalize(".").map_err(|source| unreadable(Path::new("."), &source))?;
        let mut nearest: Option<(Root, Sources)> = None;
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
                        Some((nearest, _)) => is_member(root, &manifest, &nearest.folder),
                        None => true,
                    };
                    if is_its {
                        let above = Diagnostics::new();
                        return Ok(Root { folder: root.to_owned(), manifest, above });
                    }
                }
                Ok(manifest) => {
                    let above = Diagnostics::new();
                    let alone = Root { folder: root.to_owned(), manifest, above };
                    nearest.get_or_insert((alone, self.texts.clone()));
                }
                Err(failure) => {
                    let Some((nearest, _)) = &mut nearest else { return Err(failure) };
                    nearest.above.extend(self.problems_above(&path, &nearest.folder));
                }
            }
            self.texts = texts;
        }
        let (root, texts) = nearest.ok_or_else(|| {
            Diagnostic::error(
                NO_MANIFEST,
                format!("there is no `{MANIFEST}` in {} or above", folder.display()),
            )
            .help(
                "go to a workspace, name one with `-C DIR`, or write a manifest: docs/manifest.md",
            )
        })?;
        self.texts = texts;
        Ok(root)
    }

    /// What is wrong with the manifest at `path`, which is further up than the workspace at `root`,
    /// named as it is from there.
    fn problems_above(&mut self, path: &Path, root: &Path) -> Diagnostics {
        let above = path.parent().and_then(|above| root.strip_prefix(above).ok());
        let steps = above.map_or(0, |below| below.components().count());
        match self.read_manifest(path, &format!("{}{MANIFEST}", "../".repeat(steps))) {
            Err(Failure::Problems(problems)) => problems,
            _ => Diagnostics::new(),
        }
    }

    /// Reads one manifest. `name` is what problems call it.
    fn read_manifest(&mut self, path: &Path, name: &str) -> Result<Manifest, Failure> {
        let text = read_text(path)?;
        let source = SourceName::new(name);
        self.texts.insert(source.clone(), text.clone());
        Ok(parse(&source, &text)?)
    }

    /// The folders of the members of a workspace: those that it names, and that hold a manifest.
    pub(crate) fn member_folders(&self, manifest: &Manifest) -> Vec<RelPath> {
        let members = Members::of(manifest);
        let mut found = Vec::new();
        for place in members.places() {
            self.find_members(&place.root, &members, place.depth, &mut found);
        }
        found.sort();
        found.dedup();
        found
    }

    fn find_members(
        &self,
        folder: &RelPath,
        members: &Members,
        depth: usize,
        found: &mut Vec<RelPath>,
    ) {
        let path =
            if folder.is_root() { self.root.clone() } else { self.root.join(folder.as_path()) };
        if members.contains(folder) && path.join(MANIFEST).is_file() {
            found.push(folder.clone());
        }
        if folder.names().count() >= depth {
            return;
        }
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !Members::is_passed_over(name)) else {
                continue;
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = RelPath::new(name)
            {
                self.find_members(&folder.join(&name), members, depth, found);
            }
        }
    }

    /// Every manifest of the workspace; the nearest alone where it has mistakes, and so doesn't tell
    /// which others there are.
    pub(crate) fn manifest_files(&mut self) -> Result<Vec<PathBuf>, Failure> {
        let Root { folder: root, manifest, .. } = match self.find_root() {
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
        let members = members.into_iter().map(|folder| root.join(folder.as_path()).join(MANIFEST));
        Ok([root.join(MANIFEST)].into_iter().chain(members).collect())
    }

    /// Reads the files that problems point into and that haven't been read yet.
    pub(crate) fn show_sources(&mut self, failure: &Failure) {
        if let Failure::Problems(problems) = failure {
            self.show_sources_of(problems);
        }
    }

    pub(crate) fn show_sources_of(&mut self, problems: &Diagnostics) {
        for site in problems.iter().flat_map(|problem| &problem.labels).map(|label| &label.site) {
            if !self.texts.contains(&site.source)
                && let Ok(text) = read_text(&self.root.join(site.source.as_str()))
            {
                self.texts.insert(site.source.clone(), text);
            }
        }
    }

    /// Prints what was asked for.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let printed = self.ui.print(text);
        printed.map_err(|error| io_failed("write to", Path::new("standard output"), &error))
    }

    /// Says what is not wrong, but worth knowing.
    pub(crate) fn warn(&mut self, problems: &Diagnostics) {
        self.show_sources_of(problems);
        say_all(problems, &self.texts, &self.ui);
    }
}

/// Names of images that are none. Which are, the manifest's own crate doesn't know.
fn bad_references(workspace: &Workspace) -> Vec<Diagnostic> {
    let images = workspace.bases.values().filter_map(|base| match &base.source {
        BaseSource::Image(image) if image.from == ImageOrigin::Registry => Some(image),
        _ => None,
    });
    let bad = images.filter_map(|image| {
        let error = image.place.value.parse::<BaseReference>().err()?;
        let message = format!("`{}` is no name of an image: {error}", image.place.value);
        let problem = Diagnostic::error(BAD_REFERENCE, message).at(&image.place.site, "not a reference");
        Some(problem.help("for example `debian:bookworm-slim`, `registry.example/team/base:1.2`, or with a digest, `base@sha256:…`"))
    });
    bad.collect()
}

/// Whether the workspace at `root` names the project in `folder` as a member.
fn is_member(root: &Path, manifest: &Manifest, folder: &Path) -> bool {
    let Ok(below) = folder.strip_prefix(root) else { return false };
    let Ok(below) = RelPath::new(below.as_os_str().as_bytes()) else { return false };
    Members::of(manifest).contains(&below)
}

/// The folder of the store, as the environment says.
fn store_place(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Diagnostic> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let place = named("EXFLOW_STORE")
        .or_else(|| Some(named("XDG_CACHE_HOME")?.join("exflow")))
        .or_else(|| Some(named("HOME")?.join(".cache/exflow")));
    place.ok_or_else(|| {
        Diagnostic::error(NO_STORE, "there is no place for the store: HOME is not set")
            .help("name one: `EXFLOW_STORE=DIR`")
    })
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
        let requested = match &base.source {
            BaseSource::Debian { suite, slim } => {
                let suite = suite.value.clone();
                RequestedBase::Debian(RequestedDebian { suite, slim: *slim, packages })
            }
            BaseSource::Image(image) => {
                let source = image_source(image);
                RequestedBase::Image(RequestedImage { source, packages })
            }
        };
        (name.clone(), requested)
    });
    let tools = workspace.units.iter().filter_map(|unit| unit.tool.as_ref());
    let plugins = tools.map(|tool| {
        let name = &tool.plugin.value;
        let requested = match workspace.plugins.get(name) {
            Some(plugin) => requested_plugin(plugin),
            None => RequestedPlugin::Builtin,
        };
        (name.clone(), requested)
    });
    let fetches = workspace.fetches.iter();
    let fetches = fetches.map(|(name, fetch)| (name.clone(), fetches::requested(&fetch.what)));
    Wanted {
        bases: bases.collect(),
        plugins: plugins.collect(),
        fetches: fetches.collect(),
        platform: platform(),
    }
}

fn image_source(image: &BaseImage) -> ImageSource {
    let place = image.place.value.clone();
    let local = || LocalImage { path: place.clone(), name: image.name.clone() };
    match image.from {
        ImageOrigin::Registry => ImageSource::Registry(place),
        ImageOrigin::Layout => ImageSource::Layout(local()),
        ImageOrigin::Archive => ImageSource::Archive(local()),
        ImageOrigin::Docker => ImageSource::Daemon(place),
    }
}

/// What is asked for by the declaration of a plugin.
pub(crate) fn requested_plugin(plugin: &exflow_manifest::Plugin) -> RequestedPlugin {
    match &plugin.source {
        PluginSource::Path(path) => RequestedPlugin::Path(path.value.to_string()),
        PluginSource::Url(url) => RequestedPlugin::Url(url.value.clone()),
        PluginSource::Oci(reference) => RequestedPlugin::Oci(reference.value.clone()),
    }
}

/// Where a plugin comes from, for a message.
pub(crate) fn plugin_path(root: &Path, name: &str, requested: &RequestedPlugin) -> PathBuf {
    match requested {
        RequestedPlugin::Path(path) => root.join(path),
        RequestedPlugin::Builtin => name.into(),
        RequestedPlugin::Url(url) => url.into(),
        RequestedPlugin::Oci(reference) => format!("oci://{reference}").into(),
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
        RequestedPlugin::Path(path) => read_component(&root.join(path)),
        RequestedPlugin::Url(_) | RequestedPlugin::Oci(_) => Err(io::ErrorKind::NotFound.into()),
    }
}

/// A plugin as it is locked, or as it is now where it isn't. None if it can't be read. One that is fetched may not
/// be in the store, which shows when it is read.
pub(crate) fn plugin(
    root: &Path,
    store: &Store,
    name: &str,
    requested: &RequestedPlugin,
    lock: &Lock,
) -> io::Result<Plugin> {
    let locked = lock.plugin(name, requested);
    let digest = match locked {
        Some(locked) => locked.blake3,
        None => Digest::of(&plugin_bytes(root, name, requested)?),
    };
    let bytes = match requested {
        RequestedPlugin::Builtin => PluginBytes::Embedded(
            BUILTIN.iter().find(|(builtin, _)| *builtin == name).map_or(&[], |(_, bytes)| bytes),
        ),
        RequestedPlugin::Path(path) => PluginBytes::File(root.join(path)),
        RequestedPlugin::Url(_) | RequestedPlugin::Oci(_) => {
            let found = locked.and_then(|locked| store.download(&locked.sha256?, locked.size));
            PluginBytes::File(found.unwrap_or_else(|| plugin_path(root, name, requested)))
        }
    };
    Ok(Plugin { name: name.to_owned(), digest, bytes })
}

/// Reads a manifest's text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    fs::File::open(path)
        .map_err(|source| unreadable(path, &source))
        .and_then(|file| read_bounded(file, path, MAX_BYTES))
}

/// Reads the text of `file`, which is at `path`. One that is longer than `limit` is cut, and still
/// longer: whoever parses it refuses it for its length.
pub(crate) fn read_bounded(file: fs::File, path: &Path, limit: usize) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, &source))?;
    if bytes.len() > limit {
        // Perhaps in the middle of a letter.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
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
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`, which gives it away")]
pub(crate) fn store_failed(error: exflow_store::StoreError) -> Failure {
    exflow_store::diagnose(&error, None).into()
}

/// The place of a base in the manifest, or that of one of its packages.
pub(crate) fn base_site(workspace: &Workspace, base: &str, package: Option<&str>) -> Option<Site> {
    let base = workspace.bases.get(base)?;
    let package =
        package.and_then(|name| base.packages.iter().find(|package| package.value == name));
    Some(package.map_or(&base.site, |package| &package.site).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_a_place_wherever_there_is_a_home() {
        let place = |variables: &[(&str, &str)]| {
            store_place(|name| {
                let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
                Some(value.into())
            })
        };
        let place_of = |variables: &[(&str, &str)]| place(variables).unwrap();
        assert_eq!(place_of(&[("HOME", "/h"), ("EXFLOW_STORE", "/s")]), Path::new("/s"));
        assert_eq!(place_of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), Path::new("/c/exflow"));
        assert_eq!(place_of(&[("HOME", "/h")]), Path::new("/h/.cache/exflow"));
        let problem = place(&[("HOME", ""), ("EXFLOW_STORE", "")]).unwrap_err();
        assert_eq!(problem.code.as_str(), "exflow::store::no-place");
    }

    #[test]
    fn what_is_too_long_is_not_read_to_its_end() {
        let workspace = exflow_testkit::Workspace::new("").with("x", "aé");
        let read = |limit: usize| {
            let path = workspace.root().join("x");
            read_bounded(fs::File::open(&path).unwrap(), &path, limit).unwrap()
        };
        assert_eq!(read(3), "aé");
        assert!(read(1).len() > 1);
        assert!(read(0).len() == 1);
    }
}
