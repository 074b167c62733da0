//! Steps that are done anew in a fresh place, each from what it was made of before, and compared with what came of it
//! then.

use super::other_user::{OthersFolder, as_other_user};
use crate::cli::ExecutorChoice;
use crate::engine::{Built, Engine, Failed};
use crate::executors::Executors;
use crate::pack::Packed;
use crate::prepare::Prepared;
use crate::report::{Failure, store_failed};
use crate::ui::Ui;
use exflow_compare::{Cause, How, compare};
use exflow_content::{Digest, Entry, RelPath, Tree};
use exflow_fetch::{Cancel, Client};
use exflow_plan::{Action, StepId};
use exflow_store::{Store, StoreError, TempDir};
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

/// The largest file whose content is looked into, in bytes.
const MAX_LOOKED_INTO: u64 = 64 << 20;

/// What came of steps and images before.
pub(crate) struct Before<'a> {
    store: &'a Store,
    outputs: &'a BTreeMap<StepId, Vec<Digest>>,
    /// The digests of images, by their index in the plan.
    images: BTreeMap<usize, &'a str>,
    /// Whether what is from outside is fetched anew; otherwise what is there is brought over.
    fetches: bool,
    /// What came out different.
    different: Mutex<Different>,
}

#[derive(Default)]
struct Different {
    /// With what came of them.
    steps: Vec<(StepId, Vec<Digest>)>,
    /// By their index in the plan.
    images: Vec<usize>,
}

impl<'a> Before<'a> {
    pub(crate) fn new(
        store: &'a Store,
        outputs: &'a BTreeMap<StepId, Vec<Digest>>,
        built: &'a [Built],
        fetches: bool,
    ) -> Self {
        let images = built.iter().map(|built| (built.image, built.packed.digest.as_str()));
        Self { store, outputs, images: images.collect(), fetches, different: Mutex::default() }
    }

    fn different(&self) -> std::sync::MutexGuard<'_, Different> {
        self.different.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of a step before, in the store where it is done now: what stands on it is done with that. So a
    /// difference is found in the step that makes it, and only there.
    pub(crate) fn compare(
        &self,
        place: &Store,
        step: StepId,
        outputs: Vec<Digest>,
    ) -> Result<Vec<Digest>, StoreError> {
        let Some(before) = self.outputs.get(&step).filter(|before| **before != outputs) else {
            return Ok(outputs);
        };
        self.import(place, before)?;
        self.different().steps.push((step, outputs));
        Ok(before.clone())
    }

    fn import(&self, place: &Store, trees: &[Digest]) -> Result<(), StoreError> {
        trees.iter().try_for_each(|tree| place.import_tree(self.store, tree))
    }

    /// Whether one of these steps came out different.
    pub(crate) fn differs(&self, steps: &[StepId]) -> bool {
        self.different().steps.iter().any(|(step, _)| steps.contains(step))
    }

    pub(crate) fn compare_image(&self, image: usize, packed: &Packed) {
        if self.images.get(&image).is_some_and(|before| **before != packed.digest) {
            self.different().images.push(image);
        }
    }

    /// Brings over what came of a step that is from outside; none where it is to be fetched.
    pub(crate) fn bring(
        &self,
        place: &Store,
        step: StepId,
    ) -> Result<Option<Vec<Digest>>, StoreError> {
        let Some(before) = self.outputs.get(&step).filter(|_| !self.fetches) else {
            return Ok(None);
        };
        self.import(place, before)?;
        Ok(Some(before.clone()))
    }
}

/// The folder that a rebuild is done in.
enum Place {
    Own(TempDir),
    Others(OthersFolder),
}

/// One way to do everything anew.
pub(crate) struct Rebuild<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) ui: &'a Ui,
    pub(crate) client: &'a Client,
    pub(crate) cancel: &'a Cancel,
    pub(crate) jobs: usize,
    pub(crate) executor: ExecutorChoice,
    /// Whether it is done by another user.
    pub(crate) as_other: bool,
    /// Whether each step is done by itself.
    pub(crate) one_by_one: bool,
}

/// What came of it.
pub(crate) struct Rebuilt {
    pub(crate) changes: Vec<Changed>,
    pub(crate) failures: Vec<Failed>,
}

/// Something that came out different.
pub(crate) struct Changed {
    pub(crate) what: ChangedThing,
    /// Its files that differ.
    pub(crate) files: Vec<ChangedFile>,
}

/// What came out different.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangedThing {
    Step(StepId),
    /// By its index in the plan.
    Image(usize),
}

/// A file that came out different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedFile {
    /// Where the step has written it, or where it is in the image.
    pub(crate) path: RelPath,
    pub(crate) how: How,
    /// Of a BEAM file: the chunks of it.
    pub(crate) chunks: Vec<String>,
    /// What usually causes it, where that can be told.
    pub(crate) cause: Option<Cause>,
}

impl Rebuild<'_> {
    /// Does everything anew, and compares it with what came `before`.
    pub(crate) fn run(&self, before: &Before<'_>) -> Result<Rebuilt, Failure> {
        let place = if self.as_other {
            Place::Others(OthersFolder::new().map_err(|source| {
                let path = self.prepared.root.clone();
                store_failed(StoreError::Io { action: "work as another user on", path, source })
            })?)
        } else {
            Place::Own(before.store.temp_dir().map_err(store_failed)?)
        };
        let root = match &place {
            Place::Own(folder) => folder.path(),
            Place::Others(folder) => folder.path(),
        };
        let work = || -> Result<Rebuilt, Failure> {
            let store = Store::open(root.join("store")).map_err(store_failed)?;
            let prepared = Prepared { store, ..self.prepared.clone() };
            let executors = Executors::new(self.executor, prepared.store.clone(), self.ui);
            let mut engine =
                Engine::new(&prepared, self.ui, &executors, self.client, self.cancel, self.jobs);
            engine.before = Some(before);
            if self.one_by_one {
                engine.together = 1;
            }
            let failures = engine.do_all()?;
            let changes = changes(before, &prepared).map_err(store_failed)?;
            Ok(Rebuilt { changes, failures })
        };
        let rebuilt = if self.as_other {
            as_other_user(work).map_err(|source| {
                let path = root.to_owned();
                store_failed(StoreError::Io { action: "work as another user in", path, source })
            })?
        } else {
            work()
        };
        let mut rebuilt = rebuilt?;
        for failed in &mut rebuilt.failures {
            keep_log(failed, before.store);
        }
        Ok(rebuilt)
    }
}

/// Keeps the log of a step that failed, whose place goes away.
fn keep_log(failed: &mut Failed, store: &Store) {
    let Failed::Step { log, .. } = failed else { return };
    let Some(name) = log.file_name() else { return };
    let logs = store.root().join("logs");
    let kept = logs.join(format!("verify-{}", name.to_string_lossy()));
    if fs::create_dir_all(&logs).is_ok() && fs::copy(&*log, &kept).is_ok() {
        *log = kept;
    }
}

/// What came out different, by file.
fn changes(before: &Before<'_>, prepared: &Prepared) -> Result<Vec<Changed>, StoreError> {
    let plan = &prepared.plan;
    let different = std::mem::take(&mut *before.different());
    let mut changes = Vec::new();
    for (step, outputs) in different.steps {
        let places: Vec<RelPath> = match &plan.steps[step].action {
            Action::Run(run) => run.outputs.clone(),
            Action::Base(_) | Action::Fetch(_) => vec![RelPath::root(); outputs.len()],
        };
        let mut files = Vec::new();
        for ((first, second), at) in before.outputs[&step].iter().zip(&outputs).zip(&places) {
            if first != second {
                let first = (before.store, &before.store.tree(first)?);
                let second = (&prepared.store, &prepared.store.tree(second)?);
                files.extend(changed_files(first, second, at)?);
            }
        }
        changes.push(Changed { what: ChangedThing::Step(step), files });
    }
    for image in different.images {
        changes.push(Changed { what: ChangedThing::Image(image), files: Vec::new() });
    }
    Ok(changes)
}

/// The files in which two trees differ, each in a store. They are called what they are below `at`.
pub(crate) fn changed_files(
    (store, first): (&Store, &Tree),
    (other, second): (&Store, &Tree),
    at: &RelPath,
) -> Result<Vec<ChangedFile>, StoreError> {
    let size = |tree: &Tree, path: &RelPath| match tree.get(path) {
        Some(Entry::File { size, .. }) => *size,
        _ => 0,
    };
    let mut files = Vec::new();
    for difference in compare(first, second) {
        let path = &difference.path;
        let (mut chunks, mut cause) = (Vec::new(), None);
        if let How::Content { first: one, second: two } = &difference.how
            && size(first, path).max(size(second, path)) <= MAX_LOOKED_INTO
        {
            let ours = store.read_blob(one, MAX_LOOKED_INTO)?;
            let theirs = other.read_blob(two, MAX_LOOKED_INTO)?;
            let (found, of_beam) = Cause::of(path, &ours, &theirs);
            cause = Some(found);
            chunks = of_beam;
        }
        files.push(ChangedFile { path: at.join(path), how: difference.how, chunks, cause });
    }
    Ok(files)
}
