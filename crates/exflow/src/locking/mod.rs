//! `exflow.lock` on disk: read, completed, written.

use crate::cli::BuildOptions;
use crate::components::Components;
use crate::fetches;
use crate::report::Failure;
use crate::resolve::{resolve, would_move};
use crate::session::{
    Session, base_site, plugin_bytes, plugin_path, read_bounded, unreadable, wanted,
};
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Diagnostics, Severity, Site, SourceName};
use exflow_fetch::Cancel;
use exflow_image::ASSEMBLY_VERSION;
use exflow_lock::{
    ImageSource, InputName, Lock, LockedPlugin, MAX_BYTES, Platform, RequestedBase,
    RequestedPlugin, Stale, Wanted, parse, print, stale,
};
use exflow_manifest::Workspace;
use exflow_plugin_host::PluginError;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The name of the lock's file.
pub(crate) const LOCK: &str = "exflow.lock";

const STALE: &str = "exflow::lock::stale";
const ASSEMBLY: &str = "exflow::lock::other-assembly";
const NEWER: &str = "exflow::lock::newer-version";
const UNWRITABLE: &str = "exflow::lock::unwritable";

/// Reads the lock; an empty one where there is none.
pub(crate) fn read(session: &mut Session) -> Result<Lock, Failure> {
    Ok(read_with_text(session)?.0)
}

/// The text of the lock; none where there is none.
fn text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
        Ok(file) => read_bounded(file, path, MAX_BYTES).map(Some),
    }
}

/// The same as [`read`], with the text that it was read from.
fn read_with_text(session: &mut Session) -> Result<(Lock, Option<String>), Failure> {
    let Some(text) = text(&session.root.join(LOCK))? else {
        let lock = Lock { image_assembly: ASSEMBLY_VERSION, ..Lock::default() };
        return Ok((lock, None));
    };
    let source = SourceName::new(LOCK);
    session.texts.insert(source.clone(), text.clone());
    let lock = parse(&source, &text)?;
    if lock.image_assembly != ASSEMBLY_VERSION {
        let message = format!(
            "the lock was made for version {} of the image assembly, and this exflow has version \
             {ASSEMBLY_VERSION}",
            lock.image_assembly
        );
        return Err(Diagnostic::error(ASSEMBLY, message)
            .help("digests change with it: take `image-assembly` to the new version on purpose, or use the exflow that made the lock")
            .into());
    }
    Ok((lock, Some(text)))
}

/// What is to be done about a lock that lacks something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OnStale<'a> {
    /// Add it.
    Complete(&'a Cancel),
    /// Say so.
    Refuse,
}

impl<'a> OnStale<'a> {
    /// As the options of a build say.
    pub(crate) fn of(options: &BuildOptions, cancel: &'a Cancel) -> Self {
        if options.locked || options.offline { Self::Refuse } else { Self::Complete(cancel) }
    }
}

/// The lock, with what it lacks added to it. What is locked never moves.
pub(crate) fn complete(
    session: &mut Session,
    workspace: &Workspace,
    on_stale: OnStale<'_>,
) -> Result<Lock, Failure> {
    let lock = read(session)?;
    let missing: Vec<Stale> =
        stale(&lock, &wanted(workspace)).into_iter().filter(Stale::is_needed).collect();
    match on_stale {
        _ if missing.is_empty() => Ok(lock),
        OnStale::Refuse => {
            let problems = missing.iter().map(|stale| stale_problem(workspace, stale));
            Err(problems.collect::<Diagnostics>().into())
        }
        OnStale::Complete(cancel) => {
            for stale in &missing {
                session.ui.tell("locking", &stale.to_string());
            }
            Ok(adjust(session, workspace, false, cancel)?.0)
        }
    }
}

fn stale_problem(workspace: &Workspace, stale: &Stale) -> Diagnostic {
    let diagnostic = Diagnostic::error(STALE, format!("the lock does not fit: {stale}"))
        .help("run `exflow lock`, and commit `exflow.lock`");
    let site = match stale {
        Stale::BaseMissing { name }
        | Stale::PlatformMissing { name, .. }
        | Stale::BaseChanged { name, .. }
        | Stale::BaseUnused { name } => base_site(workspace, name, None),
        Stale::PluginMissing { name } | Stale::PluginChanged { name } => {
            return diagnostic.at_known(plugin_site(workspace, name), "asked for here");
        }
        Stale::FetchMissing { name }
        | Stale::FetchChanged { name }
        | Stale::FetchUnused { name } => fetches::site(workspace, name).cloned(),
        Stale::PluginUnused { .. } => None,
    };
    diagnostic.at_known(site.as_ref(), "declared here")
}

/// Says that a plugin has to be locked before anything can be done with it.
pub(crate) fn plugin_not_locked(workspace: &Workspace, name: &str) -> Diagnostic {
    stale_problem(workspace, &Stale::PluginMissing { name: name.to_owned() })
}

/// Every way in which the lock doesn't fit, as problems: what [`adjust`] would change, and what it leaves to [`update`].
pub(crate) fn problems(root: &Path, workspace: &Workspace, lock: &Lock) -> Diagnostics {
    let wanted = wanted(workspace);
    let mut problems: Diagnostics =
        stale(lock, &wanted).iter().map(|stale| stale_problem(workspace, stale)).collect();
    for (name, requested) in unmoved(lock, &wanted) {
        let site = plugin_site(workspace, name);
        // What is fetched is known by its content: whatever is elsewhere now is no matter.
        if lock.plugins[name].sha256.is_some() {
            continue;
        }
        match plugin_now(root, name, requested) {
            Ok(found) if found == lock.plugins[name] => {}
            Ok(found) => {
                let error = PluginError::Changed {
                    found: found.blake3.to_string(),
                    locked: lock.plugins[name].blake3.to_string(),
                };
                problems.push(exflow_plugin_host::diagnose(&error, name, site));
            }
            Err(error) => problems.push(exflow_plugin_host::diagnose(&error, name, site)),
        }
    }
    problems
}

/// The same, where it is no mistake yet.
pub(crate) fn warnings(root: &Path, workspace: &Workspace, lock: &Lock) -> Diagnostics {
    let warning = |problem| Diagnostic { severity: Severity::Warning, ..problem };
    problems(root, workspace, lock).into_iter().map(warning).collect()
}

/// The plugins that are locked as they are asked for. Whether they still are what they were then has to
/// be looked up: those that ship inside exflow change with it, others are files that anyone can change.
fn unmoved<'a>(
    lock: &'a Lock,
    wanted: &'a Wanted,
) -> impl Iterator<Item = (&'a String, &'a RequestedPlugin)> {
    wanted.plugins.iter().filter(|(name, requested)| lock.plugin(name, requested).is_some())
}

/// What would be locked of a plugin now.
fn plugin_now(
    root: &Path,
    name: &str,
    requested: &RequestedPlugin,
) -> Result<LockedPlugin, PluginError> {
    let bytes = plugin_bytes(root, name, requested)
        .map_err(|source| PluginError::Read { path: plugin_path(root, name, requested), source })?;
    let blake3 = Digest::of(&bytes);
    let size = bytes.len() as u64;
    Ok(LockedPlugin { requested: requested.clone(), blake3, size, sha256: None })
}

/// Where a plugin is asked for first.
pub(crate) fn plugin_site<'a>(workspace: &'a Workspace, name: &str) -> Option<&'a Site> {
    let mut tools = workspace.units.iter().filter_map(|unit| unit.tool.as_ref());
    tools.find(|tool| tool.plugin.value == name).map(|tool| &tool.plugin.site)
}

/// How often it is started over where someone else changes the lock meanwhile.
const TRIES: usize = 3;

/// Adds what the lock lacks, and writes it where that changes it, which is the second value. It also
/// takes out what nothing asks for, where it `drops` that. What is locked never moves.
pub(crate) fn adjust(
    session: &mut Session,
    workspace: &Workspace,
    drops: bool,
    cancel: &Cancel,
) -> Result<(Lock, bool), Failure> {
    let (_, lock, is_changed) =
        change(session, |session, old| adjusted(session, workspace, old, drops, cancel))?;
    Ok((lock, is_changed))
}

/// Makes another lock of the one that is there, and writes it where it is another: both, and whether it was written.
fn change(
    session: &mut Session,
    mut changed: impl FnMut(&mut Session, &Lock) -> Result<Lock, Failure>,
) -> Result<(Lock, Lock, bool), Failure> {
    for _ in 0..TRIES {
        let (old, before) = read_with_text(session)?;
        let lock = changed(session, &old)?;
        let path = session.root.join(LOCK);
        if lock == old && before.is_some() {
            return Ok((old, lock, false));
        }
        if let Some(unknown) = old.unknown.first() {
            let message = format!("`{LOCK}` has `{unknown}`, which a newer exflow has written");
            return Err(Diagnostic::error(NEWER, message)
                .help("update exflow to change the lock; `--locked` builds with it as it is")
                .into());
        }
        // Fetching indexes takes a while, in which it may have been edited, or pulled.
        if text(&path)? != before {
            session.ui.tell("again", &format!("`{LOCK}` was changed meanwhile"));
            continue;
        }
        write(&session.root, &lock)?;
        session.ui.tell("locked", LOCK);
        return Ok((old, lock, true));
    }
    Err(Diagnostic::error(UNWRITABLE, format!("`{LOCK}` is changed by someone else all the time"))
        .help("wait until nobody else locks this workspace, and run it again")
        .into())
}

fn adjusted(
    session: &mut Session,
    workspace: &Workspace,
    old: &Lock,
    drops: bool,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let wanted = wanted(workspace);
    let mut lock = old.clone();
    let mut bases: BTreeSet<String> = BTreeSet::new();
    let mut plugins: BTreeSet<String> = BTreeSet::new();
    let mut fetched: BTreeSet<String> = BTreeSet::new();
    for stale in stale(old, &wanted) {
        match stale {
            Stale::BaseMissing { name }
            | Stale::PlatformMissing { name, .. }
            | Stale::BaseChanged { name, .. } => {
                bases.insert(name);
            }
            Stale::BaseUnused { name } if drops => {
                lock.bases.remove(&name);
            }
            Stale::PluginMissing { name } | Stale::PluginChanged { name } => {
                plugins.insert(name);
            }
            Stale::PluginUnused { name } if drops => {
                lock.plugins.remove(&name);
            }
            Stale::FetchMissing { name } | Stale::FetchChanged { name } => {
                fetched.insert(name);
            }
            Stale::FetchUnused { name } if drops => {
                lock.fetches.remove(&name);
            }
            Stale::BaseUnused { .. } | Stale::PluginUnused { .. } | Stale::FetchUnused { .. } => {}
        }
    }
    lock_plugins(session, workspace, &wanted, &mut lock, &plugins, false, cancel)?;
    fetches::lock(session, workspace, &wanted, &mut lock, &fetched, false, cancel)?;
    let platform = &wanted.platform;
    resolve(session, workspace, &mut lock, &bases, platform, cancel)?;
    Ok(lock)
}

/// A lock before and after some of it was updated.
pub(crate) struct Updated {
    pub(crate) old: Lock,
    pub(crate) new: Lock,
}

/// Locks `inputs` as they are today, whatever they were, on every platform that they are locked for; writes that
/// unless it is only to be known. Nothing else moves, and nothing that is missing is added.
pub(crate) fn update(
    session: &mut Session,
    workspace: &Workspace,
    inputs: &BTreeSet<InputName>,
    dry_run: bool,
    cancel: &Cancel,
) -> Result<Updated, Failure> {
    let changed =
        |session: &mut Session, old: &Lock| updated(session, workspace, old, inputs, cancel);
    if dry_run {
        let old = read(session)?;
        let new = changed(session, &old)?;
        return Ok(Updated { old, new });
    }
    let (old, new, _) = change(session, changed)?;
    Ok(Updated { old, new })
}

fn updated(
    session: &mut Session,
    workspace: &Workspace,
    old: &Lock,
    inputs: &BTreeSet<InputName>,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let wanted = wanted(workspace);
    let mut lock = old.clone();
    let mut bases: BTreeMap<Platform, BTreeSet<String>> = BTreeMap::new();
    let mut plugins = BTreeSet::new();
    let mut fetched = BTreeSet::new();
    for input in inputs {
        let name = match input {
            InputName::Plugin(name) => {
                plugins.insert(name.clone());
                continue;
            }
            InputName::Fetch(name) => {
                fetched.insert(name.clone());
                continue;
            }
            InputName::Base(name) => name,
        };
        // What isn't there any more can't be held on to, neither here nor by what is locked for another platform.
        let others = lock.bases.remove(name).filter(|old| old.requested == wanted.bases[name]);
        let mut platforms = BTreeSet::from([wanted.platform.clone()]);
        // A daemon has images of its own platform only.
        if !is_of_a_daemon(&wanted.bases[name]) {
            platforms.extend(others.into_iter().flat_map(|old| old.locked.into_keys()));
        }
        for platform in platforms {
            bases.entry(platform).or_default().insert(name.clone());
        }
    }
    lock_plugins(session, workspace, &wanted, &mut lock, &plugins, true, cancel)?;
    fetches::lock(session, workspace, &wanted, &mut lock, &fetched, true, cancel)?;
    for (platform, names) in bases {
        resolve(session, workspace, &mut lock, &names, &platform, cancel)?;
    }
    Ok(lock)
}

fn is_of_a_daemon(base: &RequestedBase) -> bool {
    let RequestedBase::Image(image) = base else { return false };
    matches!(image.source, ImageSource::Daemon(_))
}

/// Locks the plugins `names` as they are now. Every one that can't be locked is shown.
fn lock_plugins(
    session: &mut Session,
    workspace: &Workspace,
    wanted: &Wanted,
    lock: &mut Lock,
    names: &BTreeSet<String>,
    may_move: bool,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let mut problems = Diagnostics::new();
    let store = session.store()?;
    let components = Components::new(session, store, workspace, false, cancel);
    for name in names {
        let site = plugin_site(workspace, name);
        let requested = &wanted.plugins[name];
        let new = components.find(name, requested, site).unwrap_or_else(|| {
            let now = plugin_now(&session.root, name, requested);
            now.map_err(|error| exflow_plugin_host::diagnose(&error, name, site).into())
        });
        let new = match new {
            Ok(new) => new,
            Err(Failure::Problems(more)) => {
                problems.extend(more);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let old = lock.plugins.get(name).filter(|old| old.blake3 != new.blake3);
        if let Some(old) = old.filter(|_| !may_move) {
            let message = format!(
                "plugin `{name}` comes from somewhere else, and is not what is locked: its digest is \
                 {}, and the lock says {}",
                new.blake3, old.blake3
            );
            problems.push(would_move(message).at_known(site, "asked for here"));
            continue;
        }
        lock.plugins.insert(name.clone(), new);
    }
    Ok(problems.into_result(())?)
}

/// Writes the lock at once: a reader sees the old one or the new one.
fn write(root: &Path, lock: &Lock) -> Result<(), Failure> {
    let path = root.join(LOCK);
    let temporary = root.join(format!(".{LOCK}.{}", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(print(lock).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Diagnostic::error(UNWRITABLE, format!("can't write `{}`: {source}", path.display()))
            .help("make the workspace's folder writable; or, where nothing has to be added, use `--locked`")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Ui;
    use exflow_content::RelPath;
    use exflow_lock::{LockedBase, LockedDebian, LockedRoot, Platform};
    use exflow_manifest::assemble;
    use std::collections::BTreeMap;

    const MANIFEST: &str = "base \"builder\" { debian \"made-up\" }
        base \"runner\" { debian \"made-up\" }
        plugin \"mine\" path=\"mine.wasm\"
        workspace \"w\" { members \"*\" }
        project \"a\" { release-tool \"mix-release\" }";

    /// A workspace with a plugin of each kind, which are locked with what they aren't.
    struct Bench {
        session: Session,
        workspace: Workspace,
        folder: exflow_testkit::Workspace,
    }

    impl Bench {
        fn new() -> Self {
            let source = SourceName::new("exflow.kdl");
            let root = exflow_manifest::parse(&source, MANIFEST).unwrap();
            let member = "project \"b\" { release-tool \"mine\" }";
            let member = exflow_manifest::parse(&SourceName::new("b/exflow.kdl"), member).unwrap();
            let members = vec![(RelPath::new("b").unwrap(), member)];
            let workspace = assemble(&source, root, members, &["mix-release"]).unwrap();
            let folder = exflow_testkit::Workspace::new("").with("mine.wasm", "new");
            let mut session = Session::new(Ui::new(None, false));
            session.root = folder.root();
            let bench = Self { session, workspace, folder };
            bench.lock(&wanted(&bench.workspace).plugins);
            bench
        }

        /// Locks what is asked for: without packages, and plugins with what they aren't.
        fn lock(&self, plugins: &BTreeMap<String, RequestedPlugin>) {
            let debian = LockedDebian { snapshot: "20261101T000000Z".into(), packages: Vec::new() };
            let platforms = [Platform::LinuxAmd64, Platform::LinuxArm64];
            let debian = LockedRoot::Debian(debian);
            let locked: BTreeMap<Platform, LockedRoot> =
                platforms.map(|platform| (platform, debian.clone())).into();
            let bases = wanted(&self.workspace)
                .bases
                .into_iter()
                .map(|(name, requested)| (name, LockedBase { requested, locked: locked.clone() }));
            let plugins = plugins.iter().map(|(name, requested)| {
                let blake3 = Digest::of(b"old");
                (
                    name.clone(),
                    LockedPlugin { requested: requested.clone(), blake3, size: 3, sha256: None },
                )
            });
            let lock = Lock {
                image_assembly: ASSEMBLY_VERSION,
                bases: bases.collect(),
                plugins: plugins.collect(),
                ..Lock::default()
            };
            self.folder.write(LOCK, &print(&lock));
        }

        fn problems(&mut self) -> Vec<String> {
            let lock = read(&mut self.session).unwrap();
            let problems = problems(&self.session.root, &self.workspace, &lock);
            problems.iter().map(|problem| problem.code.to_string()).collect()
        }

        fn adjust(&mut self, drops: bool) -> Result<(Lock, bool), Failure> {
            adjust(&mut self.session, &self.workspace, drops, &Cancel::new())
        }

        fn update(&mut self, plugin: &str) -> Result<Updated, Failure> {
            let inputs = [InputName::Plugin(plugin.to_owned())].into();
            update(&mut self.session, &self.workspace, &inputs, false, &Cancel::new())
        }
    }

    /// What is locked stays, also where `lock --check` finds that it is another now.
    #[test]
    fn a_plugin_moves_by_update_only() {
        let mut bench = Bench::new();
        assert_eq!(bench.problems(), ["exflow::plugin::changed"; 2]);
        for drops in [false, true] {
            let (lock, is_changed) = bench.adjust(drops).unwrap();
            assert!(!is_changed);
            assert_eq!(lock.plugins["mine"].blake3, Digest::of(b"old"));
        }
        let updated = bench.update("mine").unwrap();
        assert_eq!(updated.old.plugins["mine"].blake3, Digest::of(b"old"));
        assert_eq!(updated.new.plugins["mine"].blake3, Digest::of(b"new"));
        assert_eq!(bench.problems(), ["exflow::plugin::changed"]);
        let updated = bench.update("mix-release").unwrap();
        let builtin = plugin_bytes(Path::new(""), "mix-release", &RequestedPlugin::Builtin);
        assert_eq!(updated.new.plugins["mix-release"].blake3, Digest::of(&builtin.unwrap()));
        assert!(bench.problems().is_empty());
        std::fs::remove_file(bench.folder.root().join("mine.wasm")).unwrap();
        assert_eq!(bench.problems(), ["exflow::plugin::unreadable"]);
        assert!(bench.update("mine").is_err());
    }

    #[test]
    fn a_lock_that_can_not_be_written_is_shown() {
        let folder = exflow_testkit::Workspace::new("");
        let written = write(&folder.root().join("gone"), &Lock::default());
        let Err(Failure::Problems(problems)) = written else { panic!("it was written") };
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["exflow::lock::unwritable"]);
    }

    #[test]
    fn a_plugin_from_elsewhere_moves_by_update_only() {
        let mut bench = Bench::new();
        let plugins = [
            ("mine".to_owned(), RequestedPlugin::Path("other.wasm".into())),
            ("mix-release".to_owned(), RequestedPlugin::Builtin),
        ];
        bench.lock(&plugins.into());
        assert_eq!(bench.problems(), ["exflow::lock::stale", "exflow::plugin::changed"]);
        let Err(Failure::Problems(problems)) = bench.adjust(false) else { panic!("it moved") };
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["exflow::lock::would-move"]);
        // The same bytes from elsewhere are what is locked.
        bench.folder.write("mine.wasm", "old");
        let (lock, _) = bench.adjust(false).unwrap();
        assert_eq!(lock.plugins["mine"].requested, RequestedPlugin::Path("mine.wasm".into()));
        bench.folder.write("mine.wasm", "new");
        let updated = bench.update("mine").unwrap();
        assert_eq!(updated.new.plugins["mine"].blake3, Digest::of(b"new"));
    }
}
