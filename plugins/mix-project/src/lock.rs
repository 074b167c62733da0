//! What a `mix.lock` says, read as data.
//!
//! Hex has written its entries in several forms, of which each adds to the one before:
//! `{:hex, name, version}`, the checksum of the contents, the managers, the dependencies, the repository,
//! and the checksum of the whole package.

use crate::elixir::Value;
use crate::literal::{NoLiteral, Node, Term, parse};
use std::collections::BTreeMap;

/// Entries by application.
#[derive(Debug, Default)]
pub struct Lock {
    pub entries: BTreeMap<String, Entry>,
}

/// What one package is locked to.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The bytes of the file that it takes, with its name.
    pub place: (usize, usize),
    pub locked: Locked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    Hex(LockedHex),
    Git(LockedGit),
}

/// A package of Hex's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedHex {
    /// The entry as it is written.
    pub source: String,
    pub name: String,
    pub version: String,
    pub inner: Option<String>,
    pub outer: Option<String>,
    pub managers: Vec<String>,
    pub deps: Vec<LockedDep>,
    pub repo: String,
}

/// What a package of Hex's depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDep {
    pub app: String,
    pub requirement: Option<String>,
    pub name: String,
    pub repo: String,
    pub is_optional: bool,
}

/// A revision of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedGit {
    /// The entry as it is written.
    pub source: String,
    pub url: String,
    pub revision: String,
}

/// What is wrong with a lock, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: &'static str,
    pub message: String,
    pub place: (usize, usize),
    pub label: &'static str,
    pub help: &'static str,
}

const MAKE_AGAIN: &str = "let Mix write it again: `mix deps.get`";

/// Reads a `mix.lock`. All that is wrong with it is found at once.
///
/// # Errors
/// Where an entry can't be used.
pub fn read(source: &str) -> Result<Lock, Vec<Problem>> {
    let mut lock = Lock::default();
    let root = parse(source).map_err(|at| vec![no_literal(source, at)])?;
    let Term::Map(entries) = &root.term else {
        return Err(vec![problem("bad-lock", "mix.lock is no map".to_owned(), &root, "here")]);
    };
    let mut problems = Vec::new();
    for (key, node) in entries {
        let Some(app) = key.atom().or(key.text()) else {
            problems.push(problem("bad-lock", "not the name of a package".into(), key, "here"));
            continue;
        };
        match locked(app, node, source) {
            Ok(locked) => {
                let entry = Entry { place: (key.start, node.end), locked };
                if lock.entries.insert(app.to_owned(), entry).is_some() {
                    let message = format!("`{app}` is locked twice");
                    problems.push(problem("bad-lock", message, key, "the second"));
                }
            }
            Err(found) => problems.push(found),
        }
    }
    if problems.is_empty() { Ok(lock) } else { Err(problems) }
}

fn problem(code: &'static str, message: String, node: &Node, label: &'static str) -> Problem {
    Problem { code, message, place: (node.start, node.end), label, help: MAKE_AGAIN }
}

fn no_literal(source: &str, at: NoLiteral) -> Problem {
    let place = (at.start, at.end);
    let line = source[..at.start].rfind('\n').map_or(0, |line| line + 1);
    let is_conflict = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"]
        .iter()
        .any(|marker| source[line..].starts_with(marker));
    if is_conflict {
        return Problem {
            code: "lock-conflict",
            message: "mix.lock has a merge conflict in it".to_owned(),
            place,
            label: "a marker of git's",
            help: "keep the entries of both sides, take the markers out, then `mix deps.get`",
        };
    }
    if at.start >= source.len() {
        return Problem {
            code: "bad-lock",
            message: "mix.lock ends too early".to_owned(),
            place,
            label: "more is expected here",
            help: MAKE_AGAIN,
        };
    }
    Problem {
        code: "lock-code",
        message: "mix.lock has code in it".to_owned(),
        place,
        label: "not a literal",
        help: "exflow never runs a lock: it takes one as Mix writes it, a map of literals",
    }
}

fn locked(app: &str, node: &Node, source: &str) -> Result<Locked, Problem> {
    let unknown = || {
        let message = format!("`{app}` is locked in a form that isn't known");
        problem("bad-lock", message, node, "expected `{:hex, …}` or `{:git, …}`")
    };
    let Term::Tuple(parts) = &node.term else { return Err(unknown()) };
    let source = source[node.start..node.end].to_owned();
    match parts.first().and_then(Node::atom) {
        Some("hex") => hex(app, node, &parts[1..], source).map(Locked::Hex),
        Some("git") => git(app, &parts[1..], source).ok_or_else(unknown)?.map(Locked::Git),
        _ => Err(unknown()),
    }
}

/// A text, or nothing where `nil` stands.
#[expect(clippy::option_option, reason = "not there and of no known form are two things")]
fn optional(node: Option<&Node>) -> Option<Option<String>> {
    match node {
        None => Some(None),
        Some(node) if node.atom() == Some("nil") => Some(None),
        Some(node) => Some(Some(node.text()?.to_owned())),
    }
}

fn hex(app: &str, node: &Node, parts: &[Node], source: String) -> Result<LockedHex, Problem> {
    let unknown = || {
        let message = format!("`{app}` is locked in a form of Hex's that isn't known");
        problem("bad-lock", message, node, "this entry")
    };
    let text = |node: &Node| node.atom().or(node.text()).map(str::to_owned);
    let (Some(name), Some(version)) =
        (parts.first().and_then(text), parts.get(1).and_then(Node::text))
    else {
        return Err(unknown());
    };
    let managers = managers(parts.get(3)).ok_or_else(|| Problem {
        help: "exflow builds packages with `:mix`, `:rebar3` and `:make`, as Mix does",
        ..problem(
            "unknown-manager",
            format!("`{app}` is built by a manager that isn't known"),
            parts.get(3).unwrap_or(node),
            "not known",
        )
    })?;
    let mut deps = Vec::new();
    for dep in parts.get(4).and_then(Node::list).unwrap_or_default() {
        deps.push(locked_dep(dep).ok_or_else(unknown)?);
    }
    let checksums = (optional(parts.get(2)), optional(parts.get(6)));
    let (Some(inner), Some(outer)) = checksums else { return Err(unknown()) };
    if let Some(wrong) = [(&inner, 2), (&outer, 6)].into_iter().find_map(|(checksum, index)| {
        checksum.as_ref().filter(|text| !is_sha256(text)).and(parts.get(index))
    }) {
        let message = format!("a checksum of `{app}` is none");
        return Err(problem("bad-lock", message, wrong, "expected 64 hexadecimal digits"));
    }
    if inner.is_none() && outer.is_none() {
        return Err(Problem {
            help: "this mix.lock was written by a Hex that knew none: `mix deps.get` adds them",
            ..problem("no-checksum", format!("`{app}` is locked without a checksum"), node, "here")
        });
    }
    let repo = optional(parts.get(5)).ok_or_else(unknown)?.unwrap_or_else(|| "hexpm".to_owned());
    Ok(LockedHex { source, name, version: version.to_owned(), inner, outer, managers, deps, repo })
}

/// The managers of a package, any of which can build it. None where nobody knows one of them.
fn managers(node: Option<&Node>) -> Option<Vec<String>> {
    // A Makefile of erlang.mk is one of make's.
    let known = ["mix", "rebar3", "rebar", "make", "erlang.mk"];
    let listed = node.and_then(Node::list).unwrap_or_default();
    let listed: Vec<&str> = listed.iter().map(Node::atom).collect::<Option<_>>()?;
    let is_buildable = listed.is_empty() || listed.iter().any(|manager| known.contains(manager));
    is_buildable.then(|| listed.into_iter().map(str::to_owned).collect())
}

pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `{:app, "~> 1.0", [hex: :name, repo: "hexpm", optional: false]}`, or with `nil` for any version.
fn locked_dep(node: &Node) -> Option<LockedDep> {
    let Term::Tuple(parts) = &node.term else { return None };
    let [app, requirement, options] = parts.as_slice() else { return None };
    let app = app.atom()?.to_owned();
    let options = options.value();
    let name = options.get("hex").and_then(|name| name.atom().or(name.text()));
    let repo = options.get("repo").and_then(Value::text);
    Some(LockedDep {
        requirement: optional(Some(requirement))?,
        name: name.unwrap_or(&app).to_owned(),
        repo: repo.unwrap_or("hexpm").to_owned(),
        is_optional: options.get("optional").and_then(Value::atom) == Some("true"),
        app,
    })
}

fn git(app: &str, parts: &[Node], source: String) -> Option<Result<LockedGit, Problem>> {
    let [url, revision, options] = parts else { return None };
    let (url, text) = (url.text()?, revision.text()?);
    let is_whole = matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !is_whole {
        let message = format!("`{app}` is locked to what is no revision of git's");
        let label = "expected all 40 or 64 hexadecimal digits";
        return Some(Err(problem("bad-lock", message, revision, label)));
    }
    options.list()?;
    Some(Ok(LockedGit { source, url: url.to_owned(), revision: text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn hex(entry: &str) -> LockedHex {
        let lock = read(&format!("%{{\n  \"foo\": {entry},\n}}\n")).expect(entry);
        let Locked::Hex(hex) = lock.entries["foo"].locked.clone() else { panic!("{lock:?}") };
        hex
    }

    #[test]
    fn every_form_of_hex() {
        let sha = INNER;
        let inner_only = hex(&format!("{{:hex, :foo, \"1.0.0\", \"{sha}\"}}"));
        assert_eq!((inner_only.inner.as_deref(), inner_only.outer), (Some(sha), None));
        let managers = hex(&format!("{{:hex, :foo_pkg, \"1.0.0\", \"{sha}\", [:rebar3, :make]}}"));
        assert_eq!((managers.name.as_str(), managers.managers.len()), ("foo_pkg", 2));
        let deps = hex(&format!(
            "{{:hex, :foo, \"1.0.0\", \"{sha}\", [:mix], [{{:bar, \"~> 1.0\", [hex: :bar_pkg, optional: true]}}, {{:baz, nil, []}}]}}"
        ));
        assert_eq!(deps.repo, "hexpm");
        assert!(deps.deps[0].is_optional && deps.deps[0].name == "bar_pkg");
        assert_eq!((deps.deps[1].requirement.as_ref(), deps.deps[1].name.as_str()), (None, "baz"));
        let whole = hex(&format!(
            "{{:hex, :foo, \"1.0.0\", \"{sha}\", [:mix], [], \"hexpm:acme\", \"{sha}\"}}"
        ));
        assert_eq!((whole.repo.as_str(), whole.outer.as_deref()), ("hexpm:acme", Some(sha)));
        let outer_only =
            hex(&format!("{{:hex, :foo, \"1.0.0\", nil, [:mix], [], \"hexpm\", \"{sha}\"}}"));
        assert_eq!(outer_only.inner, None);
    }

    #[test]
    fn git() {
        let revision = &INNER[..40];
        let source = format!(
            "%{{\"foo\" => {{:git, \"https://example.org/foo.git\", \"{revision}\", [tag: \"v1\", submodules: true]}}}}"
        );
        let lock = read(&source).unwrap();
        let Locked::Git(git) = &lock.entries["foo"].locked else { panic!("{lock:?}") };
        assert_eq!(git.revision, revision);
        assert!(git.source.starts_with("{:git") && git.source.ends_with("true]}"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_all_at_once() {
        let codes = |source: &str| -> Vec<&str> {
            read(source).unwrap_err().iter().map(|problem| problem.code).collect()
        };
        assert_eq!(codes("%{\"a\": System.halt(1)}"), ["lock-code"]);
        assert_eq!(codes("%{\"a\": {~s(#{System.halt(1)})}}"), ["lock-code"]);
        assert_eq!(codes("%{\"a\": {1.halt()}}"), ["lock-code"]);
        assert_eq!(codes("%{\n=======\n}"), ["lock-conflict"]);
        assert_eq!(codes("%{\"a\": {:hex, :a,"), ["bad-lock"]);
        assert_eq!(codes("[]"), ["bad-lock"]);
        let sha = INNER;
        let source = format!(
            "%{{\"a\": {{:hex, :a, \"1.0.0\"}}, \"b\": {{:svn, \"x\"}}, \"c\": {{:hex, :c, \"1.0.0\", \"{sha}\", [:bazel], [], \"hexpm\", \"{sha}\"}}, \"d\": {{:git, \"x\", \"abc\", []}}, \"e\": {{:hex, :e, \"1.0.0\", \"12\"}}, \"f\": 1}}"
        );
        assert_eq!(
            codes(&source),
            ["no-checksum", "bad-lock", "unknown-manager", "bad-lock", "bad-lock", "bad-lock"]
        );
        let problems = read(&source).unwrap_err();
        assert_eq!(&source[problems[2].place.0..problems[2].place.1], "[:bazel]");
        // One that is known is enough.
        let hut = hex(&format!("{{:hex, :hut, \"1.0.0\", \"{sha}\", [:\"erlang.mk\", :bazel]}}"));
        assert_eq!(hut.managers, ["erlang.mk", "bazel"]);
    }
}
