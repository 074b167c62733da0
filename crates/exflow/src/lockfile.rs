//! `exflow.lock` on disk: read, completed, written.

use crate::cli::BuildOptions;
use crate::report::Failure;
use crate::session::{BUILTIN, Session, base_site, plugin_bytes, plugin_path, unreadable, wanted};
use crate::ui::Ui;
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Diagnostics, SourceName};
use exflow_fetch::debian::{
    Keyring, Mirrors, NamedMirrors, SNAPSHOT, apt_sources, find_mirrors, load_catalog,
};
use exflow_fetch::{Cancel, Client, HttpOptions, Progress};
use exflow_image::ASSEMBLY_VERSION;
use exflow_lock::{
    Lock, LockedBase, LockedDebian, LockedPlugin, RequestedPlugin, Stale, parse, print, stale,
};
use exflow_manifest::Workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The name of the lock's file.
pub(crate) const LOCK: &str = "exflow.lock";
/// The longest lock that is read, in bytes.
const MAX_LOCK: u64 = 64 << 20;

const STALE: &str = "exflow::lock::stale";
const ASSEMBLY: &str = "exflow::lock::other-assembly";
const WOULD_MOVE: &str = "exflow::lock::would-move";
const UNWRITABLE: &str = "exflow::lock::unwritable";
const KEYRING: &str = "exflow::lock::bad-keyring";

/// Reads the lock; an empty one where there is none.
pub(crate) fn read(session: &mut Session) -> Result<Lock, Failure> {
    let path = session.root.join(LOCK);
    let bytes = match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Lock { image_assembly: ASSEMBLY_VERSION, ..Lock::default() });
        }
        Ok(found) if found.len() > MAX_LOCK => {
            let limit = std::io::Error::other(format!("it is longer than {MAX_LOCK} bytes"));
            return Err(unreadable(&path, &limit));
        }
        _ => fs::read(&path).map_err(|source| unreadable(&path, &source))?,
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
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
            .help("digests change with it: take `image_assembly` to the new version on purpose, or use the exflow that made the lock")
            .into());
    }
    Ok(lock)
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
            Ok(update(session, workspace, false, cancel)?.0)
        }
    }
}

fn stale_problem(workspace: &Workspace, stale: &Stale) -> Diagnostic {
    let diagnostic = Diagnostic::error(STALE, format!("the lock does not fit: {stale}"))
        .help("run `exflow lock`, and commit `exflow.lock`");
    let site = match stale {
        Stale::BaseMissing { name }
        | Stale::BaseChanged { name, .. }
        | Stale::BaseUnused { name } => base_site(workspace, name, None),
        _ => None,
    };
    match site {
        Some(site) => diagnostic.at(&site, "declared here"),
        None => diagnostic,
    }
}

/// Every way in which the lock doesn't fit, as problems.
pub(crate) fn problems(workspace: &Workspace, lock: &Lock) -> Diagnostics {
    let mut problems: Diagnostics = stale(lock, &wanted(workspace))
        .iter()
        .map(|stale| stale_problem(workspace, stale))
        .collect();
    // One that ships inside exflow changes with it.
    for (name, locked) in &lock.plugins {
        if locked.requested != RequestedPlugin::Builtin {
            continue;
        }
        let Some((_, bytes)) = BUILTIN.iter().find(|(builtin, _)| builtin == name) else {
            continue;
        };
        let found = Digest::of(bytes);
        if found != locked.blake3 {
            let error = exflow_plugin_host::PluginError::Changed {
                found: found.to_string(),
                locked: locked.blake3.to_string(),
            };
            problems.push(exflow_plugin_host::diagnose(&error, name, None));
        }
    }
    problems
}

/// How often it is started over where someone else changes the lock meanwhile.
const TRIES: usize = 3;

/// Adds what the lock lacks, and writes it where that changes it, which is the second value. Only
/// on purpose does it take out what nothing asks for, and move what stands in the way.
pub(crate) fn update(
    session: &mut Session,
    workspace: &Workspace,
    on_purpose: bool,
    cancel: &Cancel,
) -> Result<(Lock, bool), Failure> {
    for _ in 0..TRIES {
        let old = read(session)?;
        let text = session.texts.get(&SourceName::new(LOCK)).map(str::to_owned);
        let lock = updated(session, workspace, &old, on_purpose, cancel)?;
        let path = session.root.join(LOCK);
        if lock == old && path.exists() {
            return Ok((lock, false));
        }
        // Fetching indexes takes a while, in which it may have been edited, or pulled.
        if fs::read_to_string(&path).ok() != text {
            session.ui.tell("again", &format!("`{LOCK}` was changed meanwhile"));
            continue;
        }
        write(&session.root, &lock)?;
        session.ui.tell("locked", LOCK);
        return Ok((lock, true));
    }
    Err(Diagnostic::error(UNWRITABLE, format!("`{LOCK}` is changed by someone else all the time"))
        .help("wait until nobody else locks this workspace, and run it again")
        .into())
}

fn updated(
    session: &mut Session,
    workspace: &Workspace,
    old: &Lock,
    on_purpose: bool,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let wanted = wanted(workspace);
    let mut lock = old.clone();
    let mut bases: BTreeSet<String> = BTreeSet::new();
    for stale in stale(old, &wanted) {
        match stale {
            Stale::BaseMissing { name } | Stale::BaseChanged { name, .. } => {
                bases.insert(name);
            }
            Stale::BaseUnused { name } if on_purpose => {
                lock.bases.remove(&name);
            }
            Stale::PluginMissing { name } | Stale::PluginChanged { name } => {
                let requested = wanted.plugins[&name].clone();
                let bytes = plugin_bytes(&session.root, &name, &requested).map_err(|source| {
                    unreadable(&plugin_path(&session.root, &name, &requested), &source)
                })?;
                let locked = LockedPlugin {
                    requested,
                    blake3: Digest::of(&bytes),
                    size: bytes.len() as u64,
                };
                lock.plugins.insert(name, locked);
            }
            Stale::PluginUnused { name } if on_purpose => {
                lock.plugins.remove(&name);
            }
            Stale::BaseUnused { .. } | Stale::PluginUnused { .. } => {}
        }
    }
    resolve(session, workspace, &mut lock, &bases, on_purpose, cancel)?;
    Ok(lock)
}

/// Resolves `names` with what their suites have today. Every base that can't be resolved is shown.
fn resolve(
    session: &mut Session,
    workspace: &Workspace,
    lock: &mut Lock,
    names: &BTreeSet<String>,
    may_move: bool,
    cancel: &Cancel,
) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let wanted = wanted(workspace);
    let store = session.store()?;
    let client = Client::new(HttpOptions::default(), cancel.clone());
    let mirrors = mirrors(workspace.debian_mirror.as_deref(), workspace.security_mirror.as_deref());
    let keyring = keyring()?;
    let mut problems = Diagnostics::new();
    // By suite, because the list of a suite's packages is large: one at a time.
    let mut suites: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for name in names {
        suites.entry(&wanted.bases[name].suite).or_default().push(name);
    }
    for (suite, names) in suites {
        session.ui.tell("indexing", suite);
        let progress = Shown(&session.ui);
        let loaded =
            load_catalog(&client, &store, &mirrors, suite, &wanted.platform, &keyring, &progress);
        let catalog = match loaded {
            Ok(catalog) => catalog,
            Err(exflow_fetch::FetchError::Cancelled) => return Err(Failure::Interrupted),
            Err(error) => {
                let base = names.first().and_then(|name| workspace.bases.get(*name));
                let site = base.map(|base| &base.suite.site);
                problems.push(exflow_fetch::diagnose(&error, site));
                continue;
            }
        };
        for name in names {
            let requested = &wanted.bases[name];
            // Another suite has other packages: nothing of the old one is left that could move.
            let old = lock.bases.get(name).filter(|base| base.requested.suite == suite);
            let old = old.and_then(|base| base.locked.get(&wanted.platform));
            match exflow_packages::debian::resolve(requested, &catalog, old) {
                Ok(debian) => {
                    let moved = old.map(|old| moved(old, &debian)).unwrap_or_default();
                    if !moved.is_empty() && !may_move {
                        let message = format!(
                            "base `{name}` can't be completed without moving what is locked: {}",
                            moved.join(", ")
                        );
                        let problem = Diagnostic::error(WOULD_MOVE, message)
                            .help("a build never does: move it on purpose, by `exflow lock`");
                        problems.push(match base_site(workspace, name, None) {
                            Some(site) => problem.at(&site, "its packages have changed"),
                            None => problem,
                        });
                        continue;
                    }
                    let packages = debian.packages.len();
                    session.ui.tell("resolved", &format!("base `{name}`: {packages} packages"));
                    for package in moved {
                        session.ui.tell("moved", &package);
                    }
                    let mut locked = match lock.bases.remove(name) {
                        // Other platforms stay as they are while the request does.
                        Some(old) if old.requested == *requested => old.locked,
                        _ => BTreeMap::new(),
                    };
                    locked.insert(wanted.platform.clone(), debian);
                    let base = LockedBase { requested: requested.clone(), locked };
                    lock.bases.insert(name.clone(), base);
                }
                Err(unsolvable) => {
                    let site = |package: Option<&str>| base_site(workspace, name, package);
                    problems.extend(exflow_packages::debian::diagnose(&unsolvable, suite, site));
                }
            }
        }
    }
    Ok(problems.into_result(())?)
}

/// The packages that are in both, and not in the same version.
fn moved(old: &LockedDebian, new: &LockedDebian) -> Vec<String> {
    let versions: BTreeMap<&str, &str> =
        old.packages.iter().map(|package| (&*package.name, &*package.version)).collect();
    let moved = new.packages.iter().filter_map(|package| {
        let old = versions.get(&*package.name).filter(|old| **old != package.version)?;
        Some(format!("{}: {old} to {}", package.name, package.version))
    });
    moved.collect()
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

/// Where Debian's archives are for this workspace, on this host.
pub(crate) fn mirrors(debian: Option<&str>, security: Option<&str>) -> Mirrors {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let manifest = NamedMirrors { debian, security };
    let debian = named("EXFLOW_DEBIAN_MIRROR");
    let security = named("EXFLOW_DEBIAN_SECURITY_MIRROR");
    let environment = NamedMirrors { debian: debian.as_deref(), security: security.as_deref() };
    let snapshot = named("EXFLOW_DEBIAN_SNAPSHOT");
    let snapshot = snapshot.as_deref().unwrap_or(SNAPSHOT);
    let apt = apt_sources(Path::new("/etc/apt"));
    find_mirrors(manifest, environment, &apt, Some(snapshot))
}

/// Debian's keys, and those that the user trusts besides.
fn keyring() -> Result<Keyring, Failure> {
    let mut keyring = Keyring::debian();
    if let Some(path) = std::env::var_os("EXFLOW_DEBIAN_KEYRING").filter(|path| !path.is_empty()) {
        let path = Path::new(&path);
        let bytes = fs::read(path).map_err(|source| unreadable(path, &source))?;
        keyring.add(&bytes).map_err(|reason| {
            Diagnostic::error(
                KEYRING,
                format!("`{}` is no OpenPGP keyring: {reason}", path.display()),
            )
            .help("`EXFLOW_DEBIAN_KEYRING` names a file of OpenPGP public keys, armored or not")
        })?;
    }
    Ok(keyring)
}

/// Shows how far downloads are.
pub(crate) struct Shown<'a>(pub(crate) &'a Ui);

impl Progress for Shown<'_> {
    fn begin(&self, name: &str, total: u64) {
        self.0.begin(name, Some(total));
    }

    fn advance(&self, name: &str, bytes: u64) {
        self.0.advance(name, bytes);
    }

    fn end(&self, name: &str) {
        self.0.end(name);
    }
}
