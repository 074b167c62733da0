//! The arguments, as they are written on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
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
    /// Look for mistakes, without building anything
    Check,
    /// Show the steps of a build, and which of them would run
    Plan(PlanArgs),
    /// Lay out manifests in the standard way, comments kept
    Fmt(FmtArgs),
    /// Build a project and start its image in the sandbox
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// What to build: a project, or one of its stages; everything where none is named
    #[arg(value_name = "PROJECT[:STAGE]")]
    pub(crate) targets: Vec<String>,

    #[command(flatten)]
    pub(crate) options: BuildOptions,

    /// Where images go besides the store: `oci=DIR` or `docker-archive=FILE`
    #[arg(long = "output", short = 'o', value_name = "KIND=PATH")]
    pub(crate) outputs: Vec<ImageOutput>,

    /// Report in JSON on standard output, an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a build is done; the same for every command that builds.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildOptions {
    /// What runs the steps
    #[arg(long, value_name = "EXECUTOR", default_value = "auto", env = "EXFLOW_EXECUTOR")]
    pub(crate) executor: ExecutorChoice,

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorChoice {
    /// The best that works here
    Auto,
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
}

impl std::str::FromStr for ImageOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = "expected `oci=DIR` or `docker-archive=FILE`";
        match text.split_once('=') {
            Some((_, "")) | None => Err(usage.to_owned()),
            Some(("oci", path)) => Ok(Self::Oci(path.into())),
            Some(("docker-archive", path)) => Ok(Self::DockerArchive(path.into())),
            Some((kind, _)) => Err(format!("there is no output `{kind}`: {usage}")),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Change nothing; fail where something would change
    #[arg(long)]
    pub(crate) check: bool,
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
        for text in ["", "oci", "oci=", "tar=x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
