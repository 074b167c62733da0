//! The workspace around the current folder: found, read, and put together.

use crate::files::{read_text, unreadable};
use crate::plugins::BUILTIN;
use crate::report::Failure;
use crate::session::Session;
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Diagnostics, SourceName, Sources};
use exflow_manifest::{
    BaseSource, ImageOrigin, MANIFEST, Manifest, Members, Workspace, assemble, parse,
};
use exflow_registry::BaseReference;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const NO_MANIFEST: &str = "exflow::workspace::no-manifest";
const BAD_REFERENCE: &str = "exflow::workspace::bad-image-reference";

/// The root of a workspace.
struct Root {
    folder: PathBuf,
    manifest: Manifest,
    /// What is wrong with manifests further up. Perhaps one of them declares the workspace that this
    /// is a member of; as it is, this stands alone.
    above: Diagnostics,
}

impl Session {
    /// Whether there is a manifest in this folder, or above it.
    pub(crate) fn has_manifest() -> bool {
        fs::canonicalize(".")
            .is_ok_and(|folder| folder.ancestors().any(|folder| folder.join(MANIFEST).is_file()))
    }

    /// Reads every manifest of the workspace, and puts them together.
    pub(crate) fn workspace(&mut self) -> Result<Workspace, Failure> {
        let root = self.find_root()?;
        self.assembled(root)
    }

    /// The same, of the workspace whose root is `folder`, whatever is above it.
    pub(crate) fn workspace_at(&mut self, folder: &Path) -> Result<Workspace, Failure> {
        let manifest = self.read_manifest(&folder.join(MANIFEST), MANIFEST)?;
        let above = Diagnostics::new();
        self.assembled(Root { folder: folder.to_owned(), manifest, above })
    }

    fn assembled(&mut self, root: Root) -> Result<Workspace, Failure> {
        let Root { folder, manifest, above } = root;
        self.root = folder;
        let source = SourceName::new(MANIFEST);
        let mut problems = Diagnostics::new();
        let mut members = Vec::new();
        for folder in self.member_folders(&manifest) {
            let path = self.root.join(folder.as_path()).join(MANIFEST);
            match self.read_manifest(&path, &format!("{folder}/{MANIFEST}")) {
                Ok(manifest) => members.push((folder, manifest)),
                Err(Failure::Problems(more)) => problems.extend(more),
                Err(other) => return Err(other),
            }
        }
        let builtin: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
        match assemble(&source, manifest, members, &builtin) {
            Ok(workspace) => {
                problems.extend(bad_references(&workspace));
                Ok(problems.into_result(workspace)?)
            }
            Err(more) => {
                problems.extend(more);
                // Perhaps it fails because it doesn't stand alone, and that couldn't be read.
                let all = above.into_iter().chain(problems);
                Err(all.collect::<Diagnostics>().into())
            }
        }
    }

    /// The manifest at the root of the workspace that the folder is in: the nearest one upwards
    /// that declares a workspace, or else the nearest.
    fn find_root(&mut self) -> Result<Root, Failure> {
        let folder = fs::canonicalize(".").map_err(|source| unreadable(Path::new("."), &source))?;
        let mut nearest: Option<(Root, Sources)> = None;
        for root in folder.ancestors() {
            let path = root.join(MANIFEST);
            if !path.is_file() {
                continue;
            }
            // What is wrong with a manifest further up is of no interest to one that stands alone.
            let texts = self.texts.clone();
            match self.read_manifest(&path, MANIFEST) {
                Ok(manifest) if manifest.workspace.is_some() => {
                    // A project that is no member of it stands alone, as one that was copied here.
                    let is_its = match &nearest {
                        Some((nearest, _)) => is_member(root, &manifest, &nearest.folder),
                        None => true,
                    };
                    if is_its {
                        let above = Diagnostics::new();
                        return Ok(Root { folder: root.to_owned(), manifest, above });
                    }
                }
                Ok(manifest) => {
                    let above = Diagnostics::new();
                    let alone = Root { folder: root.to_owned(), manifest, above };
                    nearest.get_or_insert((alone, self.texts.clone()));
                }
                Err(failure) => {
                    let Some((nearest, _)) = &mut nearest else { return Err(failure) };
                    nearest.above.extend(self.problems_above(&path, &nearest.folder));
                }
            }
            self.texts = texts;
        }
        let (root, texts) = nearest.ok_or_else(|| {
            Diagnostic::error(
                NO_MANIFEST,
                format!("there is no `{MANIFEST}` in {} or above", folder.display()),
            )
            .help(
                "go to a workspace, name one with `-C DIR`, or write a manifest: docs/manifest.md",
            )
        })?;
        self.texts = texts;
        Ok(root)
    }

    /// What is wrong with the manifest at `path`, which is further up than the workspace at `root`,
    /// named as it is from there.
    fn problems_above(&mut self, path: &Path, root: &Path) -> Diagnostics {
        let above = path.parent().and_then(|above| root.strip_prefix(above).ok());
        let steps = above.map_or(0, |below| below.components().count());
        match self.read_manifest(path, &format!("{}{MANIFEST}", "../".repeat(steps))) {
            Err(Failure::Problems(problems)) => problems,
            _ => Diagnostics::new(),
        }
    }

    /// Reads one manifest. `name` is what problems call it.
    fn read_manifest(&mut self, path: &Path, name: &str) -> Result<Manifest, Failure> {
        let text = read_text(path)?;
        let source = SourceName::new(name);
        self.texts.insert(source.clone(), text.clone());
        Ok(parse(&source, &text)?)
    }

    /// The folders of the members of a workspace: those that it names, and that hold a manifest.
    pub(crate) fn member_folders(&self, manifest: &Manifest) -> Vec<RelPath> {
        let members = Members::of(manifest);
        let mut found = Vec::new();
        for place in members.places() {
            self.find_members(&place.root, &members, place.depth, &mut found);
        }
        found.sort();
        found.dedup();
        found
    }

    fn find_members(
        &self,
        folder: &RelPath,
        members: &Members,
        depth: usize,
        found: &mut Vec<RelPath>,
    ) {
        let path =
            if folder.is_root() { self.root.clone() } else { self.root.join(folder.as_path()) };
        if members.contains(folder) && path.join(MANIFEST).is_file() {
            found.push(folder.clone());
        }
        if folder.names().count() >= depth {
            return;
        }
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !Members::is_passed_over(name)) else {
                continue;
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = RelPath::new(name)
            {
                self.find_members(&folder.join(&name), members, depth, found);
            }
        }
    }

    /// Every manifest of the workspace; the nearest alone where it has mistakes, and so doesn't tell
    /// which others there are.
    pub(crate) fn manifest_files(&mut self) -> Result<Vec<PathBuf>, Failure> {
        let Root { folder: root, manifest, .. } = match self.find_root() {
            Ok(found) => found,
            Err(failure) => {
                let folder = fs::canonicalize(".").unwrap_or_default();
                let files = folder.ancestors().map(|folder| folder.join(MANIFEST));
                let nearest = files.into_iter().find(|file| file.is_file()).ok_or(failure)?;
                nearest.parent().unwrap_or(Path::new("/")).clone_into(&mut self.root);
                return Ok(vec![nearest]);
            }
        };
        self.root.clone_from(&root);
        let members = self.member_folders(&manifest);
        let members = members.into_iter().map(|folder| root.join(folder.as_path()).join(MANIFEST));
        Ok([root.join(MANIFEST)].into_iter().chain(members).collect())
    }
}

/// Names of images that are none. Which are, the manifest's own crate doesn't know.
fn bad_references(workspace: &Workspace) -> Vec<Diagnostic> {
    let images = workspace.bases.values().filter_map(|base| match &base.source {
        BaseSource::Image(image) if image.from == ImageOrigin::Registry => Some(image),
        _ => None,
    });
    let bad = images.filter_map(|image| {
        let error = image.place.value.parse::<BaseReference>().err()?;
        let message = format!("`{}` is no name of an image: {error}", image.place.value);
        let problem = Diagnostic::error(BAD_REFERENCE, message).at(&image.place.site, "not a reference");
        Some(problem.help("for example `debian:bookworm-slim`, `registry.example/team/base:1.2`, or with a digest, `base@sha256:…`"))
    });
    bad.collect()
}

/// Whether the workspace at `root` names the project in `folder` as a member.
fn is_member(root: &Path, manifest: &Manifest, folder: &Path) -> bool {
    let Ok(below) = folder.strip_prefix(root) else { return false };
    let Ok(below) = RelPath::new(below.as_os_str().as_bytes()) else { return false };
    Members::of(manifest).contains(&below)
}
