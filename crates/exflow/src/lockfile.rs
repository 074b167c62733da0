//! `exflow.lock` on disk: read, completed, written.

use crate::cli::BuildOptions;
use crate::report::Failure;
use crate::session::{Session, base_site, plugin_bytes, unreadable, wanted};
use crate::ui::Ui;
use exflow_content::Digest;
use exflow_diagnostics::{Diagnostic, Diagnostics, SourceName};
use exflow_fetch::debian::{Keyring, Mirrors, NamedMirrors, SNAPSHOT, apt_sources, find_mirrors, load_catalog};
use exflow_fetch::{Cancel, Client, HttpOptions, Progress};
use exflow_image::ASSEMBLY_VERSION;
use exflow_lock::{Lock, LockedBase, LockedPlugin, Stale, parse, print, stale};
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

/// The lock, with what it lacks added to it. What is locked never moves.
pub(crate) fn complete(
    session: &mut Session,
    workspace: &Workspace,
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let lock = read(session)?;
    let missing: Vec<Stale> =
        stale(&lock, &wanted(workspace)).into_iter().filter(Stale::is_needed).collect();
    if missing.is_empty() {
        return Ok(lock);
    }
    if options.locked || options.offline {
        let problems = missing.iter().map(|stale| stale_problem(workspace, stale));
        return Err(problems.collect::<Diagnostics>().into());
    }
    for stale in &missing {
        session.ui.tell("locking", &stale.to_string());
    }
    update(session, workspace, lock, false, cancel)
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
    stale(lock, &wanted(workspace)).iter().map(|stale| stale_problem(workspace, stale)).collect()
}

/// Adds what `lock` lacks and takes out what nothing asks for, and writes it where that changes it.
pub(crate) fn update(
    session: &mut Session,
    workspace: &Workspace,
    old: Lock,
    drop_unused: bool,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let wanted = wanted(workspace);
    let mut lock = old.clone();
    let mut bases: BTreeSet<String> = BTreeSet::new();
    for stale in stale(&old, &wanted) {
        match stale {
            Stale::BaseMissing { name } | Stale::BaseChanged { name, .. } => {
                bases.insert(name);
            }
            Stale::BaseUnused { name } if drop_unused => {
                lock.bases.remove(&name);
            }
            Stale::PluginMissing { name } | Stale::PluginChanged { name } => {
                let requested = wanted.plugins[&name].clone();
                let bytes = plugin_bytes(&session.root, &name, &requested).map_err(|source| {
                    let path = match &requested {
                        exflow_lock::RequestedPlugin::Path(path) => session.root.join(path),
                        exflow_lock::RequestedPlugin::Builtin => name.clone().into(),
                    };
                    unreadable(&path, &source)
                })?;
                let locked = LockedPlugin {
                    requested,
                    blake3: Digest::of(&bytes),
                    size: bytes.len() as u64,
                };
                lock.plugins.insert(name, locked);
            }
            Stale::PluginUnused { name } if drop_unused => {
                lock.plugins.remove(&name);
            }
            Stale::BaseUnused { .. } | Stale::PluginUnused { .. } => {}
        }
    }
    resolve(session, workspace, &mut lock, &bases, cancel)?;
    if lock != old || !session.root.join(LOCK).exists() {
        write(&session.root, &lock)?;
        session.ui.tell("locked", LOCK);
    }
    Ok(lock)
}

/// Resolves `names` with what their suites have today. Every base that can't be resolved is shown.
fn resolve(
    session: &mut Session,
    workspace: &Workspace,
    lock: &mut Lock,
    names: &BTreeSet<String>,
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
    let mut catalogs = BTreeMap::new();
    let mut problems = Diagnostics::new();
    for name in names {
        let requested = &wanted.bases[name];
        let suite = &requested.suite;
        if !catalogs.contains_key(suite) {
            session.ui.tell("indexing", suite);
            let progress = Shown(&session.ui);
            let loaded = load_catalog(
                &client,
                &store,
                &mirrors,
                suite,
                &wanted.platform,
                &keyring,
                &progress,
            );
            let catalog = match loaded {
                Ok(catalog) => catalog,
                Err(exflow_fetch::FetchError::Cancelled) => return Err(Failure::Interrupted),
                Err(error) => {
                    let site = workspace.bases.get(name).map(|base| &base.suite.site);
                    return Err(exflow_fetch::diagnose(&error, site).into());
                }
            };
            catalogs.insert(suite.clone(), catalog);
        }
        match exflow_packages::debian::resolve(requested, &catalogs[suite]) {
            Ok(debian) => {
                let packages = debian.packages.len();
                session.ui.tell("resolved", &format!("base `{name}`: {packages} packages"));
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

/// Where Debian's archives are for this workspace, on this host.
pub(crate) fn mirrors(debian: Option<&str>, security: Option<&str>) -> Mirrors {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let manifest = NamedMirrors { debian, security };
    let debian = named("EXFLOW_DEBIAN_MIRROR");
    let security = named("EXFLOW_DEBIAN_SECURITY_MIRROR");
    let environment =
        NamedMirrors { debian: debian.as_deref(), security: security.as_deref() };
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
