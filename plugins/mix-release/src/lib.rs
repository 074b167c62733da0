//! The plugin for `mix release`: reads `mix.exs` as text, and proposes how its release is made.
//!
//! What `mix.exs` doesn't say in literals is left to Mix, when the step runs: the release goes to a
//! folder that this plugin names, so that no path holds a name or a version that was guessed.

mod elixir;
mod project;

use exflow_plugin_sdk::{
    Answer, Diagnostic, Image, Layer, Needs, Pair, Place, Proposal, Request, Scalar, Span, Step,
    Used, export,
};
use project::{Dep, DepKind, MixProject, Paths, Releases};
use std::collections::{BTreeMap, BTreeSet};

export!(propose);

/// Where the release step puts the release, below the project's folder.
const RELEASE: &str = "_exflow/release";
/// The start script of a release whose name only Mix knows.
const START: &str = "exflow-start";
/// Where the release is in an image.
const AT: &str = "app";
/// The applications that come with Erlang/OTP and Elixir, which change less than any other.
const OTP: &[&str] = &[
    "asn1",
    "common_test",
    "compiler",
    "crypto",
    "debugger",
    "dialyzer",
    "diameter",
    "edoc",
    "eldap",
    "erl_docgen",
    "erl_interface",
    "erts",
    "et",
    "eunit",
    "ftp",
    "inets",
    "jinterface",
    "kernel",
    "megaco",
    "mnesia",
    "observer",
    "odbc",
    "os_mon",
    "parsetools",
    "public_key",
    "reltool",
    "runtime_tools",
    "sasl",
    "snmp",
    "ssh",
    "ssl",
    "stdlib",
    "syntax_tools",
    "tftp",
    "tools",
    "wx",
    "xmerl",
    "eex",
    "elixir",
    "ex_unit",
    "iex",
    "logger",
    "mix",
];

/// Says what is to be done for a project.
#[must_use]
pub fn propose(request: &Request) -> Answer {
    match Reader::new(request).proposal() {
        Ok(proposal) => Answer::Ready(proposal),
        Err(Stop::Need(needs)) => Answer::Need(needs),
        Err(Stop::Refuse(problems)) => Answer::Refused(problems),
    }
}

enum Stop {
    Need(Needs),
    Refuse(Vec<Diagnostic>),
}

/// One Mix project that is compiled: the project itself, an umbrella's application, or a path
/// dependency.
struct Part {
    folder: String,
    mix: MixProject,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    App,
    Dep,
}

struct Reader<'a> {
    request: &'a Request,
    files: BTreeMap<&'a str, Option<&'a [u8]>>,
    needs: Needs,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(request: &'a Request) -> Self {
        let files = request
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.contents.as_deref()))
            .collect();
        let needs = Needs { files: Vec::new(), folders: Vec::new() };
        Self { request, files, needs, problems: Vec::new(), warnings: Vec::new() }
    }

    fn refuse(&mut self, code: &str, message: String, place: Place, label: &str, help: &str) {
        self.problems.push(diagnostic(code, message, place, label, help));
    }

    /// The text of a file, or a request to see it.
    #[expect(clippy::option_option, reason = "not seen yet and not there are two things")]
    fn text(&mut self, path: &str) -> Option<Option<&'a str>> {
        match self.files.get(path) {
            Some(contents) => {
                Some(contents.and_then(|contents| std::str::from_utf8(contents).ok()))
            }
            None => {
                self.needs.files.push(path.to_owned());
                None
            }
        }
    }

    fn proposal(mut self) -> Result<Proposal, Stop> {
        let settings = self.settings();
        let parts = self.parts(&settings.mix_env);
        if !self.needs.files.is_empty() || !self.needs.folders.is_empty() {
            return Err(Stop::Need(self.needs));
        }
        let name = self.release_name(&parts, settings.release.as_deref());
        if !self.problems.is_empty() {
            return Err(Stop::Refuse(self.problems));
        }
        Ok(self.steps(&parts, name, &settings.mix_env))
    }

    fn settings(&mut self) -> Settings {
        let mut settings = Settings { release: None, mix_env: "prod".to_owned() };
        for setting in &self.request.settings {
            let place = || Place::InSetting(setting.name.clone());
            let known = ["release", "mix-env"].contains(&setting.name.as_str());
            match (&setting.value, setting.name.as_str()) {
                (Scalar::Text(text), "release") if is_name(text) => {
                    settings.release = Some(text.clone());
                }
                (Scalar::Text(text), "mix-env") if is_name(text) => {
                    settings.mix_env.clone_from(text);
                }
                _ if known => self.refuse(
                    "wrong-setting",
                    format!("the value of `{}` is not valid", setting.name),
                    place(),
                    "expected a name",
                    "a name is lower-case letters, digits and `_`",
                ),
                _ => self.refuse(
                    "unknown-setting",
                    format!("`mix-release` has no setting `{}`", setting.name),
                    place(),
                    "not known",
                    "its settings are `release` and `mix-env`",
                ),
            }
        }
        settings
    }

    /// The project, and everything of the workspace that is compiled with it, as far as it can be
    /// seen yet.
    fn parts(&mut self, mix_env: &str) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut queue =
            vec![(self.request.root.clone(), Role::Root, Place::Nowhere, mix_env.to_owned())];
        while let Some((folder, role, asked, env)) = queue.pop() {
            if !seen.insert(folder.clone()) {
                continue;
            }
            let path = join(&folder, "mix.exs").unwrap_or_default();
            let Some(text) = self.text(&path) else { continue };
            let Some(text) = text else {
                self.refuse(
                    "no-mix-exs",
                    format!("there is no `{path}`"),
                    asked,
                    "asked for here",
                    "a project of `mix-release` has a `mix.exs` in its folder",
                );
                continue;
            };
            let mix = project::parse(text, &env).unwrap_or_else(|| {
                self.warnings.push(diagnostic(
                    "computed-project",
                    format!("what `project` of `{path}` gives is computed, not a literal list"),
                    Place::Nowhere,
                    "",
                    "the usual folders are taken as its sources; name others with `inputs`, from the \
                     project's folder or, with a `/` before it, from the workspace's",
                ));
                MixProject { deps: None, releases: Releases::Computed, ..MixProject::default() }
            });
            let place =
                Place::InFile(Span { path: path.clone(), start: mix.place.0, end: mix.place.1 });
            if let Some(apps) = mix.apps_path.as_deref().filter(|_| role == Role::Root) {
                for app in self.apps(&folder, apps) {
                    queue.push((app, Role::App, place.clone(), env.clone()));
                }
            }
            match &mix.deps {
                Some(deps) => {
                    self.refuse_remote(&path, deps, &place);
                    for dep in deps {
                        let to = match &dep.kind {
                            DepKind::Path(to) => to.clone(),
                            // An umbrella has been looked through already.
                            DepKind::InUmbrella if role != Role::App => format!("../{}", dep.app),
                            DepKind::InUmbrella | DepKind::Remote | DepKind::Elsewhere => continue,
                        };
                        let place = place_of(&path, dep, &place);
                        match join(&folder, &to) {
                            Some(to) => queue.push((to, Role::Dep, place, dep.env.clone())),
                            None => self.outside(&format!("the dependency `{}`", dep.app), &to, place),
                        }
                    }
                }
                None => self.warnings.push(diagnostic(
                    "computed-dependencies",
                    format!("the dependencies in `{path}` are computed"),
                    place.clone(),
                    "not a literal list",
                    "path dependencies are only found in a literal list; name the folders of others \
                     with `inputs` in the stages `deps` and `release`: `inputs \"/libs/other\"`",
                )),
            }
            let config = mix.config_path.as_deref().filter(|_| role == Role::Root);
            if let Some(config) = config.filter(|config| join(&folder, config).is_none()) {
                self.outside("the configuration", config, place);
            }
            if mix.elixirc_paths == Paths::Computed {
                self.warnings.push(diagnostic(
                    "computed-paths",
                    format!("`elixirc_paths` in `{path}` is computed"),
                    Place::Nowhere,
                    "",
                    "`lib` is taken; name other folders with `inputs` in stage `release`, from the \
                     project's folder or, with a `/` before it, from the workspace's",
                ));
            }
            parts.push(Part { folder, mix, role });
        }
        parts.sort_by(|a, b| a.folder.cmp(&b.folder));
        parts
    }

    /// Patterns of the files that the releases name.
    fn release_files(&mut self, root: Option<&Part>) -> Vec<String> {
        let Some(root) = root else { return Vec::new() };
        let Releases::Named(releases) = &root.mix.releases else { return Vec::new() };
        if let Some(computed) = releases.iter().find(|release| release.is_computed) {
            self.warnings.push(diagnostic(
                "computed-release",
                format!("the options of release `{}` are computed", computed.name),
                Place::Nowhere,
                "",
                "if it has templates, overlays or a runtime configuration in unusual places, name \
                 them with `inputs` in stage `release`",
            ));
        }
        let files = releases.iter().flat_map(|release| &release.files);
        files.filter_map(|file| join(&root.folder, file)).collect()
    }

    /// The folders of an umbrella's applications.
    fn apps(&mut self, folder: &str, apps: &str) -> Vec<String> {
        let Some(path) = join(folder, apps) else { return Vec::new() };
        let Some(listed) = self.request.folders.iter().find(|listed| listed.path == path) else {
            self.needs.folders.push(path);
            return Vec::new();
        };
        let mut found = Vec::new();
        for entry in listed.entries.iter().flatten().filter(|entry| entry.is_folder) {
            let Some(app) = join(&path, &entry.name) else { continue };
            let mix = join(&app, "mix.exs").unwrap_or_default();
            // A folder without a mix.exs is none of its applications.
            if let Some(Some(_)) = self.text(&mix) {
                found.push(app);
            }
        }
        found
    }

    /// Refuses what is fetched from elsewhere, all of a project's at once. Those for other
    /// environments too: Mix asks where each comes from before it asks whether it is wanted.
    fn refuse_remote(&mut self, path: &str, deps: &[Dep], place: &Place) {
        let remote: Vec<&Dep> = deps.iter().filter(|dep| dep.kind == DepKind::Remote).collect();
        let Some(first) = remote.first() else { return };
        let names: Vec<&str> = remote.iter().map(|dep| dep.app.as_str()).collect();
        let names = names.join("`, `");
        self.refuse(
            "remote-dependency",
            match remote.len() {
                1 => format!("the dependency `{names}` comes from Hex or git"),
                number => format!("{number} dependencies come from Hex or git: `{names}`"),
            },
            place_of(path, first, place),
            if remote.len() == 1 { "it is named here" } else { "the first is named here" },
            "this version of exflow builds projects whose dependencies are in the workspace: \
             umbrella applications and path dependencies; those for other environments than the \
             built one count, because Mix wants Hex to know them all the same",
        );
    }

    fn outside(&mut self, what: &str, to: &str, place: Place) {
        self.refuse(
            "outside-workspace",
            format!("{what} is outside of the workspace: `{to}`"),
            place,
            "it is named here",
            "move the root of the workspace up, so that it holds both",
        );
    }

    /// The release's name; none where that is a problem.
    fn release_name(&mut self, parts: &[Part], wanted: Option<&str>) -> Option<Name> {
        let root = parts.iter().find(|part| part.role == Role::Root)?;
        let path = join(&root.folder, "mix.exs").unwrap_or_default();
        let (start, end) = root.mix.place;
        let place = Place::InFile(Span { path, start, end });
        let unknown = |reader: &mut Self, wanted: &str, known: &str| {
            reader.refuse(
                "unknown-release",
                format!("there is no release `{wanted}`"),
                Place::InSetting("release".to_owned()),
                "not in mix.exs",
                &format!("the releases in mix.exs: `{known}`"),
            );
            None
        };
        match (&root.mix.releases, wanted) {
            (Releases::Named(releases), wanted) => {
                let names: Vec<&str> =
                    releases.iter().map(|release| release.name.as_str()).collect();
                let listed = names.join("`, `");
                match (wanted, names.as_slice(), &root.mix.default_release) {
                    (Some(wanted), ..) if !names.contains(&wanted) => {
                        unknown(self, wanted, &listed)
                    }
                    (Some(wanted), ..) => Some(Name::given(wanted)),
                    (None, [only], _) => Some(Name::given(only)),
                    (None, _, Some(default)) => Some(Name::given(default)),
                    (None, ..) => {
                        self.refuse(
                            "which-release",
                            format!("mix.exs has {} releases, and no default", names.len()),
                            place,
                            "declared here",
                            &format!(
                                "say which: `release-tool \"mix-release\" release=\"…\"`, one of \
                                 `{listed}`"
                            ),
                        );
                        None
                    }
                }
            }
            (Releases::None, _) if root.mix.apps_path.is_some() => {
                self.refuse(
                    "umbrella-release",
                    "this umbrella declares no release".to_owned(),
                    place,
                    "no `releases` here",
                    "Mix wants an umbrella to say which applications are in a release: \
                     `releases: [shop: [applications: [shop_web: :permanent]]]`",
                );
                None
            }
            // Mix makes one that is named as the application, if no name is given.
            (Releases::None, wanted) => match (&root.mix.app, wanted) {
                (Some(app), Some(wanted)) if app != wanted => unknown(self, wanted, app),
                (app, _) => Some(Name { argument: String::new(), program: app.clone() }),
            },
            (Releases::Computed, Some(wanted)) => Some(Name::given(wanted)),
            (Releases::Computed, None) => Some(Name { argument: String::new(), program: None }),
        }
    }

    fn steps(mut self, parts: &[Part], name: Option<Name>, mix_env: &str) -> Proposal {
        let root = &self.request.root;
        let inside = |path: &str| join(root, path).unwrap_or_default();
        let name = name.unwrap_or_default();
        let env = vec![pair("MIX_ENV", mix_env)];
        let whole = parts.iter().find(|part| part.role == Role::Root);
        let mut steps = Vec::new();
        // Other environments' configuration is never read.
        let unread: Vec<String> = ["dev", "test"]
            .into_iter()
            .filter(|env| *env != mix_env)
            .map(|env| format!("!{}", inside(&format!("config/{env}.exs"))))
            .collect();
        // An application of an umbrella that is built alone says that it is built elsewhere; its
        // outputs are taken from here all the same.
        let build_path = match whole {
            Some(part) if part.mix.has_build_path => "export MIX_BUILD_PATH=$PWD/_build/$MIX_ENV\n",
            _ => "",
        };
        if parts.iter().any(|part| part.role == Role::Dep) {
            let mut sources = unread.clone();
            // Read when the release is made, and when it starts.
            sources.extend(
                ["runtime.exs", "releases.exs"]
                    .map(|file| format!("!{}", inside(&format!("config/{file}")))),
            );
            for part in parts {
                match part.role {
                    Role::Root => {
                        sources.extend(["mix.exs", "mix.lock"].map(inside));
                        sources.extend(part.config());
                    }
                    Role::App => sources.extend(
                        ["mix.exs", "config"].iter().filter_map(|name| join(&part.folder, name)),
                    ),
                    Role::Dep => sources.extend(part.sources()),
                }
            }
            // An umbrella's own applications have no sources in this step.
            let skip = match whole {
                Some(part) if part.mix.apps_path.is_some() => " --skip-umbrella-children",
                _ => "",
            };
            // Mix dumps a table there whose order and references are others each time, and which it makes
            // anew where it is missing. What comes out of this step is to be the same each time.
            let script = format!(
                "{build_path}mix deps.compile{skip}\nrm -f _build/*/lib/*/.mix/compile.app_tracer"
            );
            steps.push(Step {
                name: "deps".to_owned(),
                stage: "deps".to_owned(),
                argv: ["/bin/sh", "-euc", &script].map(str::to_owned).to_vec(),
                env: env.clone(),
                workdir: root.clone(),
                sources,
                uses: Vec::new(),
                outputs: vec![inside("_build")],
            });
        }
        let uses = (0..u32::from(!steps.is_empty()))
            .map(|step| Used { step, output: inside("_build"), at: inside("_build") })
            .collect();
        let release = u32::from(!steps.is_empty());
        let mut sources: Vec<String> = parts.iter().flat_map(Part::sources).collect();
        sources.extend(unread);
        sources.extend(self.release_files(whole));
        let (program, script) = match &name.program {
            Some(program) => (program.as_str(), ""),
            None => (START, START),
        };
        steps.push(Step {
            name: "release".to_owned(),
            stage: "release".to_owned(),
            argv: vec![
                "/bin/sh".to_owned(),
                "-c".to_owned(),
                format!("{build_path}{}", include_str!("release.sh")),
                "release".to_owned(),
                name.argument.clone(),
                RELEASE.to_owned(),
                script.to_owned(),
            ],
            env,
            workdir: root.clone(),
            sources,
            uses,
            outputs: vec![inside(RELEASE)],
        });
        let image = Image {
            step: release,
            output: inside(RELEASE),
            at: AT.to_owned(),
            layers: layers(parts),
            env: vec![
                pair("ELIXIR_ERL_OPTIONS", "+fnu"),
                pair("LANG", "C.UTF-8"),
                pair("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                pair("RELEASE_TMP", "/tmp"),
            ],
            workdir: AT.to_owned(),
            entrypoint: vec![format!("/{AT}/bin/{program}")],
            command: vec!["start".to_owned()],
            labels: vec![pair("org.opencontainers.image.title", &self.request.project)],
        };
        Proposal { steps, image: Some(image), warnings: self.warnings }
    }
}

/// How a release is asked for, and started.
#[derive(Default)]
struct Name {
    /// What Mix is told; empty where it is told nothing.
    argument: String,
    /// The name of its start script; none where only Mix knows.
    program: Option<String>,
}

impl Name {
    fn given(name: &str) -> Self {
        Self { argument: name.to_owned(), program: Some(name.to_owned()) }
    }
}

struct Settings {
    release: Option<String>,
    mix_env: String,
}

impl Part {
    /// Patterns of what Mix reads of it.
    fn sources(&self) -> Vec<String> {
        let mut names = vec!["mix.exs".to_owned(), "priv".to_owned()];
        names.extend(match &self.mix.elixirc_paths {
            Paths::These(paths) => paths.clone(),
            Paths::Default | Paths::Computed => vec!["lib".to_owned()],
        });
        names.extend(match &self.mix.erlc_paths {
            Paths::These(paths) => paths.clone(),
            Paths::Default | Paths::Computed => vec!["src".to_owned()],
        });
        names.push(self.mix.erlc_include_path.clone().unwrap_or_else(|| "include".to_owned()));
        if self.role == Role::Root {
            names.extend(["mix.lock", "rel"].map(str::to_owned));
        }
        let mut sources: Vec<String> =
            names.iter().filter_map(|name| join(&self.folder, name)).collect();
        if self.role != Role::Dep {
            sources.extend(self.config());
        }
        sources
    }

    /// Patterns of its configuration, and of a lock that stands elsewhere.
    fn config(&self) -> Vec<String> {
        let mut names = vec!["config".to_owned()];
        if self.role == Role::Root {
            // Configuration is a folder's: one file imports the others.
            let folder = |path: &String| match path.rsplit_once('/') {
                Some((folder, _)) => folder.to_owned(),
                None => path.clone(),
            };
            names.extend(self.mix.config_path.iter().map(folder));
            names.extend(self.mix.lockfile.clone());
        }
        let mut found: Vec<String> =
            names.iter().filter_map(|name| join(&self.folder, name)).collect();
        // The root of the workspace is no pattern.
        found.retain(|path| !path.is_empty());
        found.dedup();
        found
    }
}

/// The place of a dependency, or of the project where it has none of its own.
fn place_of(path: &str, dep: &Dep, project: &Place) -> Place {
    match dep.place {
        Some((start, end)) => Place::InFile(Span { path: path.to_owned(), start, end }),
        None => project.clone(),
    }
}

/// From what changes least to what changes most; the last is what is left: the start scripts and
/// the release's configuration.
fn layers(parts: &[Part]) -> Vec<Layer> {
    let mut otp = vec!["erts-*".to_owned()];
    otp.extend(OTP.iter().map(|app| format!("lib/{app}-*")));
    let own: Vec<&String> = parts
        .iter()
        .filter(|part| part.role != Role::Dep)
        .filter_map(|part| part.mix.app.as_ref())
        .collect();
    let mut deps = vec!["lib".to_owned()];
    deps.extend(own.iter().map(|app| format!("!lib/{app}-*")));
    let mut layers = vec![layer("otp", otp)];
    if !own.is_empty() {
        layers.push(layer("deps", deps));
    }
    layers.push(layer("app", vec!["lib".to_owned()]));
    layers
}

fn layer(name: &str, files: Vec<String>) -> Layer {
    Layer { name: name.to_owned(), files }
}

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

fn diagnostic(code: &str, message: String, place: Place, label: &str, help: &str) -> Diagnostic {
    Diagnostic {
        code: code.to_owned(),
        message,
        place,
        label: label.to_owned(),
        help: help.to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `path` from `folder`, cleaned; none where it leaves the workspace.
fn join(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_plugin_sdk::{Entry, File, Folder, Setting};

    /// Asks as exflow does, until there is an answer.
    fn ask(root: &str, settings: &[(&str, &str)], files: &[(&str, &str)]) -> Answer {
        let mut request = Request {
            project: "shop".to_owned(),
            root: root.to_owned(),
            platform: "linux/amd64".to_owned(),
            settings: settings
                .iter()
                .map(|(name, value)| Setting {
                    name: (*name).to_owned(),
                    value: Scalar::Text((*value).to_owned()),
                })
                .collect(),
            files: Vec::new(),
            folders: Vec::new(),
        };
        for _ in 0..8 {
            let Answer::Need(needs) = propose(&request) else { return propose(&request) };
            for path in needs.files {
                let contents = files.iter().find(|(name, _)| *name == path);
                let contents = contents.map(|(_, text)| text.as_bytes().to_vec());
                request.files.push(File { path, contents });
            }
            for path in needs.folders {
                let names: BTreeSet<&str> = files
                    .iter()
                    .filter_map(|(name, _)| {
                        name.strip_prefix(&format!("{path}/"))?.split('/').next()
                    })
                    .collect();
                let entries = names
                    .into_iter()
                    .map(|name| Entry { name: name.to_owned(), is_folder: !name.contains('.') })
                    .collect();
                request.folders.push(Folder { path, entries: Some(entries) });
            }
        }
        panic!("it never stops asking")
    }

    fn ready(answer: Answer) -> Proposal {
        match answer {
            Answer::Ready(proposal) => proposal,
            Answer::Refused(problems) => {
                panic!("{:?}", problems.iter().map(|problem| &problem.message).collect::<Vec<_>>())
            }
            Answer::Need(_) => unreachable!(),
        }
    }

    fn refused(answer: Answer) -> Vec<String> {
        let Answer::Refused(problems) = answer else { panic!("not refused") };
        problems.into_iter().map(|problem| problem.code).collect()
    }

    const SIMPLE: &str = "def project do\n [app: :shop, version: \"1.0.0\", deps: []]\nend";

    #[test]
    fn a_project_of_one_application() {
        let proposal = ready(ask("services/shop", &[], &[("services/shop/mix.exs", SIMPLE)]));
        assert_eq!(proposal.steps.len(), 1);
        let step = &proposal.steps[0];
        assert_eq!(step.workdir, "services/shop");
        // Without `releases`, Mix refuses any name.
        assert_eq!(step.argv[4..], ["", "_exflow/release", ""]);
        assert_eq!(step.outputs, ["services/shop/_exflow/release"]);
        assert!(step.sources.contains(&"services/shop/lib".to_owned()));
        assert!(!step.sources.iter().any(|source| source == "test" || source.starts_with("test/")));
        assert_eq!(proposal.image.unwrap().entrypoint, ["/app/bin/shop"]);
        // No step and no path of an image holds a version.
        assert!(!format!("{:?}", proposal.steps[0].argv).contains("1.0.0"));
    }

    #[test]
    fn an_umbrella_with_a_path_dependency() {
        let files = [
            (
                "mix.exs",
                "def project, do: [apps_path: \"apps\", deps: [{:lib, path: \"libs/lib\"}], releases: [web: []]]\n",
            ),
            (
                "apps/web/mix.exs",
                "def project do [app: :web, elixirc_paths: [\"lib\", \"web\"], deps: [{:db, in_umbrella: true}]] end",
            ),
            ("apps/db/mix.exs", "def project do [app: :db] end"),
            ("apps/notes/README", "no application"),
            (
                "libs/lib/mix.exs",
                "def project do [app: :lib, deps: [{:more, path: \"../more\"}]] end",
            ),
            ("libs/more/mix.exs", "def project do [app: :more] end"),
        ];
        let proposal = ready(ask("", &[], &files));
        let [deps, release] = proposal.steps.as_slice() else { panic!("two steps") };
        assert_eq!(deps.outputs, ["_build"]);
        for source in ["libs/lib/lib", "libs/more/mix.exs", "mix.exs", "apps/web/mix.exs"] {
            assert!(deps.sources.contains(&source.to_owned()), "{source}");
        }
        assert!(!deps.sources.contains(&"apps/web/lib".to_owned()));
        for source in ["apps/web/web", "apps/db/lib", "libs/more/lib", "config"] {
            assert!(release.sources.contains(&source.to_owned()), "{source}");
        }
        assert_eq!(release.uses.len(), 1);
        let image = proposal.image.unwrap();
        assert_eq!(image.step, 1);
        let deps = image.layers.iter().find(|layer| layer.name == "deps").unwrap();
        assert_eq!(
            deps.files,
            ["lib", "!lib/web-*", "!lib/db-*"].map(str::to_owned)[..1]
                .iter()
                .cloned()
                .chain(["!lib/db-*".to_owned(), "!lib/web-*".to_owned()])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_release_that_is_meant() {
        let two = "def project do [app: :a, releases: [x: [], y: []]] end";
        assert_eq!(refused(ask("", &[], &[("mix.exs", two)])), ["which-release"]);
        assert_eq!(refused(ask("", &[("release", "z")], &[("mix.exs", two)])), ["unknown-release"]);
        assert_eq!(ready(ask("", &[("release", "y")], &[("mix.exs", two)])).steps[0].argv[4], "y");
        let computed = "def project do [app: :a, releases: releases()] end\ndefp releases, do: Enum.map(x, y)\n";
        let proposal = ready(ask("", &[], &[("mix.exs", computed)]));
        assert_eq!(proposal.steps[0].argv[4..], ["", "_exflow/release", "exflow-start"]);
        assert_eq!(proposal.image.unwrap().entrypoint, ["/app/bin/exflow-start"]);
        let one = "def project do [app: :a, releases: []] end";
        assert_eq!(ready(ask("", &[("release", "a")], &[("mix.exs", one)])).steps[0].argv[4], "");
        assert_eq!(refused(ask("", &[("release", "b")], &[("mix.exs", one)])), ["unknown-release"]);
        let umbrella = "def project do [apps_path: \"apps\"] end";
        assert_eq!(refused(ask("", &[], &[("mix.exs", umbrella)])), ["umbrella-release"]);
    }

    #[test]
    fn what_cannot_be_built_is_refused_all_at_once() {
        let mix = "def project do [app: :a, deps: [{:b, \"~> 1.0\"}, {:c, path: \"../../c\"}, {:d, \"~> 1\", only: :dev}, e: \"~> 1\"]] end";
        let codes = refused(ask("", &[("relase", "x"), ("mix-env", "NO")], &[("mix.exs", mix)]));
        assert_eq!(
            codes,
            ["unknown-setting", "wrong-setting", "remote-dependency", "outside-workspace"]
        );
        let Answer::Refused(problems) = ask("", &[], &[("mix.exs", mix)]) else { panic!() };
        assert!(problems[0].message.contains("3 dependencies"), "{}", problems[0].message);
        let Place::InFile(span) = &problems[0].place else { panic!("no place") };
        assert_eq!(&mix[span.start as usize..span.end as usize], "{:b, \"~> 1.0\"}");
        assert_eq!(refused(ask("", &[], &[])), ["no-mix-exs"]);
    }

    #[test]
    fn an_application_of_an_umbrella_by_itself() {
        let web = "def project do [app: :web, build_path: \"../../_build\", config_path: \"../../config/config.exs\", lockfile: \"../../mix.lock\", deps: [{:db, in_umbrella: true}]] end";
        let files =
            [("apps/web/mix.exs", web), ("apps/db/mix.exs", "def project do [app: :db] end")];
        let proposal = ready(ask("apps/web", &[], &files));
        let [deps, release] = proposal.steps.as_slice() else { panic!("two steps") };
        for source in ["config", "mix.lock", "apps/db/lib", "apps/web/mix.exs"] {
            assert!(deps.sources.contains(&source.to_owned()), "{source}: {:?}", deps.sources);
        }
        assert!(deps.argv[2].contains("MIX_BUILD_PATH"));
        assert!(release.sources.contains(&"config".to_owned()));
        assert_eq!(deps.outputs, ["apps/web/_build"]);
    }

    #[test]
    fn files_that_a_release_names_and_configuration_that_is_never_read() {
        let mix = "def project do [app: :a, deps: [{:b, path: \"b\"}, {:c, path: \"c\", only: :staging}], releases: [a: [rel_templates_path: \"deploy\", overlays: [\"x\", \"y\"]]]] end";
        let dep = "def project do [app: :b] end";
        let files = [("mix.exs", mix), ("b/mix.exs", dep), ("c/mix.exs", dep)];
        let proposal = ready(ask("", &[], &files));
        let [deps, release] = proposal.steps.as_slice() else { panic!("two steps") };
        for source in ["deploy", "x", "y", "!config/dev.exs", "!config/test.exs"] {
            assert!(release.sources.contains(&source.to_owned()), "{source}");
        }
        assert!(deps.sources.contains(&"!config/runtime.exs".to_owned()));
        assert!(!release.sources.contains(&"!config/runtime.exs".to_owned()));
        assert!(!deps.sources.contains(&"c/lib".to_owned()));
        let proposal = ready(ask("", &[("mix-env", "staging")], &files));
        assert!(proposal.steps[0].sources.contains(&"c/lib".to_owned()));
    }
}
