//! What a stage sees because it needs something.

use super::sources::source_root;
use super::{DEFAULT_TIME_LIMIT, NOT_LOCKED, Planner};
use crate::graph::{Action, MountSource, Output, PlannedMount, Step};
use crate::inputs::Origin;
use exflow_content::RelPath;
use exflow_diagnostics::Diagnostic;
use exflow_lock::FetchedContent;
use exflow_manifest::{Fetched, Need, Project, Stage};
use exflow_packages::RemoteFile;
use exflow_packages::git::GitSource;
use std::collections::BTreeMap;

/// What a file is called that is at `url`: as the last part of its path, or where that is no name, `name`.
fn last_name(url: &str, name: &str) -> RelPath {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let last =
        path.split_once('/').map_or("", |(_, path)| path.rsplit('/').next().unwrap_or_default());
    let last = RelPath::new(last).ok().filter(|last| !last.is_root());
    last.unwrap_or_else(|| RelPath::new(name).expect("a name in a manifest is one of a file"))
}

impl Planner<'_> {
    /// What a stage sees because it needs something: outputs of another stage, or something that is fetched.
    pub(super) fn needed(
        &mut self,
        project: &Project,
        stage: &Stage,
        need: &Need,
        own: &BTreeMap<&str, Vec<PlannedMount>>,
    ) -> Vec<PlannedMount> {
        let name = need.name.value.as_str();
        if let Some(mounts) = own.get(name) {
            return mounts.clone();
        }
        let Some(fetch) = self.workspace.fetches.get(name) else { return Vec::new() };
        let Some(locked) = self.lock.fetches.get(name) else {
            self.problems.push(
                Diagnostic::error(NOT_LOCKED, format!("fetch `{name}` is not in the lock"))
                    .at(&fetch.site, "declared here")
                    .help("run `exflow lock`"),
            );
            return Vec::new();
        };
        let root = source_root();
        let folder = if need.is_in_workspace { root } else { root.join(&project.folder) };
        let at = need.at.as_ref().map(|at| at.value.clone());
        // What is laid under several names is fetched under each.
        let mut called = format!("fetch:{name}");
        let (origin, at) = match (&fetch.what, &locked.locked) {
            (Fetched::File { url, is_executable, .. }, FetchedContent::File { sha256, .. }) => {
                let at = at.filter(|at| !at.is_root()).unwrap_or_else(|| last_name(url, name));
                let parent = at.parent().unwrap_or_default();
                let file = at.strip(&parent).unwrap_or_else(|| at.clone());
                if file != last_name(url, name) {
                    called = format!("{called}:{file}");
                }
                let origin = Origin::File(RemoteFile {
                    url: url.clone(),
                    sha256: *sha256,
                    name: file,
                    is_executable: *is_executable,
                });
                (origin, parent)
            }
            (
                Fetched::Git { url, folder, submodules, .. },
                FetchedContent::Git { revision, tree },
            ) => {
                let origin = Origin::Git(GitSource {
                    url: url.clone(),
                    revision: revision.clone(),
                    submodules: *submodules,
                    sparse: folder.as_ref().map(RelPath::to_string),
                    tree: Some(*tree),
                });
                (origin, at.unwrap_or_else(|| RelPath::new(name).expect("a name")))
            }
            _ => {
                self.problems.push(
                    Diagnostic::error(
                        NOT_LOCKED,
                        format!("`{name}` is in the lock as something else"),
                    )
                    .at(&fetch.site, "declared here")
                    .help("run `exflow lock`"),
                );
                return Vec::new();
            }
        };
        let step = Step {
            name: called,
            stages: vec![(project.name.value.clone(), stage.kind.name().to_owned())],
            action: Action::Fetch(origin.clone()),
            site: Some(fetch.site.clone()),
            time_limit: DEFAULT_TIME_LIMIT,
        };
        let step = self.share(origin.key(), step);
        let source = MountSource::Output(Output { step, index: 0 });
        vec![PlannedMount { at: folder.join(&at), source }]
    }
}
