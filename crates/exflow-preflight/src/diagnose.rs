//! How what was found is said.

use crate::{Findings, Mismatch, Problem, Supply, System};
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Diagnostics, Site};
use exflow_lock::Platform;

const NO_ERLANG: &str = "exflow::image::no-erlang";
const OTHER_ERLANG: &str = "exflow::image::other-erlang";
const OTHER_MACHINE: &str = "exflow::image::other-machine";
const OTHER_LIBC: &str = "exflow::image::other-libc";
const NO_INTERPRETER: &str = "exflow::image::no-interpreter";
const MISSING_LIBRARY: &str = "exflow::image::missing-library";
const SYMBOL_VERSION: &str = "exflow::image::symbol-version";
const MISSING_SYMBOL: &str = "exflow::image::missing-symbol";
/// How many files a message names.
const MAX_NAMED: usize = 3;

/// What the manifest calls the two bases.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The one that the image stands on.
    pub base: &'a str,
    /// The one that the release was built in, where it is known.
    pub builder: Option<&'a str>,
    /// What the image is for.
    pub platform: &'a Platform,
}

/// Says what was found, at the place in the manifest that asks for the image.
pub fn diagnose(findings: &Findings, names: &Names<'_>, site: Option<&Site>) -> Diagnostics {
    let diagnostics = findings.mismatches.iter().map(|mismatch| {
        let saying = Saying { findings, names, mismatch };
        saying.diagnostic().at_known(site, "asked for here")
    });
    diagnostics.collect()
}

struct Saying<'a> {
    findings: &'a Findings,
    names: &'a Names<'a>,
    mismatch: &'a Mismatch,
}

impl Saying<'_> {
    fn diagnostic(&self) -> Diagnostic {
        let base = self.names.base;
        let files = self.files();
        match &self.mismatch.problem {
            Problem::NoErlang => {
                let message = format!("the release has no ERTS, and base `{base}` has no Erlang");
                Diagnostic::error(NO_ERLANG, message).help(format!(
                    "leave `include_erts` at `true` in the release's options in mix.exs, or add \
                     `{}` to the packages of base `{base}`",
                    if self.is_alpine() { "erlang" } else { "erlang-base" }
                ))
            }
            Problem::OtherErlang { wanted, found } => {
                let message = format!(
                    "the release has no ERTS and needs ERTS {wanted}, and base `{base}` has {}",
                    found.join(" and ")
                );
                Diagnostic::error(OTHER_ERLANG, message).help(
                    "take the same Erlang for both bases, or leave `include_erts` at `true` in the \
                     release's options in mix.exs",
                )
            }
            Problem::OtherMachine { machine } => {
                let are = self.verb("is", "are");
                let message = format!(
                    "{files} {are} for {machine}, and the image for {}",
                    self.names.platform
                );
                Diagnostic::error(OTHER_MACHINE, message).help(
                    "what was downloaded or compiled for another machine must not get into the \
                     release: see that it is made for the target, and that `priv` is not copied from \
                     elsewhere",
                )
            }
            Problem::OtherLibc { wanted, found } => {
                let are = self.verb("was", "were");
                let has = found.map_or_else(|| "no libc at all".to_owned(), |it| it.to_string());
                let message =
                    format!("{files} {are} built for {wanted}, and base `{base}` has {has}");
                Diagnostic::error(OTHER_LIBC, message).help(match found {
                    Some(_) => format!(
                        "take {} and `{base}` of the same distribution: what is built on Debian runs \
                         on Debian, what is built on Alpine on Alpine",
                        self.builder()
                    ),
                    None => format!("add `{}` to the packages of base `{base}`", wanted.package()),
                })
            }
            Problem::NoInterpreter { interpreter } => {
                let (are, them) = (self.verb("is", "are"), self.verb("it", "them"));
                let message = format!(
                    "{files} {are} started by `{interpreter}`, which base `{base}` does not have"
                );
                Diagnostic::error(OTHER_LIBC, message)
                    .help(format!("build {them} in a base of the same distribution as `{base}`"))
            }
            Problem::NoScriptInterpreter { interpreter } => {
                let message = format!(
                    "the image starts with {files}, a script for `{interpreter}`, which base `{base}` does not have"
                );
                Diagnostic::error(NO_INTERPRETER, message).help(format!(
                    "add `{}` to the packages of base `{base}`",
                    self.package_of(interpreter)
                ))
            }
            Problem::MissingLibrary { library, by, instead, supply } => {
                let message = format!(
                    "{}, which base `{base}` does not have",
                    self.needs(by.as_ref(), &format!("`{library}`"))
                );
                Diagnostic::error(MISSING_LIBRARY, message)
                    .help(self.help_for_library(instead.as_deref(), supply.as_ref()))
            }
            Problem::SymbolVersion { library, versions, newest, by } => {
                let version = format!("`{}` of `{library}`", versions[0]);
                let has = match newest {
                    Some(newest) => format!("has up to `{newest}`"),
                    None => "has none of that kind".to_owned(),
                };
                let message =
                    format!("{}, and base `{base}` {has}", self.needs(by.as_ref(), &version));
                Diagnostic::error(SYMBOL_VERSION, message).help(self.help_for_version(library))
            }
            Problem::MissingSymbols { symbols, by } => {
                let symbols: Vec<String> = symbols.iter().map(|it| format!("`{it}`")).collect();
                let message = format!(
                    "{}, which no library of base `{base}` has",
                    self.needs(by.as_ref(), &symbols.join(", "))
                );
                Diagnostic::error(MISSING_SYMBOL, message).help(self.same_system())
            }
        }
    }

    /// The files, by name: `a`, `b` and 3 more.
    fn files(&self) -> String {
        let files = &self.mismatch.files;
        let named: Vec<String> =
            files.iter().take(MAX_NAMED).map(|path| format!("`/{path}`")).collect();
        match (files.len().saturating_sub(named.len()), named.split_last()) {
            (0, Some((last, rest))) if !rest.is_empty() => {
                format!("{} and {last}", rest.join(", "))
            }
            (0, _) => named.join(", "),
            (more, _) => format!("{} and {more} more", named.join(", ")),
        }
    }

    fn verb<'a>(&self, one: &'a str, many: &'a str) -> &'a str {
        if self.mismatch.files.len() == 1 { one } else { many }
    }

    /// Who needs `what`: a file of the release, or for it, a library.
    fn needs(&self, by: Option<&RelPath>, what: &str) -> String {
        match by {
            Some(by) => format!(
                "`/{by}`, which {} {}, needs {what}",
                self.files(),
                self.verb("needs", "need")
            ),
            None => format!("{} {} {what}", self.files(), self.verb("needs", "need")),
        }
    }

    fn help_for_library(&self, instead: Option<&str>, supply: Option<&Supply>) -> String {
        let base = self.names.base;
        match (supply, instead) {
            (_, Some(instead)) if self.has_other_system() || supply.is_none() => {
                format!("`{base}` has `{instead}` instead: {}", self.same_system())
            }
            (Some(Supply { package: Some(package), .. }), _) => {
                format!("add `{package}` to the packages of base `{base}`")
            }
            (Some(Supply { at, package: None }), _) => format!(
                "{} has it at `/{at}`, and it is of no package there: take it into the release",
                self.builder()
            ),
            (None, _) => format!(
                "add the package that has it to the packages of base `{base}`, or take the library \
                 into the release"
            ),
        }
    }

    fn help_for_version(&self, library: &str) -> String {
        let glibc = |system: Option<&System>| system.and_then(|system| system.glibc.clone());
        let builder = glibc(self.findings.builder.as_ref());
        match (builder, glibc(Some(&self.findings.base))) {
            (Some(builder), Some(base)) if library == "libc.so.6" && builder != base => format!(
                "{} has glibc {builder}, `{}` has {base}: use the same suite for both",
                self.builder(),
                self.names.base
            ),
            _ => self.same_system(),
        }
    }

    fn has_other_system(&self) -> bool {
        let builder = self.findings.builder.as_ref().and_then(|builder| builder.name.as_ref());
        builder.is_some() && builder != self.findings.base.name.as_ref()
    }

    fn same_system(&self) -> String {
        let name = |system: Option<&System>| system.and_then(|system| system.name.clone());
        let (builder, base) =
            (name(self.findings.builder.as_ref()), name(Some(&self.findings.base)));
        match (builder, base) {
            (Some(builder), Some(base)) if builder != base => format!(
                "{} is {builder}, `{}` is {base}: use the same for both",
                self.builder(),
                self.names.base
            ),
            _ => format!(
                "take the same packages, of the same release, for {} and `{}`",
                self.builder(),
                self.names.base
            ),
        }
    }

    fn builder(&self) -> String {
        match self.names.builder {
            Some(builder) => format!("`{builder}`"),
            None => "the base that it is built in".to_owned(),
        }
    }

    /// The package that has what runs a script, for what is usual: others are called as it is.
    fn package_of<'a>(&self, interpreter: &'a str) -> &'a str {
        match interpreter.rsplit('/').next().unwrap_or(interpreter) {
            "sh" | "env" if self.is_alpine() => "busybox",
            "sh" => "dash",
            "env" => "coreutils",
            name => name,
        }
    }

    fn is_alpine(&self) -> bool {
        self.findings.base.name.as_ref().is_some_and(|name| name.starts_with("alpine"))
    }
}
