//! Revisions of git repositories.
//!
//! They are fetched by the user's own `git`, whose credentials, agents and proxies are theirs, and which
//! checks every object against its name. Nothing is ever checked out: files are read from the objects as
//! they are, so that no filter, hook, attribute or setting of anyone's changes them, and a revision has
//! the same tree everywhere. What git-lfs would put in their place is not fetched.

mod address;
mod program;

use crate::workshop::Workshop;
use crate::{Cancel, Client, FetchError, Progress};
use address::shown;
use exflow_content::{Digest, Entry, Mode, PathError, RelPath, Tree, TreeError, is_git_object};
use exflow_lock::RequestedVersion;
use exflow_packages::git::GitSource;
use exflow_store::{Store, StoreError};
use program::{Objects, Program};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// How much a repository and its submodules may take as git keeps them, in bytes, each.
const MAX_REPOSITORY: u64 = 4 << 30;
/// How much all files may take in bytes.
const MAX_FILES: u64 = 2 << 30;
/// How many files there may be.
const MAX_ENTRIES: u64 = 200_000;
/// How long the list of files may be in bytes.
const MAX_LIST: u64 = 64 << 20;
/// The longest target of a link in bytes: Linux's `PATH_MAX`.
const MAX_TARGET: u64 = 4096;
/// How many names a path may have.
const MAX_NAMES: usize = 128;
/// The largest `.gitmodules` in bytes.
const MAX_MODULES: u64 = 1 << 20;
/// How deep submodules may lie in one another, and how many there may be in all.
const MAX_SUBMODULES: (usize, usize) = (8, 256);

/// What every branch and tag is fetched as.
const ALL: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Why a revision of a git repository can't be had.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git`.
    #[error("there is no program `git`")]
    Missing,
    /// `git` can't be started, or breaks off.
    #[error("the program `git` can't be used: {0}")]
    Program(io::Error),
    /// An address would have git do something else than fetch.
    #[error("its address is not given to git: {0}")]
    Address(&'static str),
    /// A server can't be reached, or has no such repository.
    #[error("git can't reach it: {0}")]
    Unreachable(String),
    /// A server wants to know who we are, or doesn't let us have it.
    #[error("git is not allowed to have it: {0}")]
    Denied(String),
    /// The repository has no such revision.
    #[error("it has no revision {revision}{}", behind(said))]
    Revision {
        /// Which one.
        revision: String,
        /// What git says of it.
        said: String,
    },
    /// The repository has no such branch or tag.
    #[error("it has no {0}")]
    Version(String),
    /// A revision has other files than it had when it was locked. Git's own digests can be made to match.
    #[error("its files are {found}, and {expected} is locked")]
    OtherFiles {
        /// The digest of their tree.
        found: Digest,
        /// What is locked.
        expected: Digest,
    },
    /// Something else has failed.
    #[error("git failed: {0}")]
    Failed(String),
    /// It is larger than any of its kind should be.
    #[error("it takes more than {0} bytes")]
    TooLarge(u64),
    /// It has more files than any of its kind should.
    #[error("it has more than {MAX_ENTRIES} files")]
    TooMany,
    /// It takes longer than anyone waits for it.
    #[error("git wasn't done after {0} minutes")]
    TooSlow(u64),
    /// What it lists can't be files.
    #[error("it holds a path that is not allowed: {0}")]
    Path(#[from] PathError),
    /// What it lists can't be files.
    #[error("it holds a path that is not allowed: {0}")]
    Tree(#[from] TreeError),
    /// What it lists isn't what git lists.
    #[error("it holds `{0}`, which is neither file, folder nor link")]
    Kind(String),
    /// A submodule can't be had.
    #[error("its submodule `{path}`: {source}")]
    Submodule {
        /// Where it is to be.
        path: RelPath,
        /// What is wrong with it.
        source: Box<GitError>,
    },
    /// A submodule's address is nowhere.
    #[error("`.gitmodules` says nothing of it")]
    NoAddress,
    /// Submodules lead to further ones, without end.
    #[error("submodules lie too deep in one another, or there are too many of them")]
    Submodules,
    /// The folder that is wanted isn't there.
    #[error("it has no folder `{0}`")]
    Folder(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
}

/// Something more, if there is something.
fn behind(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// Fetches a revision, unless the store has it: the digest of its tree.
///
/// What comes of it is on the disk and recorded under the source's key when this returns. Whoever wants
/// the same meanwhile waits for it.
pub fn fetch_git(
    client: &Client,
    store: &Store,
    source: &GitSource,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    let workshop = Workshop::new(client.clone(), store);
    workshop.tree_of(source.key(), || {
        let url = shown(&source.url);
        got(fetch(client, store, source, progress), url).map(|tree| (tree, None))
    })
}

/// None where the network would be needed and must not be used.
fn fetch(
    client: &Client,
    store: &Store,
    source: &GitSource,
    progress: &dyn Progress,
) -> Result<Option<Tree>, GitError> {
    let kind = address::kind(&source.url)?;
    if client.is_offline() && (kind == address::Kind::Remote || source.submodules) {
        return Ok(None);
    }
    if !is_git_object(&source.revision) {
        let revision = source.revision.chars().take(80).collect();
        return Err(GitError::Revision { revision, said: "it is no whole digest".to_owned() });
    }
    let name = shown(&source.url);
    let name = name.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let name = format!("{name} {}", &source.revision[..12]);
    progress.begin(&name, 0);
    let tree = read(client.cancel(), store, source);
    progress.end(&name);
    let tree = tree?;
    match &source.tree {
        Some(expected) if tree.digest() != *expected => {
            Err(GitError::OtherFiles { found: tree.digest(), expected: *expected })
        }
        _ => Ok(Some(tree)),
    }
}

/// The revision that a version of a repository has today; of a revision, itself.
pub fn find_git(
    client: &Client,
    store: &Store,
    url: &str,
    version: &RequestedVersion,
) -> Result<String, FetchError> {
    let found = || -> Result<Option<String>, GitError> {
        let (name, shown) = match version {
            RequestedVersion::Revision(revision) => return Ok(Some(revision.clone())),
            RequestedVersion::Default => ("HEAD".to_owned(), "default branch".to_owned()),
            RequestedVersion::Branch(name) => {
                (format!("refs/heads/{name}"), format!("branch `{name}`"))
            }
            RequestedVersion::Tag(name) => (format!("refs/tags/{name}"), format!("tag `{name}`")),
        };
        let kind = address::kind(url)?;
        if client.is_offline() && kind == address::Kind::Remote {
            return Ok(None);
        }
        let folder = store.temp_dir()?;
        let cancel = client.cancel();
        let path = folder.path().to_owned();
        let git = Program { folder: path, cancel, limit: MAX_REPOSITORY };
        git.run(&["init", "--quiet", "--bare", "--template=", "."], 1 << 16)?;
        // What an annotated tag names stands behind it.
        let peeled = format!("{name}^{{}}");
        let listed = match git.run(&["ls-remote", "--quiet", "--", url, &name, &peeled], MAX_LIST) {
            Err(GitError::Failed(said)) => return Err(classify(said)),
            other => other?,
        };
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let revision = |wanted: &str| {
            let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
            lines.find(|(_, name)| *name == wanted).map(|(revision, _)| revision.to_owned())
        };
        let revision = revision(&peeled).or_else(|| revision(&name));
        let revision = revision.filter(|revision| is_git_object(revision));
        revision.map(Some).ok_or(GitError::Version(shown))
    };
    got(found(), shown(url))
}

/// What was got from `url`; none where the network would have been needed and must not be used.
fn got<T>(found: Result<Option<T>, GitError>, url: String) -> Result<T, FetchError> {
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(FetchError::Offline { what: url }),
        Err(GitError::Cancelled) => Err(FetchError::Cancelled),
        Err(GitError::Store(error)) => Err(FetchError::Store(error)),
        Err(source) => Err(FetchError::Git { url, source }),
    }
}

fn read(cancel: &Cancel, store: &Store, source: &GitSource) -> Result<Tree, GitError> {
    let sparse = match &source.sparse {
        Some(folder) => RelPath::clean(folder)?,
        None => RelPath::root(),
    };
    let mut reader = Reader {
        store,
        cancel,
        tree: Tree::new(),
        bytes: MAX_FILES,
        entries: MAX_ENTRIES,
        submodules: MAX_SUBMODULES.1,
        with_submodules: source.submodules,
    };
    let wanted = Wanted { url: &source.url, revision: &source.revision, at: RelPath::root() };
    reader.read(&wanted, &sparse, 0)?;
    if !sparse.is_root() && !matches!(reader.tree.get(&sparse), Some(Entry::Folder { .. })) {
        return Err(GitError::Folder(sparse.to_string()));
    }
    Ok(reader.tree)
}

/// A revision of a repository, and where its files are to be.
struct Wanted<'a> {
    url: &'a str,
    revision: &'a str,
    at: RelPath,
}

/// Reads a repository and its submodules into one tree.
struct Reader<'a> {
    store: &'a Store,
    cancel: &'a Cancel,
    tree: Tree,
    /// How much the files may still take, and how many there may still be.
    bytes: u64,
    entries: u64,
    submodules: usize,
    with_submodules: bool,
}

/// What stands at a path of a revision.
struct Listed {
    mode: u32,
    object: String,
    path: RelPath,
}

impl Reader<'_> {
    /// Reads what a revision has in a folder.
    fn read(
        &mut self,
        wanted: &Wanted<'_>,
        folder: &RelPath,
        depth: usize,
    ) -> Result<(), GitError> {
        let temp = self.store.temp_dir()?;
        let path = temp.path().to_owned();
        let git = Program { folder: path, cancel: self.cancel, limit: MAX_REPOSITORY };
        fetch_revision(&git, wanted.url, wanted.revision)?;
        let mut modules = Vec::new();
        {
            let mut objects = git.objects()?;
            let mut blobs = BTreeMap::new();
            for listed in list(&git, wanted.revision, folder)? {
                if self.cancel.is_cancelled() {
                    return Err(GitError::Cancelled);
                }
                self.entries = self.entries.checked_sub(1).ok_or(GitError::TooMany)?;
                let at = wanted.at.join(&listed.path);
                if at.names().count() > MAX_NAMES {
                    return Err(GitError::Kind(at.to_string()));
                }
                let entry = match listed.mode & 0o170_000 {
                    0o100_000 => self.file(&listed, &mut objects, &mut blobs)?,
                    0o120_000 => self.link(&listed, &mut objects)?,
                    0o160_000 => {
                        modules.push(listed);
                        Entry::Folder { mode: Mode::FOLDER }
                    }
                    _ => return Err(GitError::Kind(at.to_string())),
                };
                self.tree.insert(at, entry)?;
            }
        }
        if !self.with_submodules || modules.is_empty() {
            return Ok(());
        }
        let addresses = submodule_addresses(&git, wanted.revision)?;
        drop(temp);
        for module in modules {
            let read = self.read_submodule(wanted, &module, &addresses, depth);
            read.map_err(|error| match error {
                error @ (GitError::Cancelled | GitError::Store(_)) => error,
                source => GitError::Submodule { path: module.path, source: Box::new(source) },
            })?;
        }
        Ok(())
    }

    fn read_submodule(
        &mut self,
        parent: &Wanted<'_>,
        module: &Listed,
        addresses: &BTreeMap<Vec<u8>, String>,
        depth: usize,
    ) -> Result<(), GitError> {
        self.submodules = self.submodules.checked_sub(1).ok_or(GitError::Submodules)?;
        if depth >= MAX_SUBMODULES.0 {
            return Err(GitError::Submodules);
        }
        let url = addresses.get(module.path.as_bytes()).ok_or(GitError::NoAddress)?;
        let url = address::submodule(parent.url, url)?;
        let at = parent.at.join(&module.path);
        let wanted = Wanted { url: &url, revision: &module.object, at };
        self.read(&wanted, &RelPath::root(), depth + 1)
    }

    fn file(
        &mut self,
        listed: &Listed,
        objects: &mut Objects,
        blobs: &mut BTreeMap<String, (Digest, u64)>,
    ) -> Result<Entry, GitError> {
        let mode = if listed.mode & 0o100 != 0 { Mode::EXECUTABLE } else { Mode::FILE };
        let (blob, size) = if let Some(known) = blobs.get(&listed.object) {
            *known
        } else {
            let kept = self.object(listed, objects, |store, content| {
                let mut writer = store.blob_writer()?;
                io::copy(content, &mut writer).map_err(|source| {
                    let path = store.root().to_owned();
                    StoreError::Io { action: "write to", path, source }
                })?;
                Ok(writer.finish_as(mode)?)
            })?;
            blobs.insert(listed.object.clone(), kept);
            kept
        };
        self.bytes = self.bytes.checked_sub(size).ok_or(GitError::TooLarge(MAX_FILES))?;
        Ok(Entry::File { mode, blob, size })
    }

    fn link(&self, listed: &Listed, objects: &mut Objects) -> Result<Entry, GitError> {
        let target = self.object(listed, objects, |_, content| {
            let mut target = Vec::new();
            content.take(MAX_TARGET + 1).read_to_end(&mut target).map_err(GitError::Program)?;
            Ok(target)
        })?;
        if target.is_empty() || target.contains(&0) || target.len() as u64 > MAX_TARGET {
            return Err(GitError::Kind(listed.path.to_string()));
        }
        Ok(Entry::Symlink { target: target.into() })
    }

    /// The content of what is listed.
    fn object<T>(
        &self,
        listed: &Listed,
        objects: &mut Objects,
        read: impl FnOnce(&Store, &mut dyn Read) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let found = objects.get(&listed.object, |kind, size, content| {
            if kind != "blob" {
                return Err(GitError::Kind(listed.path.to_string()));
            }
            if size > self.bytes {
                return Err(GitError::TooLarge(MAX_FILES));
            }
            read(self.store, content)
        })?;
        found.ok_or_else(|| GitError::Failed(format!("`{}` is missing", listed.path)))
    }
}

/// Brings a revision into an empty folder.
fn fetch_revision(git: &Program<'_>, url: &str, revision: &str) -> Result<(), GitError> {
    address::kind(url)?;
    let mut init = vec!["init", "--quiet", "--bare", "--template="];
    if revision.len() == 64 {
        init.push("--object-format=sha256");
    }
    init.push(".");
    git.run(&init, 1 << 16)?;
    // The revision alone, where the server gives away what no branch ends in.
    let options = ["fetch", "--quiet", "--no-tags"];
    let mut shallow = options.to_vec();
    shallow.extend(["--depth=1", "--", url, revision]);
    let first = match git.run(&shallow, 1 << 16) {
        Ok(_) if is_commit(git, revision)? => return Ok(()),
        Ok(_) => String::new(),
        Err(GitError::Failed(said)) => match classify(said) {
            GitError::Failed(said) => said,
            other => return Err(other),
        },
        Err(error) => return Err(error),
    };
    let mut all = options.to_vec();
    all.extend(["--", url]);
    all.extend(ALL);
    match git.run(&all, 1 << 16) {
        Ok(_) if is_commit(git, revision)? => Ok(()),
        Ok(_) => Err(GitError::Revision { revision: revision.to_owned(), said: first }),
        Err(GitError::Failed(said)) => Err(classify(said)),
        Err(error) => Err(error),
    }
}

/// Whether a commit is there whose name is just this.
fn is_commit(git: &Program<'_>, revision: &str) -> Result<bool, GitError> {
    match git.run(&["cat-file", "-t", revision], 1 << 10) {
        Ok(kind) => Ok(kind.trim_ascii() == b"commit"),
        Err(GitError::Failed(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What kind of failure it is that git speaks of.
fn classify(said: String) -> GitError {
    const DENIED: &[&str] = &[
        "authentication failed",
        "could not read username",
        "could not read password",
        "terminal prompts disabled",
        "permission denied",
        "access denied",
        "host key verification failed",
        "returned error: 401",
        "returned error: 403",
    ];
    const UNREACHABLE: &[&str] = &[
        "unable to access",
        "could not resolve host",
        "could not connect",
        "unable to connect",
        "connection refused",
        "connection timed out",
        "connection reset",
        "could not read from remote repository",
        "does not appear to be a git repository",
        "does not exist",
        "repository not found",
        "' not found",
        "returned error: 4",
        "returned error: 5",
        "transport '",
    ];
    let lower = said.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // Servers that keep what is no branch's to themselves hang up, too.
    if says(&["not our ref", "unadvertised object"]) {
        GitError::Failed(said)
    } else if says(DENIED) {
        GitError::Denied(said)
    } else if says(UNREACHABLE) {
        GitError::Unreachable(said)
    } else {
        GitError::Failed(said)
    }
}

/// What a revision has in a folder.
fn list(git: &Program<'_>, revision: &str, folder: &RelPath) -> Result<Vec<Listed>, GitError> {
    let below = format!("{folder}/");
    let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", "--", revision];
    if !folder.is_root() {
        // As it is: here, nothing stands for anything else.
        arguments.push(&below);
    }
    let bytes = git.run(&arguments, MAX_LIST)?;
    let entries = bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    entries.map(listed).collect()
}

/// A line of a list: mode, type and object with spaces between them, a tab, and the path.
fn listed(line: &[u8]) -> Result<Listed, GitError> {
    let strange = || GitError::Kind(String::from_utf8_lossy(line).chars().take(200).collect());
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(strange)?;
    let path = RelPath::new(&line[tab + 1..])?;
    // git keeps no such path either, unless a repository was made to do harm.
    if path.is_root() || path.names().any(|name| name.eq_ignore_ascii_case(b".git")) {
        return Err(strange());
    }
    let words = std::str::from_utf8(&line[..tab]).map_err(|_| strange())?;
    let words: Vec<&str> = words.split(' ').collect();
    let [mode, _, object] = words.as_slice() else { return Err(strange()) };
    let mode = u32::from_str_radix(mode, 8).map_err(|_| strange())?;
    if !is_git_object(object) {
        return Err(strange());
    }
    Ok(Listed { mode, object: (*object).to_owned(), path })
}

/// The addresses of submodules, by path.
fn submodule_addresses(
    git: &Program<'_>,
    revision: &str,
) -> Result<BTreeMap<Vec<u8>, String>, GitError> {
    let blob = format!("--blob={revision}:.gitmodules");
    let arguments = ["config", &blob, "-z", "--get-regexp", r"^submodule\..*\.(path|url)$"];
    let bytes = match git.run(&arguments, MAX_MODULES) {
        Err(GitError::Failed(_)) => return Ok(BTreeMap::new()),
        other => other?,
    };
    let mut found: BTreeMap<Vec<u8>, (Vec<u8>, String)> = BTreeMap::new();
    for setting in bytes.split(|byte| *byte == 0) {
        let Some(end) = setting.iter().position(|byte| *byte == b'\n') else { continue };
        let (name, value) = (&setting[..end], &setting[end + 1..]);
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { continue };
        let (name, kind) = (&name[..dot], &name[dot + 1..]);
        let module = found.entry(name.to_owned()).or_default();
        if kind == b"path" {
            value.clone_into(&mut module.0);
        } else {
            module.1 = String::from_utf8_lossy(value).into_owned();
        }
    }
    Ok(found.into_values().filter(|(_, url)| !url.is_empty()).collect())
}

#[cfg(test)]
mod tests;
