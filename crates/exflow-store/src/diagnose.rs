//! The words for a store that fails.

use crate::StoreError;
use exflow_diagnostics::{Diagnostic, Site};

const FAILED: &str = "exflow::store::failed";
const DISK_FULL: &str = "exflow::store::disk-full";
const OPEN_TO_OTHERS: &str = "exflow::store::open-to-others";
const SOURCE_CHANGED: &str = "exflow::store::source-changed";

/// Says what is wrong, what it was needed for, and what to do about it.
pub fn diagnose(error: &StoreError, site: Option<&Site>) -> Diagnostic {
    let (code, help) = match error {
        error if error.is_disk_full() => (
            DISK_FULL,
            "make room and build again: what was finished is kept; or use a store elsewhere: \
             `EXFLOW_STORE=DIR`"
                .to_owned(),
        ),
        StoreError::OpenToOthers { path } => (
            OPEN_TO_OTHERS,
            format!(
                "it holds programs that exflow runs: if nobody else has written to it, close it \
                 with `chmod go-rwx '{}'`, else remove it; or use another one: `EXFLOW_STORE=DIR`",
                path.display()
            ),
        ),
        StoreError::SourceChanged { .. } => (
            SOURCE_CHANGED,
            "a build takes every file as it was when it began: build again".to_owned(),
        ),
        StoreError::Missing { .. } | StoreError::Corrupt { .. } => {
            (FAILED, "build again: what is missing is made again".to_owned())
        }
        StoreError::WrongDigest { .. } => {
            (FAILED, "run it again: what is wrong has been removed".to_owned())
        }
        StoreError::Owner { .. } | StoreError::Format { .. } | StoreError::Occupied { .. } => {
            (FAILED, "use another one: `EXFLOW_STORE=DIR`".to_owned())
        }
        StoreError::Unsupported { .. } | StoreError::Tree { .. } => {
            (FAILED, "only files, folders and links can be kept".to_owned())
        }
        StoreError::Io { .. } => (
            FAILED,
            "check that you may read and write there, or use another store: `EXFLOW_STORE=DIR`"
                .to_owned(),
        ),
    };
    let diagnostic = Diagnostic::error(code, error.to_string()).help(help);
    diagnostic.at_known(site, "needed for this")
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_content::Digest;
    use exflow_diagnostics::SourceName;
    use std::io;

    #[test]
    fn each_failure_has_its_own_words() {
        let io = |kind: io::ErrorKind| StoreError::Io {
            action: "write",
            path: "/store".into(),
            source: kind.into(),
        };
        for (error, code, help) in [
            (io(io::ErrorKind::StorageFull), DISK_FULL, "make room"),
            (io(io::ErrorKind::QuotaExceeded), DISK_FULL, "make room"),
            (io(io::ErrorKind::PermissionDenied), FAILED, "read and write"),
            (StoreError::Missing { kind: "blob", digest: Digest::of(b"") }, FAILED, "made again"),
            (
                StoreError::OpenToOthers { path: "/store".into() },
                OPEN_TO_OTHERS,
                "chmod go-rwx '/store'",
            ),
            (StoreError::SourceChanged { path: "a".into() }, SOURCE_CHANGED, "build again"),
        ] {
            let site = Site::new(&SourceName::new("exflow.kdl"), 1..2);
            let said = diagnose(&error, Some(&site));
            assert_eq!(said.code.as_str(), code, "{error:?}");
            assert!(said.help.unwrap_or_default().contains(help), "{error:?}");
            assert_eq!((said.message, &said.labels[0].site), (error.to_string(), &site));
        }
    }
}
