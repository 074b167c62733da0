//! One file: text to [`Manifest`].

use crate::grammar::{BUILD_STAGE, Checker, FILE, OWN_STAGE, RUNTIME_STAGE};
use crate::members;
use crate::model::{
    Base, BaseImage, BaseSource, ExecutorName, Fetch, Fetched, GitVersion, ImageOrigin, Manifest,
    Need, Plugin, PluginSource, Project, RegistryNode, ReleaseTool, Scalar, Setting, Spanned,
    Stage, StageKind, WorkspaceNode, values,
};
use crate::problems::{DUPLICATE, MISSING_NODE, SYNTAX, TOO_LARGE};
use exflow_content::{PatternSet, RelPath, Sha256};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName, did_you_mean};
use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether this can name an artifact (OCI distribution specification 1.1, "Pulling manifests"): a registry, a repository
/// in it, and a tag or a digest of sha256, or neither.
fn is_artifact(reference: &str) -> bool {
    let (path, digest) = match reference.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (reference, None),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    };
    let is_digest = |digest: &str| {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && !tag.starts_with(['.', '-'])
    };
    let is_name = |name: &str| {
        let ends = |at: Option<char>| at.is_some_and(|letter| letter.is_ascii_alphanumeric());
        ends(name.chars().next())
            && ends(name.chars().next_back())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)
            })
    };
    let Some((host, repository)) = path.split_once('/') else { return false };
    let is_host = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    is_host
        && repository.split('/').all(is_name)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// The longest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// How deep nodes or comments may be nested; the grammar needs three. The parser recurses.
const MAX_DEPTH: usize = 32;
/// How many `*` and `/` a comment may have. The parser recurses over them, too.
const MAX_MARKS: usize = 1000;
/// The most stages of a project.
const MAX_STAGES: usize = 512;
/// The most patterns of members: for each of them, folders are searched.
const MAX_MEMBERS: usize = 512;
/// What is no name of a stage: events and progress call the image of a project so.
const RESERVED: &str = "image";

/// Reads a manifest. Reports everything that is wrong with this file alone.
pub fn parse(source: &SourceName, text: &str) -> Result<Manifest, Diagnostics> {
    let document = read(source, text)?;
    let mut problems = Diagnostics::new();
    let manifest = Parser { check: Checker { source, problems: &mut problems } }.file(&document);
    problems.into_result(manifest)
}

/// Whether Debian allows this name of a package (Debian Policy, section 5.6.1).
fn is_debian_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

/// Whether git allows this name of a branch or a tag (git-check-ref-format(1)), and takes it for nothing else.
fn is_git_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.strip_suffix(".lock").is_none()
            && !part.ends_with('.')
    };
    name.len() <= 200
        && !name.starts_with('-')
        && name != "@"
        && name.split('/').all(is_part)
        && !name.contains("..")
        && !name.contains("@{")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"~^:?*[\\".contains(&byte))
}

/// Whether some distribution may allow this name of a package. Which one it is, only the image tells.
fn is_package(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// Reads KDL.
pub(crate) fn read(source: &SourceName, text: &str) -> Result<KdlDocument, Diagnostics> {
    guard(source, text)?;
    KdlDocument::parse_v2(text).map_err(|error| {
        error
            .diagnostics
            .iter()
            .map(|problem| {
                let start = problem.span.offset().min(text.len());
                let site = Site::new(source, start..(start + problem.span.len()).min(text.len()));
                // What was right in KDL 1, and what everyone writes first.
                let word = text.get(site.start..site.end).unwrap_or_default();
                if matches!(word, "true" | "false" | "null") {
                    return Diagnostic::error(SYNTAX, format!("`{word}` without a `#`"))
                        .at(&site, "not a value")
                        .help(format!("write `#{word}`"));
                }
                let message = problem.message.clone().unwrap_or_else(|| "not KDL".into());
                let label = problem.label.clone().unwrap_or_else(|| "here".into());
                Diagnostic::error(SYNTAX, lower(&message)).at(&site, label).help(
                    problem.help.clone().unwrap_or_else(|| {
                        "a manifest is KDL 2: `node \"argument\" property=\"value\" { … }`, with \
                         `#true` and `#false`"
                            .into()
                    }),
                )
            })
            .collect()
    })
}

fn lower(message: &str) -> String {
    let mut letters = message.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Refuses what would take the KDL parser too long or too deep.
fn guard(source: &SourceName, text: &str) -> Result<(), Diagnostics> {
    let too_large = |at: usize, message: String| {
        Err(Diagnostic::error(TOO_LARGE, message)
            .at(&Site::new(source, at..(at + 1).min(text.len())), "here")
            .help("split the workspace into members, each with a manifest of its own")
            .into())
    };
    if text.len() > MAX_BYTES {
        return too_large(0, format!("this manifest is longer than {MAX_BYTES} bytes"));
    }
    // As far as it takes to know what is a text and what a comment: those hold no nodes.
    let (mut depth, mut slashdashes) = (0usize, 0usize);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let begun = at;
        at += 1;
        let mut marks = 0;
        match (bytes[begun], bytes.get(at)) {
            (b'"' | b'#', _) => at = text_end(bytes, begun).unwrap_or(at),
            (b'/', Some(b'/')) => at = line_end(bytes, at),
            (b'/', Some(b'*')) => (at, marks) = comment_end(bytes, begun),
            (b'{' | b'(', _) => depth += 1,
            (b'}' | b')', _) => depth = depth.saturating_sub(1),
            (b'/', Some(b'-')) => slashdashes += 1,
            (b'\n', _) => slashdashes = 0,
            _ => {}
        }
        if depth > MAX_DEPTH || slashdashes > MAX_DEPTH {
            return too_large(begun, format!("nodes are nested deeper than {MAX_DEPTH}"));
        }
        if marks > MAX_MARKS {
            return too_large(begun, format!("this comment has more than {MAX_MARKS} `*` and `/`"));
        }
    }
    Ok(())
}

/// The index after the text that begins at `at`, with a quote or with the `#` of a raw one; none
/// where it doesn't end: what follows is then read as if there were no text.
fn text_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let is_long = bytes[open..].starts_with(b"\"\"\"");
    let quotes = if is_long { 3 } else { 1 };
    let ends = |at: usize| {
        bytes[at..].iter().take(quotes).all(|byte| *byte == b'"')
            && bytes[at + quotes..].iter().take(hashes).filter(|byte| **byte == b'#').count()
                == hashes
    };
    let mut at = open + quotes;
    while at + quotes + hashes <= bytes.len() {
        match bytes[at] {
            b'\\' if hashes == 0 => at += 1,
            b'"' if ends(at) => return Some(at + quotes + hashes),
            b'\n' if !is_long => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The index of the end of the line.
fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |found| at + found)
}

/// The index after the comment that begins at `at`, which may hold others; and how many characters
/// in it could begin or end one. The KDL parser goes one call deeper for each.
fn comment_end(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut depth, mut marks) = (0usize, 0);
    while at < bytes.len() {
        marks += usize::from(matches!(bytes[at], b'*' | b'/'));
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    (at, marks)
}

struct Parser<'a> {
    check: Checker<'a>,
}

fn nodes<'d>(node: &'d KdlNode, name: &'static str) -> impl Iterator<Item = &'d KdlNode> {
    node.iter_children().filter(move |child| child.name().value() == name)
}

fn arguments(node: &KdlNode) -> impl Iterator<Item = &KdlEntry> {
    node.entries().iter().filter(|entry| entry.name().is_none())
}

impl Parser<'_> {
    fn file(&mut self, document: &KdlDocument) -> Manifest {
        self.check.children(document, "a manifest", FILE.children);
        let mut manifest = Manifest::default();
        for node in document.nodes() {
            match node.name().value() {
                "workspace" => manifest.workspace = self.workspace(node),
                "base" => manifest.bases.extend(self.base(node)),
                "plugin" => manifest.plugins.extend(self.plugin(node)),
                "fetch" => manifest.fetches.extend(self.fetch(node)),
                "git" => manifest.fetches.extend(self.git(node)),
                "project" => manifest.projects.extend(self.project(node)),
                _ => {}
            }
        }
        manifest
    }

    fn text(&self, entry: &KdlEntry) -> Option<Spanned<String>> {
        let value = entry.value().as_string()?.to_owned();
        Some(Spanned { value, site: self.check.entry_site(entry) })
    }

    fn texts(&self, node: &KdlNode, name: &'static str) -> Vec<Spanned<String>> {
        nodes(node, name).flat_map(arguments).filter_map(|entry| self.text(entry)).collect()
    }

    fn only(&self, node: &KdlNode, name: &'static str) -> Option<Spanned<String>> {
        self.texts(node, name).into_iter().next()
    }

    /// The node's first argument, as a name.
    fn name(&mut self, node: &KdlNode) -> Option<Spanned<String>> {
        let name = arguments(node).next().and_then(|entry| self.text(entry))?;
        let mut bytes = name.value.bytes();
        let fits = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
            && bytes.all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
            })
            && name.value.len() <= 64;
        if fits {
            return Some(name);
        }
        self.check.wrong_value(
            &name.site,
            &format!("`{}`", node.name().value()),
            "not a name",
            "a name is lower-case letters, digits, `-` and `_`, begins with a letter, and is at \
             most 64 long",
        );
        None
    }

    fn missing(&mut self, node: &KdlNode, what: &str, help: &str) {
        let site = self.check.head_site(node);
        self.check.problems.push(
            Diagnostic::error(MISSING_NODE, format!("`{}` has no {what}", node.name().value()))
                .at(&site, format!("no {what} in here"))
                .help(help),
        );
    }

    /// A path of the user's, cleaned.
    fn path(&mut self, text: &Spanned<String>) -> Option<Spanned<RelPath>> {
        match RelPath::clean(&text.value) {
            Ok(value) => Some(Spanned { value, site: text.site.clone() }),
            Err(error) => {
                self.check.wrong_value(
                    &text.site,
                    "this path",
                    &error.to_string(),
                    "a path is relative, and stays within the folder that it starts from",
                );
                None
            }
        }
    }

    fn workspace(&mut self, node: &KdlNode) -> Option<WorkspaceNode> {
        let mut members = self.texts(node, "members");
        if let Some(member) = members.get(MAX_MEMBERS) {
            self.check.problems.push(
                Diagnostic::error(
                    TOO_LARGE,
                    format!("`members` has more than {MAX_MEMBERS} patterns"),
                )
                .at(&member.site, "one too many")
                .help("name many folders by one pattern: `services/*`"),
            );
            members.truncate(MAX_MEMBERS);
        }
        for member in &members {
            if let Err(error) = members::check(&member.value) {
                self.check.wrong_value(
                    &member.site,
                    "`members`",
                    &error.to_string(),
                    "for example `services/*`",
                );
            }
        }
        let debian_mirror = self.mirror(node, "debian-mirror");
        let security_mirror = self.mirror(node, "debian-security-mirror");
        let executor = self.executor(node);
        let name = self.name(node)?;
        let alpine_mirror = self.mirror(node, "alpine-mirror");
        let registries = self.registries(node);
        Some(WorkspaceNode {
            name,
            members,
            executor,
            debian_mirror,
            security_mirror,
            alpine_mirror,
            registries,
        })
    }

    fn executor(&mut self, node: &KdlNode) -> Option<ExecutorName> {
        let named = self.only(node, "executor")?;
        match named.value.as_str() {
            "auto" => Some(ExecutorName::Auto),
            "docker" => Some(ExecutorName::Docker),
            "sandbox" => Some(ExecutorName::Sandbox),
            other => {
                let help = match did_you_mean(other, ["auto", "docker", "sandbox"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "it is `auto`, `docker` or `sandbox`".to_owned(),
                };
                self.check.wrong_value(&named.site, "`executor`", "there is none such", &help);
                None
            }
        }
    }

    fn mirror(&mut self, node: &KdlNode, name: &'static str) -> Option<Spanned<String>> {
        let mirror = self.only(node, name)?;
        let holds = if name == "alpine-mirror" { "`v3.21`" } else { "`dists` and `pool`" };
        if !mirror.value.starts_with("http://") && !mirror.value.starts_with("https://") {
            self.check.wrong_value(
                &mirror.site,
                &format!("`{name}`"),
                "not an address",
                &format!("write the address of the folder that holds {holds}, with `http://` or `https://`"),
            );
        }
        Some(mirror)
    }

    fn registries(&mut self, workspace: &KdlNode) -> Vec<RegistryNode> {
        let mut registries: Vec<RegistryNode> = Vec::new();
        for node in nodes(workspace, "registry") {
            let Some(host) = arguments(node).next().and_then(|entry| self.text(entry)) else {
                continue;
            };
            self.host(&host);
            if let Some(first) = registries.iter().find(|known| known.host.value == host.value) {
                let problem = Diagnostic::error(
                    DUPLICATE,
                    format!("registry `{}` is declared twice", host.value),
                );
                self.check.problems.push(
                    problem
                        .at(&host.site, "again here")
                        .at(&first.host.site, "first here")
                        .help("keep one of them"),
                );
                continue;
            }
            let mirror = node.entry("mirror").and_then(|entry| self.text(entry));
            if let Some(mirror) = &mirror {
                self.host(mirror);
            }
            let plain_http = node.get("plain-http").and_then(KdlValue::as_bool).unwrap_or(false);
            let mirror = mirror.map(|mirror| mirror.value);
            registries.push(RegistryNode { host, mirror, plain_http });
        }
        registries
    }

    fn host(&mut self, host: &Spanned<String>) {
        let fits = !host.value.is_empty()
            && host
                .value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
        if !fits {
            self.check.wrong_value(
                &host.site,
                "`registry`",
                "not the name of a host",
                "for example `docker.io` or `localhost:5000`, without `http://`",
            );
        }
    }

    fn base(&mut self, node: &KdlNode) -> Option<Base> {
        let debian = nodes(node, "debian").next();
        let image = nodes(node, "image").next();
        if let (Some(debian), Some(image)) = (debian, image) {
            let problem = Diagnostic::error(DUPLICATE, "a base is made of one thing, not of two");
            let (first, second) = (self.check.head_site(debian), self.check.head_site(image));
            self.check.problems.push(
                problem
                    .at(&second, "an image")
                    .at(&first, "and Debian packages")
                    .help("keep one of them; `packages` are added to either"),
            );
        }
        if debian.is_none() && image.is_none() {
            self.missing(
                node,
                "`debian` or `image`",
                "say what it is made of: `debian \"bookworm\"`, or `image \"alpine:3.21\"`",
            );
        }
        let packages = self.texts(node, "packages");
        for package in &packages {
            let fits = if image.is_some() { is_package } else { is_debian_package };
            if !fits(&package.value) {
                self.check.wrong_value(
                    &package.site,
                    "`packages`",
                    "not the name of a package",
                    "lower-case letters, digits, `+`, `-` and `.`; the lock decides on versions",
                );
            }
        }
        let name = self.name(node)?;
        let source = match (debian, image) {
            (Some(debian), _) => self.debian(debian)?,
            (None, image) => self.image(image?)?,
        };
        Some(Base { name, source, packages, site: self.check.head_site(node) })
    }

    fn debian(&mut self, node: &KdlNode) -> Option<BaseSource> {
        let suite = arguments(node).next().and_then(|entry| self.text(entry))?;
        let fits = suite
            .value
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits || suite.value.is_empty() {
            self.check.wrong_value(
                &suite.site,
                "`debian`",
                "not a suite",
                "for example `bookworm`",
            );
        }
        let slim = node.get("slim").and_then(KdlValue::as_bool).unwrap_or(false);
        Some(BaseSource::Debian { suite, slim })
    }

    fn image(&mut self, node: &KdlNode) -> Option<BaseSource> {
        let mut place = arguments(node).next().and_then(|entry| self.text(entry))?;
        let name = node.entry("name").and_then(|entry| self.text(entry));
        let from = match node.entry("from").and_then(|entry| self.text(entry)) {
            None => ImageOrigin::Registry,
            Some(from) => match &*from.value {
                "registry" => ImageOrigin::Registry,
                "layout" => ImageOrigin::Layout,
                "archive" => ImageOrigin::Archive,
                "docker" => ImageOrigin::Docker,
                other => {
                    let known = ["registry", "layout", "archive", "docker"];
                    let help = match did_you_mean(other, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "it is `registry`, `layout`, `archive` or `docker`".to_owned(),
                    };
                    self.check.wrong_value(
                        &from.site,
                        "`from`",
                        "images don't come from there",
                        &help,
                    );
                    return None;
                }
            },
        };
        match from {
            ImageOrigin::Layout | ImageOrigin::Archive => match RelPath::clean(&place.value) {
                Ok(path) if !path.is_root() && !place.value.starts_with('/') => {
                    place.value = path.to_string();
                }
                _ => self.check.wrong_value(
                    &place.site,
                    "`image`",
                    "not a path in the workspace",
                    "write it relative to the workspace's folder, without `..`",
                ),
            },
            ImageOrigin::Registry | ImageOrigin::Docker => {
                if let Some(name) = &name {
                    self.check.wrong_value(
                        &name.site,
                        "`name`",
                        "there is only one image of this name",
                        "`name` is for layouts and archives, which may hold several",
                    );
                }
                let is_plain = !place.value.is_empty()
                    && place.value.bytes().all(|byte| byte.is_ascii_graphic());
                if !is_plain || place.value.contains("://") {
                    self.check.wrong_value(
                        &place.site,
                        "`image`",
                        "not the name of an image",
                        "for example `debian:bookworm-slim` or `registry.example/team/base:1.2`",
                    );
                }
            }
        }
        let name = name.map(|name| name.value);
        Some(BaseSource::Image(BaseImage { from, place, name }))
    }

    fn plugin(&mut self, node: &KdlNode) -> Option<Plugin> {
        let text = |parser: &mut Self, name: &str| node.entry(name).map(|entry| parser.text(entry));
        let source = match (text(self, "path"), text(self, "source")) {
            (Some(path), None) => PluginSource::Path(self.path(&path?)?),
            (None, Some(source)) => self.plugin_source(source?)?,
            (None, None) => {
                let help = "say where its component is: `path=\"plugins/mine.wasm\"`, or where it is fetched from: \
                            `source=\"oci://registry.example/team/mine:1.0\"`";
                self.missing(node, "`path` or `source`", help);
                return None;
            }
            (Some(_), Some(source)) => {
                let site = source.map_or_else(|| self.check.head_site(node), |source| source.site);
                self.check.wrong_value(
                    &site,
                    "`source`",
                    "there is a `path`, too",
                    "leave one of them out",
                );
                return None;
            }
        };
        Some(Plugin { name: self.name(node)?, source })
    }

    /// An address, or a reference to an artifact.
    fn plugin_source(&mut self, source: Spanned<String>) -> Option<PluginSource> {
        let Spanned { value, site } = &source;
        let rest = value.split_once("://").map_or("", |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic()) && !host.is_empty();
        if host.contains('@') {
            let help = "nothing that is secret belongs into a manifest";
            self.check.wrong_value(site, "`source`", "it has credentials", help);
            return None;
        }
        if is_plain && (value.starts_with("https://") || value.starts_with("http://")) {
            return Some(PluginSource::Url(source));
        }
        if value.starts_with("oci://") && is_artifact(rest) {
            let value = rest.to_owned();
            return Some(PluginSource::Oci(Spanned { value, site: source.site }));
        }
        self.check.wrong_value(
            site,
            "`source`",
            "not an address of a component",
            "for example `https://example.org/mine-1.0.wasm` or `oci://registry.example/team/mine:1.0`",
        );
        None
    }

    /// The address of something that is fetched. Who has access is nobody's business but the host's.
    fn address(&mut self, node: &KdlNode) -> Option<String> {
        let Some(url) = node.entry("url") else {
            self.missing(node, "`url`", "say where it is: `url=\"https://…\"`");
            return None;
        };
        let url = self.text(url)?;
        let (scheme, rest) = url.value.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        // Only ssh has users that are nothing secret: `git@`. What stands where a port should may be a password.
        let is_user = user.is_none_or(|user| scheme == "ssh" && !user.contains(':'));
        let port = host.rsplit_once(':').filter(|_| !host.ends_with(']'));
        let is_port = port.is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_user || !is_port {
            let help = "nothing that is secret belongs into a manifest; who you are, git finds in its credential helpers";
            self.check.wrong_value(&url.site, "`url`", "it says who asks", help);
            return None;
        }
        if url.value.is_empty() || !url.value.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.check.wrong_value(
                &url.site,
                "`url`",
                "not an address",
                "for example `https://example.org/tool-1.0`",
            );
            return None;
        }
        Some(url.value)
    }

    fn fetch(&mut self, node: &KdlNode) -> Option<Fetch> {
        let url = self.address(node)?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            let site = node.entry("url").map(|entry| self.check.entry_site(entry));
            let site = site.unwrap_or_else(|| self.check.head_site(node));
            let help = "a file is fetched by `https://` or `http://`; a repository is a node `git`";
            self.check.wrong_value(&site, "`url`", "not an address of the web", help);
            return None;
        }
        let sha256 = match node.entry("sha256").and_then(|entry| self.text(entry)) {
            None => None,
            Some(text) => match text.value.parse::<Sha256>() {
                Ok(sha256) => Some(sha256),
                Err(error) => {
                    let help = "64 hexadecimal digits, as `sha256sum` prints them; left out, the lock says what it is";
                    self.check.wrong_value(&text.site, "`sha256`", &error.to_string(), help);
                    return None;
                }
            },
        };
        let is_executable = node.get("executable").and_then(KdlValue::as_bool).unwrap_or(false);
        let what = Fetched::File { url, sha256, is_executable };
        Some(Fetch { name: self.name(node)?, what, site: self.check.head_site(node) })
    }

    fn git(&mut self, node: &KdlNode) -> Option<Fetch> {
        let url = self.address(node)?;
        let mut version = GitVersion::Default;
        let named = ["branch", "tag", "revision"].iter().filter_map(|name| node.entry(*name));
        for (number, entry) in named.enumerate() {
            let text = self.text(entry)?;
            if number > 0 {
                let help = "name one of `branch`, `tag` and `revision`";
                self.check.wrong_value(&text.site, "`git`", "a second version", help);
                return None;
            }
            let name = text.value.clone();
            version = match entry.name().map(kdl::KdlIdentifier::value) {
                Some("branch") => GitVersion::Branch(name),
                Some("tag") => GitVersion::Tag(name),
                _ => GitVersion::Revision(name),
            };
            let fits = match &version {
                GitVersion::Revision(revision) => {
                    matches!(revision.len(), 40 | 64)
                        && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                }
                _ => is_git_name(&text.value),
            };
            if !fits {
                let help = "a branch or tag by its name, a revision by its whole digest: 40 or 64 of `0-9a-f`";
                self.check.wrong_value(&text.site, "`git`", "no version of a repository", help);
                return None;
            }
        }
        let folder = match node.entry("folder").and_then(|entry| self.text(entry)) {
            None => None,
            Some(folder) => Some(self.path(&folder)?.value).filter(|folder| !folder.is_root()),
        };
        let submodules = node.get("submodules").and_then(KdlValue::as_bool).unwrap_or(false);
        let what = Fetched::Git { url, version, folder, submodules };
        Some(Fetch { name: self.name(node)?, what, site: self.check.head_site(node) })
    }

    fn needs(&mut self, node: &KdlNode) -> Vec<Need> {
        let mut needs = Vec::new();
        for child in nodes(node, "needs") {
            let names: Vec<Spanned<String>> =
                arguments(child).filter_map(|entry| self.text(entry)).collect();
            let at = child.entry("at").and_then(|entry| self.text(entry));
            let is_in_workspace = at.as_ref().is_some_and(|at| at.value.starts_with('/'));
            let at = at.and_then(|mut at| {
                if is_in_workspace {
                    at.value.remove(0);
                }
                self.path(&at)
            });
            if let (Some(_), Some(second)) = (&at, names.get(1)) {
                let help = "give each a node `needs` of its own";
                self.check.wrong_value(&second.site, "`needs`", "two at one place", help);
            }
            needs.extend(names.into_iter().map(|name| Need {
                name,
                at: at.clone(),
                is_in_workspace,
            }));
        }
        needs
    }

    fn project(&mut self, node: &KdlNode) -> Option<Project> {
        let tool = nodes(node, "release-tool").next().and_then(|node| self.tool(node));
        let mut stages: Vec<Stage> = Vec::new();
        for (number, child) in nodes(node, "stage").enumerate() {
            if number == MAX_STAGES {
                self.check.problems.push(
                    Diagnostic::error(
                        TOO_LARGE,
                        format!("this project has more than {MAX_STAGES} stages"),
                    )
                    .at(&self.check.head_site(child), "one too many")
                    .help("let one stage do more, or split the project"),
                );
                break;
            }
            let Some(stage) = self.stage(child) else { continue };
            if let Some(first) = stages.iter().find(|known| known.kind == stage.kind) {
                self.check.problems.push(
                    Diagnostic::error(
                        DUPLICATE,
                        format!("stage `{}` stands twice in one project", stage.kind.name()),
                    )
                    .at(&stage.site, "again here")
                    .at(&first.site, "first here")
                    .help("put them together, or give one another name"),
                );
            }
            stages.push(stage);
        }
        Some(Project { name: self.name(node)?, tool, stages })
    }

    fn tool(&mut self, node: &KdlNode) -> Option<ReleaseTool> {
        let mut settings = BTreeMap::new();
        for entry in node.entries() {
            let Some(name) = entry.name() else { continue };
            let site = self.check.entry_site(entry);
            let value = match entry.value() {
                KdlValue::String(text) => Scalar::Text(text.clone()),
                KdlValue::Bool(flag) => Scalar::Flag(*flag),
                KdlValue::Integer(number) => {
                    if let Ok(number) = i64::try_from(*number) {
                        Scalar::Number(number)
                    } else {
                        self.check.wrong_value(
                            &site,
                            "this setting",
                            "too large",
                            "64 bits are what fits",
                        );
                        continue;
                    }
                }
                KdlValue::Float(_) | KdlValue::Null => continue,
            };
            settings.insert(name.value().to_owned(), Setting { value, site });
        }
        Some(ReleaseTool { plugin: self.name(node)?, settings })
    }

    fn pairs(
        &mut self,
        node: &KdlNode,
        name: &'static str,
        variable: bool,
    ) -> BTreeMap<String, Spanned<String>> {
        let mut pairs = BTreeMap::new();
        for entry in nodes(node, name).flat_map(KdlNode::entries) {
            let (Some(key), Some(value)) = (entry.name(), entry.value().as_string()) else {
                continue;
            };
            let key = key.value();
            let fits = !key.is_empty()
                && !key.contains('\0')
                && !value.contains('\0')
                && (!variable || !key.contains('='));
            let site = self.check.entry_site(entry);
            if !fits {
                self.check.wrong_value(
                    &site,
                    &format!("`{name}`"),
                    "not possible",
                    "a name has no `=`, and nothing a NUL byte",
                );
            }
            let spanned = Spanned { value: value.to_owned(), site: site.clone() };
            if pairs.insert(key.to_owned(), spanned).is_some() {
                self.check.problems.push(
                    Diagnostic::error(DUPLICATE, format!("`{key}` stands twice"))
                        .at(&site, "again here")
                        .help("keep one of them"),
                );
            }
        }
        pairs
    }

    fn stage(&mut self, node: &KdlNode) -> Option<Stage> {
        let name = self.name(node)?;
        if name.value == RESERVED {
            self.check.wrong_value(
                &name.site,
                "`stage`",
                "taken",
                "this is what the image of the project is called: give your stage another name",
            );
        }
        let (kind, spec) = match name.value.as_str() {
            "deps" => (StageKind::Deps, &BUILD_STAGE),
            "release" => (StageKind::Release, &BUILD_STAGE),
            "runtime" => (StageKind::Runtime, &RUNTIME_STAGE),
            own => (StageKind::Own(own.to_owned()), &OWN_STAGE),
        };
        if let Some(children) = node.children() {
            self.check.children(children, &format!("stage `{}`", name.value), spec.children);
        }
        let input_texts = self.texts(node, "inputs");
        for input in &input_texts {
            // From the root of the workspace, with a `/`: all else is as in any pattern.
            let pattern = match input.value.strip_prefix("!/") {
                Some(body) => format!("!{body}"),
                None => input.value.strip_prefix('/').unwrap_or(&input.value).to_owned(),
            };
            if let Err(error) = PatternSet::new([pattern]) {
                self.check.wrong_value(
                    &input.site,
                    "`inputs`",
                    &error.to_string(),
                    "for example `assets/**`",
                );
            }
        }
        let inputs = input_texts.into_iter().map(|input| input.value).collect();
        let outputs: Vec<Spanned<RelPath>> =
            self.texts(node, "output").iter().filter_map(|output| self.path(output)).collect();
        for output in &outputs {
            if output.value.is_root() {
                self.check.wrong_value(
                    &output.site,
                    "`output`",
                    "the whole project",
                    "name a folder in it",
                );
            }
        }
        let run = self.only(node, "run");
        for name in ["run", "user", "command"] {
            for text in self.texts(node, name) {
                // Where programs are given texts, it ends them.
                if text.value.contains('\0') {
                    let of = format!("`{name}`");
                    self.check.wrong_value(
                        &text.site,
                        &of,
                        "not possible",
                        "no text has a NUL byte",
                    );
                }
            }
        }
        if let StageKind::Own(_) = kind {
            if nodes(node, "run").next().is_none() {
                self.missing(node, "`run`", "say what it does: `run \"npm run deploy\"`");
            }
            if nodes(node, "output").next().is_none() {
                self.missing(node, "`output`", "say what it makes: `output \"priv/static\"`");
            }
        }
        let command = nodes(node, "command").next().map(|command| {
            arguments(command)
                .filter_map(|entry| entry.value().as_string())
                .map(str::to_owned)
                .collect()
        });
        Some(Stage {
            kind,
            base: node.entry("base").and_then(|entry| self.text(entry)),
            env: self.pairs(node, "env", true),
            needs: self.needs(node),
            inputs,
            run,
            outputs,
            expose: self.ports(node),
            user: self.only(node, "user").map(|user| user.value),
            command,
            labels: values(&self.pairs(node, "label", false)),
            time_limit: self.time_limit(node),
            site: self.check.head_site(node),
        })
    }

    fn ports(&mut self, node: &KdlNode) -> Vec<String> {
        let mut ports = Vec::new();
        for entry in nodes(node, "expose").flat_map(arguments) {
            let text = match entry.value() {
                KdlValue::Integer(number) => number.to_string(),
                KdlValue::String(text) => text.clone(),
                _ => continue,
            };
            let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let number = number.parse::<u16>().ok().filter(|number| *number > 0);
            match number {
                Some(number) if ["tcp", "udp", "sctp"].contains(&protocol) => {
                    ports.push(format!("{number}/{protocol}"));
                }
                _ => {
                    let site = self.check.entry_site(entry);
                    self.check.wrong_value(
                        &site,
                        "`expose`",
                        "not a port",
                        "a number from 1 to 65535, or `\"4000/udp\"`",
                    );
                }
            }
        }
        ports.sort();
        ports.dedup();
        ports
    }

    fn time_limit(&mut self, node: &KdlNode) -> Option<Duration> {
        let text = self.only(node, "time-limit")?;
        let seconds = ["s", "m", "h"].iter().zip([1, 60, 3600]).find_map(|(unit, seconds)| {
            text.value
                .strip_suffix(unit)?
                .parse::<u32>()
                .ok()
                .map(|count| u64::from(count) * seconds)
        });
        if let Some(seconds @ 1..) = seconds {
            Some(Duration::from_secs(seconds))
        } else {
            self.check.wrong_value(
                &text.site,
                "`time-limit`",
                "not a duration",
                "for example `90s`, `30m` or `2h`",
            );
            None
        }
    }
}
