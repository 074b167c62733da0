//! What a `mix.exs` says, as far as it says it in literals.

use crate::elixir::{Value, read};

/// A Mix project.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MixProject {
    /// Its application.
    pub(crate) app: Option<String>,
    /// The folder of an umbrella's applications.
    pub(crate) apps_path: Option<String>,
    /// Where its sources are.
    pub(crate) elixirc_paths: Paths,
    pub(crate) erlc_paths: Paths,
    pub(crate) erlc_include_path: Option<String>,
    /// Its releases.
    pub(crate) releases: Releases,
    /// The release where it has several.
    pub(crate) default_release: Option<String>,
    /// Its dependencies; none where they are computed.
    pub(crate) deps: Option<Vec<Dep>>,
    /// The place of what `project` gives.
    pub(crate) place: (u32, u32),
}

/// Folders, if they are literal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Paths {
    #[default]
    Default,
    These(Vec<String>),
    Computed,
}

/// The names of the releases, if they are literal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Releases {
    /// There is no such key: one, named as the application.
    #[default]
    None,
    Named(Vec<String>),
    Computed,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dep {
    pub(crate) app: String,
    pub(crate) kind: DepKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DepKind {
    /// A folder, relative to the project's.
    Path(String),
    InUmbrella,
    /// From Hex or git.
    Remote,
}

/// Reads a `mix.exs`; none where it has no `project` that is a literal list.
pub(crate) fn parse(source: &str) -> Option<MixProject> {
    let (project, start, end) = read(source).function("project")?;
    if !matches!(project, Value::List(_)) {
        return None;
    }
    let text = |key: &str| project.get(key).and_then(Value::text).map(str::to_owned);
    let paths = |key: &str| match project.get(key) {
        None => Paths::Default,
        Some(value) => texts(value).map_or(Paths::Computed, Paths::These),
    };
    let releases = match project.get("releases") {
        None => Releases::None,
        Some(Value::List(values)) => {
            let names: Option<Vec<String>> = values
                .iter()
                .map(|value| match value {
                    Value::Pair(name, _) => Some(name.clone()),
                    _ => None,
                })
                .collect();
            names.map_or(Releases::Computed, Releases::Named)
        }
        Some(_) => Releases::Computed,
    };
    let deps = match project.get("deps") {
        None => Some(Vec::new()),
        Some(Value::List(values)) => values
            .iter()
            .map(dep)
            .collect::<Option<Vec<_>>>()
            .map(|deps| deps.into_iter().flatten().collect()),
        Some(_) => None,
    };
    Some(MixProject {
        app: project.get("app").and_then(Value::atom).map(str::to_owned),
        apps_path: text("apps_path"),
        elixirc_paths: paths("elixirc_paths"),
        erlc_paths: paths("erlc_paths"),
        erlc_include_path: text("erlc_include_path"),
        releases,
        default_release: project.get("default_release").and_then(Value::atom).map(str::to_owned),
        deps,
        place: (u32::try_from(start).ok()?, u32::try_from(end).ok()?),
    })
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::List(values) = value else { return None };
    values.iter().map(|value| value.text().map(str::to_owned)).collect()
}

/// One dependency: `{:name, options}` or `{:name, "~> 1.0", options}`. The outer none means that
/// it is computed, the inner that it is not for production.
#[expect(clippy::option_option, reason = "not known and not there are two things")]
fn dep(value: &Value) -> Option<Option<Dep>> {
    let Value::Tuple(parts) = value else { return None };
    let app = parts.first()?.atom()?.to_owned();
    // Options may be written with or without brackets.
    let pairs: Vec<Value> = parts[1..]
        .iter()
        .flat_map(|part| match part {
            Value::List(values) => values.clone(),
            other => vec![other.clone()],
        })
        .collect();
    let options = Value::List(pairs);
    if let Some(only) = options.get("only") {
        let names: Vec<&str> = match only {
            Value::Atom(name) => vec![name],
            Value::List(values) => values.iter().map(Value::atom).collect::<Option<_>>()?,
            _ => return None,
        };
        if !names.contains(&"prod") {
            return Some(None);
        }
    }
    let kind = match (options.get("path"), options.get("in_umbrella")) {
        (Some(path), _) => DepKind::Path(path.text()?.to_owned()),
        (_, Some(flag)) if flag.atom() == Some("true") => DepKind::InUmbrella,
        _ => DepKind::Remote,
    };
    Some(Some(Dep { app, kind }))
}
