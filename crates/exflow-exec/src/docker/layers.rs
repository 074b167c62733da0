//! The layers that steps work on, in the store and in the daemon.

use crate::inputs::{merged, trees};
use crate::{ExecError, RunOptions};
use exflow_content::{Decoder, Digest, Encoder, Entry, Mode, RelPath, STEP_MTIME, Sha256, Tree};
use exflow_docker::{Daemon, DaemonImage, DockerError};
use exflow_image::{LayerDigests, describe, write_archive, write_tar};
use exflow_lock::{Compression, Platform};
use exflow_plan::{Command, ImageSettings};
use exflow_store::{Record, Store, StoreError};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where the init process is in a container.
pub(super) const INIT_PATH: &str = "/exflow/init";
/// Where the root of the step is. The init process knows it by the same name.
const ROOT: &str = "exflow/root";
/// The label of an image for steps: the digests of its layers, the lowest first.
const LAYERS_LABEL: &str = "exflow.layers";
/// What images for steps are called.
const REPOSITORY: &str = "exflow-step";
/// The most layers that an image is given. Docker's limit is 127 (`maxLayerDepth`).
const MAX_LAYERS: usize = 120;
/// Inputs of less than this, in bytes, share a layer.
const SMALL: u64 = 64 << 10;

/// The tag and version of the encodings of layers: of their keys, and of what is known of them.
const TAG: &str = "exflow step layer 1";

/// A layer of the image of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepLayer {
    /// The digest of its archive, which is not compressed.
    diff_id: Sha256,
    /// The length of its archive in bytes.
    size: u64,
    content: Content,
}

/// What is in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// The init process. It is exflow's own, and so not in the store.
    Init(&'static [u8]),
    /// Trees at their places in the container, the lowest first.
    Trees(Vec<(RelPath, Digest)>),
}

/// The init process for a platform.
fn init_program(platform: &Platform) -> &'static [u8] {
    match platform {
        Platform::LinuxAmd64 => include_bytes!("../../init/prebuilt/exflow-init-amd64"),
        Platform::LinuxArm64 => include_bytes!("../../init/prebuilt/exflow-init-arm64"),
    }
}

/// The layer with exflow's init process, on which all others stand.
pub(super) fn init(store: &Store, platform: &Platform) -> Result<StepLayer, ExecError> {
    layer(store, Content::Init(init_program(platform)))
}

/// The layer with a base.
pub(super) fn of_base(store: &Store, base: &Digest) -> Result<StepLayer, ExecError> {
    layer(store, Content::Trees(vec![(root(), *base)]))
}

/// The root of the step in the container.
fn root() -> RelPath {
    RelPath::new(ROOT).expect("a clean path")
}

/// The layers of a command's inputs. Those that are likely to stay are below those that aren't, so
/// that the daemon has more of them: what was made by other steps is as a rule larger than what
/// people edit.
///
/// The second value says whether they may be in another order.
pub(super) fn of_inputs(
    store: &Store,
    command: &Command,
) -> Result<(Vec<StepLayer>, bool), ExecError> {
    let trees = trees(store, command)?;
    let files = |tree: &Tree| tree.entries().filter(|(_, entry)| !is_folder(entry)).count();
    // Where no two have the same file, their order doesn't matter.
    let any_order = trees.iter().map(files).sum::<usize>() == files(&merged(command, &trees)?);
    let mut inputs: Vec<(u64, RelPath, Digest)> = command
        .mounts
        .iter()
        .zip(&trees)
        .map(|(mount, tree)| (tree.size(), root().join(&mount.at), mount.tree))
        .collect();
    if any_order {
        inputs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1, a.2).cmp(&(&b.1, b.2))));
    }
    let mut groups: Vec<(u64, Vec<(RelPath, Digest)>)> = Vec::new();
    for (size, at, tree) in inputs {
        let is_last = groups.len() >= MAX_LAYERS;
        match groups.last_mut() {
            Some((last, group)) if *last < SMALL || is_last => {
                *last += size;
                group.push((at, tree));
            }
            _ => groups.push((size, vec![(at, tree)])),
        }
    }
    let layers = groups.into_iter().map(|(_, group)| layer(store, Content::Trees(group)));
    Ok((layers.collect::<Result<_, _>>()?, any_order))
}

/// Puts the layers from `fixed` on into the order in which most of them need not be sent: those that lie
/// lowest in an image that the daemon has, then others that it has seen, which are likely to be there the
/// next time as well, and what is new on top. `known` are the layers of its images.
fn arrange(wanted: &mut [StepLayer], fixed: usize, known: &[Vec<&str>]) {
    let name = |layer: &StepLayer| layer.diff_id.to_string();
    let begin: Vec<String> = wanted[..fixed].iter().map(name).collect();
    let free: BTreeMap<String, u64> =
        wanted[fixed..].iter().map(|layer| (name(layer), layer.size)).collect();
    let chains = known.iter().filter_map(|layers| {
        let (lowest, rest) = layers.split_at_checked(fixed)?;
        (lowest == begin).then(|| rest.iter().take_while(|layer| free.contains_key(**layer)))
    });
    let best: Vec<&str> = chains
        .map(|chain| chain.copied().collect::<Vec<_>>())
        .max_by_key(|chain| chain.iter().map(|layer| free[*layer]).sum::<u64>())
        .unwrap_or_default();
    let place = |layer: &StepLayer| {
        let layer = name(layer);
        let is_known = known.iter().any(|layers| layers.contains(&&*layer));
        (best.iter().position(|one| *one == layer).unwrap_or(best.len()), !is_known)
    };
    // Stable: the rest stays in its order.
    wanted[fixed..].sort_by_key(place);
}

fn is_folder(entry: &Entry) -> bool {
    matches!(entry, Entry::Folder { .. })
}

/// The layer with this content: what its archive is, from a record, or by making it once for nobody.
///
/// # Encoding
/// What is known of a layer: tag; the digest of its archive as a text; its length.
fn layer(store: &Store, content: Content) -> Result<StepLayer, ExecError> {
    let key = content.key();
    let decode = |data: &[u8]| {
        let mut decoder = Decoder::new(data, TAG).ok()?;
        let diff_id = decoder.text().ok()?.parse().ok()?;
        Some((diff_id, decoder.number().ok()?))
    };
    if let Some((diff_id, size)) = store.record(&key)?.and_then(|record| decode(&record.data)) {
        return Ok(StepLayer { diff_id, size, content });
    }
    let (diff_id, size) = content.write(store, io::sink())?;
    let mut encoder = Encoder::new(TAG);
    encoder.text(&diff_id.to_string()).number(size);
    store.put_record(&key, &Record { trees: Vec::new(), data: encoder.finish() })?;
    Ok(StepLayer { diff_id, size, content })
}

impl Content {
    /// # Encoding
    /// Tag; `init` and the program's digest, or `trees` and the list of places and digests.
    fn key(&self) -> Digest {
        let mut encoder = Encoder::new(TAG);
        match self {
            Self::Init(program) => encoder.text("init").digest(&Digest::of(program)),
            Self::Trees(trees) => {
                encoder.text("trees").list(trees.iter(), |encoder, (at, tree)| {
                    encoder.bytes(at.as_bytes()).digest(tree);
                })
            }
        };
        encoder.digest_of()
    }

    /// All of it, as the container sees it.
    fn tree(&self, store: &Store) -> Result<Tree, ExecError> {
        let mut whole = Tree::new();
        match self {
            Self::Init(program) => {
                let at = RelPath::new(INIT_PATH.trim_start_matches('/')).expect("a clean path");
                let (blob, size) = (Digest::of(program), program.len() as u64);
                let file = Entry::File { mode: Mode::EXECUTABLE, blob, size };
                whole.insert(at, file).expect("an empty tree");
                let folder = Entry::Folder { mode: Mode::FOLDER };
                whole.insert(root(), folder).expect("a folder beside a file");
            }
            Self::Trees(trees) => {
                for (at, digest) in trees {
                    let tree = store.tree(digest)?;
                    check_names(&tree)?;
                    whole.merge(at, &tree).map_err(|source| StoreError::Tree {
                        path: at.to_string().into(),
                        source,
                    })?;
                }
            }
        }
        Ok(whole)
    }

    /// Writes the archive; its digest and length.
    fn write(&self, store: &Store, out: impl Write) -> Result<(Sha256, u64), ExecError> {
        let open = |blob: &Digest| -> io::Result<Box<dyn Read>> {
            Ok(match self {
                Self::Init(program) => Box::new(*program),
                Self::Trees(_) => Box::new(store.open_checked(blob).map_err(io::Error::other)?),
            })
        };
        let tree = self.tree(store)?;
        let (_, digest, size) = write_tar(&tree, STEP_MTIME, open, out).map_err(sending)?;
        Ok((digest, size))
    }
}

/// In a layer, a name with this beginning removes what has the rest of it as its name (OCI image
/// specification, "Whiteouts").
fn check_names(tree: &Tree) -> Result<(), ExecError> {
    let is_mark =
        |path: &RelPath| path.names().last().is_some_and(|name| name.starts_with(b".wh."));
    match tree.entries().find(|(path, _)| is_mark(path)) {
        None => Ok(()),
        Some((path, _)) => Err(ExecError::Container {
            action: "send an input".to_owned(),
            reason: format!("Docker takes a file named `{path}` for the removal of another"),
        }),
    }
}

/// Damage to the store is said as such, whoever's reader found it.
fn sending(error: io::Error) -> ExecError {
    match error.downcast::<StoreError>() {
        Ok(error) => ExecError::Store(error),
        Err(error) => {
            ExecError::Container { action: "send an input".to_owned(), reason: error.to_string() }
        }
    }
}

/// How long it is waited before an image is tried to be removed again.
const PAUSE: Duration = Duration::from_millis(20);

/// What is known of the daemon's images.
#[derive(Debug, Default)]
pub(super) struct Layers {
    images: Mutex<Option<Vec<DaemonImage>>>,
    /// Images that others took the place of, and that are still to be removed.
    replaced: Mutex<Vec<String>>,
}

impl Layers {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Forgets what the daemon has: it is asked again.
    pub(super) fn forget(&self) {
        *self.images.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An image that consists of these layers, of which those from a number on may be in any order. What the
    /// daemon lacks of it is sent.
    pub(super) fn image(
        &self,
        store: &Store,
        daemon: &Daemon,
        platform: &Platform,
        mut wanted: Vec<StepLayer>,
        any_order_from: Option<usize>,
        options: &RunOptions<'_>,
    ) -> Result<String, ExecError> {
        // Held while it is sent: two steps on one base must not both send it.
        let mut known = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            // What has no name any more was replaced when it couldn't be removed.
            let found = daemon.images(LAYERS_LABEL)?;
            let (named, nameless): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|image| !image.tags.is_empty());
            let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
            replaced.extend(nameless.into_iter().map(|image| image.id));
            *known = Some(named);
        }
        let images = known.get_or_insert_default();
        if let Some(fixed) = any_order_from {
            let has = images.iter().filter_map(|image| image.labels.get(LAYERS_LABEL));
            let has: Vec<Vec<&str>> = has.map(|layers| layers.split(',').collect()).collect();
            arrange(&mut wanted, fixed, &has);
        }
        let wanted = wanted.as_slice();
        let chain: Vec<String> = wanted.iter().map(|layer| layer.diff_id.to_string()).collect();
        let label = chain.join(",");
        if let Some(image) =
            images.iter().find(|image| image.labels.get(LAYERS_LABEL) == Some(&label))
        {
            return Ok(image.id.clone());
        }
        let has = images.iter().filter_map(|image| image.labels.get(LAYERS_LABEL));
        let has = has.map(|layers| common(&chain, layers)).max().unwrap_or(0);
        let tag = options.slot.to_string();
        let name = format!("{REPOSITORY}:{tag}");
        let image = StepImage { platform, wanted, label: &label, tag: &tag, options };
        let loaded = match image.load(store, daemon, has) {
            // It may have been removed meanwhile, or the daemon may want all of it.
            Err(ExecError::Docker(DockerError::Refused { .. })) if has > 0 => {
                image.load(store, daemon, 0)
            }
            other => other,
        };
        let id = loaded?;
        // The one that it took the place of is not waited for: see `remove_replaced`.
        let (old, kept): (Vec<_>, Vec<_>) =
            images.drain(..).partition(|image| image.tags.contains(&name));
        *images = kept;
        images.push(DaemonImage {
            id,
            tags: vec![name.clone()],
            labels: BTreeMap::from([(LAYERS_LABEL.to_owned(), label)]),
        });
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.extend(old.into_iter().map(|image| image.id));
        Ok(name)
    }

    /// Removes images that others took the place of. Their layers stay where they are those of others. The
    /// daemon may still be at the end of a container of theirs, so it is tried for as long as `is_done`
    /// allows; what is left then is for the next time.
    pub(super) fn remove_replaced(&self, daemon: &Daemon, is_done: &AtomicBool) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            replaced.retain(|image| !daemon.remove_image(image));
            if replaced.is_empty() || is_done.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// How many layers, from the lowest on, are the same.
fn common(chain: &[String], layers: &str) -> usize {
    chain.iter().zip(layers.split(',')).take_while(|(wanted, found)| wanted == found).count()
}

struct StepImage<'a> {
    platform: &'a Platform,
    wanted: &'a [StepLayer],
    label: &'a str,
    tag: &'a str,
    options: &'a RunOptions<'a>,
}

impl StepImage<'_> {
    /// Sends it, but for the lowest `has` layers; what the daemon calls it then, unless it goes by the
    /// manifest, as one with containerd's store does.
    fn load(&self, store: &Store, daemon: &Daemon, has: usize) -> Result<String, ExecError> {
        let settings = ImageSettings {
            platform: self.platform.clone(),
            assembly: exflow_image::ASSEMBLY_VERSION,
            kept: Vec::new(),
            at: RelPath::root(),
            layers: Vec::new(),
            env: BTreeMap::new(),
            workdir: RelPath::root(),
            entrypoint: vec![INIT_PATH.to_owned()],
            command: Vec::new(),
            user: None,
            ports: Vec::new(),
            labels: BTreeMap::from([(LAYERS_LABEL.to_owned(), self.label.to_owned())]),
            volumes: Vec::new(),
            stop_signal: None,
        };
        let layers: Vec<(&str, LayerDigests)> = self
            .wanted
            .iter()
            .map(|layer| {
                let digests = LayerDigests {
                    compression: Compression::None,
                    diff_id: layer.diff_id,
                    digest: layer.diff_id,
                    size: layer.size,
                    unpacked: layer.size,
                };
                ("input", digests)
            })
            .collect();
        let described =
            describe(&settings, None, &layers).map_err(|error| sending(io::Error::other(error)))?;
        let (config, manifest) = (&described.config, &described.manifest);
        let sent = &self.wanted[has..];
        let mut blobs: Vec<(Sha256, u64)> =
            sent.iter().map(|layer| (layer.diff_id, layer.size)).collect();
        for (bytes, digest) in [config, manifest] {
            blobs.push((*digest, bytes.len() as u64));
        }
        let mut failed = None;
        let name = format!("{} to Docker", self.options.name);
        let progress = self.options.progress;
        progress.begin(&name, blobs.iter().map(|(_, size)| size).sum());
        let loaded = daemon.load(|out| {
            let out = Followed { out, name: &name, options: self.options };
            let blob = |digest: &Sha256, out: &mut dyn Write| {
                if let Some((bytes, _)) =
                    [config, manifest].into_iter().find(|(_, it)| it == digest)
                {
                    return out.write_all(bytes);
                }
                let layer = sent.iter().find(|layer| layer.diff_id == *digest);
                let Some(layer) = layer else { return Ok(()) };
                layer.content.write(store, out).map(drop).map_err(|error| {
                    failed = Some(error);
                    io::Error::other("an input can't be read")
                })
            };
            let names = [format!("{REPOSITORY}:{}", self.tag)];
            write_archive(&names, self.platform, &manifest.0, &blobs, blob, out).map(drop)
        });
        progress.end(&name);
        match failed {
            Some(error) => Err(error),
            None => loaded.map(|()| format!("sha256:{}", config.1)).map_err(ExecError::Docker),
        }
    }
}

/// Says how much was written, and stops when someone wishes to.
struct Followed<'a> {
    out: &'a mut dyn Write,
    name: &'a str,
    options: &'a RunOptions<'a>,
}

impl Write for Followed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.options.cancel.is_cancelled() {
            return Err(io::Error::other("someone wished to stop"));
        }
        let written = self.out.write(bytes)?;
        self.options.progress.advance(self.name, written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
