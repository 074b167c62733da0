//! One file: text to [`Manifest`].

mod base;
mod fetch;
mod plugin;
mod project;
mod text;
mod workspace;

pub use text::MAX_BYTES;
pub(crate) use text::read;

use crate::grammar::{Checker, FILE};
use crate::model::{Manifest, Spanned};
use crate::problems::{DUPLICATE, MISSING_NODE};
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Diagnostics, SourceName};
use kdl::{KdlDocument, KdlEntry, KdlNode};
use std::collections::BTreeMap;

/// Reads a manifest. Reports everything that is wrong with this file alone.
pub fn parse(source: &SourceName, text: &str) -> Result<Manifest, Diagnostics> {
    let document = read(source, text)?;
    let mut problems = Diagnostics::new();
    let manifest = Parser { check: Checker { source, problems: &mut problems } }.file(&document);
    problems.into_result(manifest)
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
}
