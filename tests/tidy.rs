//! Rules that the compiler doesn't know.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates in reading order: each may depend only on those before it.
const ORDER: &[&str] = &[
    "exflow-content",
    "exflow-diagnostics",
    "exflow-manifest",
    "exflow-lock",
    "exflow-packages",
    "exflow-plan",
    "exflow-preflight",
    "exflow-image",
    "exflow-compare",
    "exflow-statements",
    "exflow-store",
    "exflow-docker",
    "exflow-fetch",
    "exflow-registry",
    "exflow-plugin-host",
    "exflow-exec",
    "exflow",
    "exflow-testkit",
    "exflow-plugin-sdk",
];
/// The first of these that may touch the world.
const FIRST_EDGE: &str = "exflow-store";
/// What a pure crate may not depend on, because it is there to touch the world.
const WORLDLY: &[&str] = &[
    "bollard",
    "ignore",
    "libcontainer",
    "mio",
    "nix",
    "reqwest",
    "rustix",
    "signal-hook",
    "tempfile",
    "tokio",
    "ureq",
    "wasmtime",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The packages of the workspace, and what each depends on outside of its tests.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let packages = packages.map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let dependencies = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
        (package["name"].as_str().unwrap().to_owned(), dependencies.collect())
    });
    packages.collect()
}

#[test]
fn crates_depend_only_on_those_before_them() {
    let packages = packages();
    let names: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    assert_eq!(names, ORDER.iter().copied().collect(), "ORDER lists every crate");
    for (number, name) in ORDER.iter().enumerate() {
        for dependency in &packages[*name] {
            let Some(at) = ORDER.iter().position(|known| known == dependency) else { continue };
            assert!(at < number, "{name} depends on {dependency}, which stands behind it");
        }
    }
    assert!(
        !packages["exflow-plugin-sdk"].iter().any(|name| name.starts_with("exflow")),
        "the plugin kit depends on nothing of ours"
    );
}

#[test]
fn pure_crates_have_no_way_to_the_world() {
    let packages = packages();
    for name in ORDER.iter().take_while(|name| **name != FIRST_EDGE) {
        for worldly in WORLDLY {
            assert!(!packages[*name].contains(*worldly), "{name} depends on {worldly}");
        }
        let own = root().join("crates").join(name).join("clippy.toml");
        assert!(!own.exists(), "{name} has a clippy.toml of its own, which would free it");
    }
}

#[test]
fn heavy_crates_stay_where_they_are() {
    for (heavy, home) in [
        ("wasmtime", "exflow-plugin-host"),
        ("libcontainer", "exflow-exec"),
        ("clap", "exflow"),
        ("indicatif", "exflow"),
        ("kdl", "exflow-manifest"),
        ("object", "exflow-preflight"),
        ("resolvo", "exflow-packages"),
        ("ureq", "exflow-fetch"),
    ] {
        for (name, dependencies) in packages() {
            assert!(!dependencies.contains(heavy) || name == home, "{name} depends on {heavy}");
        }
    }
}

/// Every Rust source of the product.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "tests", "snapshots"].contains(&&*name) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs"
        {
            found.push(path);
        }
    }
}

/// The part of a file before its unit tests.
fn text_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-:".contains(&byte))
}

/// Every code that a user may see.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    for file in files {
        let text = text_of(&file);
        let literals = text.split("\"exflow::").skip(1).filter_map(|rest| rest.split('"').next());
        let whole = literals.filter(|code| is_code(code) && code.contains("::"));
        codes.extend(whole.map(|code| format!("exflow::{code}")));
    }
    let mut files = Vec::new();
    sources(&root().join("plugins"), &mut files);
    for file in files {
        let text = text_of(&file);
        let plugin = file.strip_prefix(root().join("plugins")).unwrap();
        let plugin = plugin.iter().next().unwrap().to_string_lossy().into_owned();
        // `refuse("code", …)` and its like, and `code: "code"`.
        for call in ["refuse(", "diagnostic(", "warn(", "warn_at(", "problem(", " code: "] {
            for rest in text.split(call).skip(1) {
                let Some(literal) = rest.trim_start().strip_prefix('"') else { continue };
                let code = literal.split('"').next().unwrap_or_default();
                assert!(is_code(code), "{}: `{code}` is no code", file.display());
                // What is common to plugins is said by each of them.
                let plugins: &[&str] = match &*plugin {
                    "mix-project" => &["mix-release", "distillery"],
                    plugin => &[plugin],
                };
                let own = plugins.iter().map(|plugin| format!("exflow::{plugin}::{code}"));
                codes.insert(own.collect::<Vec<_>>().join(", "));
            }
        }
    }
    codes
}

#[test]
fn every_code_is_explained() {
    let docs = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let headings: BTreeSet<String> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|line| line.trim().to_owned())
        .collect();
    let codes = codes();
    assert!(codes.len() > 50, "only {} codes were found", codes.len());
    assert_eq!(codes, headings, "docs/errors.md has a heading for each code, and no other");
}

/// Codes that stand in no test, and why not. A new one doesn't belong here: a case in `tests/cases`
/// shows it, or a test beside the code that reports it.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("exflow::registry::stopped", "a build that is stopped says nothing but that"),
    ("exflow::registry::unreadable", "needs a store that is damaged between packing and pushing"),
    // The machine would have to.
    ("exflow::exec::sandbox-failed", "needs a kernel that fails"),
    ("exflow::image::failed", "needs a store that gives out other bytes than were put in"),
    // What they are about is tested; their code would need a whole build, or a signal.
    ("exflow::fetch::file-too-large", "exflow-packages tests the limit"),
    ("exflow::fetch::path-in-the-way", "exflow-packages tests the conflict"),
    ("exflow::fetch::stopped", "e2e stops builds, which then say nothing but that"),
    ("exflow::image::overlap", "exflow-content tests what can't be laid over what"),
];

/// All that is only there for tests: the tests at the end of a source, files of nothing else, and what
/// is expected of a run.
fn tests(folder: &Path, all: bool, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "in", "out"].contains(&&*name) {
                tests(&path, all || ["tests", "snapshots"].contains(&&*name), found);
            }
        } else if name == "tidy.rs" {
            // It names what is in no test.
        } else if name == "tests.rs" || extension == "snap" || (all && extension == "rs") {
            *found += &fs::read_to_string(&path).unwrap();
        } else if extension == "rs" {
            let text = fs::read_to_string(&path).unwrap();
            let (code, tests) = text.split_at(text_of(&path).len());
            *found += tests;
            // There, a code may be called by its constant.
            for rest in code.split("\nconst ").skip(1) {
                let Some((name, rest)) = rest.split_once(": &str = \"") else { continue };
                if tests.contains(name) {
                    *found += &format!("\n{}\n", rest.split('"').next().unwrap_or_default());
                }
            }
        } else if ["stderr", "stdout", "expected"].contains(&&*name) {
            *found += &fs::read_to_string(&path).unwrap();
        }
    }
}

#[test]
fn every_code_is_shown_by_a_test() {
    let mut shown = String::new();
    for (folder, all) in [("crates", false), ("plugins", false), ("tests", true)] {
        tests(&root().join(folder), all, &mut shown);
    }
    // Not one that another begins with.
    let is_one_shown = |code: &str| {
        shown.match_indices(code).any(|(at, _)| {
            let next = shown[at + code.len()..].chars().next();
            next.is_none_or(|next| !next.is_ascii_lowercase() && next != '-' && next != ':')
        })
    };
    let is_shown = |codes: &str| codes.split(", ").any(is_one_shown);
    let codes = codes();
    let hidden: BTreeSet<&str> =
        codes.iter().map(String::as_str).filter(|code| !is_shown(code)).collect();
    let listed: BTreeSet<&str> = NOT_SHOWN.iter().map(|(code, _)| *code).collect();
    let missing: Vec<&&str> = hidden.difference(&listed).collect();
    assert!(missing.is_empty(), "no test shows {missing:?}: add a case to tests/cases");
    let needless: Vec<&&str> = listed.difference(&hidden).collect();
    assert!(needless.is_empty(), "take {needless:?} off NOT_SHOWN: a test shows it, or it is gone");
}

#[test]
fn every_link_of_the_docs_leads_somewhere() {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .unwrap()
        .chain(fs::read_dir(root()).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend(
        fs::read_dir(root().join("examples"))
            .unwrap()
            .map(|entry| entry.unwrap().path().join("README.md")),
    );
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_else(|error| {
            panic!("{}: {error}", page.display());
        });
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: nothing at `{target}`", page.display());
        }
    }
}

#[test]
fn the_embedded_plugins_are_those_that_are_built() {
    let script = fs::read_to_string(root().join("plugins/build.sh")).unwrap();
    for entry in fs::read_dir(root().join("plugins/prebuilt")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(".wasm").expect("a component");
        assert!(script.contains(name), "plugins/build.sh builds {name}");
        assert!(root().join("plugins").join(name).join("Cargo.toml").is_file(), "{name}");
    }
}
