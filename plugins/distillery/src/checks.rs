//! What can be said of a release before it is made: each mistake that Distillery finds late, never, or only when the
//! release is started.

use crate::chosen::Wanted;
use crate::config::{Block, Choice, Config, Setting, Span, used_modules};
use crate::inputs;
use crate::profile::{Found, Profile, is_set};
use exflow_plugin_sdk::Place;
use mix_project::elixir::Value;
use mix_project::graph::{Graph, Part, place_in};
use mix_project::{Reader, join};
use std::path::Path;

/// What can be set in both kinds of blocks, from 2.0 on: the fields of `Profile`.
pub(crate) const SETTINGS: &[&str] = &[
    "output_dir",
    "vm_args",
    "cookie",
    "config",
    "sys_config",
    "executable",
    "erl_opts",
    "run_erl_env",
    "dev_mode",
    "no_dot_erlang",
    "include_erts",
    "erts_version",
    "include_src",
    "include_system_libs",
    "included_configs",
    "config_providers",
    "appup_transforms",
    "strip_debug_info",
    "plugins",
    "overlay_vars",
    "overlays",
    "overrides",
    "commands",
    "pre_configure_hooks",
    "post_configure_hooks",
    "pre_start_hooks",
    "post_start_hooks",
    "pre_stop_hooks",
    "post_stop_hooks",
    "pre_upgrade_hooks",
    "post_upgrade_hooks",
];

/// What only matters where a running release is changed into another, which no image is.
const UPGRADES: &[&str] = &["appup_transforms", "pre_upgrade_hooks", "post_upgrade_hooks"];

/// What is known of a release once all of it was looked at.
pub(crate) struct Checked {
    /// Its name; none where only Distillery knows.
    pub(crate) release: Option<String>,
    /// Patterns of files that it names.
    pub(crate) files: Vec<String>,
    /// Whether variables of the environment are put into its configuration when it starts.
    pub(crate) replaces_variables: bool,
}

/// Looks at all of it. What is wrong is told to the reader.
pub(crate) fn run(
    reader: &mut Reader<'_>,
    graph: &Graph,
    root: &Part,
    path: &str,
    config: &Config,
    wanted: &Wanted,
) -> Checked {
    let mut checks = Checks { reader, root, path, config };
    checks.modules();
    checks.dependency(graph);
    checks.settings();
    let release = checks.release(wanted);
    let environment = checks.environment(wanted);
    let release_block = release.as_deref().and_then(|name| config.release(name));
    let profile = Profile { environment, release: release_block };
    checks.profile(&profile);
    checks.output(&profile);
    if let Some(block) = release_block {
        checks.umbrella(block);
    }
    let replaces_variables = checks.cookie(&profile);
    let files = inputs::find(checks.reader, root, path, &profile);
    Checked { release, files, replaces_variables }
}

struct Checks<'a, 'r> {
    reader: &'a mut Reader<'r>,
    root: &'a Part,
    path: &'a str,
    config: &'a Config,
}

impl<'a> Checks<'a, '_> {
    fn place(&self, span: Span) -> Place {
        place_in(self.path, span)
    }

    fn refuse(&mut self, code: &str, message: String, span: Span, label: &str, help: &str) {
        let place = self.place(span);
        self.reader.refuse(code, message, place, label, help);
    }

    fn warn(&mut self, code: &str, message: String, span: Span, label: &str, help: &str) {
        let place = self.place(span);
        self.reader.warn_at(code, message, place, label, help);
    }

    /// The modules that are used are those of Distillery 2.1 and newer.
    fn modules(&mut self) {
        let mut used: Vec<(String, String, Span)> = Vec::new();
        let own = self.config.module.iter();
        used.extend(own.map(|(module, place)| (self.path.to_owned(), module.clone(), *place)));
        // It evaluates those itself.
        let plugins = join(&self.root.folder, "rel/plugins").unwrap_or_default();
        for entry in self.reader.folder(&plugins).flatten().unwrap_or_default() {
            let path = format!("{plugins}/{}", entry.name);
            let is_script = Path::new(&entry.name).extension().is_some_and(|end| end == "exs");
            if entry.is_folder || !is_script {
                continue;
            }
            if let Some(Some(text)) = self.reader.text(&path) {
                let modules = used_modules(text).into_iter();
                used.extend(modules.map(|(module, place)| (path.clone(), module, place)));
            }
        }
        for (path, module, place) in used {
            let Some(rest) = module.strip_prefix("Mix.Releases.") else { continue };
            self.reader.refuse(
                "wrong-namespace",
                format!("there is no `{module}` in this version of Distillery"),
                place_in(&path, place),
                &format!("expected `Distillery.Releases.{rest}`"),
                "modules were renamed in Distillery 2.1: `Mix.Releases` is `Distillery.Releases` from there on",
            );
        }
    }

    /// From 2.0 on, what reads the configuration when a release starts is Distillery itself.
    fn dependency(&mut self, graph: &Graph) {
        let dep = self.root.mix.deps.iter().flatten().find(|dep| dep.app == "distillery");
        let Some(dep) = dep.filter(|dep| !dep.is_runtime) else {
            return;
        };
        let place = match (dep.place, graph.packages.get("distillery")) {
            (Some((start, end)), _) => {
                let path = join(&self.root.folder, "mix.exs").unwrap_or_default();
                place_in(&path, (start as usize, end as usize))
            }
            (None, Some(package)) => package.place.clone(),
            (None, None) => Place::Nowhere,
        };
        self.reader.warn_at(
            "not-at-runtime",
            "Distillery is said not to be needed at run time, and it is".to_owned(),
            place,
            "`runtime: false`",
            "since Distillery 2.0 a part of it is in each release, and reads its configuration: take `runtime: false` \
             away",
        );
    }

    /// Only what is known can be set.
    fn settings(&mut self) {
        let config = self.config;
        let kinds =
            [(&config.environments, &[][..]), (&config.releases, &["version", "applications"][..])];
        for (blocks, more) in kinds {
            for setting in blocks.iter().flat_map(|block| &block.settings) {
                let key = setting.key.as_str();
                if !SETTINGS.contains(&key) && !more.contains(&key) {
                    self.refuse(
                        "unknown-setting",
                        format!("Distillery has no setting `{key}`"),
                        setting.place,
                        "set here",
                        "the documentation of `Distillery.Releases.Profile` lists those that there are",
                    );
                }
            }
        }
    }

    /// The release's name; none where only Distillery knows it, or it is a problem.
    fn release(&mut self, wanted: &Wanted) -> Option<String> {
        let config = self.config;
        let names: Vec<&str> = config.releases.iter().map(|block| block.name.as_str()).collect();
        let listed = names.join("`, `");
        if names.is_empty() && !config.is_computed {
            self.refuse(
                "no-release",
                "rel/config.exs has no release".to_owned(),
                (0, 0),
                "expected `release :name do … end`",
                "`mix distillery.init` writes one",
            );
            return None;
        }
        let is_there = |name: &str| config.is_computed || names.contains(&name);
        let help = format!("the releases of rel/config.exs: `{listed}`");
        match (&wanted.release, &config.default_release) {
            (Some(name), _) | (None, Choice::Named(name, _)) if is_there(name) => {
                Some(name.clone())
            }
            (Some(name), _) => {
                let message = format!("there is no release `{name}`");
                let place = Place::InSetting(wanted.says_release.to_owned());
                self.reader.refuse(
                    "unknown-release",
                    message,
                    place,
                    "not in rel/config.exs",
                    &help,
                );
                None
            }
            (None, Choice::Named(name, place)) => {
                let message = format!("there is no release `{name}`");
                self.refuse("unknown-release", message, *place, "the default", &help);
                None
            }
            (None, Choice::Default) => {
                let chosen = config.chosen_release(None)?;
                if names.len() > 1 {
                    self.warn(
                        "which-release",
                        format!(
                            "rel/config.exs has {} releases and no default: `{}` is made",
                            names.len(),
                            chosen.name
                        ),
                        chosen.place,
                        "the first in the order of the alphabet",
                        "their order in the file says nothing to Distillery; say which: \
                         `release-tool \"distillery\" release=\"…\"`",
                    );
                }
                Some(chosen.name.clone())
            }
            (None, Choice::MixEnv(_) | Choice::Unknown) => None,
        }
    }

    /// The environment; none where only Distillery knows it, or it is a problem.
    fn environment(&mut self, wanted: &Wanted) -> Option<&'a Block> {
        let config = self.config;
        let whole = config.module.as_ref().map_or((0, 0), |(_, place)| *place);
        let mix_env = self.reader.settings().mix_env.clone();
        let (name, place, label) = match (&wanted.environment, &config.default_environment) {
            (Some(name), _) => (
                name.as_str(),
                Place::InSetting(wanted.says_environment.to_owned()),
                "not in rel/config.exs",
            ),
            (None, Choice::Named(name, place)) => {
                (name.as_str(), self.place(*place), "the default")
            }
            (None, Choice::MixEnv(place)) => {
                (mix_env.as_str(), self.place(*place), "the environment of Mix")
            }
            (None, Choice::Default) => ("default", self.place(whole), "no default is said here"),
            (None, Choice::Unknown) => return None,
        };
        let found = config.environment(name);
        if found.is_none() && !config.is_computed {
            let names: Vec<&str> =
                config.environments.iter().map(|block| block.name.as_str()).collect();
            self.reader.refuse(
                "unknown-environment",
                format!("there is no environment `{name}`"),
                place,
                label,
                &format!(
                    "say which in the manifest, `release-tool \"distillery\" environment=\"…\"`, or in rel/config.exs with \
                     `default_environment:`; those that there are: `{}`",
                    names.join("`, `")
                ),
            );
        }
        found
    }

    /// What makes an image that doesn't start, or holds what it shouldn't.
    fn profile(&mut self, profile: &Profile<'a>) {
        if let Some(place) = profile.is("dev_mode", "true") {
            self.refuse(
                "dev-mode",
                "in `dev_mode`, a release is made of links to the build".to_owned(),
                place,
                "set here",
                "leave `dev_mode` out of the environment that is built, or say another: \
                 `release-tool \"distillery\" environment=\"prod\"`",
            );
        }
        match profile.get("include_erts") {
            // Distillery itself takes none as false.
            Found::Set(Setting { value: Value::Atom(value), place, .. }) if value == "false" => self.warn(
                "no-erts",
                "the release has no Erlang of its own".to_owned(),
                *place,
                "set here",
                "the base of stage `runtime` has to have the same Erlang as that of stage `release`, in its PATH; or \
                 `set include_erts: true`",
            ),
            Found::Set(Setting { value: Value::Text(erts), place, .. }) => self.warn(
                "other-erts",
                format!("the release takes its Erlang from `{erts}`"),
                *place,
                "set here",
                "that is a folder of the base of stage `release`, and has to be there; `set include_erts: true` takes the \
                 one that compiles",
            ),
            _ => {}
        }
        if let Some(place) = profile.is("include_src", "true") {
            self.warn(
                "sources",
                "the release holds the sources of the project".to_owned(),
                place,
                "set here",
                "nothing in an image needs them: `set include_src: false`",
            );
        }
        if let Some(place) = profile.is("include_system_libs", "false") {
            self.warn(
                "ignored-setting",
                "`include_system_libs` has no effect".to_owned(),
                place,
                "set here",
                "Distillery includes them where it includes Erlang, and only there",
            );
        }
        for key in ["executable", "erl_opts"] {
            // What its command line has for a default is put over the environment's, and that over the release's.
            let in_environment = profile.environment.and_then(|block| block.setting(key));
            let in_release = profile.release.and_then(|block| block.setting(key));
            let lost =
                if key == "executable" { in_environment.or(in_release) } else { in_environment };
            let Some(setting) = lost.filter(|setting| is_set(&setting.value)) else { continue };
            let help = match key {
                "executable" => {
                    "it is overridden by Distillery's command line, and an image needs no archive that unpacks itself"
                }
                _ => "it is overridden by Distillery's command line: set it in the `release` block",
            };
            self.warn(
                "ignored-setting",
                format!("`{key}` has no effect here"),
                setting.place,
                "set here",
                help,
            );
        }
        for key in UPGRADES {
            if let Found::Set(setting) = profile.get(key) {
                let is_stripped = profile.is("strip_debug_info", "true").is_some();
                let why = if is_stripped { ", and what is stripped can't be upgraded" } else { "" };
                self.warn(
                    "upgrades",
                    format!("`{key}` is for upgrades of a running release"),
                    setting.place,
                    "set here",
                    &format!("an image is replaced as a whole: no upgrade is made{why}"),
                );
            }
        }
    }

    /// Where the release is made is where it is found.
    fn output(&mut self, profile: &Profile<'a>) {
        let Some((folder, place)) = profile.text("output_dir") else { return };
        // What is put together when it is made.
        if folder.contains("<%") || folder.contains("${") {
            return;
        }
        let is_below = |path: &str| {
            let root = &self.root.folder;
            path.strip_prefix(root.as_str())
                .is_some_and(|rest| root.is_empty() || rest.starts_with('/'))
        };
        if !folder.starts_with('/')
            && join(&self.root.folder, folder).is_some_and(|path| is_below(&path))
        {
            return;
        }
        self.refuse(
            "output-elsewhere",
            format!("the release is to be made outside of the project, in `{folder}`"),
            place,
            "set here",
            "a step makes nothing but what is below the project's folder, and an image needs no more: leave `output_dir` \
             out",
        );
    }

    /// An umbrella has no application of its own that could be in it.
    fn umbrella(&mut self, release: &Block) {
        let is_said = release.is_computed || release.setting("applications").is_some();
        if self.root.mix.apps_path.is_some() && !is_said {
            self.refuse(
                "umbrella-release",
                format!("the release `{}` has none of this umbrella's applications", release.name),
                release.place,
                "no `set applications:` in it",
                "say which: `set applications: [:runtime_tools, shop_web: :permanent]`",
            );
        }
    }

    /// A release has a cookie, or doesn't start. Whether variables are put in its place.
    fn cookie(&mut self, profile: &Profile<'a>) -> bool {
        let cookie = profile.get("cookie");
        let variable = |text: &str| text.contains("${");
        let is_variable = match cookie {
            Found::Set(setting) => {
                setting.value.text().or(setting.value.atom()).is_some_and(variable)
            }
            Found::Unset | Found::Unknown => false,
        };
        if let Found::Set(setting) = cookie
            && !is_variable
        {
            self.warn(
                "cookie-in-source",
                "the cookie stands in rel/config.exs, and in each image".to_owned(),
                setting.place,
                "who knows it can run code in the release",
                "take it away here, set `vm_args` to a file of your own that has a line `-setcookie ${COOKIE}`, and give \
                 each container the variable COOKIE",
            );
        }
        let is_missing = matches!(cookie, Found::Unset);
        let end = profile.environment.or(profile.release).map_or((0, 0), |block| block.place);
        let help = "set `vm_args` to a file of your own that has a line `-setcookie ${COOKIE}`, and give each container \
                    the variable COOKIE; or `set cookie: :\"…\"`, which whoever has the image can read";
        match profile.get("vm_args") {
            Found::Unset => {
                if is_missing {
                    self.refuse(
                        "no-cookie",
                        "this release has no cookie, and doesn't start".to_owned(),
                        end,
                        "nothing sets `cookie` here, or in the release",
                        help,
                    );
                }
                is_variable
            }
            Found::Set(setting) => {
                let Some(file) = setting.value.text() else { return is_variable };
                let Some(Some(text)) =
                    join(&self.root.folder, file).and_then(|path| self.reader.text(&path))
                else {
                    return is_variable;
                };
                let lines = || text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
                let has =
                    |flag: &str| lines().any(|line| line.split_whitespace().next() == Some(flag));
                if !has("-name") && !has("-sname") {
                    self.warn(
                        "no-node-name",
                        format!("`{file}` names no node"),
                        setting.place,
                        "set here",
                        "the release starts only where the variable NAME says one; or write `-name <%= release_name \
                         %>@127.0.0.1` on a line of its own",
                    );
                }
                let set = lines().find_map(|line| line.strip_prefix("-setcookie"));
                match set.map(str::trim) {
                    Some(value) if is_missing && value.contains("release.profile.cookie") => self.refuse(
                        "no-cookie",
                        "this release has no cookie, and doesn't start".to_owned(),
                        end,
                        "nothing sets `cookie` here, or in the release",
                        help,
                    ),
                    Some(value) if !value.is_empty() && !value.contains("<%") && !value.contains("${") => self.warn(
                        "cookie-in-source",
                        format!("the cookie stands in `{file}`, and in each image"),
                        setting.place,
                        "set here",
                        "write `-setcookie ${COOKIE}` there, and give each container the variable COOKIE",
                    ),
                    Some(_) => {}
                    None => self.warn(
                        "no-cookie",
                        format!("`{file}` sets no cookie"),
                        setting.place,
                        "set here",
                        "the release starts only where the variable COOKIE or a file `.erlang.cookie` gives it one",
                    ),
                }
                is_variable || lines().any(variable)
            }
            Found::Unknown => is_variable,
        }
    }
}
