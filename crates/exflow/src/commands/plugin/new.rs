use crate::cli::{Language, PluginNewArgs};
use crate::plugins::BUILTIN;
use crate::report::{Failure, io_failed};
use crate::session::Session;
use exflow_plugin_host::{NEWEST, NEWEST_WIT};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A file of a template: where it is in the plugin's folder, and what is in it.
type File = (&'static str, &'static str);

/// What is in all of them: cases. In these and in the files of a language, `{name}` is the plugin's name, `{file}` that
/// of its component, and `{version}` and `{wit-bindgen}` are versions.
const CASES: &[File] = &[
    ("tests/plain/in/exflow.kdl", include_str!("../../../templates/plugin/case.kdl.txt")),
    ("tests/plain/in/Makefile", include_str!("../../../templates/plugin/Makefile.txt")),
    ("tests/no-makefile/in/exflow.kdl", include_str!("../../../templates/plugin/case.kdl.txt")),
];
const RUST: &[File] = &[
    ("Cargo.toml", include_str!("../../../templates/plugin-rust/Cargo.toml.txt")),
    (".cargo/config.toml", include_str!("../../../templates/plugin-rust/cargo-config.toml.txt")),
    (".gitignore", include_str!("../../../templates/plugin-rust/gitignore.txt")),
    ("README.md", include_str!("../../../templates/plugin-rust/README.md.txt")),
    ("rust-toolchain.toml", include_str!("../../../templates/plugin-rust/rust-toolchain.toml.txt")),
    ("src/lib.rs", include_str!("../../../templates/plugin-rust/lib.rs.txt")),
    ("sdk/Cargo.toml", include_str!("../../../templates/plugin-rust/sdk.toml.txt")),
];
const JS: &[File] = &[
    (".gitignore", include_str!("../../../templates/plugin-js/gitignore.txt")),
    ("README.md", include_str!("../../../templates/plugin-js/README.md.txt")),
    ("package.json", include_str!("../../../templates/plugin-js/package.json.txt")),
    ("plugin.js", include_str!("../../../templates/plugin-js/plugin.js.txt")),
    ("plugin.test.js", include_str!("../../../templates/plugin-js/plugin.test.js.txt")),
];
const PYTHON: &[File] = &[
    (".gitignore", include_str!("../../../templates/plugin-python/gitignore.txt")),
    ("README.md", include_str!("../../../templates/plugin-python/README.md.txt")),
    ("plugin.py", include_str!("../../../templates/plugin-python/plugin.py.txt")),
    ("requirements.txt", include_str!("../../../templates/plugin-python/requirements.txt")),
];
const C: &[File] = &[
    (".gitignore", include_str!("../../../templates/plugin-c/gitignore.txt")),
    ("README.md", include_str!("../../../templates/plugin-c/README.md.txt")),
    ("plugin.c", include_str!("../../../templates/plugin-c/plugin.c.txt")),
    ("requirements.txt", include_str!("../../../templates/plugin-c/requirements.txt")),
];
/// The kits: written as they are. That of Rust reads the contract from a place that it doesn't have in a plugin of
/// one's own.
const RUST_KIT: &str = include_str!("../../../../exflow-plugin-sdk/src/lib.rs");
const JS_KIT: &[File] = &[
    ("sdk/component.js", include_str!("../../../templates/plugin-js/component.js.txt")),
    ("sdk/exflow.js", include_str!("../../../templates/plugin-js/exflow.js.txt")),
];
const PYTHON_KIT: &[File] = &[
    ("sdk/component.py", include_str!("../../../templates/plugin-python/component.py.txt")),
    ("sdk/exflow.py", include_str!("../../../templates/plugin-python/exflow.py.txt")),
];
const C_KIT: &[File] = &[
    ("sdk/exflow.c", include_str!("../../../templates/plugin-c/exflow.c.txt")),
    ("sdk/exflow.h", include_str!("../../../templates/plugin-c/exflow.h.txt")),
];
const CONTRACTS: &str = "../../schemas/wit/";
/// What the kit is compiled with; as in its own `Cargo.toml`.
const WIT_BINDGEN: &str = "0.61";

pub(crate) fn run(session: &Session, args: &PluginNewArgs) -> Result<ExitCode, Failure> {
    let name = args.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if BUILTIN.iter().any(|(builtin, _)| *builtin == name) {
        return Err(Failure::Usage(format!("`{name}` comes with exflow: give yours another name")));
    }
    if !is_name(name) {
        return Err(Failure::Usage(format!(
            "`{}` can't be the name of a plugin: it is lower-case letters, digits and `-`, as `my-tool`",
            args.path.display()
        )));
    }
    // Nothing that is there is written over.
    match fs::read_dir(&args.path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let message = format!("`{}` is there already, and not empty", args.path.display());
            return Err(Failure::Usage(message));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_failed("look into", &args.path, &error));
        }
        Ok(false) | Err(_) => {}
    }
    let file = format!("{}.wasm", name.replace('-', "_"));
    let filled = |text: &str| {
        text.replace("{name}", name)
            .replace("{file}", &file)
            .replace("{version}", env!("CARGO_PKG_VERSION"))
            .replace("{wit-bindgen}", WIT_BINDGEN)
    };
    let (files, kit) = match args.lang {
        Language::Rust => (RUST, &[][..]),
        Language::Js => (JS, JS_KIT),
        Language::Python => (PYTHON, PYTHON_KIT),
        Language::C => (C, C_KIT),
    };
    for (path, text) in CASES.iter().chain(files) {
        write(&args.path.join(path), &filled(text))?;
    }
    for (path, text) in kit {
        write(&args.path.join(path), text)?;
    }
    if args.lang == Language::Rust {
        write(
            &args.path.join("sdk/src/lib.rs"),
            &RUST_KIT.replace(&format!("{CONTRACTS}{NEWEST}"), "wit"),
        )?;
    }
    write(&args.path.join("sdk/wit/plugin.wit"), NEWEST_WIT)?;
    let place = args.path.display().to_string();
    session.ui.tell("written", &format!("{place}: its README.md says how to go on"));
    // To be copied into a shell; a path that it could not take is shown as it is.
    let place = shlex::try_quote(&place).map_or(place.clone(), String::from);
    let install = match args.lang {
        Language::Rust => String::new(),
        Language::Js => format!("npm install --prefix {place} && "),
        Language::Python | Language::C => format!(
            "python3 -m venv {place}/.venv && {place}/.venv/bin/pip install -r {place}/requirements.txt && "
        ),
    };
    session.ui.tell("next", &format!("{install}exflow plugin build {place}"));
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, text)
    };
    write().map_err(|error| io_failed("write", path, &error))
}

/// Whether this can be the name of a plugin.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is compiled with what the kit is compiled with here.
    #[test]
    fn the_kit_is_whole() {
        let own = include_str!("../../../../exflow-plugin-sdk/Cargo.toml");
        let dependency = format!(
            "wit-bindgen = {{ version = \"{WIT_BINDGEN}\", default-features = false, features = [\"macros\", \"realloc\"] }}"
        );
        assert!(own.contains(&dependency), "{own}");
        assert_eq!(RUST_KIT.matches(&format!("{CONTRACTS}{NEWEST}")).count(), 1);
        let toolchain = include_str!("../../../../../rust-toolchain.toml");
        let channel = toolchain.lines().find(|line| line.starts_with("channel")).unwrap();
        let written = RUST.iter().find(|(path, _)| *path == "rust-toolchain.toml").unwrap().1;
        assert!(written.contains(channel), "{written}");
    }

    #[test]
    fn names() {
        for name in ["a", "my-tool", "rebar3"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "My", "my_tool", "3a", "a b", "a-", "../a", "\u{1b}"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
