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

    /// Where images go besides the store: `docker`, `oci=DIR` or `docker-archive=FILE`; may stand
    /// several times
    #[arg(long = "output", short = 'o', value_name = "KIND[=PATH]")]
    pub(crate) outputs: Vec<ImageOutput>,

    /// What the image is called in the Docker daemon, instead of as its project; may stand several
    /// times
    #[arg(long = "tag", short = 't', value_name = "NAME[:TAG]", value_parser = image_tag)]
    pub(crate) tags: Vec<String>,

    /// Report in JSON on standard output, an object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a build is done; the same for every command that builds.
#[derive(Debug, Clone, Args)]
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
    /// The Docker daemon.
    Docker,
}

/// The name of an image with a tag: `shop` is `shop:latest`.
fn image_tag(text: &str) -> Result<String, String> {
    // The distribution specification, "Pulling manifests", and before it a registry's host.
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
            && part.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-:".contains(letter)
            })
    };
    if !name.split('/').all(is_part) {
        return Err("expected a name in small letters, such as `shop` or `team/shop:1.2`".into());
    }
    let is_tag = tag.len() <= 128
        && tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && tag.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if !is_tag {
        return Err(format!("`{tag}` is no tag: letters, digits, `.`, `_` and `-`"));
    }
    Ok(format!("{name}:{tag}"))
}

impl std::str::FromStr for ImageOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = "expected `docker`, `oci=DIR` or `docker-archive=FILE`";
        if text == "docker" {
            return Ok(Self::Docker);
        }
        match text.split_once('=') {
            Some((_, "")) | None => Err(usage.to_owned()),
            Some(("oci", path)) => Ok(Self::Oci(path.into())),
            Some(("docker-archive", path)) => Ok(Self::DockerArchive(path.into())),
            Some(("docker", _)) => Err("`docker` has no path: `--tag` names the image".to_owned()),
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
        assert_eq!(parse("docker"), Ok(ImageOutput::Docker));
        for text in ["", "oci", "oci=", "tar=x", "docker=x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags() {
        for (text, name) in [
            ("shop", "shop:latest"),
            ("shop:1.2", "shop:1.2"),
            ("team/shop:V1", "team/shop:V1"),
            ("localhost:5000/shop", "localhost:5000/shop:latest"),
            ("a.example:5000/b/c:d", "a.example:5000/b/c:d"),
        ] {
            assert_eq!(image_tag(text).as_deref(), Ok(name));
        }
        for text in ["", "Shop", "shop:", "a//b", "shop:-x", "-shop", "shop/", "a b"] {
            assert!(image_tag(text).is_err(), "{text}");
        }
    }
}
