//! A command whose inputs are all known by content: what an executor runs, and what a key is of.

use exflow_content::{Digest, Encoder, RelPath};
use std::collections::BTreeMap;

/// The tag and version of a command's canonical encoding.
const TAG: &str = "exflow command 1";

/// A run step with every input by content. It is complete: an executor adds nothing.
///
/// # Encoding
/// Tag `exflow command 1`; base tree digest; the list of mounts (path, tree digest) in order;
/// the list of arguments; the list of variables (name, value) by name; working folder; the list
/// of outputs in order. Commands have no network, and so no field that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The root file system.
    pub base: Digest,
    /// Trees laid over it, in this order: folders merge, the later one wins. Paths here and below
    /// are relative to the root.
    pub mounts: Vec<Mount>,
    /// The program, absolute or found in the command's own `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub workdir: RelPath,
    /// The files or folders that are kept when it ends well.
    pub outputs: Vec<RelPath>,
}

/// A tree at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: RelPath,
    /// What.
    pub tree: Digest,
}

impl Command {
    /// The key: the digest of everything that can affect the result.
    pub fn key(&self) -> Digest {
        let mut encoder = Encoder::new(TAG);
        encoder.digest(&self.base);
        encoder.list(self.mounts.iter(), |encoder, mount| {
            encoder.bytes(mount.at.as_bytes()).digest(&mount.tree);
        });
        encoder.list(self.argv.iter(), |encoder, argument| {
            encoder.text(argument);
        });
        encoder.list(self.env.iter(), |encoder, (name, value)| {
            encoder.text(name).text(value);
        });
        encoder.bytes(self.workdir.as_bytes());
        encoder.list(self.outputs.iter(), |encoder, output| {
            encoder.bytes(output.as_bytes());
        });
        encoder.digest_of()
    }
}
