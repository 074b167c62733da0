//! The one way to lay a manifest out.
//!
//! The library's own formatter drops blank lines and writes every value in its shortest form
//! (`"hello"` as `hello`), so this is one of ours: four spaces a level, one space between the parts
//! of a node, at most one blank line between nodes. Comments and values stay as they were written.

use crate::parse::read;
use exflow_diagnostics::{Diagnostics, SourceName};
use kdl::{KdlDocument, KdlEntry, KdlIdentifier, KdlNode};

/// `text` laid out anew, comments kept. Formatting what is formatted changes nothing.
///
/// # Errors
/// Where `text` is not KDL.
pub fn format(source: &SourceName, text: &str) -> Result<String, Diagnostics> {
    let document = read(source, text)?;
    let mut out = String::new();
    block(&mut out, &document, 0);
    Ok(out)
}

fn block(out: &mut String, document: &KdlDocument, depth: usize) {
    let begun = out.len();
    let format = document.format();
    trivia(out, format.map_or("", |format| &format.leading), depth, begun);
    for document_node in document.nodes() {
        node(out, document_node, depth, begun);
    }
    trivia(out, format.map_or("", |format| &format.trailing), depth, begun);
    while out.len() > begun && out.ends_with("\n\n") {
        out.pop();
    }
}

/// What stands between nodes: comments, each on lines of its own, and at most one blank line.
fn trivia(out: &mut String, text: &str, depth: usize, begun: usize) {
    let lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    for (index, line) in lines.iter().enumerate() {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
            out.push('\n');
        } else if index + 1 < lines.len() && out.len() > begun && !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"    ".repeat(depth));
}

fn node(out: &mut String, node: &KdlNode, depth: usize, begun: usize) {
    let format = node.format();
    trivia(out, format.map_or("", |format| &format.leading), depth, begun);
    indent(out, depth);
    typed(out, node.ty());
    out.push_str(&identifier(node.name()));
    for part in node.entries() {
        entry(out, part, depth);
    }
    if let Some(children) = node.children() {
        comment(out, format.map_or("", |format| &format.before_children), depth);
        space(out);
        out.push_str("{\n");
        block(out, children, depth + 1);
        indent(out, depth);
        out.push('}');
    }
    let after = format.map_or_else(String::new, |format| {
        format!("{}{}{}", format.before_terminator, format.terminator, format.trailing)
    });
    // Neither `;` nor a `\` that goes on to nothing has a place here: each node has its own line.
    let is_mark = |letter: char| letter == ';' || letter == '\\';
    let mut lines =
        after.split('\n').map(|line| line.trim().trim_start_matches(is_mark).trim_start());
    let first = lines.next().unwrap_or_default();
    if first.contains('/') {
        space(out);
        out.push_str(first);
    }
    out.push('\n');
    let rest: Vec<&str> = lines.collect();
    if rest.len() > 1 {
        trivia(out, &rest.join("\n"), depth, begun);
    }
}

fn entry(out: &mut String, entry: &KdlEntry, depth: usize) {
    let format = entry.format();
    comment(out, format.map_or("", |format| &format.leading), depth);
    space(out);
    if let Some(name) = entry.name() {
        out.push_str(&identifier(name));
        out.push('=');
    }
    typed(out, entry.ty());
    match format {
        Some(format) if !format.value_repr.is_empty() => out.push_str(&format.value_repr),
        _ => out.push_str(&entry.value().to_string()),
    }
    comment(out, format.map_or("", |format| &format.trailing), depth);
}

/// A comment between the parts of a node, if `text` holds one. One that goes to the end of its
/// line, behind a `\`, keeps it: what follows would else be part of it.
fn comment(out: &mut String, text: &str, depth: usize) {
    let text = text.trim();
    if !text.contains('/') {
        return;
    }
    space(out);
    out.push_str(text);
    if text.lines().last().is_some_and(|line| line.contains("//")) {
        out.push('\n');
        indent(out, depth + 1);
    }
}

/// One space between the parts of a node.
fn space(out: &mut String) {
    if !out.ends_with(' ') {
        out.push(' ');
    }
}

fn typed(out: &mut String, ty: Option<&KdlIdentifier>) {
    if let Some(ty) = ty {
        out.push_str(&format!("({})", identifier(ty)));
    }
}

fn identifier(name: &KdlIdentifier) -> String {
    name.repr().map_or_else(|| name.to_string(), str::to_owned)
}
