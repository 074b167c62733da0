//! Which Distillery it is, as far as that matters.

use mix_project::graph::{Graph, What};

/// What is done differently by versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Before 2.1: the task is `release`, the modules are `Mix.Releases`.
    First,
    /// From 2.1 on: `distillery.release`, and `Distillery.Releases`.
    Second,
    /// It doesn't say: a revision of git's.
    Unknown,
}

/// The Distillery that a project depends on, and its version if that is known; none where there is none.
pub(crate) fn of(graph: &Graph) -> Option<(Generation, Option<String>)> {
    let package = graph.packages.get("distillery")?;
    let version = match &package.what {
        What::Hex(hex) => Some(hex.version.clone()),
        What::Local { folder, .. } => {
            graph.parts.get(folder).and_then(|part| part.mix.version.clone())
        }
        What::Git(..) => package
            .option("tag")
            .map(|tag| tag.trim_matches('"').trim_start_matches('v').to_owned()),
    };
    let generation = version.as_deref().and_then(generation).unwrap_or(Generation::Unknown);
    Some((generation, version))
}

fn generation(version: &str) -> Option<Generation> {
    let mut numbers = version.split('.');
    let major: u64 = numbers.next()?.parse().ok()?;
    let minor: u64 = numbers.next()?.parse().ok()?;
    Some(match (major, minor) {
        (0 | 1, _) | (2, 0) => Generation::First,
        _ => Generation::Second,
    })
}

impl Generation {
    /// The module that rel/config.exs uses.
    pub(crate) fn module(self) -> Option<&'static str> {
        match self {
            Self::First => Some("Mix.Releases.Config"),
            Self::Second => Some("Distillery.Releases.Config"),
            Self::Unknown => None,
        }
    }

    /// The task of Mix's; empty where it is found when it is run.
    pub(crate) fn task(self) -> &'static str {
        match self {
            Self::First => "release",
            Self::Second => "distillery.release",
            Self::Unknown => "",
        }
    }
}
