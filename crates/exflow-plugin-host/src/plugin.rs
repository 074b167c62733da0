//! Plugins as components: where their bytes are, and reading them.

use crate::PluginError;
use exflow_content::Digest;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest component that is read, in bytes.
pub const MAX_COMPONENT: u64 = 32 << 20;

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
    /// Not here: they have to be fetched first.
    Absent,
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
    pub(crate) fn load(&self) -> Result<Vec<u8>, PluginError> {
        let bytes = match &self.bytes {
            PluginBytes::Absent => return Err(PluginError::Absent),
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

#[cfg(test)]
mod tests {
    use super::*;

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
