use crate::cli::PluginNewArgs;
use crate::report::{Failure, io_failed};
use crate::session::{BUILTIN, Session};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The files of a plugin in Rust. In them, `{name}` is the plugin's name, `{file}` that of its component.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../templates/plugin-rust/Cargo.toml.txt")),
    (".cargo/config.toml", include_str!("../../../templates/plugin-rust/cargo-config.toml.txt")),
    (".gitignore", include_str!("../../../templates/plugin-rust/gitignore.txt")),
    ("README.md", include_str!("../../../templates/plugin-rust/README.md.txt")),
    ("rust-toolchain.toml", include_str!("../../../templates/plugin-rust/rust-toolchain.toml.txt")),
    ("src/lib.rs", include_str!("../../../templates/plugin-rust/lib.rs.txt")),
    ("tests/plain/in/exflow.kdl", include_str!("../../../templates/plugin-rust/case.kdl.txt")),
    ("tests/plain/in/Makefile", include_str!("../../../templates/plugin-rust/Makefile.txt")),
    (
        "tests/no-makefile/in/exflow.kdl",
        include_str!("../../../templates/plugin-rust/case.kdl.txt"),
    ),
    ("sdk/Cargo.toml", include_str!("../../../templates/plugin-rust/sdk.toml.txt")),
];
/// The kit. It reads the contract from a place that it doesn't have in a plugin of one's own.
const KIT: &str = include_str!("../../../../exflow-plugin-sdk/src/lib.rs");
const CONTRACT: &str = include_str!("../../../../../schemas/wit/0.2.1/plugin.wit");
const CONTRACT_PLACE: &str = "../../schemas/wit/0.2.1";
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
    for (path, text) in FILES {
        write(&args.path.join(path), &filled(text))?;
    }
    write(&args.path.join("sdk/src/lib.rs"), &KIT.replace(CONTRACT_PLACE, "wit"))?;
    write(&args.path.join("sdk/wit/plugin.wit"), CONTRACT)?;
    let place = args.path.display();
    session.ui.tell("written", &format!("{place}: its README.md says how to go on"));
    session.ui.tell("next", &format!("exflow plugin build {place}"));
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
        assert_eq!(KIT.matches(CONTRACT_PLACE).count(), 1);
        let toolchain = include_str!("../../../../../rust-toolchain.toml");
        let channel = toolchain.lines().find(|line| line.starts_with("channel")).unwrap();
        let written = FILES.iter().find(|(path, _)| *path == "rust-toolchain.toml").unwrap().1;
        assert!(written.contains(channel), "{written}");
        assert!(CONTRACT.contains("package exflow:plugin@0.2.1;"));
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
