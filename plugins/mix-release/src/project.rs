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
    /// Where the configuration is, if not in `config`.
    pub(crate) config_path: Option<String>,
    pub(crate) lockfile: Option<String>,
    /// Whether it says where it is built.
    pub(crate) has_build_path: bool,
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
    Named(Vec<Release>),
    Computed,
}

/// A release, and the files that it names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) name: String,
    /// Files and folders that it is made of besides the usual ones, relative to the project.
    pub(crate) files: Vec<String>,
    /// Whether it names files by something that is no literal.
    pub(crate) is_computed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dep {
    pub(crate) app: String,
    pub(crate) kind: DepKind,
    /// The environment that it is compiled for.
    pub(crate) env: String,
    /// Its place, where it has one of its own.
    pub(crate) place: Option<(u32, u32)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DepKind {
    /// A folder, relative to the project's.
    Path(String),
    InUmbrella,
    /// From Hex or git.
    Remote,
    /// A path or an umbrella's application, but not for the environment that is built.
    Elsewhere,
}

/// Reads a `mix.exs` as it is in the environment `env`; none where it has no `project` that is a
/// literal list.
pub(crate) fn parse(source: &str, env: &str) -> Option<MixProject> {
    let (project, start, end) = read(source).function("project", env)?;
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
        // None at all is as good as no such key.
        Some(Value::List(values)) if values.is_empty() => Releases::None,
        Some(Value::List(values)) => {
            let named: Option<Vec<Release>> = values
                .iter()
                .map(|value| match value {
                    Value::Pair(name, options) => Some(release(name, options)),
                    _ => None,
                })
                .collect();
            named.map_or(Releases::Computed, Releases::Named)
        }
        Some(_) => Releases::Computed,
    };
    let deps = match project.get("deps") {
        None => Some(Vec::new()),
        Some(Value::List(values)) => values.iter().map(|value| dep(value, env)).collect(),
        Some(_) => None,
    };
    Some(MixProject {
        app: project.get("app").and_then(Value::atom).map(str::to_owned),
        apps_path: text("apps_path"),
        elixirc_paths: paths("elixirc_paths"),
        erlc_paths: paths("erlc_paths"),
        erlc_include_path: text("erlc_include_path"),
        config_path: text("config_path"),
        lockfile: text("lockfile"),
        has_build_path: project.get("build_path").is_some(),
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

/// What `mix release` reads for a release besides `rel` and `config`.
fn release(name: &str, options: &Value) -> Release {
    let mut release = Release { name: name.to_owned(), files: Vec::new(), is_computed: false };
    if !matches!(options, Value::List(_)) {
        release.is_computed = true;
    }
    for key in ["rel_templates_path", "overlays", "runtime_config_path"] {
        match options.get(key) {
            // `runtime_config_path: false` is an atom, too.
            None | Some(Value::Atom(_)) => {}
            Some(Value::Text(path)) => release.files.push(path.clone()),
            Some(value) => match texts(value) {
                Some(paths) => release.files.extend(paths),
                None => release.is_computed = true,
            },
        }
    }
    release
}

/// One dependency: `{:name, options}`, `{:name, "~> 1.0", options}`, `name: "~> 1.0"` or
/// `name: options`. None where it is computed.
fn dep(value: &Value, env: &str) -> Option<Dep> {
    let (app, parts, place) = match value {
        Value::Tuple(parts, (start, end)) => {
            let place = (u32::try_from(*start).ok()?, u32::try_from(*end).ok()?);
            (parts.first()?.atom()?.to_owned(), parts[1..].to_vec(), Some(place))
        }
        Value::Pair(app, rest) => (app.clone(), vec![(**rest).clone()], None),
        _ => return None,
    };
    // Options may be written with or without brackets.
    let pairs: Vec<Value> = parts
        .into_iter()
        .flat_map(|part| match part {
            Value::List(values) => values,
            other => vec![other],
        })
        .collect();
    let options = Value::List(pairs);
    let applies = match options.get("only") {
        None => true,
        Some(Value::Atom(name)) => name == env,
        Some(Value::List(values)) => {
            let names: Vec<&str> = values.iter().map(Value::atom).collect::<Option<_>>()?;
            names.contains(&env)
        }
        Some(_) => return None,
    };
    let kind = match (options.get("path"), options.get("in_umbrella")) {
        (None, None) => DepKind::Remote,
        _ if !applies => DepKind::Elsewhere,
        (Some(path), _) => DepKind::Path(path.text()?.to_owned()),
        (None, Some(flag)) if flag.atom() == Some("true") => DepKind::InUmbrella,
        (None, Some(_)) => return None,
    };
    let env = match options.get("env") {
        None => "prod".to_owned(),
        Some(env) => env.atom()?.to_owned(),
    };
    Some(Dep { app, kind, env, place })
}
