//! The arguments, as they are written on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use exflow_lock::{ImageSource, LocalImage};
use exflow_registry::{BaseReference, ImageReference};
use std::ffi::OsString;
use std::path::PathBuf;

/// Builds small, reproducible container images for Elixir releases.
#[derive(Debug, Parser)]
#[command(name = "exflow", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Run as if started in DIR
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,

    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub(crate) color: ColorChoice,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build images, or single stages
    Build(BuildArgs),
    /// Pin what the manifest asks for and the lock lacks; drop what it no longer asks for
    Lock(LockArgs),
    /// Move inputs to what they are today, and show what moved
    Update(UpdateArgs),
    /// Bring in everything that is locked for this platform, so that `--offline` works afterwards
    Fetch(FetchArgs),
    /// Look for mistakes, without building anything
    Check,
    /// Show the steps of a build, and which of them would run; runs only what plugins have to see first
    Plan(PlanArgs),
    /// Lay out manifests in the standard way, comments kept
    Fmt(FmtArgs),
    /// Build a project and start its image in the sandbox
    Run(RunArgs),
    /// Fetch everything once more, do every step of a build once more in a fresh place, and compare
    Verify(VerifyArgs),
    /// Print the bill of materials of an image, which is built where it isn't
    Sbom(SbomArgs),
    /// Print what an image was made of, as an in-toto statement with SLSA provenance; it is built where it isn't
    Provenance(ProvenanceArgs),
    /// Write what others build with
    #[command(subcommand)]
    Export(ExportCommand),
    /// Look at plugins, and test your own
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Write a plugin to begin with
    New(PluginNewArgs),
    /// Compile a plugin, in the language that it is written in, and look whether it can be used
    Build(PluginBuildArgs),
    /// Show what a plugin is: its contract, its digest, its settings
    Inspect(PluginInspectArgs),
    /// Print what plugins propose for projects, in JSON
    Run(PluginRunArgs),
    /// Show cases to a plugin, and compare what it says with what is expected
    Test(PluginTestArgs),
    /// Push a plugin to a registry, from where others can name it
    Push(PluginPushArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PluginNewArgs {
    /// What it is called, and where it is written to: the last name of the path is the plugin's
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// What it is written in
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = Language::Rust)]
    pub(crate) lang: Language,
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Js,
    Python,
    C,
}

#[derive(Debug, Args)]
pub(crate) struct PluginBuildArgs {
    /// Where it is. Its language is that of the file in it: `Cargo.toml`, `plugin.js`, `plugin.py` or `plugin.c`
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PluginInspectArgs {
    /// The name of a plugin that comes with exflow or is declared in the manifest, or the path of a component
    #[arg(value_name = "NAME|FILE")]
    pub(crate) plugin: String,

    /// Print it in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginRunArgs {
    /// Which projects; all where none is named
    #[arg(value_name = "PROJECT")]
    pub(crate) projects: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PluginPushArgs {
    /// The component
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Where it goes: `registry.example/team/my-tool:1.0`
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,
}

#[derive(Debug, Args)]
pub(crate) struct PluginTestArgs {
    /// The component
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,

    /// The folder with the cases: each is a folder with a workspace, `in`, and with what is expected of it
    #[arg(value_name = "DIR", default_value = "tests")]
    pub(crate) cases: PathBuf,

    /// Take what the plugin says now for what is expected
    #[arg(long)]
    pub(crate) bless: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// Write a Dockerfile that makes the same release, with everything pinned
    Dockerfile(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Which project; may be left out where there is only one
    #[arg(value_name = "PROJECT")]
    pub(crate) project: Option<String>,

    /// Write it to FILE, and what Docker is to ignore to FILE.dockerignore, instead of printing it
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Write bases that no registry has, and packages that are fetched, as archives into DIR, a folder of
    /// the workspace
    #[arg(long, value_name = "DIR")]
    pub(crate) bases: Option<String>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// What to build: a project, or one of its stages; everything where none is named
    #[arg(value_name = "PROJECT[:STAGE]")]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,

    /// Where images go besides the store: `docker[=NAME]`, `registry=NAME`, `oci=DIR` or
    /// `docker-archive=FILE`; in a NAME, `{project}` stands for the project; may stand several times
    #[arg(long = "output", short = 'o', value_name = "KIND[=PLACE]")]
    pub(crate) outputs: Vec<ImageOutput>,

    /// A tag for the image in the daemon or registry, besides one in its name, and instead of `latest`; may stand several
    /// times
    #[arg(long = "tag", short = 't', value_name = "TAG", value_parser = image_tag)]
    pub(crate) tags: Vec<String>,

    /// Push images into registries without statements about them: bills of materials, and provenance
    #[arg(long)]
    pub(crate) no_statements: bool,

    /// Report in JSON on standard output, an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a build is done; the same for every command that builds.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BuildOptions {
    /// What runs the steps [env: EXFLOW_EXECUTOR=]; otherwise what the manifest says, or `auto`
    #[arg(long, value_name = "EXECUTOR")]
    pub(crate) executor: Option<ExecutorChoice>,

    /// Fail where the lock does not fit the manifest, rather than add to it
    #[arg(long)]
    pub(crate) locked: bool,

    /// Use no network; implies --locked
    #[arg(long)]
    pub(crate) offline: bool,

    /// How many steps run side by side, instead of one for each core
    #[arg(long, short = 'j', value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
}

impl BuildOptions {
    /// How many steps run side by side.
    pub(crate) fn side_by_side(&self) -> usize {
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok());
        jobs.map_or(1, std::num::NonZeroUsize::get)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorChoice {
    /// Docker where a daemon answers, or else the sandbox
    Auto,
    /// Containers of a Docker daemon, here or on another machine
    Docker,
    /// Namespaces of the Linux kernel; needs no daemon
    Sandbox,
}

/// A place that an image is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageOutput {
    /// An OCI image layout: a folder that may hold several images.
    Oci(PathBuf),
    /// An archive as `docker save` writes it.
    DockerArchive(PathBuf),
    /// The Docker daemon, under this name or the project's.
    Docker(Option<ImageName>),
    /// A repository of a registry.
    Registry(ImageName),
}

/// What an image is called: a name, in which `{project}` stands for the project's, and a tag if one is
/// given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    pub(crate) name: String,
    pub(crate) tag: Option<String>,
}

/// Stands for the name of the project that an image is of.
pub(crate) const PROJECT: &str = "{project}";

impl std::str::FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (text, None),
        };
        let whole = text.replace(PROJECT, "project");
        whole.parse::<ImageReference>().map_err(|error| {
            format!(
                "`{text}` is no name of an image, such as `registry.example/team/shop:1.2`: {error}"
            )
        })?;
        Ok(Self { name: name.to_owned(), tag: tag.map(str::to_owned) })
    }
}

/// A tag, as the distribution specification has it ("Pulling manifests").
fn image_tag(tag: &str) -> Result<String, String> {
    let fits = tag.len() <= 128
        && tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && tag.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if fits {
        return Ok(tag.to_owned());
    }
    Err("a tag has letters, digits, `.`, `_` and `-`; a name goes with the output: \
         `--output docker=NAME`"
        .to_owned())
}

impl std::str::FromStr for ImageOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage =
            "expected `docker`, `docker=NAME`, `registry=NAME`, `oci=DIR` or `docker-archive=FILE`";
        if text == "docker" {
            return Ok(Self::Docker(None));
        }
        match text.split_once('=') {
            Some((_, "")) | None => Err(usage.to_owned()),
            Some(("oci", path)) => Ok(Self::Oci(path.into())),
            Some(("docker-archive", path)) => Ok(Self::DockerArchive(path.into())),
            Some(("docker", name)) => Ok(Self::Docker(Some(name.parse()?))),
            Some(("registry", name)) => Ok(Self::Registry(name.parse()?)),
            Some((kind, _)) => Err(format!("there is no output `{kind}`: {usage}")),
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LockCommand>,

    /// Change nothing; fail where something would change
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Show which projects and stages need an input
    Why(LockWhyArgs),
    /// Show what `update` would move
    Outdated(LockOutdatedArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LockWhyArgs {
    /// A base, a plugin, something that is fetched, or a package of a base; with `base:`, `plugin:`, `fetch:` (or
    /// `git:`) or `package:` before it, only that
    #[arg(value_name = "INPUT")]
    pub(crate) input: String,
}

#[derive(Debug, Args)]
pub(crate) struct LockOutdatedArgs {
    /// Which inputs, as for `update`
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Whose bases, packages and plugins; all projects' where none is named
    #[arg(value_name = "PROJECT")]
    pub(crate) projects: Vec<String>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Which inputs: bases, plugins and what is fetched, by name or by patterns such as `build*`; with `base:`, `plugin:`
    /// or `fetch:` (or `git:`) before it, only such. All of them where none is named
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,

    /// Only show what would move
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// What to verify, as for `build`
    #[arg(value_name = "PROJECT[:STAGE]")]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,

    /// Compare an image that someone else has built with the one that is built here: a reference, `registry=NAME`,
    /// `oci=DIR`, `docker-archive=FILE` or `docker=NAME`
    #[arg(long, value_name = "REF")]
    pub(crate) image: Option<VerifiedImage>,

    /// Take what comes from outside from the store, where every byte is checked, instead of fetching it once more;
    /// `--offline` does that, too
    #[arg(long, conflicts_with = "image")]
    pub(crate) from_store: bool,

    /// Report in JSON on standard output, an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// An image that someone has built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedImage(pub(crate) ImageSource);

impl std::str::FromStr for VerifiedImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let local = |path: &str| {
            // As anything on a command line, it is relative to the current folder.
            let path = std::path::absolute(path).map_err(|error| error.to_string())?;
            let path = path.to_str().ok_or("the path is no text")?.to_owned();
            Ok::<_, String>(LocalImage { path, name: None })
        };
        Ok(Self(match text.split_once('=') {
            Some(("oci", path)) => ImageSource::Layout(local(path)?),
            Some(("docker-archive", path)) => ImageSource::Archive(local(path)?),
            Some(("docker", name)) => ImageSource::Daemon(name.to_owned()),
            _ => {
                let text = text.strip_prefix("registry=").unwrap_or(text);
                text.parse::<BaseReference>().map_err(|error| {
                    format!("`{text}` is no name of an image, such as `registry.example/team/shop:1.2`: {error}")
                })?;
                ImageSource::Registry(text.to_owned())
            }
        }))
    }
}

#[derive(Debug, Args)]
pub(crate) struct SbomArgs {
    /// Which project; may be left out where there is only one
    #[arg(value_name = "PROJECT")]
    pub(crate) project: Option<String>,

    /// As what
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = SbomFormat::Spdx)]
    pub(crate) format: SbomFormat,

    /// Write it to FILE instead of printing it
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,
}

/// How a bill of materials is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SbomFormat {
    /// SPDX 2.3
    Spdx,
    /// CycloneDX 1.6
    Cyclonedx,
}

#[derive(Debug, Args)]
pub(crate) struct ProvenanceArgs {
    /// Which project; may be left out where there is only one
    #[arg(value_name = "PROJECT")]
    pub(crate) project: Option<String>,

    /// Write it to FILE instead of printing it
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// What to plan, as for `build`
    #[arg(value_name = "PROJECT[:STAGE]")]
    pub(crate) targets: Vec<String>,

    /// Print the plan in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    /// Change nothing; fail where something would change
    #[arg(long)]
    pub(crate) check: bool,

    /// Which files, instead of every manifest of the workspace
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Which project; may be left out where there is only one
    #[arg(value_name = "PROJECT")]
    pub(crate) project: Option<String>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,

    /// Set a variable, or pass on one of the same name; may stand several times
    #[arg(long = "env", short = 'e', value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// Arguments in place of the image's own command
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn outputs() {
        let parse = str::parse::<ImageOutput>;
        assert_eq!(parse("oci=a"), Ok(ImageOutput::Oci("a".into())));
        assert_eq!(parse("docker-archive=a=b"), Ok(ImageOutput::DockerArchive("a=b".into())));
        let name = |name: &str, tag: Option<&str>| ImageName {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
        };
        assert_eq!(parse("docker"), Ok(ImageOutput::Docker(None)));
        for (text, whole) in [
            ("shop", name("shop", None)),
            ("shop:1.2", name("shop", Some("1.2"))),
            ("localhost:5000/shop", name("localhost:5000/shop", None)),
            ("a.example:5000/b/{project}:d", name("a.example:5000/b/{project}", Some("d"))),
        ] {
            let docker = parse(&format!("docker={text}"));
            assert_eq!(docker, Ok(ImageOutput::Docker(Some(whole.clone()))));
            assert_eq!(parse(&format!("registry={text}")), Ok(ImageOutput::Registry(whole)));
        }
        for text in [
            "",
            "oci",
            "oci=",
            "tar=x",
            "docker=",
            "registry",
            "registry=",
            "docker=Shop",
            "docker=a:",
            "registry=a//b",
            "registry=a b",
            "registry={x}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags() {
        for tag in ["1.2", "latest", "_x", "V1-a"] {
            assert_eq!(image_tag(tag).as_deref(), Ok(tag));
        }
        for tag in ["", "-x", ".x", "a/b", "a:b", "a b", &"x".repeat(129)] {
            assert!(image_tag(tag).is_err(), "{tag}");
        }
    }
}
