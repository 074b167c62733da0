//! What the manifest has fetched means today, to be locked: files of the web, and git repositories.

use super::Locking;
use crate::inputs::site;
use crate::places::http;
use crate::report::Failure;
use crate::ui::{Shown, Ui};
use exflow_fetch::{Client, FetchError, fetch_git, find_git, find_remote_file};
use exflow_lock::{FetchedContent, InputKind, LockedFetch, RequestedFetch, Wanted};
use exflow_packages::git::GitSource;
use exflow_store::{Record, Store};
use std::collections::BTreeSet;

/// Locks what is fetched under these names as it is now. Each one that can't be had is a problem.
pub(super) fn lock(
    locking: &mut Locking<'_>,
    wanted: &Wanted,
    names: &BTreeSet<String>,
) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let Locking { session, workspace, held, lock, problems, cancel } = locking;
    let store = session.store()?;
    let client = Client::new(http(false), cancel.clone());
    let finder = Finder { client: &client, store: &store, ui: &session.ui };
    for name in names {
        let input = InputKind::Fetch.named(name);
        let requested = &wanted.fetches[name];
        let locked = match finder.find(requested, held.fetches.get(name)) {
            Ok(locked) => locked,
            Err(FetchError::Cancelled) => return Err(Failure::Interrupted),
            Err(error) => {
                problems.push(exflow_fetch::diagnose(&error, site(workspace, &input)));
                continue;
            }
        };
        finder.ui.tell("resolved", &format!("{input}: {}", shown(&locked)));
        lock.fetches.insert(name.clone(), LockedFetch { requested: requested.clone(), locked });
    }
    Ok(())
}

fn shown(content: &FetchedContent) -> String {
    match content {
        FetchedContent::File { sha256, .. } => format!("sha256:{sha256}"),
        FetchedContent::Git { revision, .. } => format!("revision {revision}"),
    }
}

struct Finder<'a> {
    client: &'a Client,
    store: &'a Store,
    ui: &'a Ui,
}

impl Finder<'_> {
    fn find(
        &self,
        requested: &RequestedFetch,
        old: Option<&LockedFetch>,
    ) -> Result<FetchedContent, FetchError> {
        match requested {
            RequestedFetch::File { url, sha256 } => {
                // The same in other words.
                if let Some(LockedFetch { requested: before, locked }) = old
                    && let FetchedContent::File { sha256: known, .. } = locked
                    && match sha256 {
                        Some(sha256) => sha256 == known,
                        None => {
                            matches!(before, RequestedFetch::File { url: old, .. } if old == url)
                        }
                    }
                {
                    return Ok(locked.clone());
                }
                let (sha256, size) =
                    find_remote_file(self.client, self.store, url, *sha256, &Shown(self.ui))?;
                Ok(FetchedContent::File { sha256, size })
            }
            RequestedFetch::Git { url, version, folder, submodules } => {
                let revision = match old {
                    Some(LockedFetch {
                        requested: before,
                        locked: FetchedContent::Git { revision, .. },
                    }) if before.holds_for(requested) => revision.clone(),
                    _ => find_git(self.client, self.store, url, version)?,
                };
                // The same revision has the same files, wherever it comes from.
                let tree = match old {
                    Some(LockedFetch {
                        requested: before,
                        locked: FetchedContent::Git { revision: known, tree },
                    }) if *known == revision && before.takes_the_same_files(requested) => {
                        Some(*tree)
                    }
                    _ => None,
                };
                let source = GitSource {
                    url: url.clone(),
                    revision: revision.clone(),
                    submodules: *submodules,
                    sparse: folder.clone(),
                    tree,
                };
                let tree = fetch_git(self.client, self.store, &source, &Shown(self.ui))?;
                // A build asks for it by its files, too: it needn't be fetched again for that.
                let key = GitSource { tree: Some(tree), ..source }.key();
                self.store.put_record(&key, &Record { trees: vec![tree], data: Vec::new() })?;
                Ok(FetchedContent::Git { revision, tree })
            }
        }
    }
}
