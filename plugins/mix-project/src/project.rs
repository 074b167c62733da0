//! What a `mix.exs` says, as far as it says it in literals.

use crate::elixir::{Value, read};
use exflow_plugin_sdk::{Place, Span};

/// A Mix project.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MixProject {
    /// Its application.
    pub app: Option<String>,
    pub version: Option<String>,
    /// The folder of an umbrella's applications.
    pub apps_path: Option<String>,
    /// Where its sources are.
    pub elixirc_paths: Paths,
    pub erlc_paths: Paths,
    pub erlc_include_path: Option<String>,
    /// Where the configuration is, if not in `config`.
    pub config_path: Option<String>,
    pub lockfile: Option<String>,
    /// Whether it says where it is built.
    pub has_build_path: bool,
    /// Its releases.
    pub releases: Releases,
    /// The release where it has several.
    pub default_release: Option<String>,
    /// Its dependencies; none where they are computed.
    pub deps: Option<Vec<Dep>>,
    /// The place of what `project` gives, where it gives a literal.
    pub place: Option<(u32, u32)>,
}

impl MixProject {
    /// The place of what `project` gives, in this file; nowhere where it was computed.
    pub fn place_in(&self, path: &str) -> Place {
        match self.place {
            Some((start, end)) => Place::InFile(Span { path: path.to_owned(), start, end }),
            None => Place::Nowhere,
        }
    }
}

/// Folders, if they are literal.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Paths {
    #[default]
    Default,
    These(Vec<String>),
    Computed,
}

/// The names of the releases, if they are literal.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Releases {
    /// There is no such key: one, named as the application.
    #[default]
    None,
    Named(Vec<Release>),
    Computed,
}

/// A release, and the files that it names.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    pub name: String,
    /// The applications that it names; none where they aren't literal, or none are named.
    pub applications: Option<Vec<String>>,
    /// Files and folders that it is made of besides the usual ones, relative to the project.
    pub files: Vec<String>,
    /// Whether it names files by something that is no literal.
    pub is_computed: bool,
}

/// What a project depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dep {
    pub app: String,
    pub kind: DepKind,
    /// Which versions do.
    pub requirement: Option<String>,
    /// Whether it is there in the environment that is built.
    pub applies: bool,
    pub is_optional: bool,
    /// Whether it is started with what depends on it, and in its release.
    pub is_runtime: bool,
    /// The environment that it is compiled for, if it is said.
    pub env: Option<String>,
    /// Options on which it depends how it is compiled, as Elixir source.
    pub options: Vec<(String, String)>,
    /// Its place, where it has one of its own.
    pub place: Option<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepKind {
    /// A folder, relative to the project's.
    Path(String),
    InUmbrella,
    Git(GitDep),
    Hex {
        name: String,
        repo: String,
    },
}

/// A repository, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitDep {
    pub url: String,
    pub submodules: bool,
    pub sparse: Option<String>,
    pub subdir: Option<String>,
}

/// The options on which it depends how a package is compiled, or whether Mix takes two to be the same.
const PASSED: &[&str] = &[
    "app",
    "compile",
    "env",
    "manager",
    "override",
    "system_env",
    "branch",
    "ref",
    "tag",
    "depth",
    "sparse",
    "subdir",
    "submodules",
];

/// Reads a `mix.exs` as it is in the environment `env`; none where it has no `project` that is a
/// literal list.
pub fn parse(source: &str, env: &str) -> Option<MixProject> {
    let (project, start, end) = read(source).function("project", env)?;
    let place = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
    matches!(project, Value::List(_)).then(|| of(&project, Some(place), env))
}

/// What `project` gives.
pub fn of(project: &Value, place: Option<(u32, u32)>, env: &str) -> MixProject {
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
    MixProject {
        app: project.get("app").and_then(Value::atom).map(str::to_owned),
        version: text("version"),
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
        place,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::List(values) = value else { return None };
    values.iter().map(|value| value.text().map(str::to_owned)).collect()
}

/// What `mix release` reads for a release besides `rel` and `config`.
fn release(name: &str, options: &Value) -> Release {
    let applications = match options.get("applications") {
        Some(Value::List(values)) => values
            .iter()
            .map(|value| match value {
                Value::Pair(app, _) => Some(app.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    let mut release =
        Release { name: name.to_owned(), applications, files: Vec::new(), is_computed: false };
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
        Value::Tuple(parts, place) => {
            let place = place.and_then(|(start, end)| {
                Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
            });
            (parts.first()?.atom()?.to_owned(), parts[1..].to_vec(), place)
        }
        Value::Pair(app, rest) => (app.clone(), vec![(**rest).clone()], None),
        _ => return None,
    };
    let requirement = parts.first().and_then(Value::text).map(str::to_owned);
    // Options may be written with or without brackets.
    let mut pairs: Vec<Value> = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part {
            Value::List(values) => pairs.extend(values),
            pair @ Value::Pair(..) => pairs.push(pair),
            Value::Text(_) if index == 0 => {}
            // A regular expression as a requirement, or anything that is computed.
            _ => return None,
        }
    }
    let options = Value::List(pairs);
    let flag = |key: &str| match options.get(key) {
        None => Some(false),
        Some(value) => match value.atom()? {
            "true" => Some(true),
            "false" | "nil" => Some(false),
            _ => None,
        },
    };
    let passed = PASSED.iter().filter_map(|key| {
        Some(options.get(key)?.source().map(|source| ((*key).to_owned(), source)))
    });
    Some(Dep {
        kind: kind(&app, &options)?,
        requirement,
        applies: names(options.get("only"), env)? && names(options.get("targets"), "host")?,
        is_optional: flag("optional")?,
        is_runtime: options.get("runtime").and_then(Value::atom) != Some("false"),
        env: options
            .get("env")
            .map(|env| env.atom().map(str::to_owned))
            .map_or(Some(None), |env| env.map(Some))?,
        options: passed.collect::<Option<_>>()?,
        app,
        place,
    })
}

/// Whether an atom is among those that an option names, or the option isn't there.
fn names(option: Option<&Value>, atom: &str) -> Option<bool> {
    match option {
        None => Some(true),
        Some(Value::Atom(name)) => Some(name == atom),
        Some(Value::List(values)) => {
            let names: Vec<&str> = values.iter().map(Value::atom).collect::<Option<_>>()?;
            Some(names.contains(&atom))
        }
        Some(_) => None,
    }
}

fn kind(app: &str, options: &Value) -> Option<DepKind> {
    let text = |key: &str| match options.get(key) {
        None => Some(None),
        Some(value) => Some(Some(value.text().or(value.atom())?.to_owned())),
    };
    if let Some(path) = text("path")? {
        return Some(DepKind::Path(path));
    }
    match options.get("in_umbrella").map(Value::atom) {
        None | Some(Some("false")) => {}
        Some(Some("true")) => return Some(DepKind::InUmbrella),
        Some(_) => return None,
    }
    let github = text("github")?.map(|name| format!("https://github.com/{name}.git"));
    if let Some(url) = text("git")?.or(github) {
        return Some(DepKind::Git(GitDep {
            url,
            submodules: options.get("submodules").is_some_and(|flag| flag.atom() == Some("true")),
            sparse: text("sparse")?,
            subdir: text("subdir")?,
        }));
    }
    let organization = text("organization")?.map(|name| format!("hexpm:{name}"));
    Some(DepKind::Hex {
        name: text("hex")?.unwrap_or_else(|| app.to_owned()),
        repo: organization.or(text("repo")?).unwrap_or_else(|| "hexpm".to_owned()),
    })
}
