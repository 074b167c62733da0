//! A plugin of exflow's for releases of rebar3's: `rebar3 as prod release`.
//!
//! It reads `rebar.config` for what the release is called, and refuses what it can't build: a project with
//! packages, which would have to be fetched. How that is done, `plugins/mix-release` shows.

use exflow_plugin_sdk::{
    Answer, Diagnostic, Image, Layer, Needs, Place, Proposal, Request, Scalar, SettingKind,
    SettingSchema, Span, Step, below, export, pair, path,
};

export!(propose, settings);

/// Where the release is in the image.
const AT: &str = "app";

/// What a manifest can tell this plugin: `release-tool "rebar3-release" profile="prod"`.
#[must_use]
pub fn settings() -> Vec<SettingSchema> {
    let text = |name: &str, help: &str| SettingSchema::optional(name, SettingKind::Text, help);
    vec![
        text("profile", "The profile of rebar3's that is built; without it, `prod`."),
        text("release", "The release of rebar.config that is built; without it, the first."),
    ]
}

/// What is to be done for a project.
#[must_use]
pub fn propose(request: &Request) -> Answer {
    let config = path(&request.root, "rebar.config");
    let lock = path(&request.root, "rebar.lock");
    let shown = |path: &str| request.files.iter().find(|file| file.path == path);
    let (Some(config_file), Some(lock_file)) = (shown(&config), shown(&lock)) else {
        // At first, nothing is shown.
        return Answer::Need(Needs::of_files([config, lock]));
    };
    let Some(contents) = &config_file.contents else {
        return refused(problem(
            "no-rebar-config",
            format!("`{}` has no rebar.config", request.project),
            Place::Nowhere,
            "",
            format!("write `{config}`, or name another release tool"),
        ));
    };
    // What is no UTF-8 has no release that could be named in a manifest.
    let text = String::from_utf8_lossy(contents);
    if let Some(contents) = &lock_file.contents
        && !is_empty(contents)
    {
        return refused(problem(
            "has-packages",
            "this plugin builds projects without packages only".to_owned(),
            Place::InFile(span(&lock, 0, contents.len().min(1))),
            "these would have to be fetched",
            "a step has no network: a plugin proposes what is to be fetched, as `mix-release` does"
                .to_owned(),
        ));
    }
    let releases = releases(&text);
    let wanted = setting(request, "release");
    let found = match wanted {
        Some(wanted) => releases.iter().find(|release| release.name == wanted),
        None => releases.first(),
    };
    let Some(release) = found else {
        let known: Vec<&str> = releases.iter().map(|release| release.name).collect();
        let (message, place) = match wanted {
            Some(wanted) => {
                (format!("there is no release `{wanted}`"), Place::InSetting("release".to_owned()))
            }
            None => (
                "there is no release in rebar.config".to_owned(),
                Place::InFile(span(&config, 0, 1)),
            ),
        };
        let help = match known.as_slice() {
            [] => "declare one: `{relx, [{release, {my_app, \"1.0.0\"}, [my_app]}]}.`".to_owned(),
            known => format!("there are: `{}`", known.join("`, `")),
        };
        return refused(problem("no-release", message, place, "looked for here", help));
    };
    Answer::Ready(proposal(request, release.name, setting(request, "profile").unwrap_or("prod")))
}

fn proposal(request: &Request, release: &str, profile: &str) -> Proposal {
    let output = path(&request.root, &format!("_release/{release}"));
    let argv = ["rebar3", "as", profile, "release", "-n", release, "-o", "_release"];
    let sources = ["rebar.config", "src", "include", "priv", "apps", "config"];
    let step = Step {
        name: "release".to_owned(),
        stage: "release".to_owned(),
        argv: argv.map(str::to_owned).into(),
        env: Vec::new(),
        workdir: request.root.clone(),
        // The less a step reads, the less often it runs. A stage's `inputs` add to it.
        sources: sources.iter().map(|name| below(&request.root, name)).collect(),
        files: Vec::new(),
        uses: Vec::new(),
        outputs: vec![output.clone()],
        together: false,
        place: Place::Nowhere,
    };
    let image = Image {
        step: 0,
        output,
        at: AT.to_owned(),
        // What changes least comes first: it is sent once.
        layers: vec![Layer {
            name: "otp".to_owned(),
            files: ["erts-*", "lib/kernel-*", "lib/stdlib-*"].map(str::to_owned).into(),
        }],
        env: vec![
            pair("LANG", "C.UTF-8"),
            pair("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            // The release itself may not be written to.
            pair("RELX_OUT_FILE_PATH", "/tmp"),
        ],
        workdir: AT.to_owned(),
        entrypoint: vec![format!("/{AT}/bin/{release}")],
        command: vec!["foreground".to_owned()],
        labels: vec![pair("org.opencontainers.image.title", &request.project)],
    };
    Proposal { fetches: Vec::new(), steps: vec![step], image: Some(image), warnings: Vec::new() }
}

/// The value of a setting, which is a text: exflow has compared it with what is declared.
fn setting<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.settings.iter().find_map(|setting| match &setting.value {
        Scalar::Text(text) if setting.name == name => Some(text.as_str()),
        _ => None,
    })
}

/// Whether a rebar.lock has no packages: `[].`
fn is_empty(lock: &[u8]) -> bool {
    let mut letters = lock.iter().filter(|byte| !byte.is_ascii_whitespace());
    letters.by_ref().eq(b"[].")
}

/// A release that `rebar.config` declares.
#[derive(Debug, PartialEq, Eq)]
struct Release<'a> {
    name: &'a str,
}

/// The releases that are declared, in their order: `{release, {NAME, "1.0.0"}, …}`. Names in quotes, and what is
/// computed by a rebar.config.script, aren't found.
fn releases(config: &str) -> Vec<Release<'_>> {
    let mut found = Vec::new();
    for line in config.lines() {
        let line = line.split('%').next().unwrap_or_default();
        for (at, _) in line.match_indices("{release") {
            let rest = line[at + "{release".len()..].trim_start().strip_prefix(',');
            let Some(rest) = rest.and_then(|rest| rest.trim_start().strip_prefix('{')) else {
                continue;
            };
            let rest = rest.trim_start();
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            if name.starts_with(|first: char| first.is_ascii_lowercase()) {
                found.push(Release { name });
            }
        }
    }
    found
}

fn refused(problem: Diagnostic) -> Answer {
    Answer::Refused(vec![problem])
}

fn problem(code: &str, message: String, place: Place, label: &str, help: String) -> Diagnostic {
    Diagnostic { code: code.to_owned(), message, place, label: label.to_owned(), help }
}

fn span(path: &str, start: usize, end: usize) -> Span {
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { path: path.to_owned(), start: byte(start), end: byte(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found() {
        let names = |config| -> Vec<&str> {
            releases(config).into_iter().map(|release| release.name).collect()
        };
        assert_eq!(names("{relx, [{release, {shop, \"1\"}, [shop]}]}."), ["shop"]);
        assert_eq!(names("{release,{a,\"1\"},[a]}, { release , { b"), ["a"]);
        assert_eq!(
            names("{release, {a, \"1\"}, [a]},\n{release , {b_2, \"1\"}, [b]}"),
            ["a", "b_2"]
        );
        assert_eq!(names("% {release, {a, \"1\"}, [a]}"), [""; 0]);
        for odd in [
            "",
            "{release",
            "{release,",
            "{release, {",
            "{release, {}",
            "{release, {'Q'",
            "{release, {é",
        ] {
            assert_eq!(names(odd), [""; 0], "{odd}");
        }
    }

    #[test]
    fn locks_without_packages() {
        assert!(is_empty(b"[].\n"));
        assert!(is_empty(b"[ ] ."));
        for lock in [&b""[..], b"[", b"[{<<\"a\">>", b"{\"1.2.0\",\n[]}.", b"\xff"] {
            assert!(!is_empty(lock));
        }
    }
}
