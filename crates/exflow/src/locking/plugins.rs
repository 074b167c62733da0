//! What plugins are today, to be locked.

use super::Locking;
use crate::inputs::site;
use crate::plugins::{Components, plugin_bytes, plugin_path};
use crate::report::Failure;
use exflow_content::Digest;
use exflow_diagnostics::Diagnostics;
use exflow_lock::{InputKind, Lock, LockedPlugin, RequestedPlugin, Wanted};
use exflow_manifest::Workspace;
use exflow_plugin_host::{PluginError, diagnose};
use std::collections::BTreeSet;
use std::path::Path;

/// Locks the plugins `names` as they are now. Each one that can't be locked is a problem.
pub(super) fn lock(
    locking: &mut Locking<'_>,
    wanted: &Wanted,
    names: &BTreeSet<String>,
) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let Locking { session, workspace, lock, problems, cancel, .. } = locking;
    let store = session.store()?;
    let components = Components::new(session, store, workspace, false, cancel);
    for name in names {
        let site = site(workspace, &InputKind::Plugin.named(name));
        let requested = &wanted.plugins[name];
        let now = components.find(name, requested, site).unwrap_or_else(|| {
            let now = of_this_machine(&session.root, name, requested);
            now.map_err(|error| diagnose(&error, name, site).into())
        });
        match now {
            Ok(now) => {
                lock.plugins.insert(name.clone(), now);
            }
            Err(Failure::Problems(more)) => problems.extend(more),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// The plugins that are locked as they are asked for, and that are others by now: those that ship inside exflow change
/// with it, others are files that anyone can change. What is fetched is known by its content: whatever is elsewhere now
/// is no matter.
pub(super) fn changed(
    root: &Path,
    workspace: &Workspace,
    wanted: &Wanted,
    lock: &Lock,
) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for (name, requested) in &wanted.plugins {
        let Some(locked) = lock.plugin(name, requested).filter(|locked| locked.sha256.is_none())
        else {
            continue;
        };
        let error = match of_this_machine(root, name, requested) {
            Ok(found) if found == *locked => continue,
            Ok(found) => PluginError::Changed {
                found: found.blake3.to_string(),
                locked: locked.blake3.to_string(),
            },
            Err(error) => error,
        };
        let site = site(workspace, &InputKind::Plugin.named(name));
        problems.push(diagnose(&error, name, site));
    }
    problems
}

/// What would be locked now of a plugin that isn't fetched.
fn of_this_machine(
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
