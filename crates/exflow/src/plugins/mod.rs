//! Plugins: those that ship inside exflow, and where others are.

mod components;

pub(crate) use components::Components;

use exflow_content::Digest;
use exflow_lock::{Lock, RequestedPlugin};
use exflow_plugin_host::{Plugin, PluginBytes, read_component};
use exflow_store::Store;
use std::io;
use std::path::{Path, PathBuf};

/// The plugins that ship inside exflow: their names and components.
pub(crate) const BUILTIN: &[(&str, &[u8])] = &[
    ("distillery", include_bytes!("../../../../plugins/prebuilt/distillery.wasm")),
    ("mix-release", include_bytes!("../../../../plugins/prebuilt/mix-release.wasm")),
];

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

/// A plugin as it is locked, or as it is now where it isn't. None if it can't be read. One that is fetched may be absent from
/// the store, which matters when it has to be asked.
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
            found.map_or(PluginBytes::Absent, PluginBytes::File)
        }
    };
    Ok(Plugin { name: name.to_owned(), digest, bytes })
}
