//! What the manifest has fetched means today, to be locked: files of the web, and git repositories.

use crate::places::http;
use crate::report::Failure;
use crate::resolve::would_move;
use crate::session::Session;
use crate::ui::{Shown, Ui};
use exflow_content::{RelPath, Sha256};
use exflow_diagnostics::{Diagnostics, Site};
use exflow_fetch::{
    Cancel, Client, FetchError, GitVersion, Size, Wanted as WantedFile, fetch_git, find_git,
};
use exflow_lock::{FetchedContent, Lock, LockedFetch, RequestedFetch, RequestedVersion, Wanted};
use exflow_manifest::{Fetched, Workspace};
use exflow_packages::MAX_REMOTE_FILE;
use exflow_packages::git::GitSource;
use exflow_statements::without_secrets;
use exflow_store::{Record, Store, StoreError};
use std::collections::BTreeSet;
use std::fs;

/// What is asked for by a node `fetch` or `git`.
pub(crate) fn requested(fetched: &Fetched) -> RequestedFetch {
    use exflow_manifest::GitVersion;
    match fetched {
        Fetched::File { url, sha256, .. } => {
            RequestedFetch::File { url: url.clone(), sha256: *sha256 }
        }
        Fetched::Git { url, version, folder, submodules } => RequestedFetch::Git {
            url: url.clone(),
            version: match version.clone() {
                GitVersion::Default => RequestedVersion::Default,
                GitVersion::Branch(name) => RequestedVersion::Branch(name),
                GitVersion::Tag(name) => RequestedVersion::Tag(name),
                GitVersion::Revision(name) => RequestedVersion::Revision(name),
            },
            folder: folder.as_ref().map(RelPath::to_string),
            submodules: *submodules,
        },
    }
}

/// Where something is declared that is fetched.
pub(crate) fn site<'a>(workspace: &'a Workspace, name: &str) -> Option<&'a Site> {
    workspace.fetches.get(name).map(|fetch| &fetch.site)
}

/// Locks what is fetched under these names as it is now. Every one that can't be had is shown.
pub(crate) fn lock(
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
    let store = session.store()?;
    let client = Client::new(http(false), cancel.clone());
    let finder = Finder { client: &client, store: &store, ui: &session.ui };
    let mut problems = Diagnostics::new();
    for name in names {
        let site = site(workspace, name);
        let requested = &wanted.fetches[name];
        let old = lock.fetches.get(name).filter(|_| !may_move);
        let locked = match finder.find(requested, old) {
            Ok(locked) => locked,
            Err(FetchError::Cancelled) => return Err(Failure::Interrupted),
            Err(error) => {
                problems.push(exflow_fetch::diagnose(&error, site));
                continue;
            }
        };
        // Another address has what the first one had, unless the manifest says what else it has.
        if let Some(LockedFetch { locked: FetchedContent::File { sha256: before, .. }, .. }) = old
            && let FetchedContent::File { sha256, .. } = &locked
            && let RequestedFetch::File { sha256: None, .. } = requested
            && before != sha256
        {
            let message = format!(
                "fetch `{name}` has another address, and something else is there: its sha256 is {sha256}, and the lock \
                 says {before}"
            );
            problems.push(would_move(message).at_known(site, "declared here"));
            continue;
        }
        finder.ui.tell("resolved", &format!("fetch `{name}`: {}", shown(&locked)));
        lock.fetches.insert(name.clone(), LockedFetch { requested: requested.clone(), locked });
    }
    Ok(problems.into_result(())?)
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
                let file = match sha256 {
                    Some(sha256) => self.known_file(url, *sha256),
                    None => self.unknown_file(url),
                };
                file.map_err(FetchError::of_remote_file)
            }
            RequestedFetch::Git { url, version, folder, submodules } => {
                let revision = match (version, old) {
                    (RequestedVersion::Revision(revision), _) => revision.clone(),
                    // The same version, of another address or folder: nothing moves.
                    (
                        version,
                        Some(LockedFetch {
                            requested: RequestedFetch::Git { version: before, .. },
                            locked: FetchedContent::Git { revision, .. },
                        }),
                    ) if version == before => revision.clone(),
                    (RequestedVersion::Default, _) => self.revision(url, &GitVersion::Default)?,
                    (RequestedVersion::Branch(name), _) => {
                        self.revision(url, &GitVersion::Branch(name))?
                    }
                    (RequestedVersion::Tag(name), _) => {
                        self.revision(url, &GitVersion::Tag(name))?
                    }
                };
                // The same revision has the same files, wherever it comes from.
                let tree = match old {
                    Some(LockedFetch {
                        requested: RequestedFetch::Git { folder: in_folder, submodules: with, .. },
                        locked: FetchedContent::Git { revision: before, tree },
                    }) if *before == revision && in_folder == folder && with == submodules => {
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

    fn revision(&self, url: &str, version: &GitVersion<'_>) -> Result<String, FetchError> {
        find_git(self.client, self.store, url, version)
    }

    fn known_file(&self, url: &str, sha256: Sha256) -> Result<FetchedContent, FetchError> {
        let urls = [url.to_owned()];
        let name = without_secrets(url);
        let wanted = WantedFile {
            name: &name,
            urls: &urls,
            sha256,
            size: Size::AtMost(MAX_REMOTE_FILE),
            credentials: None,
        };
        let path = self.client.download(self.store, wanted, &Shown(self.ui))?;
        let metadata = fs::metadata(&path);
        let size =
            metadata.map_err(|source| StoreError::Io { action: "read", path, source })?.len();
        Ok(FetchedContent::File { sha256, size })
    }

    fn unknown_file(&self, url: &str) -> Result<FetchedContent, FetchError> {
        let got = self.client.get(url, MAX_REMOTE_FILE)?;
        let bytes = got.ok_or_else(|| FetchError::NotFound { url: without_secrets(url) })?;
        let sha256 = Sha256::of(&bytes);
        // It is wanted next.
        self.store.put_download(&sha256, &bytes)?;
        Ok(FetchedContent::File { sha256, size: bytes.len() as u64 })
    }
}
