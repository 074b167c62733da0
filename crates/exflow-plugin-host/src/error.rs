//! Why a plugin gave no answer, and what to do about it.

use crate::encode::NEWEST;
use exflow_diagnostics::{Diagnostic, Site};
use exflow_store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why a plugin gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Its file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It was locked, and has to be fetched first.
    #[error("it is not in the store")]
    Absent,
    /// A source file that it wants to see can't be read.
    #[error("can't read `{path}`, which it wants to see: {source}")]
    Source {
        /// Which file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It isn't what was locked.
    #[error("its digest is {found}, and the lock says {locked}")]
    Changed {
        /// As it is.
        found: String,
        /// As it was locked.
        locked: String,
    },
    /// It is no component.
    #[error("it is not a WASM component: {reason}")]
    NotAComponent {
        /// Why not.
        reason: String,
    },
    /// It imports something.
    #[error("it imports `{}`", imports.join("`, `"))]
    Imports {
        /// What.
        imports: Vec<String>,
    },
    /// It is a component of another world.
    #[error("it does not fit the contract: {reason}")]
    Contract {
        /// What is missing.
        reason: String,
    },
    /// It did more than it may.
    #[error("it exceeded its limit of {limit}")]
    Limit {
        /// Which limit, and how much it is.
        limit: String,
    },
    /// It failed.
    #[error("it failed: {reason}")]
    Trap {
        /// How.
        reason: String,
    },
    /// What it proposes can't be.
    #[error("it says what can't be: {reason}")]
    Invalid {
        /// What.
        reason: String,
    },
    /// It asks for more, again and again.
    #[error("it asked for more files {rounds} times, and still has no answer")]
    Insatiable {
        /// How often.
        rounds: usize,
    },
    /// A source file changed while it was read.
    #[error("`{path}` changed while it was read")]
    Moved {
        /// Which file.
        path: String,
    },
    /// What it wants to see could not be made.
    #[error("what it wants to see could not be made")]
    NotMade,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const UNREADABLE: &str = "exflow::plugin::unreadable";
const UNREADABLE_SOURCE: &str = "exflow::plugin::unreadable-source";
const CHANGED: &str = "exflow::plugin::changed";
const NOT_A_COMPONENT: &str = "exflow::plugin::not-a-component";
const IMPORTS: &str = "exflow::plugin::imports";
const CONTRACT: &str = "exflow::plugin::wrong-contract";
const LIMIT: &str = "exflow::plugin::limit";
const FAILED: &str = "exflow::plugin::failed";
const INVALID: &str = "exflow::plugin::invalid-proposal";
const MOVED: &str = "exflow::plugin::sources-changed";

/// Says what is wrong with the plugin `name`, where it was asked for, and what to do.
pub fn diagnose(error: &PluginError, name: &str, site: Option<&Site>) -> Diagnostic {
    let moved = format!(
        "if it was meant to change, run `exflow update {name}`, which takes it as it is now"
    );
    let contract =
        format!("export `exflow:plugin/planner@{NEWEST}`, as schemas/wit/{NEWEST} defines it");
    let (code, help) = match error {
        PluginError::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
            (UNREADABLE, "build it without debug information, or strip it: `wasm-tools strip`")
        }
        PluginError::Read { .. } if site.is_none() => {
            (UNREADABLE, "check that it is there, and that you may read it")
        }
        PluginError::Read { .. } => (UNREADABLE, "`path` is relative to the workspace"),
        PluginError::Absent => (UNREADABLE, "`exflow fetch` brings it in"),
        PluginError::Source { .. } => (
            UNREADABLE_SOURCE,
            "check that it is still there and that you may read it, and run it again",
        ),
        PluginError::Changed { .. } => (CHANGED, moved.as_str()),
        PluginError::NotAComponent { .. } => (
            NOT_A_COMPONENT,
            "a plugin is a component, not a plain module: link it with `wasm-component-ld`",
        ),
        PluginError::Imports { .. } => (
            IMPORTS,
            "a plugin imports nothing: build it for `wasm32-unknown-unknown`, not for WASI",
        ),
        PluginError::Contract { .. } => (CONTRACT, contract.as_str()),
        PluginError::Limit { .. } => (
            LIMIT,
            "this is a mistake in the plugin, or a project beyond all measure: tell its author",
        ),
        PluginError::Trap { .. } | PluginError::Insatiable { .. } | PluginError::NotMade => {
            (FAILED, "this is a mistake in the plugin: tell its author")
        }
        PluginError::Invalid { .. } => {
            (INVALID, "this is a mistake in the plugin: tell its author")
        }
        PluginError::Moved { .. } => (MOVED, "run it again"),
        PluginError::Store(error) => return exflow_store::diagnose(error, site),
    };
    let diagnostic = Diagnostic::error(code, format!("plugin `{name}`: {error}")).help(help);
    diagnostic.at_known(site, "asked for here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_can_not_be_read_is_no_fault_of_a_plugin() {
        let (path, source) = ("lib/a.ex".to_owned(), io::ErrorKind::PermissionDenied.into());
        let said = diagnose(&PluginError::Source { path, source }, "mine", None);
        assert_eq!(said.code.as_str(), "exflow::plugin::unreadable-source");
        assert!(said.message.contains("`lib/a.ex`"), "{}", said.message);
    }

    #[test]
    fn a_full_disk_is_no_fault_of_a_plugin() {
        let full = |kind: io::ErrorKind| StoreError::Io {
            action: "write",
            path: "/store".into(),
            source: kind.into(),
        };
        let said = diagnose(&full(io::ErrorKind::StorageFull).into(), "mine", None);
        assert_eq!(said, exflow_store::diagnose(&full(io::ErrorKind::StorageFull), None));
        assert_eq!(said.code.as_str(), "exflow::store::disk-full");
    }
}
