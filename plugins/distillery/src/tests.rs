//! What comes of a `rel/config.exs`, for shapes of it as they are met: a folder for each in `tests/shapes`, with what is
//! expected in `expected`. `EXFLOW_BLESS=1` takes what is found.

#![expect(clippy::disallowed_methods, reason = "tests read the shapes, and bless them")]

use super::*;
use exflow_plugin_sdk::{Diagnostic, Place, Proposal};
use mix_project::testing::{ask, ready, refused};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// All files of a folder, by path.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "expected") {
                let name = path.strip_prefix(folder).expect("below").to_str().expect("UTF-8");
                found.insert(name.to_owned(), std::fs::read_to_string(&path).expect("a text"));
            }
        }
    }
    found
}

fn shape(name: &str) -> (std::path::PathBuf, BTreeMap<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes").join(name);
    let files = files(&folder);
    (folder, files)
}

fn answer(
    files: &BTreeMap<String, String>,
    settings: &[(&str, &str)],
    made: &[(&str, &str, &str)],
) -> Answer {
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    ask(propose, "", settings, &files, made)
}

fn shown(
    out: &mut String,
    kind: &str,
    diagnostics: &[Diagnostic],
    files: &BTreeMap<String, String>,
) {
    for found in diagnostics {
        let at = match &found.place {
            Place::InFile(span) => {
                let text = &files[&span.path][span.start as usize..span.end as usize];
                format!("{} `{}`", span.path, text.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Place::InSetting(name) => format!("setting {name}"),
            Place::Nowhere => "-".to_owned(),
        };
        let _ = writeln!(
            out,
            "{kind} exflow::distillery::{}\n  {}\n  at {at}\n  {}\n  {}",
            found.code, found.message, found.label, found.help
        );
    }
}

fn described(proposal: &Proposal, files: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    shown(&mut out, "warning", &proposal.warnings, files);
    let release = proposal.steps.last().expect("a release");
    let _ = writeln!(out, "arguments: {}", release.argv[4..].join(" "));
    let _ = writeln!(out, "sources: {}", release.sources.join(" "));
    let image = proposal.image.as_ref().expect("an image");
    let _ = writeln!(out, "start: {} {}", image.entrypoint.join(" "), image.command.join(" "));
    for pair in &image.env {
        let _ = writeln!(out, "env: {}={}", pair.name, pair.value);
    }
    for layer in image.layers.iter().skip(1) {
        let _ = writeln!(out, "layer {}: {}", layer.name, layer.files.join(" "));
    }
    out
}

#[test]
fn shapes_as_they_are_met() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
    let mut names: Vec<String> = std::fs::read_dir(all)
        .expect("shapes")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert!(names.len() > 10, "{names:?}");
    let mut differing = Vec::new();
    for name in names {
        let (folder, files) = shape(&name);
        let found = match answer(&files, &[], &[]) {
            Answer::Ready(proposal) => described(&proposal, &files),
            Answer::Refused(problems) => {
                let mut out = String::new();
                shown(&mut out, "problem", &problems, &files);
                out
            }
            Answer::Need(_) => unreachable!("it is asked until it is ready"),
        };
        let expected = folder.join("expected");
        if std::env::var_os("EXFLOW_BLESS").is_some() {
            std::fs::write(&expected, &found).expect("written");
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{name}:\n{found}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// The manifest says which of several it is.
#[test]
fn the_release_that_is_meant() {
    let (_, files) = shape("umbrella");
    let argv = |settings: &[(&str, &str)]| {
        ready(answer(&files, settings, &[])).steps.last().unwrap().argv[4..].to_vec()
    };
    assert_eq!(argv(&[]), ["--name", "shop"]);
    let whole = ["--name", "workers", "--env", "prod"];
    assert_eq!(argv(&[("release", "workers"), ("environment", "prod")]), whole);
    assert_eq!(argv(&[("profile", "workers:prod")]), whole);
    for (settings, codes) in [
        (&[("profile", "workers")][..], &["wrong-setting"][..]),
        (
            &[("profile", "a:b"), ("release", "b")],
            &["wrong-setting", "unknown-release", "unknown-environment"],
        ),
        (&[("release", "../x")], &["wrong-setting"]),
        (&[("release", "--x")], &["wrong-setting"]),
        (&[("release", "x")], &["unknown-release"]),
        (&[("environment", "x")], &["unknown-environment"]),
    ] {
        assert_eq!(refused(answer(&files, settings, &[])), codes, "{settings:?}");
    }
}

/// A file that can't be looked at says nothing of what the rest says.
#[test]
fn a_cookie_of_a_variable_beside_a_file_that_is_computed() {
    let (_, mut files) = shape("cookie-variable");
    for file in ["/etc/vm.args", "rel/<%= env %>.args", "rel/vm.args"] {
        let block = format!(
            "set cookie: \"${{COOKIE}}\"\n  set vm_args: \"{file}\"\n  set include_erts: true"
        );
        let config = format!(
            "use Distillery.Releases.Config, default_environment: :prod\nenvironment :prod do\n  {block}\nend\nrelease :shop do\nend\n"
        );
        files.insert("rel/config.exs".to_owned(), config);
        let image = ready(answer(&files, &[], &[])).image.unwrap();
        assert!(image.env.iter().any(|pair| pair.name == "REPLACE_OS_VARS"), "{file}");
    }
}

/// Distillery takes names that Mix doesn't.
#[test]
fn names_that_are_no_names_of_mix() {
    let (_, mut files) = shape("generated");
    let config = files["rel/config.exs"].replace("release :shop do", "release :\"My-shop\" do");
    files.insert("rel/config.exs".to_owned(), config);
    for settings in [&[][..], &[("release", "My-shop")]] {
        let proposal = ready(answer(&files, &[settings, &[("environment", "prod")]].concat(), &[]));
        assert_eq!(proposal.steps.last().unwrap().argv[4..6], ["--name", "My-shop"]);
        assert_eq!(proposal.image.unwrap().entrypoint, ["/app/bin/My-shop"]);
    }
}

/// What a release of an umbrella doesn't name is not built, unless the version of another release is that of it.
#[test]
fn applications_that_are_not_in_it() {
    let (_, mut files) = shape("umbrella");
    let all = ["app-jobs", "app-store", "app-web"];
    let of = |files: &BTreeMap<String, String>, settings: &[(&str, &str)]| {
        let proposal = ready(answer(files, settings, &[]));
        let names = proposal.steps.iter().map(|step| step.name.clone());
        names.filter(|name| name.starts_with("app-")).collect::<Vec<_>>()
    };
    assert_eq!(of(&files, &[]), all);
    let config = files["rel/config.exs"].replace("current_version(:jobs)", "\"0.1.0\"");
    files.insert("rel/config.exs".to_owned(), config);
    let names = |settings: &[(&str, &str)]| {
        let proposal = ready(answer(&files, settings, &[]));
        let names = proposal.steps.iter().map(|step| step.name.clone());
        names.filter(|name| name.starts_with("app-")).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["app-store", "app-web"]);
    assert_eq!(names(&[("release", "workers")]), ["app-jobs"]);
}

#[test]
fn what_is_not_there() {
    let code = |files: &BTreeMap<String, String>| {
        format!("exflow::distillery::{}", refused(answer(files, &[], &[]))[0])
    };
    let (_, mut files) = shape("generated");
    files.remove("rel/config.exs");
    assert_eq!(code(&files), "exflow::distillery::no-release-config");
    let mix = "def project, do: [app: :shop, deps: []]".to_owned();
    files.insert("mix.exs".to_owned(), mix);
    assert_eq!(code(&files), "exflow::distillery::no-distillery");
    let (_, mut files) = shape("generated");
    for (text, expected) in [
        ("", "exflow::distillery::no-release"),
        ("release :a do\nend", "exflow::distillery::unknown-environment"),
    ] {
        files.insert("rel/config.exs".to_owned(), text.to_owned());
        assert_eq!(code(&files), expected, "{text}");
    }
}

#[test]
fn every_setting_that_is_declared_is_read() {
    let (_, files) = shape("generated");
    for setting in describe() {
        let settings = [(setting.name.as_str(), "Not a value of it")];
        let codes = refused(answer(&files, &settings, &[]));
        assert_eq!(codes[0], "wrong-setting", "{}", setting.name);
    }
}

#[test]
fn nothing_makes_it_panic_or_loop() {
    let all = "~w(rel plugins *.exs) |> x()\nuse A.B, default_release: :a, d: Mix.env()\nenvironment :p do set(a: [1], b: {:c, \"d\"}) plugin X, y: 1\nif a do set c: 1 end end release :q do set v: current_version(:x), w: \"\"\"\nend\"\"\" ) ] é";
    for start in (0..all.len()).filter(|at| all.is_char_boundary(*at)) {
        for end in (start..=all.len()).filter(|at| all.is_char_boundary(*at)) {
            config::parse(&all[start..end]);
        }
    }
    config::parse(&"set(".repeat(50_000));
    config::parse(&"release :a do ".repeat(50_000));
    config::parse(&"environment :a do set a: [".repeat(20_000));
    config::parse(&"use ".repeat(50_000));
}
