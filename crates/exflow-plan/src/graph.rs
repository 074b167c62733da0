//! The plan: a graph of steps, and the images made of what comes out of them.

use crate::{Command, InlineFiles, Mount, Origin};
use exflow_content::{Digest, Encoder, PatternSet, RelPath, Tree};
use exflow_diagnostics::Site;
use exflow_lock::{Compression, ImageSource, LockedDebian, LockedImage, LockedLayer, Platform};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Everything that has to be done, each step after those that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps. A [`StepId`] is an index in this list, and is greater than those that it needs.
    pub steps: Vec<Step>,
    /// The images, by project.
    pub images: Vec<PlannedImage>,
    /// By project, the steps that its plugin has proposed, by the plugin's names for them. Two that do the same
    /// are one step.
    pub proposed: BTreeMap<String, BTreeMap<String, StepId>>,
}

/// The index of a step in its plan.
pub type StepId = usize;

/// One node of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name in the workspace: `base:builder`, `shop:release`.
    pub name: String,
    /// The projects and the stages that it belongs to: several, where projects share it. None for a
    /// base, which belongs to all.
    pub stages: Vec<(String, String)>,
    /// What is done.
    pub action: Action,
    /// Where the manifest asks for it. Beside the step: never in its key.
    pub site: Option<Site>,
    /// How long it may take. Beside the step: never in its key.
    pub time_limit: Duration,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fetches the packages of a base and lays them out.
    Base(PlannedBase),
    /// Fetches what one tree is made of, and lays it out.
    Fetch(Origin),
    /// Runs a command.
    Run(PlannedRun),
}

/// A base to be laid out. Where what it is made of comes from is beside it: the content is the
/// identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBase {
    /// Its name in the manifest.
    pub name: String,
    /// What it is made of.
    pub root: PlannedRoot,
    /// What it is for.
    pub platform: Platform,
}

/// What a base is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedRoot {
    /// Debian packages.
    Debian {
        /// Which.
        debian: Arc<LockedDebian>,
        /// Only what was asked for and what that needs, without documentation.
        slim: bool,
    },
    /// An image, perhaps with packages added to it.
    Image {
        /// What it is.
        image: Arc<LockedImage>,
        /// The packages that were asked for, which its database lists.
        named: Vec<String>,
        /// Where it comes from. Beside the step: never in its key.
        source: ImageSource,
    },
}

impl PlannedBase {
    /// What comes of the step: the tree of the base. Of an image also a tree that holds the bytes of
    /// its layers, each by the sha256 of its bytes in hexadecimal, and the tree of its files before
    /// packages were added to it.
    pub fn outputs(&self) -> usize {
        match self.root {
            PlannedRoot::Debian { .. } => 1,
            PlannedRoot::Image { .. } => 3,
        }
    }
}

/// A command whose inputs may still have to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRun {
    /// The base that it runs in.
    pub base: StepId,
    /// What is laid over the base, in this order.
    pub mounts: Vec<PlannedMount>,
    /// As in [`Command`].
    pub argv: Vec<String>,
    /// As in [`Command`].
    pub env: BTreeMap<String, String>,
    /// As in [`Command`].
    pub workdir: RelPath,
    /// As in [`Command`].
    pub outputs: Vec<RelPath>,
    /// Whether it may be run together with others that differ from it in nothing but their last
    /// argument, inputs and outputs. Beside the command: never in its key, because it must not matter.
    pub together: bool,
}

/// An input of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMount {
    /// Where it is laid.
    pub at: RelPath,
    /// What it is.
    pub source: MountSource,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// Files of the workspace.
    Sources(Arc<Tree>),
    /// Files that a plugin brings along.
    Inline(Arc<InlineFiles>),
    /// What an earlier step made.
    Output(Output),
}

impl MountSource {
    /// What is there, unless a step makes it.
    pub fn tree(&self) -> Option<&Tree> {
        match self {
            Self::Sources(tree) => Some(tree),
            Self::Inline(files) => Some(files.tree()),
            Self::Output(_) => None,
        }
    }
}

/// One of the outputs of a step. A fetch has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Output {
    /// Which step.
    pub step: StepId,
    /// Which of its outputs, in their order.
    pub index: usize,
}

impl Step {
    /// The steps whose outputs this one needs.
    pub fn needs(&self) -> Vec<StepId> {
        let Action::Run(run) = &self.action else { return Vec::new() };
        let mut needs = vec![run.base];
        needs.extend(run.mounts.iter().filter_map(|mount| match mount.source {
            MountSource::Output(output) => Some(output.step),
            MountSource::Sources(_) | MountSource::Inline(_) => None,
        }));
        needs.sort_unstable();
        needs.dedup();
        needs
    }
}

impl PlannedRun {
    /// The command, once the outputs that it needs are known.
    pub fn command(&self, known: impl Fn(Output) -> Digest) -> Command {
        let tree = |source: &MountSource| match source {
            MountSource::Output(output) => known(*output),
            MountSource::Sources(tree) => tree.digest(),
            MountSource::Inline(files) => files.tree().digest(),
        };
        Command {
            base: known(Output { step: self.base, index: 0 }),
            mounts: self
                .mounts
                .iter()
                .map(|mount| Mount { at: mount.at.clone(), tree: tree(&mount.source) })
                .collect(),
            argv: self.argv.clone(),
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            outputs: self.outputs.clone(),
        }
    }
}

/// The image of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedImage {
    /// Which project.
    pub project: String,
    /// The plugin that has proposed it. Beside the image: never in its key.
    pub plugin: String,
    /// What it stands on.
    pub base: StepId,
    /// The release.
    pub release: Output,
    /// How it is packed.
    pub settings: ImageSettings,
    /// Where the manifest asks for it. Beside the image: never in its key.
    pub site: Option<Site>,
}

impl PlannedImage {
    /// What it is called among the steps: `shop:image`.
    pub fn name(&self) -> String {
        format!("{}:image", self.project)
    }
}

/// How an image is packed, and how its container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSettings {
    /// What it is for.
    pub platform: Platform,
    /// The version of the image assembly that it was locked with.
    pub assembly: u32,
    /// The layers of the base that stay as they are, the lowest first. None where the base is no
    /// image: then it becomes a layer.
    pub kept: Vec<LockedLayer>,
    /// Where the release is, relative to the root.
    pub at: RelPath,
    /// How the release is cut into layers: names, and what is in them. See
    /// [`ProposedImage::layers`](crate::ProposedImage::layers).
    pub layers: Vec<(String, PatternSet)>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The working folder, relative to the root.
    pub workdir: RelPath,
    /// The program that every command starts with.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    pub command: Vec<String>,
    /// The user, by name or number, as the manifest says.
    pub user: Option<String>,
    /// Ports that it listens on: `4001/tcp`.
    pub ports: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Folders that keep what is written to them.
    pub volumes: Vec<String>,
    /// The signal that stops it.
    pub stop_signal: Option<String>,
}

impl ImageSettings {
    /// The key of an image: the digest of everything that can affect its bytes.
    ///
    /// # Encoding
    /// Tag `exflow image 2`; digests of the base's tree and the release's; then the fields of this
    /// struct in their order, each list, pair and text as the canonical encoding has them, a layer as
    /// digest, `diff_id`, size and compression (0 none, 1 gzip, 2 zstd).
    pub fn key(&self, base: &Digest, release: &Digest) -> Digest {
        let texts = |encoder: &mut Encoder, texts: &[String]| {
            encoder.list(texts.iter(), |encoder, text| {
                encoder.text(text);
            });
        };
        let pairs = |encoder: &mut Encoder, pairs: &BTreeMap<String, String>| {
            encoder.list(pairs.iter(), |encoder, (name, value)| {
                encoder.text(name).text(value);
            });
        };
        let mut encoder = Encoder::new("exflow image 2");
        encoder.digest(base).digest(release);
        encoder.text(&self.platform.to_string()).number(self.assembly.into());
        encoder.list(self.kept.iter(), |encoder, layer| {
            encoder.sha256(&layer.digest).sha256(&layer.diff_id).number(layer.size);
            encoder.variant(match layer.compression {
                Compression::None => 0,
                Compression::Gzip => 1,
                Compression::Zstd => 2,
            });
        });
        encoder.bytes(self.at.as_bytes());
        encoder.list(self.layers.iter(), |encoder, (name, files)| {
            encoder.text(name);
            texts(encoder, files.patterns());
        });
        pairs(&mut encoder, &self.env);
        encoder.bytes(self.workdir.as_bytes());
        texts(&mut encoder, &self.entrypoint);
        texts(&mut encoder, &self.command);
        encoder.optional(self.user.as_ref(), |encoder, user| {
            encoder.text(user);
        });
        texts(&mut encoder, &self.ports);
        pairs(&mut encoder, &self.labels);
        texts(&mut encoder, &self.volumes);
        encoder.optional(self.stop_signal.as_ref(), |encoder, signal| {
            encoder.text(signal);
        });
        encoder.digest_of()
    }
}

impl Plan {
    /// The steps that `wanted` need, themselves included, in order.
    pub fn closure(&self, wanted: impl IntoIterator<Item = StepId>) -> Vec<StepId> {
        let mut needed = vec![false; self.steps.len()];
        for step in wanted {
            needed[step] = true;
        }
        // Steps stand after what they need, so one pass from the end is enough.
        for step in (0..self.steps.len()).rev() {
            if needed[step] {
                for need in self.steps[step].needs() {
                    needed[need] = true;
                }
            }
        }
        (0..self.steps.len()).filter(|step| needed[*step]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_content::Sha256;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("clean")
    }

    fn sample() -> ImageSettings {
        let pair = |name: &str, value: &str| BTreeMap::from([(name.into(), value.into())]);
        ImageSettings {
            platform: Platform::LinuxAmd64,
            assembly: 1,
            kept: vec![layer("a")],
            at: path("app"),
            layers: vec![(
                "otp".into(),
                PatternSet::new(["erts-*", "lib/kernel-*"]).expect("patterns"),
            )],
            env: pair("LANG", "C.UTF-8"),
            workdir: path("app"),
            entrypoint: vec!["/app/bin/shop".into()],
            command: vec!["start".into()],
            user: Some("nobody".into()),
            ports: vec!["4001/tcp".into()],
            labels: pair("x", "y"),
            volumes: vec!["/data".into()],
            stop_signal: Some("SIGINT".into()),
        }
    }

    fn layer(name: &str) -> LockedLayer {
        LockedLayer {
            digest: Sha256::of(name.as_bytes()),
            diff_id: Sha256::of(b"files"),
            size: 7,
            compression: Compression::Gzip,
        }
    }

    fn key(settings: &ImageSettings) -> Digest {
        settings.key(&Digest::of(b"base"), &Digest::of(b"release"))
    }

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in its tag, and say so in the changelog.
    #[test]
    fn the_key_of_an_image_is_pinned() {
        assert_eq!(
            key(&sample()).to_string(),
            "831d651347bc9f884d67074613025ce22bba19fc34980ed98bdfc5edb49f68f4"
        );
    }

    #[test]
    fn every_field_is_in_the_key_of_an_image() {
        let ImageSettings {
            platform: _,
            assembly: _,
            kept: _,
            at: _,
            layers: _,
            env: _,
            workdir: _,
            entrypoint: _,
            command: _,
            user: _,
            ports: _,
            labels: _,
            volumes: _,
            stop_signal: _,
        } = sample();
        let pair = |name: &str, value: &str| BTreeMap::from([(name.into(), value.into())]);
        let layers = |name: &str, patterns: &[&str]| {
            vec![(name.into(), PatternSet::new(patterns).expect("patterns"))]
        };
        let one = sample;
        let changed = [
            ImageSettings { platform: Platform::LinuxArm64, ..one() },
            ImageSettings { assembly: 2, ..one() },
            ImageSettings { kept: Vec::new(), ..one() },
            ImageSettings { kept: vec![layer("b")], ..one() },
            ImageSettings { kept: vec![layer("a"), layer("a")], ..one() },
            ImageSettings {
                kept: vec![LockedLayer { compression: Compression::Zstd, ..layer("a") }],
                ..one()
            },
            ImageSettings { volumes: Vec::new(), ..one() },
            ImageSettings { stop_signal: None, ..one() },
            ImageSettings { at: path("srv"), ..one() },
            ImageSettings { layers: Vec::new(), ..one() },
            ImageSettings { layers: layers("erts", &["erts-*", "lib/kernel-*"]), ..one() },
            ImageSettings { layers: layers("otp", &["erts-*"]), ..one() },
            ImageSettings { layers: layers("otp", &["lib/kernel-*", "erts-*"]), ..one() },
            ImageSettings { env: pair("LANG", "C"), ..one() },
            ImageSettings { env: pair("LC_ALL", "C.UTF-8"), ..one() },
            ImageSettings { workdir: RelPath::root(), ..one() },
            ImageSettings { entrypoint: vec!["/app/bin/other".into()], ..one() },
            // The same words, cut in another place.
            ImageSettings {
                entrypoint: vec!["/app/bin/shop".into(), "start".into()],
                command: Vec::new(),
                ..one()
            },
            ImageSettings { command: vec!["daemon".into()], ..one() },
            ImageSettings { user: None, ..one() },
            ImageSettings { user: Some(String::new()), ..one() },
            ImageSettings { ports: Vec::new(), ..one() },
            ImageSettings { labels: pair("x", "z"), ..one() },
            ImageSettings { labels: BTreeMap::new(), ..one() },
        ];
        let mut keys: Vec<Digest> = changed.iter().map(key).collect();
        let other = Digest::of(b"other");
        keys.push(sample().key(&other, &Digest::of(b"release")));
        keys.push(sample().key(&Digest::of(b"base"), &other));
        keys.push(sample().key(&Digest::of(b"release"), &Digest::of(b"base")));
        keys.push(key(&sample()));
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
