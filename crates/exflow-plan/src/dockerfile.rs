//! A project's part of a plan as a Dockerfile, for those who build where exflow is not.
//!
//! What is written is what the Dockerfile reference
//! (<https://docs.docker.com/reference/dockerfile/>) says, and of that only what the classic builder
//! of Docker 20.10 knows as well as BuildKit: no parser directive, no here-document, no `--link`, no
//! `--checksum`.
//!
//! # What stays the same, and what doesn't
//! | | |
//! |---|---|
//! | steps, their environments, folders and inputs | the same |
//! | bases from a registry | the same, by the digest of the manifest |
//! | packages that are added to them | the same versions, installed by the image's own tool, which also runs the scripts of maintainers |
//! | other bases | the same: the caller writes them as archives |
//! | network | Docker's, unless it is told otherwise: no line of a Dockerfile can switch it off for both builders |
//! | layers, times, order of files | not the same: the image has another digest |
//! | modes of sources | as in the folder; exflow only knows whether a file may be executed |
//! | health checks, `ONBUILD` and `SHELL` of a base's image | are taken over, which exflow doesn't |

mod ignore;
mod quote;
mod sources;

use crate::graph::{
    Action, ImageSettings, MountSource, Output, Plan, PlannedBase, PlannedImage, PlannedRoot,
    PlannedRun, StepId,
};
use exflow_content::{RelPath, Sha256, Tree};
use exflow_lock::{
    AddedPackages, ImageDefaults, ImageSource, LockedAlpine, LockedDebian, LockedImage,
};
use quote::{comment, exec, expanded, quoted, wrapped};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The longest line that a Dockerfile is given, in bytes. Docker's parser refuses those of 64 KiB.
const MAX_LINE: usize = 65_000;

/// Names that a stage can't have: `FROM scratch` is no image, and BuildKit keeps `context`.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// The folder that Docker is given as context: the one of the workspace.
#[derive(Debug, Clone, Copy)]
pub struct BuildContext<'a> {
    /// The files of the workspace, as the plan was made of them.
    pub sources: &'a Tree,
    /// The folder for archives of bases, relative to the workspace; none where there is no place
    /// for any.
    pub archives: Option<&'a RelPath>,
    /// The texts of the workspace's `.gitignore` and `.exflowignore` files, by their paths. They
    /// keep out of the context what exflow doesn't see.
    pub ignore_files: &'a BTreeMap<RelPath, String>,
}

/// A Dockerfile, and what has to lie beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// Its text.
    pub text: String,
    /// The text of the `.dockerignore` of the context, without which folders are copied with files
    /// that exflow doesn't see. It lets in the folders and files that are copied and nothing else,
    /// and keeps out of them what the workspace's ignore files name, and `.git`.
    pub ignore: String,
    /// The bases that no registry has, and what is fetched: the caller writes them.
    pub archives: Vec<BaseArchive>,
}

/// A base or something fetched that has to be written as a tar archive, not compressed, of all its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseArchive {
    /// The step that makes it.
    pub step: StepId,
    /// Where the archive has to be, relative to the workspace.
    pub path: RelPath,
}

/// Why there is no Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileError {
    /// There are bases that no registry has, and no place for archives of them.
    NoRegistry {
        /// Their names.
        bases: Vec<String>,
    },
    /// A path can't be written in a Dockerfile.
    Path {
        /// Which.
        path: RelPath,
        /// Why not.
        reason: &'static str,
    },
    /// A text can't be written in a Dockerfile.
    Text {
        /// What it is of: ``variable `A` ``.
        what: String,
        /// Why not.
        reason: &'static str,
    },
    /// A step has an input that is not among the sources that were given.
    NotASource {
        /// Which.
        path: RelPath,
    },
}

impl fmt::Display for DockerfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegistry { bases } => {
                let bases: Vec<String> = bases.iter().map(|base| format!("`{base}`")).collect();
                write!(f, "no registry has {}", bases.join(", "))
            }
            Self::Path { path, reason } => {
                write!(f, "{path:?} can't be written in a Dockerfile: {reason}")
            }
            Self::Text { what, reason } => {
                write!(f, "{what} can't be written in a Dockerfile: {reason}")
            }
            Self::NotASource { path } => {
                write!(f, "{path:?} is not what it was when the plan was made")
            }
        }
    }
}

impl std::error::Error for DockerfileError {}

/// The Dockerfile that makes `image`, one of the images of `plan`, in the folder of the workspace.
///
/// Each base, fetch and run step becomes a stage, and the image the last one. The same plan and
/// context give the same bytes.
///
/// A folder is copied as a whole where a step sees all files that `context` has in it, so that
/// files that are added to it later are seen, too; other files are copied by name. Never copied as a
/// whole are the folder of the workspace itself, because the Dockerfile lies there, and one that
/// archives of bases are in. `COPY` follows a symbolic link that it is given by name, so those are
/// made by `ln`; those in a folder that is copied as a whole stay links by themselves.
///
/// # Errors
/// Where something can't be said in a Dockerfile: a path or a variable with a line end in it, or a
/// base that no registry has while there is no place for archives.
pub fn dockerfile(
    plan: &Plan,
    image: &PlannedImage,
    context: &BuildContext<'_>,
) -> Result<Dockerfile, DockerfileError> {
    let steps = plan.closure([image.base, image.release.step]);
    let mut writer = Writer {
        plan,
        context,
        stages: stage_names(plan, &steps),
        archives: Vec::new(),
        wanted: BTreeSet::new(),
        text: String::new(),
    };
    writer.find_archives(&steps)?;
    writer.header(image, &steps)?;
    for step in steps {
        match &plan.steps[step].action {
            Action::Base(base) => writer.base(step, base)?,
            Action::Fetch(_) => {
                let what = comment(&plan.steps[step].name).into_owned();
                writer.archive(step, &what)?;
            }
            Action::Run(run) => writer.run(step, run)?,
        }
    }
    writer.image(image)?;
    let archives: Vec<&RelPath> = writer.archives.iter().map(|archive| &archive.path).collect();
    let ignore = ignore::ignore(&image.project, &writer.wanted, &archives, context.ignore_files);
    Ok(Dockerfile { text: writer.text, ignore, archives: writer.archives })
}

/// Names of stages for `steps`, made of their own: Docker's are in small letters.
fn stage_names(plan: &Plan, steps: &[StepId]) -> BTreeMap<StepId, String> {
    let mut taken: BTreeSet<String> = RESERVED.map(str::to_owned).into();
    let mut names = BTreeMap::new();
    for step in steps {
        let fits = |letter: char| match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9' | '-' | '_' | '.') => letter,
            _ => '-',
        };
        let mut name: String = plan.steps[*step].name.chars().map(fits).collect();
        if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            name.insert_str(0, "step-");
        }
        let mut unique = name.clone();
        let mut number = 1;
        while taken.contains(&unique) {
            number += 1;
            unique = format!("{name}-{number}");
        }
        taken.insert(unique.clone());
        names.insert(*step, unique);
    }
    names
}

/// What a registry has of a base: the image, its reference, and the digest of its manifest.
fn in_registry(base: &PlannedBase) -> Option<(&LockedImage, &str, Sha256)> {
    match &base.root {
        PlannedRoot::Image { image, source: ImageSource::Registry(reference), .. } => {
            image.manifest.map(|manifest| (&**image, reference.as_str(), manifest))
        }
        _ => None,
    }
}

/// A reference without its tag and digest. A `:` before the last `/` belongs to a port.
fn repository(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

fn packages_of(base: &PlannedBase) -> usize {
    match in_registry(base).map(|(image, ..)| &image.packages) {
        Some(AddedPackages::Debian(debian)) => debian.packages.len(),
        Some(AddedPackages::Alpine(alpine)) => alpine.packages.len(),
        Some(AddedPackages::None) | None => 0,
    }
}

/// `text`, which stands in a line as it is: where it has other letters than those that need no
/// quotes, it is not what it should be.
fn plain<'a>(text: &'a str, what: &str) -> Result<&'a str, DockerfileError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "+-._~:/@".contains(letter);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return Ok(text);
    }
    let what = format!("{what} `{}`", comment(text));
    Err(DockerfileError::Text { what, reason: "it has letters that don't belong there" })
}

struct Writer<'a> {
    plan: &'a Plan,
    context: &'a BuildContext<'a>,
    /// The name of each step's stage.
    stages: BTreeMap<StepId, String>,
    archives: Vec<BaseArchive>,
    /// What is copied from the context.
    wanted: BTreeSet<RelPath>,
    text: String,
}

impl Writer<'_> {
    /// Adds an instruction, which is one of `step`.
    fn push(&mut self, step: &str, instruction: &str) -> Result<(), DockerfileError> {
        if instruction.lines().any(|line| line.len() > MAX_LINE) {
            let what = format!("`{}`", comment(step));
            return Err(DockerfileError::Text { what, reason: "a line of it would be too long" });
        }
        self.text.push_str(instruction);
        self.text.push('\n');
        Ok(())
    }

    fn stage(&self, step: StepId) -> &str {
        &self.stages[&step]
    }

    /// What the image of a base says of containers, where Docker reads it, too.
    fn inherited(&self, base: StepId) -> Option<&ImageDefaults> {
        match &self.plan.steps[base].action {
            Action::Base(base) => in_registry(base).map(|(image, ..)| &image.defaults),
            Action::Run(_) | Action::Fetch(_) => None,
        }
    }

    /// Finds a place for each base that no registry has, and for what is fetched.
    fn find_archives(&mut self, steps: &[StepId]) -> Result<(), DockerfileError> {
        let mut homeless = Vec::new();
        for step in steps {
            let name = match &self.plan.steps[*step].action {
                Action::Base(base) if in_registry(base).is_none() => &base.name,
                Action::Fetch(_) => &self.plan.steps[*step].name,
                Action::Base(_) | Action::Run(_) => continue,
            };
            let file = format!("{}.tar", self.stage(*step));
            // The name of a stage has no letter that can't be in one of a file.
            match (self.context.archives, RelPath::new(&file)) {
                (Some(folder), Ok(file)) => {
                    self.archives.push(BaseArchive { step: *step, path: folder.join(&file) });
                }
                _ => homeless.push(name.clone()),
            }
        }
        if homeless.is_empty() {
            Ok(())
        } else {
            Err(DockerfileError::NoRegistry { bases: homeless })
        }
    }

    fn header(&mut self, image: &PlannedImage, steps: &[StepId]) -> Result<(), DockerfileError> {
        let project = comment(&image.project);
        let platform = &image.settings.platform;
        let installs = steps.iter().any(|step| match &self.plan.steps[*step].action {
            Action::Base(base) => packages_of(base) > 0,
            Action::Run(_) | Action::Fetch(_) => false,
        });
        let (none, network) = if installs {
            let said = "# exflow runs steps without a network. Here, they see the one that is \
                        needed to install packages.";
            ("", said)
        } else {
            ("--network none ", "# Steps need no network, as in exflow.")
        };
        let header = format!(
            "# The image of project `{project}`, made by `exflow export dockerfile`. What comes \
             from outside is\n\
             # pinned as in exflow.lock. Don't edit this file: change the manifest, and export \
             again.\n\
             #\n\
             # To build it in the folder that exflow.lock is in, with the path of this file as \
             FILE:\n\
             #\n\
             #     docker build --platform {platform} {none}--file FILE .\n\
             #\n\
             {network}"
        );
        self.push(&image.project, &header)
    }

    fn base(&mut self, step: StepId, base: &PlannedBase) -> Result<(), DockerfileError> {
        let name = self.plan.steps[step].name.clone();
        let stage = self.stage(step).to_owned();
        if let Some((image, reference, manifest)) = in_registry(base) {
            let of = format!("the image of base `{}`:", base.name);
            let from = plain(repository(reference), &of)?;
            let text = format!(
                "\n# {}: {}\nFROM {from}@sha256:{manifest} AS {stage}",
                comment(&name),
                comment(reference)
            );
            self.push(&name, &text)?;
            let is_root = |user: &str| matches!(user, "" | "0" | "root" | "0:0" | "root:root");
            if image.defaults.user.as_deref().is_some_and(|user| !is_root(user)) {
                // Steps are run by root; the last stage says who runs the image.
                self.push(&name, "USER 0:0")?;
            }
            let packages = match &image.packages {
                AddedPackages::Debian(debian) => debian_packages(debian)?,
                AddedPackages::Alpine(alpine) => alpine_packages(alpine)?,
                AddedPackages::None => None,
            };
            return match packages {
                Some(packages) => self.push(&name, &packages),
                None => Ok(()),
            };
        }
        let made_of = match &base.root {
            PlannedRoot::Debian { debian, .. } => {
                format!("Debian packages of {}", comment(&debian.snapshot))
            }
            PlannedRoot::Image { source, .. } => comment(&source.to_string()).into_owned(),
        };
        self.archive(step, &format!("{}: {made_of}", comment(&name)))
    }

    /// A stage that is an archive which lies in the context.
    fn archive(&mut self, step: StepId, about: &str) -> Result<(), DockerfileError> {
        let name = self.plan.steps[step].name.clone();
        let stage = self.stage(step).to_owned();
        let archive = self.archives.iter().find(|archive| archive.step == step);
        let path = archive.map(|archive| archive.path.clone()).unwrap_or_default();
        let add = quote::copy("ADD", &[quote::text(&path)?.to_owned()], "/");
        self.push(&name, &format!("\n# {about}\nFROM scratch AS {stage}\n{add}"))
    }

    fn run(&mut self, step: StepId, run: &PlannedRun) -> Result<(), DockerfileError> {
        let name = self.plan.steps[step].name.clone();
        let text = format!(
            "\n# {}\nFROM {} AS {}",
            comment(&name),
            self.stage(run.base),
            self.stage(step)
        );
        self.push(&name, &text)?;
        let inherited = self.inherited(run.base).map(|defaults| &defaults.env);
        if let Some(env) = pairs("ENV", "variable", &run.env, inherited)? {
            self.push(&name, &env)?;
        }
        self.push(&name, &workdir(&run.workdir)?)?;
        let mut mounts = run.mounts.iter().peekable();
        while let Some(mount) = mounts.next() {
            match &mount.source {
                MountSource::Output(output) => {
                    let copy = self.copy_output(*output, &mount.at)?;
                    self.push(&name, &copy)?;
                }
                MountSource::Inline(files) => {
                    let script = sources::written(files, &mount.at)?;
                    let argv = ["/bin/sh", "-euc", &script].map(str::to_owned);
                    self.push(&name, &format!("RUN {}", exec(&argv)))?;
                }
                MountSource::Sources(tree) => {
                    let mut tree = Cow::Borrowed(&**tree);
                    // Files of one workspace fit together: what is laid at the same place is copied
                    // at once.
                    while let Some(next) = mounts.next_if(|next| {
                        next.at == mount.at && matches!(next.source, MountSource::Sources(_))
                    }) {
                        if let MountSource::Sources(more) = &next.source {
                            tree.to_mut().merge(&RelPath::root(), more).map_err(|_| {
                                DockerfileError::NotASource { path: mount.at.clone() }
                            })?;
                        }
                    }
                    self.copy_sources(&name, &tree, &mount.at)?;
                }
            }
        }
        self.push(&name, &format!("RUN {}", exec(&run.argv)))
    }

    fn copy_sources(
        &mut self,
        step: &str,
        tree: &Tree,
        at: &RelPath,
    ) -> Result<(), DockerfileError> {
        let sources = self.context.sources;
        let apart: Vec<&RelPath> = self.archives.iter().map(|archive| &archive.path).collect();
        let sources::Copies { folders, script } = sources::copies(sources, tree, at, &apart)?;
        for (folder, files) in folders {
            let to = absolute(&at.join(&folder))?;
            let to = if to == "/" { to } else { to + "/" };
            let (paths, from) = match files {
                None => {
                    let from = format!("{}/", quote::text(&folder)?);
                    (vec![folder], vec![from])
                }
                Some(files) => {
                    let from: Result<Vec<String>, _> =
                        files.iter().map(|file| quote::text(file).map(str::to_owned)).collect();
                    (files, from?)
                }
            };
            self.push(step, &quote::copy("COPY", &from, &to))?;
            self.wanted.extend(paths);
        }
        if script.is_empty() {
            return Ok(());
        }
        let script = script.join("; ");
        let argv = ["/bin/sh", "-euc", &script].map(str::to_owned);
        self.push(step, &format!("RUN {}", exec(&argv)))
    }

    fn copy_output(&self, output: Output, at: &RelPath) -> Result<String, DockerfileError> {
        let from = match &self.plan.steps[output.step].action {
            Action::Run(run) => absolute(&run.outputs[output.index])?,
            Action::Base(_) | Action::Fetch(_) => "/".to_owned(),
        };
        let copy = format!("COPY --from={}", self.stage(output.step));
        Ok(quote::copy(&copy, &[from], &absolute(at)?))
    }

    fn image(&mut self, image: &PlannedImage) -> Result<(), DockerfileError> {
        let ImageSettings {
            // Docker makes layers of its own.
            platform: _,
            assembly: _,
            kept: _,
            layers: _,
            at,
            env,
            workdir: folder,
            entrypoint,
            command,
            user,
            ports,
            labels,
            volumes,
            stop_signal,
        } = &image.settings;
        let name = &image.project;
        let inherited = self.inherited(image.base);
        let mut lines = vec![format!("\n# The image\nFROM {}", self.stage(image.base))];
        lines.push(self.copy_output(image.release, at)?);
        lines.extend(pairs("ENV", "variable", env, inherited.map(|defaults| &defaults.env))?);
        lines.push(workdir(folder)?);
        if !ports.is_empty() {
            let ports: Result<Vec<&str>, _> =
                ports.iter().map(|port| plain(port, "port")).collect();
            lines.push(format!("EXPOSE {}", ports?.join(" ")));
        }
        if !volumes.is_empty() {
            // Docker replaces variables in them, as in paths.
            let volumes: Vec<String> = volumes.iter().map(|volume| expanded(volume)).collect();
            lines.push(format!("VOLUME {}", exec(&volumes)));
        }
        lines.extend(pairs("LABEL", "label", labels, inherited.map(|defaults| &defaults.labels))?);
        if let Some(signal) = stop_signal {
            lines.push(format!("STOPSIGNAL {}", plain(signal, "signal")?));
        }
        if let Some(user) = user.as_ref().filter(|user| !user.is_empty()) {
            lines.push(format!("USER {}", quoted(user, || format!("user `{}`", comment(user)))?));
        }
        lines.push(format!("ENTRYPOINT {}", exec(entrypoint)));
        lines.push(format!("CMD {}", exec(command)));
        for line in lines {
            self.push(name, &line)?;
        }
        Ok(())
    }
}

fn absolute(path: &RelPath) -> Result<String, DockerfileError> {
    Ok(format!("/{}", quote::text(path)?))
}

fn workdir(folder: &RelPath) -> Result<String, DockerfileError> {
    let path = absolute(folder)?;
    let what = || format!("folder `{}`", comment(&path));
    Ok(format!("WORKDIR {}", quoted(&path, what)?))
}

/// One instruction that sets `pairs`, sorted by name; none where there are none.
///
/// What the image below says already is left out where it can't be written: it holds all the same.
fn pairs(
    instruction: &str,
    what: &str,
    pairs: &BTreeMap<String, String>,
    inherited: Option<&BTreeMap<String, String>>,
) -> Result<Option<String>, DockerfileError> {
    let mut words = Vec::new();
    for (name, value) in pairs {
        let of = || format!("{what} `{}`", comment(name));
        if name.is_empty() || name.contains('=') {
            return Err(DockerfileError::Text { what: of(), reason: "that is no name for one" });
        }
        let is_inherited = inherited.and_then(|known| known.get(name)) == Some(value);
        match (quoted(name, of), quote::between_quotes(value, of)) {
            (Ok(name), Ok(value)) => words.push(format!("{name}={value}")),
            (Err(_), _) | (_, Err(_)) if is_inherited => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
    let one_a_line = words.join(" \\\n    ");
    Ok((!words.is_empty()).then(|| format!("{instruction} {one_a_line}")))
}

/// Installs packages as the snapshot archive had them. Its addresses are for this one command: what
/// the image says of archives stays.
fn debian_packages(debian: &LockedDebian) -> Result<Option<String>, DockerfileError> {
    if debian.packages.is_empty() {
        return Ok(None);
    }
    let stamp = plain(&debian.snapshot, "snapshot")?;
    let mut words = Vec::new();
    for package in &debian.packages {
        let (name, version) = (&package.name, &package.version);
        words.push(format!("{}={}", plain(name, "package")?, plain(version, "version")?));
    }
    // Old indexes are past their time, and that is what is asked for. They are signed all the same,
    // so they may come without encryption: a small image has no certificates.
    let archive = |archive: &str, suite: &str| {
        format!(
            "    echo \"deb [check-valid-until=no] \
             http://snapshot.debian.org/archive/{archive}/{stamp} $VERSION_CODENAME{suite} main\" \
             >> /tmp/exflow/sources.list; \\\n"
        )
    };
    let mut sources = archive("debian", "") + &archive("debian", "-updates");
    if debian.packages.iter().any(|package| package.archive == "debian-security") {
        sources += &archive("debian-security", "-security");
    }
    let install = "DEBIAN_FRONTEND=noninteractive apt-get \"$@\" install -y \
                   --no-install-recommends";
    Ok(Some(format!(
        "RUN set -eu; \\\n    \
             . /etc/os-release; \\\n    \
             mkdir -p /tmp/exflow/parts; \\\n\
         {sources}    \
             set -- -o Dir::Etc::SourceList=/tmp/exflow/sources.list \
             -o Dir::Etc::SourceParts=/tmp/exflow/parts; \\\n    \
             apt-get \"$@\" update; \\\n    \
             {install} \\\n        \
                 {}; \\\n    \
             rm -rf /tmp/exflow /var/lib/apt/lists/*",
        words.join(" \\\n        ")
    )))
}

/// Installs packages from the repositories of the image. Alpine keeps only the newest version of
/// each, so this works for as long as those are the newest.
fn alpine_packages(alpine: &LockedAlpine) -> Result<Option<String>, DockerfileError> {
    let mut words = vec!["add".to_owned(), "--no-cache".to_owned()];
    for package in &alpine.packages {
        let (name, version) = (&package.name, &package.version);
        words.push(format!("{}={}", plain(name, "package")?, plain(version, "version")?));
    }
    Ok((!alpine.packages.is_empty()).then(|| wrapped("RUN apk", &words)))
}

#[cfg(test)]
mod tests;
