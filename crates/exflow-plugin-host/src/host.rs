//! Asking a plugin, with its answers kept.

use crate::contract_0_2::{
    Answer, Entry, File as ShownFile, Folder, MadeFile, Request, Scalar, Setting,
};
use crate::runtime::{Limits, Linked, Runtime};
use crate::settings::{self, SettingSchema};
use crate::{PluginError, convert};
use exflow_content::{Digest, Encoder, RelPath, Tree};
use exflow_diagnostics::{Diagnostics, Site};
use exflow_lock::Platform;
use exflow_manifest as manifest;
use exflow_plan::Proposal;
use exflow_store::{Record, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The tag and version of the key of an answer.
const TAG: &str = "exflow question 2";
/// How often a plugin may ask for more.
const MAX_ROUNDS: usize = 32;
/// The longest component that is read, in bytes.
pub const MAX_COMPONENT: u64 = 32 << 20;
/// A component that is longer than this takes its time to be compiled, in bytes.
const SLOW: usize = 1 << 20;
/// What may be shown to a plugin of all files that it asks for, in bytes.
const MAX_SHOWN: u64 = 64 << 20;

/// A plugin, by content.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its name, for messages.
    pub name: String,
    /// The digest of its component, as it is locked.
    pub digest: Digest,
    /// Where its bytes are, for when it has to be compiled.
    pub bytes: PluginBytes,
}

/// Where the bytes of a component are.
#[derive(Debug, Clone)]
pub enum PluginBytes {
    /// Inside the program.
    Embedded(&'static [u8]),
    /// In a file.
    File(PathBuf),
}

/// What a plugin is asked about.
#[derive(Debug, Clone)]
pub struct Project<'a> {
    /// The project's name.
    pub name: &'a str,
    /// Its folder.
    pub folder: &'a RelPath,
    /// What it is built for.
    pub platform: &'a Platform,
    /// Where the plugin is asked for.
    pub site: Option<&'a Site>,
    /// The settings, as the manifest says.
    pub settings: &'a BTreeMap<String, manifest::Setting>,
    /// Every file of the workspace.
    pub sources: &'a Tree,
}

/// What a plugin says about a project.
#[derive(Debug)]
pub enum Proposed {
    /// This is to be done.
    Ready(Box<Proposal>),
    /// The user has to mend this before.
    Refused(Diagnostics),
}

/// An answer, and what it took.
#[derive(Debug)]
pub struct Asked {
    /// The answer.
    pub proposed: Proposed,
    /// How often the plugin was called; not at all where all answers were known.
    pub calls: usize,
}

/// What is done for a plugin while it is asked.
pub trait World {
    /// The bytes of a file of the workspace.
    ///
    /// # Errors
    /// Where it can't be read.
    fn read(&self, path: &RelPath) -> io::Result<Vec<u8>>;

    /// Does what a plugin wants done before it can say more; the tree that came of each fetch, and of
    /// each step's first output, by name. None where that failed, and the user is told why otherwise.
    fn make(&self, proposal: &Proposal) -> Option<BTreeMap<String, Digest>>;
}

/// What is there, without anything that would have to be made.
struct Unmade<'a>(&'a dyn World);

impl World for Unmade<'_> {
    fn read(&self, path: &RelPath) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
        None
    }
}

/// What a plugin is shown.
#[derive(Debug, Default)]
struct Shown {
    files: BTreeSet<RelPath>,
    folders: BTreeSet<RelPath>,
    /// Files of what was made: of which fetch or step, where, and its blob and size if it is there.
    made: BTreeMap<(String, RelPath), Option<(Digest, u64)>>,
}

impl Shown {
    fn len(&self) -> usize {
        self.files.len() + self.folders.len() + self.made.len()
    }
}

/// What is known of a plugin before it is asked anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The version of the contract that it is for.
    pub contract: String,
    /// The settings that it declares; none where only it knows them.
    pub settings: Option<Vec<SettingSchema>>,
}

/// Is told the name and the size of a plugin.
type Tell = Box<dyn Fn(&str, u64) + Send + Sync>;

/// Asks plugins, and keeps their answers in a store.
pub struct Host {
    store: Store,
    limits: Limits,
    /// For each that takes its time to be compiled, before it is.
    tell: Tell,
    runtime: OnceLock<Runtime>,
    components: Mutex<BTreeMap<Digest, Linked>>,
    declared: Mutex<BTreeMap<Digest, Option<Vec<SettingSchema>>>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Reads the component in a file, whole or not at all: what is longer than [`MAX_COMPONENT`] is an
/// error of the kind [`io::ErrorKind::FileTooLarge`].
pub fn read_component(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_COMPONENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_COMPONENT {
        let reason = format!("it is longer than {} MiB", MAX_COMPONENT >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

impl Plugin {
    /// The bytes of the component, which are what was locked.
    fn load(&self) -> Result<Vec<u8>, PluginError> {
        let bytes = match &self.bytes {
            PluginBytes::Embedded(bytes) => bytes.to_vec(),
            PluginBytes::File(path) => read_component(path)
                .map_err(|source| PluginError::Read { path: path.clone(), source })?,
        };
        let found = Digest::of(&bytes);
        if found != self.digest {
            let locked = self.digest.to_string();
            return Err(PluginError::Changed { found: found.to_string(), locked });
        }
        Ok(bytes)
    }
}

impl Host {
    /// A host that keeps answers and compiled components in `store`. Nothing is started yet.
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            limits,
            tell: Box::new(|_, _| {}),
            runtime: OnceLock::new(),
            components: Mutex::default(),
            declared: Mutex::default(),
        }
    }

    /// Tells the name and the size of each plugin that takes its time to be compiled. What is compiled is kept.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&str, u64) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), ..self }
    }

    /// Asks `plugin` about `project`, until it has all that it wants to see.
    pub fn propose(
        &self,
        plugin: &Plugin,
        project: &Project<'_>,
        world: &dyn World,
    ) -> Result<Asked, PluginError> {
        let Some(declared) = self.declared(plugin)? else {
            return self.ask(plugin, project, world);
        };
        let mut problems = settings::check(&declared, &plugin.name, project.settings, project.site);
        if problems.is_empty() {
            return self.ask(plugin, project, world);
        }
        // What another component than the locked one declares is another matter. Where all is well, it isn't
        // looked at.
        plugin.load()?;
        let mut calls = 0;
        // Without what it doesn't know it may find more that is wrong, and all is shown at once.
        if problems.iter().all(settings::is_unknown) {
            let mut known = project.settings.clone();
            known.retain(|name, _| declared.iter().any(|setting| setting.name == *name));
            let project = Project { settings: &known, ..project.clone() };
            if let Ok(asked) = self.ask(plugin, &project, &Unmade(world)) {
                calls = asked.calls;
                if let Proposed::Refused(more) = asked.proposed {
                    problems.extend(more);
                }
            }
        }
        Ok(Asked { proposed: Proposed::Refused(problems), calls })
    }

    /// Asks, with settings that are known.
    fn ask(
        &self,
        plugin: &Plugin,
        project: &Project<'_>,
        world: &dyn World,
    ) -> Result<Asked, PluginError> {
        let mut shown = Shown::default();
        let mut calls = 0;
        for _ in 0..MAX_ROUNDS {
            let key = question(plugin, project, &shown);
            let known = self
                .store
                .record(&key)?
                .and_then(|record| serde_json::from_slice(&record.data).ok());
            let answer = if let Some(answer) = known {
                answer
            } else {
                calls += 1;
                let answer = self.call(plugin, project, &shown, world)?;
                // Before it is kept, so that what can't be used is never kept.
                convert::check(&answer, project.folder)?;
                let data = serde_json::to_vec(&answer).map_err(io::Error::other);
                let data =
                    data.map_err(|error| PluginError::Invalid { reason: error.to_string() })?;
                self.store.put_record(&key, &Record { trees: Vec::new(), data })?;
                answer
            };
            match answer {
                Answer::Need(needs) => {
                    let asked = shown.len();
                    for path in &needs.files {
                        shown.files.insert(convert::path(path, "a file")?);
                    }
                    for path in &needs.folders {
                        shown.folders.insert(convert::path(path, "a folder")?);
                    }
                    if !needs.looks.is_empty() {
                        let (proposal, looks) = convert::looks(needs, project)?;
                        self.look(&proposal, looks, world, &mut shown)?;
                    }
                    if shown.len() == asked {
                        return Err(PluginError::Invalid {
                            reason: "it asks for what it was shown already".to_owned(),
                        });
                    }
                }
                Answer::Ready(proposal) => {
                    let proposal = convert::proposal(proposal, plugin, project)?;
                    return Ok(Asked { proposed: Proposed::Ready(Box::new(proposal)), calls });
                }
                Answer::Refused(problems) => {
                    let problems = convert::problems(problems, plugin, project);
                    return Ok(Asked { proposed: Proposed::Refused(problems), calls });
                }
            }
        }
        Err(PluginError::Insatiable { rounds: MAX_ROUNDS })
    }

    /// What there is to know of a plugin, whether or not any project asks for it. A component that can't be
    /// used is an error.
    pub fn inspect(&self, plugin: &Plugin) -> Result<Inspected, PluginError> {
        let contract = self.linked(plugin)?.contract;
        Ok(Inspected { contract, settings: self.declared(plugin)? })
    }

    /// The settings that a plugin declares, from the store where it was asked before.
    fn declared(&self, plugin: &Plugin) -> Result<Option<Vec<SettingSchema>>, PluginError> {
        // A panic elsewhere does not make a table of settings wrong.
        let mut known = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(declared) = known.get(&plugin.digest) {
            return Ok(declared.clone());
        }
        let key = settings_key(&plugin.digest);
        let kept = self.store.record(&key)?;
        let kept = kept.and_then(|record| serde_json::from_slice(&record.data).ok());
        let declared = if let Some(declared) = kept {
            declared
        } else {
            let component = self.linked(plugin)?;
            let described = self.runtime()?.describe(&component, &self.limits)?;
            let declared = described.map(settings::declared).transpose()?;
            let data = serde_json::to_vec(&declared).map_err(io::Error::other);
            let data = data.map_err(|error| PluginError::Invalid { reason: error.to_string() })?;
            self.store.put_record(&key, &Record { trees: Vec::new(), data })?;
            declared
        };
        known.insert(plugin.digest, declared.clone());
        Ok(declared)
    }

    fn runtime(&self) -> Result<&Runtime, PluginError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Runtime::new()?;
        Ok(self.runtime.get_or_init(|| made))
    }

    /// The component of a plugin, ready to be called.
    fn linked(&self, plugin: &Plugin) -> Result<Linked, PluginError> {
        // A panic elsewhere does not make a table of components wrong.
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = components.get(&plugin.digest) {
            return Ok(component.clone());
        }
        let load = || {
            let bytes = plugin.load()?;
            if bytes.len() > SLOW {
                (self.tell)(&plugin.name, bytes.len() as u64);
            }
            Ok(bytes)
        };
        let component = self.runtime()?.component(&self.store, &plugin.digest, load)?;
        components.insert(plugin.digest, component.clone());
        Ok(component)
    }

    /// Finds files of what is made for a plugin.
    fn look(
        &self,
        proposal: &Proposal,
        looks: Vec<(String, RelPath)>,
        world: &dyn World,
        shown: &mut Shown,
    ) -> Result<(), PluginError> {
        let made = world.make(proposal).ok_or(PluginError::NotMade)?;
        let mut trees: BTreeMap<String, Tree> = BTreeMap::new();
        for (of, path) in looks {
            let tree = match trees.entry(of.clone()) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    let digest = made.get(&of).ok_or(PluginError::NotMade)?;
                    new.insert(self.store.tree(digest)?)
                }
            };
            let found = match tree.get(&path) {
                Some(exflow_content::Entry::File { blob, size, .. }) => Some((*blob, *size)),
                _ => None,
            };
            shown.made.insert((of, path), found);
        }
        Ok(())
    }

    fn call(
        &self,
        plugin: &Plugin,
        project: &Project<'_>,
        shown: &Shown,
        world: &dyn World,
    ) -> Result<Answer, PluginError> {
        let mut request = request(project, shown, world)?;
        for ((of, path), file) in &shown.made {
            let contents = match file {
                Some((blob, _)) => Some(self.store.read_blob(blob, MAX_SHOWN)?),
                None => None,
            };
            request.made.push(MadeFile { of: of.clone(), path: text(path), contents });
        }
        let component = self.linked(plugin)?;
        self.runtime()?.call(&component, &request, &self.limits)
    }
}

/// The key of the settings that a component declares.
///
/// # Encoding
/// Tag `exflow plugin settings 1`; digest of the component.
fn settings_key(component: &Digest) -> Digest {
    let mut encoder = Encoder::new("exflow plugin settings 1");
    encoder.digest(component);
    encoder.digest_of()
}

/// The digest of everything that an answer depends on.
///
/// # Encoding
/// Tag `exflow question 2`; digest of the component; the project's name; its folder; platform; the list
/// of settings by name, each with its name and, as variants, 0 and a text, 1 and a number as two's
/// complement, or 2 and a flag; the list of files by path, each with its path and, optional, the digest
/// of its blob; the list of folders by path, each with its path and, optional, the list of its entries
/// by name, each with its name and whether it is a folder; the list of files of what was made by name and
/// path, each with name, path and, optional, the digest of its blob.
fn question(plugin: &Plugin, project: &Project<'_>, shown: &Shown) -> Digest {
    let mut encoder = Encoder::new(TAG);
    encoder.digest(&plugin.digest);
    encoder.text(project.name).bytes(project.folder.as_bytes());
    encoder.text(&project.platform.to_string());
    encoder.list(project.settings.iter(), |encoder, (name, setting)| {
        encoder.text(name);
        match &setting.value {
            manifest::Scalar::Text(text) => encoder.variant(0).text(text),
            manifest::Scalar::Number(number) => encoder.variant(1).number(number.cast_unsigned()),
            manifest::Scalar::Flag(flag) => encoder.variant(2).flag(*flag),
        };
    });
    encoder.list(shown.files.iter(), |encoder, path| {
        encoder.bytes(path.as_bytes());
        encoder.optional(blob(project.sources, path), |encoder, blob| {
            encoder.digest(&blob);
        });
    });
    encoder.list(shown.folders.iter(), |encoder, path| {
        encoder.bytes(path.as_bytes());
        encoder.optional(entries(project.sources, path), |encoder, entries| {
            encoder.list(entries.iter(), |encoder, entry| {
                encoder.text(&entry.name).flag(entry.is_folder);
            });
        });
    });
    encoder.list(shown.made.iter(), |encoder, ((of, path), file)| {
        encoder.text(of).bytes(path.as_bytes());
        encoder.optional(file.as_ref(), |encoder, (blob, _)| {
            encoder.digest(blob);
        });
    });
    encoder.digest_of()
}

fn blob(sources: &Tree, path: &RelPath) -> Option<Digest> {
    match sources.get(path) {
        Some(exflow_content::Entry::File { blob, .. }) => Some(*blob),
        _ => None,
    }
}

/// What is right in a folder; none if there is no such folder. Names that are no text are left out.
fn entries(sources: &Tree, folder: &RelPath) -> Option<Vec<Entry>> {
    if !folder.is_root()
        && !matches!(sources.get(folder), Some(exflow_content::Entry::Folder { .. }))
    {
        return None;
    }
    let depth = folder.names().count() + 1;
    let entries = sources.within(folder).filter(|(path, _)| path.names().count() == depth);
    let entries = entries.filter_map(|(path, entry)| {
        let name = std::str::from_utf8(path.name()?).ok()?.to_owned();
        Some(Entry { name, is_folder: matches!(entry, exflow_content::Entry::Folder { .. }) })
    });
    Some(entries.collect())
}

fn request(
    project: &Project<'_>,
    shown: &Shown,
    world: &dyn World,
) -> Result<Request, PluginError> {
    // Before any of them is read.
    let sizes = shown.files.iter().filter_map(|path| match project.sources.get(path) {
        Some(exflow_content::Entry::File { size, .. }) => Some(*size),
        _ => None,
    });
    let made = shown.made.values().flatten().map(|(_, size)| *size);
    if sizes.chain(made).fold(0u64, u64::saturating_add) > MAX_SHOWN {
        let limit = format!("{} MiB of files that it is shown", MAX_SHOWN >> 20);
        return Err(PluginError::Limit { limit });
    }
    let mut files = Vec::new();
    for path in &shown.files {
        let contents = match blob(project.sources, path) {
            None => None,
            Some(blob) => {
                let source = |source| PluginError::Source { path: path.to_string(), source };
                let bytes = world.read(path).map_err(source)?;
                if Digest::of(&bytes) != blob {
                    return Err(PluginError::Moved { path: path.to_string() });
                }
                Some(bytes)
            }
        };
        files.push(ShownFile { path: text(path), contents });
    }
    let folders = shown
        .folders
        .iter()
        .map(|path| Folder { path: text(path), entries: entries(project.sources, path) })
        .collect();
    let settings = project
        .settings
        .iter()
        .map(|(name, setting)| Setting {
            name: name.clone(),
            value: match &setting.value {
                manifest::Scalar::Text(text) => Scalar::Text(text.clone()),
                manifest::Scalar::Number(number) => Scalar::Number(*number),
                manifest::Scalar::Flag(flag) => Scalar::Flag(*flag),
            },
        })
        .collect();
    Ok(Request {
        project: project.name.to_owned(),
        root: text(project.folder),
        platform: project.platform.to_string(),
        settings,
        files,
        folders,
        made: Vec::new(),
    })
}

/// A path as the contract writes it; the root is empty.
fn text(path: &RelPath) -> String {
    path.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in its tag, and say so in the changelog.
    #[test]
    fn the_key_of_what_is_declared_is_pinned() {
        assert_eq!(
            settings_key(&Digest::of(b"component")).to_string(),
            "69f9feeb306a3dfcf116af3512c0399d48b821d5e7c14711ffeca982773dac03"
        );
    }
    use exflow_content::Mode;
    use exflow_diagnostics::{Site, SourceName};
    use manifest::Setting;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn file(content: &[u8], size: u64) -> exflow_content::Entry {
        exflow_content::Entry::File { mode: Mode::FILE, blob: Digest::of(content), size }
    }

    /// What is asked about, with a setting of each kind.
    struct Sample {
        folder: RelPath,
        settings: BTreeMap<String, Setting>,
        sources: Tree,
        shown: Shown,
    }

    /// A workspace whose files all have this content.
    struct Content(&'static [u8]);

    impl World for Content {
        fn read(&self, _: &RelPath) -> io::Result<Vec<u8>> {
            Ok(self.0.to_vec())
        }

        fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
            None
        }
    }

    impl Sample {
        fn new() -> Self {
            let site = Site::new(&SourceName::new("exflow.kdl"), 0..0);
            let setting = |name: &str, value: manifest::Scalar| {
                (name.to_owned(), Setting { value, site: site.clone() })
            };
            let mut sources = Tree::new();
            sources.insert(path("app/mix.exs"), file(b"mix", 3)).unwrap();
            sources.insert(path("app/lib/a.ex"), file(b"a", 1)).unwrap();
            Self {
                folder: path("app"),
                settings: [
                    setting("release", manifest::Scalar::Text("shop".into())),
                    setting("workers", manifest::Scalar::Number(-2)),
                    setting("strip", manifest::Scalar::Flag(true)),
                ]
                .into(),
                sources,
                shown: Shown {
                    files: [path("app/mix.exs"), path("app/mix.lock")].into(),
                    folders: [path("app"), path("none")].into(),
                    made: [
                        (("config".into(), path("a")), Some((Digest::of(b"a"), 1))),
                        (("config".into(), path("b")), None),
                    ]
                    .into(),
                },
            }
        }

        fn project(&self) -> Project<'_> {
            Project {
                name: "shop",
                folder: &self.folder,
                platform: &Platform::LinuxAmd64,
                site: None,
                settings: &self.settings,
                sources: &self.sources,
            }
        }

        fn key(&self) -> String {
            let plugin = Plugin {
                name: "mine".into(),
                digest: Digest::of(b"component"),
                bytes: PluginBytes::Embedded(b""),
            };
            question(&plugin, &self.project(), &self.shown).to_string()
        }
    }

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in `TAG`, and say so in the changelog.
    #[test]
    fn the_key_of_an_answer_is_pinned() {
        assert_eq!(
            Sample::new().key(),
            "43707bc31389e991504aaaeef06a30570082041996d234088caa5b861c0bed09"
        );
    }

    #[test]
    fn everything_that_is_shown_is_in_the_key_of_an_answer() {
        let mut keys = vec![Sample::new().key()];
        let changes: [fn(&mut Sample); 11] = [
            |sample| sample.folder = path("lib"),
            |sample| drop(sample.settings.remove("strip")),
            |sample| {
                sample.settings.get_mut("strip").unwrap().value = manifest::Scalar::Flag(false);
            },
            |sample| sample.shown.files.clear(),
            |sample| sample.shown.folders.clear(),
            |sample| sample.shown.made.clear(),
            |sample| {
                let file = Some((Digest::of(b"other"), 1));
                sample.shown.made.insert(("config".into(), path("a")), file);
            },
            |sample| {
                sample.shown.made.insert(("other".into(), path("a")), None);
            },
            |sample| sample.sources.insert(path("app/mix.exs"), file(b"new", 3)).unwrap(),
            |sample| sample.sources.insert(path("app/mix.lock"), file(b"", 0)).unwrap(),
            |sample| sample.sources.insert(path("app/README"), file(b"", 0)).unwrap(),
        ];
        for change in changes {
            let mut sample = Sample::new();
            change(&mut sample);
            keys.push(sample.key());
        }
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        // What isn't shown is not in it.
        let mut sample = Sample::new();
        sample.sources.insert(path("app/lib/b.ex"), file(b"b", 1)).unwrap();
        assert_eq!(sample.key(), Sample::new().key());
    }

    #[test]
    fn nothing_is_read_where_it_is_more_than_may_be_shown() {
        let mut sample = Sample::new();
        sample.sources.insert(path("app/mix.lock"), file(b"large", MAX_SHOWN)).unwrap();
        let error = request(&sample.project(), &sample.shown, &Content(b""));
        let error = error.expect_err("it is too much");
        assert!(matches!(error, PluginError::Limit { .. }), "{error}");
        assert!(error.to_string().contains("64 MiB of files"), "{error}");
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_not_shown() {
        let sample = Sample::new();
        let error = request(&sample.project(), &sample.shown, &Content(b"new")).unwrap_err();
        let said = crate::diagnose(&error, "mine", None);
        assert_eq!(said.code.as_str(), "exflow::plugin::sources-changed");
        assert!(said.message.contains("app/mix.exs"), "{}", said.message);
    }

    #[test]
    fn a_component_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.wasm");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_COMPONENT).unwrap();
        assert_eq!(read_component(&path).unwrap().len() as u64, MAX_COMPONENT);
        file.set_len(MAX_COMPONENT + 1).unwrap();
        let error = read_component(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let plugin =
            Plugin { name: "mine".into(), digest: Digest::of(b""), bytes: PluginBytes::File(path) };
        let error = plugin.load().unwrap_err();
        let said = crate::diagnose(&error, "mine", None);
        assert_eq!(said.code.as_str(), "exflow::plugin::unreadable");
        assert!(said.message.contains("longer than 32 MiB"), "{}", said.message);
        assert!(said.help.unwrap().contains("debug"), "it says what to do");
    }
}
