//! What may stand where: the grammar of the manifest as a table, and the check against it.

use crate::problems::{DUPLICATE, UNKNOWN_NODE, UNKNOWN_PROPERTY, WRONG_ARGUMENTS, WRONG_VALUE};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName, did_you_mean};
use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use std::collections::BTreeMap;

/// The kinds of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Flag,
    Port,
    Scalar,
}

impl Kind {
    const fn article(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Flag => "`#true` or `#false`",
            Self::Port => "a port such as `4000` or `\"4000/udp\"`",
            Self::Scalar => "a text, a whole number, `#true` or `#false`",
        }
    }

    fn fits(self, value: &KdlValue) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Flag => value.is_bool(),
            Self::Port => value.is_string() || value.is_integer(),
            Self::Scalar => value.is_string() || value.is_bool() || value.is_integer(),
        }
    }
}

/// The arguments of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    None,
    One(Kind),
    /// At least one.
    Some(Kind),
}

/// The properties of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Properties {
    /// These.
    Named(&'static [(&'static str, Kind)]),
    /// Any names, at least one if `needed`.
    Any { kind: Kind, needed: bool },
}

/// One kind of node.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) arguments: Arguments,
    pub(crate) properties: Properties,
    /// Whether it may stand more than once beside itself.
    pub(crate) repeats: bool,
    pub(crate) children: &'static [&'static Spec],
}

const NO_PROPERTIES: Properties = Properties::Named(&[]);

const fn leaf(
    name: &'static str,
    about: &'static str,
    arguments: Arguments,
    repeats: bool,
) -> Spec {
    Spec { name, about, arguments, properties: NO_PROPERTIES, repeats, children: &[] }
}

const TEXT: Arguments = Arguments::One(Kind::Text);
const TEXTS: Arguments = Arguments::Some(Kind::Text);

static MEMBERS: Spec =
    leaf("members", "patterns of the folders that hold a project: `services/*`", TEXTS, true);
static DEBIAN_MIRROR: Spec = leaf("debian-mirror", "where Debian packages come from", TEXT, false);
static DEBIAN_SECURITY_MIRROR: Spec =
    leaf("debian-security-mirror", "where Debian's security updates come from", TEXT, false);
static ALPINE_MIRROR: Spec =
    leaf("alpine-mirror", "where Alpine's packages come from", TEXT, false);
static REGISTRY: Spec = Spec {
    name: "registry",
    about: "how a container registry, by its host, is talked to: `mirror` is another one that is asked first, `plain-http=#true` says that it has no TLS",
    arguments: TEXT,
    properties: Properties::Named(&[("mirror", Kind::Text), ("plain-http", Kind::Flag)]),
    repeats: true,
    children: &[],
};
static EXECUTOR: Spec =
    leaf("executor", "what runs the steps: `auto`, `docker` or `sandbox`", TEXT, false);
static PACKAGES: Spec = leaf(
    "packages",
    "the packages of a Debian base, or those that are added to an image",
    TEXTS,
    true,
);
static DEBIAN: Spec = Spec {
    name: "debian",
    about: "the suite: `bookworm`; `slim=#true` for only the named packages and what they need, without documentation",
    arguments: TEXT,
    properties: Properties::Named(&[("slim", Kind::Flag)]),
    repeats: false,
    children: &[],
};
static IMAGE: Spec = Spec {
    name: "image",
    about: "an image: its reference in a registry; with `from=\"layout\"` or `\"archive\"` a path in the workspace, and `name` tells which image it is if there are several; with `from=\"docker\"` its name in the Docker daemon",
    arguments: TEXT,
    properties: Properties::Named(&[("from", Kind::Text), ("name", Kind::Text)]),
    repeats: false,
    children: &[],
};
static ENV: Spec = Spec {
    name: "env",
    about: "environment variables: `ERL_FLAGS=\"+S 4\"`",
    arguments: Arguments::None,
    properties: Properties::Any { kind: Kind::Text, needed: true },
    repeats: true,
    children: &[],
};
static LABEL: Spec = Spec {
    name: "label",
    about: "labels of the image",
    arguments: Arguments::None,
    properties: Properties::Any { kind: Kind::Text, needed: true },
    repeats: true,
    children: &[],
};
static NEEDS: Spec = Spec {
    name: "needs",
    about: "what it sees: outputs of stages of your own, and what `fetch` and `git` declare, which is laid `at` a path \
            relative to the project; with a `/` before it, to the workspace",
    arguments: TEXTS,
    properties: Properties::Named(&[("at", Kind::Text)]),
    repeats: true,
    children: &[],
};
static INPUTS: Spec = leaf(
    "inputs",
    "patterns of the files that it reads, relative to the project; with a `/` before them, to the workspace",
    TEXTS,
    true,
);
static RUN: Spec = leaf("run", "a shell script, run in the project's folder", TEXT, false);
static OUTPUT: Spec = leaf("output", "folders that it makes, relative to the project", TEXTS, true);
static TIME_LIMIT: Spec =
    leaf("time-limit", "how long it may take: `90s`, `30m`, `2h`; an hour by default", TEXT, false);
static EXPOSE: Spec =
    leaf("expose", "ports that the image listens on", Arguments::Some(Kind::Port), true);
static USER: Spec =
    leaf("user", "the user of the image: a name of its base, or a number", TEXT, false);
static COMMAND: Spec = leaf("command", "the arguments that the image starts with", TEXTS, false);
static RELEASE_TOOL: Spec = Spec {
    name: "release-tool",
    about: "the plugin that makes the release, and its settings as properties",
    arguments: TEXT,
    properties: Properties::Any { kind: Kind::Scalar, needed: false },
    repeats: false,
    children: &[],
};

const fn stage(about: &'static str, children: &'static [&'static Spec]) -> Spec {
    Spec {
        name: "stage",
        about,
        arguments: TEXT,
        properties: Properties::Named(&[("base", Kind::Text)]),
        repeats: true,
        children,
    }
}

pub(crate) static BUILD_STAGE: Spec = stage(
    "`deps` or `release`: what the release tool's steps run in, and see besides",
    &[&ENV, &NEEDS, &INPUTS, &TIME_LIMIT],
);
pub(crate) static RUNTIME_STAGE: Spec =
    stage("`runtime`: the image", &[&ENV, &EXPOSE, &USER, &COMMAND, &LABEL]);
pub(crate) static OWN_STAGE: Spec =
    stage("a stage of your own", &[&ENV, &NEEDS, &INPUTS, &RUN, &OUTPUT, &TIME_LIMIT]);
/// For the check of a project: what is in a stage depends on which it is, and is checked after.
static ANY_STAGE: Spec = stage("", &[]);

pub(crate) static PROJECT: Spec = Spec {
    name: "project",
    about: "one thing that is built of this folder",
    arguments: TEXT,
    properties: NO_PROPERTIES,
    repeats: true,
    children: &[&RELEASE_TOOL, &ANY_STAGE],
};
static WORKSPACE: Spec = Spec {
    name: "workspace",
    about: "the folder that holds this file, and all projects below it",
    arguments: TEXT,
    properties: NO_PROPERTIES,
    repeats: false,
    children: &[
        &MEMBERS,
        &EXECUTOR,
        &DEBIAN_MIRROR,
        &DEBIAN_SECURITY_MIRROR,
        &ALPINE_MIRROR,
        &REGISTRY,
    ],
};
static BASE: Spec = Spec {
    name: "base",
    about: "a root file system that steps run in or images stand on",
    arguments: TEXT,
    properties: NO_PROPERTIES,
    repeats: true,
    children: &[&DEBIAN, &IMAGE, &PACKAGES],
};
static PLUGIN: Spec = Spec {
    name: "plugin",
    about: "a plugin of your own; `path` is its component, relative to the workspace; `source` is where it is \
            fetched from, an address or `oci://registry/repository:tag`",
    arguments: TEXT,
    properties: Properties::Named(&[("path", Kind::Text), ("source", Kind::Text)]),
    repeats: true,
    children: &[],
};
static FETCH: Spec = Spec {
    name: "fetch",
    about: "a file that is fetched: from which address, and what its sha256 is, which the lock says otherwise; \
            `executable=#true` for a program",
    arguments: TEXT,
    properties: Properties::Named(&[
        ("url", Kind::Text),
        ("sha256", Kind::Text),
        ("executable", Kind::Flag),
    ]),
    repeats: true,
    children: &[],
};
static GIT: Spec = Spec {
    name: "git",
    about: "a git repository that is fetched: from which address, and which `branch`, `tag` or `revision` of it, its \
            default branch where none is named; with `folder`, only that; with `submodules=#true`, those, too",
    arguments: TEXT,
    properties: Properties::Named(&[
        ("url", Kind::Text),
        ("branch", Kind::Text),
        ("tag", Kind::Text),
        ("revision", Kind::Text),
        ("folder", Kind::Text),
        ("submodules", Kind::Flag),
    ]),
    repeats: true,
    children: &[],
};
pub(crate) static FILE: Spec = Spec {
    name: "the file",
    about: "",
    arguments: Arguments::None,
    properties: NO_PROPERTIES,
    repeats: false,
    children: &[&WORKSPACE, &BASE, &PLUGIN, &FETCH, &GIT, &PROJECT],
};

/// Every node of the manifest as lines of Markdown, for the reference in `docs/`.
pub fn reference() -> String {
    fn lines(out: &mut Vec<String>, spec: &Spec, depth: usize) {
        let mut line = format!("{}- `{}", "  ".repeat(depth), spec.name);
        match spec.arguments {
            Arguments::None => {}
            Arguments::One(kind) => line.push_str(&format!(" <{}>", word(kind))),
            Arguments::Some(kind) => line.push_str(&format!(" <{}>…", word(kind))),
        }
        match spec.properties {
            Properties::Named(names) => {
                for (name, kind) in names {
                    line.push_str(&format!(" {name}=<{}>", word(*kind)));
                }
            }
            Properties::Any { kind, .. } => line.push_str(&format!(" NAME=<{}>…", word(kind))),
        }
        out.push(format!("{line}`: {}", spec.about));
        for child in spec.children {
            if child.name == "stage" {
                for stage in [&BUILD_STAGE, &RUNTIME_STAGE, &OWN_STAGE] {
                    lines(out, stage, depth + 1);
                }
            } else {
                lines(out, child, depth + 1);
            }
        }
    }
    fn word(kind: Kind) -> &'static str {
        match kind {
            Kind::Text => "text",
            Kind::Flag => "flag",
            Kind::Port => "port",
            Kind::Scalar => "value",
        }
    }
    let mut out = Vec::new();
    for child in FILE.children {
        lines(&mut out, child, 0);
    }
    out.join("\n") + "\n"
}

/// The grammar in KDL's own schema language (KDL Schema Specification 1.0.0), for editors. What it
/// can't say, as which nodes belong to which stage, only [`parse`](crate::parse) checks.
pub fn schema() -> String {
    fn kind(kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Text => Some("string"),
            Kind::Flag => Some("boolean"),
            // One of several types.
            Kind::Port | Kind::Scalar => None,
        }
    }
    fn value(out: &mut String, pad: &str, least: &str, most: &str, of: Kind) {
        let kind = kind(of).map_or_else(String::new, |kind| format!(" type \"{kind}\";"));
        *out += &format!("{pad}value {{{kind} min {least};{most} }}\n");
    }
    fn node(out: &mut String, spec: &Spec, children: &[&Spec], depth: usize) {
        let pad = "    ".repeat(depth);
        let about = spec.about.replace('"', "\\\"");
        *out += &format!("{pad}node \"{}\" description=\"{about}\" {{\n", spec.name);
        let inner = "    ".repeat(depth + 1);
        if !spec.repeats {
            *out += &format!("{inner}max 1\n");
        }
        match spec.arguments {
            Arguments::None => {}
            Arguments::One(of) => value(out, &inner, "1", " max 1;", of),
            Arguments::Some(of) => value(out, &inner, "1", "", of),
        }
        match spec.properties {
            Properties::Named(names) => {
                for (name, of) in names {
                    let kind =
                        kind(*of).map_or_else(String::new, |kind| format!(" type \"{kind}\";"));
                    *out += &format!("{inner}prop \"{name}\" {{{kind} }}\n");
                }
            }
            Properties::Any { .. } => *out += &format!("{inner}other-props-allowed #true\n"),
        }
        if !children.is_empty() {
            *out += &format!("{inner}children {{\n");
            nodes(out, children, depth + 2);
            *out += &format!("{inner}}}\n");
        }
        *out += &format!("{pad}}}\n");
    }
    fn nodes(out: &mut String, specs: &[&Spec], depth: usize) {
        for spec in specs {
            if spec.name != "stage" {
                node(out, spec, spec.children, depth);
                continue;
            }
            // One node for all kinds of stage, with what any of them may hold.
            let mut children: Vec<&Spec> = Vec::new();
            for child in
                [&BUILD_STAGE, &RUNTIME_STAGE, &OWN_STAGE].iter().flat_map(|one| one.children)
            {
                if !children.iter().any(|known| known.name == child.name) {
                    children.push(child);
                }
            }
            let stage = Spec {
                about: "a stage: `deps`, `release`, `runtime`, or one of your own",
                ..stage("", &[])
            };
            node(out, &stage, &children, depth);
        }
    }
    let mut out = String::from(
        "// Made from the grammar in crates/exflow-manifest; a test compares.\ndocument {\n    info {\n        \
         title \"The manifest of exflow: exflow.kdl\" lang=en\n        license Apache-2.0 spdx=Apache-2.0\n    }\n",
    );
    nodes(&mut out, FILE.children, 1);
    out + "}\n"
}

/// Checks nodes against the grammar, and gives places.
pub(crate) struct Checker<'a> {
    pub(crate) source: &'a SourceName,
    pub(crate) problems: &'a mut Diagnostics,
}

/// The offsets of a KDL span.
fn range(span: miette::SourceSpan) -> std::ops::Range<usize> {
    span.offset()..span.offset() + span.len()
}

impl Checker<'_> {
    pub(crate) fn site(&self, span: miette::SourceSpan) -> Site {
        Site::new(self.source, range(span))
    }

    pub(crate) fn entry_site(&self, entry: &KdlEntry) -> Site {
        self.site(entry.span())
    }

    pub(crate) fn name_site(&self, node: &KdlNode) -> Site {
        self.site(node.name().span())
    }

    /// The node's site: its name and entries, without its children, which may be long.
    pub(crate) fn head_site(&self, node: &KdlNode) -> Site {
        let mut site = self.name_site(node);
        if let Some(entry) = node.entries().last() {
            site.end = self.entry_site(entry).end;
        }
        site
    }

    /// Checks which nodes stand in `document`, and each of them, but not the insides of stages.
    pub(crate) fn children(&mut self, document: &KdlDocument, parent: &str, allowed: &[&Spec]) {
        let mut seen: BTreeMap<&str, Site> = BTreeMap::new();
        for node in document.nodes() {
            let name = node.name().value();
            let site = self.name_site(node);
            let Some(spec) = allowed.iter().find(|spec| spec.name == name) else {
                let names = allowed.iter().map(|spec| spec.name);
                let help = match did_you_mean(name, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if allowed.is_empty() => "take it away".to_owned(),
                    None => format!("what may stand here: {}", quoted(names)),
                };
                self.problems.push(
                    Diagnostic::error(UNKNOWN_NODE, format!("unknown node `{name}` in {parent}"))
                        .at(&site, "not known here")
                        .help(help),
                );
                continue;
            };
            if let (false, Some(first)) = (spec.repeats, seen.get(name)) {
                self.problems.push(
                    Diagnostic::error(DUPLICATE, format!("`{name}` stands twice in {parent}"))
                        .at(&site, "again here")
                        .at(first, "first here")
                        .help("keep one of them"),
                );
            }
            seen.insert(spec.name, site);
            self.node(node, spec);
        }
    }

    /// Checks one node against `spec`.
    pub(crate) fn node(&mut self, node: &KdlNode, spec: &Spec) {
        self.arguments(node, spec);
        self.properties(node, spec);
        if let Some(children) = node.children()
            && spec.name != "stage"
        {
            self.children(children, &format!("`{}`", spec.name), spec.children);
        }
    }

    fn arguments(&mut self, node: &KdlNode, spec: &Spec) {
        let arguments: Vec<&KdlEntry> =
            node.entries().iter().filter(|entry| entry.name().is_none()).collect();
        let (fits, kind, expected) = match spec.arguments {
            Arguments::None => (arguments.is_empty(), Kind::Scalar, "no argument".to_owned()),
            Arguments::One(kind) => {
                (arguments.len() == 1, kind, format!("one: {}", kind.article()))
            }
            Arguments::Some(kind) => {
                (!arguments.is_empty(), kind, format!("one or more, each {}", kind.article()))
            }
        };
        if !fits {
            let site = arguments
                .get(usize::from(spec.arguments != Arguments::None))
                .map_or_else(|| self.name_site(node), |entry| self.entry_site(entry));
            self.problems.push(
                Diagnostic::error(
                    WRONG_ARGUMENTS,
                    format!("`{}` has {} arguments", spec.name, arguments.len()),
                )
                .at(&site, format!("expected {expected}"))
                .help(format!("`{}` is {}", spec.name, spec.about)),
            );
            return;
        }
        for argument in arguments {
            self.value(argument, kind, &format!("`{}`", spec.name));
        }
    }

    fn properties(&mut self, node: &KdlNode, spec: &Spec) {
        let mut seen: BTreeMap<&str, Site> = BTreeMap::new();
        for entry in node.entries() {
            let Some(name) = entry.name() else { continue };
            let name = name.value();
            let site = self.entry_site(entry);
            if let Some(first) = seen.insert(name, site.clone()) {
                self.problems.push(
                    Diagnostic::error(DUPLICATE, format!("`{name}` stands twice"))
                        .at(&site, "again here")
                        .at(&first, "first here")
                        .help("keep one of them"),
                );
            }
            let kind = match spec.properties {
                Properties::Any { kind, .. } => Some(kind),
                Properties::Named(known) => {
                    known.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
                }
            };
            if let Some(kind) = kind {
                self.value(entry, kind, &format!("`{name}`"));
                continue;
            }
            let Properties::Named(known) = spec.properties else { continue };
            let names = known.iter().map(|(name, _)| *name);
            let help = match did_you_mean(name, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!("`{}` has no properties", spec.name),
                None => format!("the properties of `{}`: {}", spec.name, quoted(names)),
            };
            self.problems.push(
                Diagnostic::error(
                    UNKNOWN_PROPERTY,
                    format!("unknown property `{name}` of `{}`", spec.name),
                )
                .at(&site, "not known here")
                .help(help),
            );
        }
        if let Properties::Any { needed: true, .. } = spec.properties
            && seen.is_empty()
            && node.entries().is_empty()
        {
            let site = self.name_site(node);
            self.problems.push(
                Diagnostic::error(WRONG_ARGUMENTS, format!("`{}` says nothing", spec.name))
                    .at(&site, "expected `NAME=\"value\"`")
                    .help(format!("`{}` is {}", spec.name, spec.about)),
            );
        }
    }

    fn value(&mut self, entry: &KdlEntry, kind: Kind, of: &str) {
        if !kind.fits(entry.value()) {
            let site = self.entry_site(entry);
            self.wrong_value(&site, of, &format!("expected {}", kind.article()), "write it so");
        }
    }

    pub(crate) fn wrong_value(&mut self, site: &Site, of: &str, label: &str, help: &str) {
        self.problems.push(
            Diagnostic::error(WRONG_VALUE, format!("the value of {of} is not valid"))
                .at(site, label)
                .help(help),
        );
    }
}

/// Names in backticks, with commas.
pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}
