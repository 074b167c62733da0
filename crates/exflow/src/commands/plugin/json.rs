//! What a plugin proposes, as it is printed: everything that the plan is made of, with names in place of
//! numbers.

use exflow_content::RelPath;
use exflow_diagnostics::printable;
use exflow_plan::{Origin, Proposal, ProposedFetch, ProposedImage, ProposedStep, UsedThing};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A proposal in JSON. What a plugin brings along is whole, so that every change shows.
pub(super) fn of(proposal: &Proposal) -> Value {
    let steps = proposal.steps.iter().map(|proposed| step(proposal, proposed));
    json!({
        "fetches": proposal.fetches.iter().map(fetch).collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
        "image": proposal.image.as_ref().map(|proposed| image(proposal, proposed)),
        "warnings": proposal.warnings.iter().map(|warning| &*warning.message).collect::<Vec<_>>(),
    })
}

/// JSON as it is printed, an end of line behind it. What a terminal would take for more than a letter is
/// escaped: texts are a plugin's own.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    for letter in format!("{value:#}\n").chars() {
        let mut buffer = [0; 4];
        let own: &str = letter.encode_utf8(&mut buffer);
        if letter.is_ascii_graphic() || matches!(letter, ' ' | '\n') || printable(own) == own {
            text.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                text += &format!("\\u{unit:04x}");
            }
        }
    }
    text
}

fn fetch(fetch: &ProposedFetch) -> Value {
    let origin = match &fetch.origin {
        Origin::Hex(hex) => json!({ "hex": {
            "repo": hex.repo,
            "name": hex.name,
            "version": hex.version,
            "inner-checksum": hex.inner.map(|sum| sum.to_string()),
            "outer-checksum": hex.outer.map(|sum| sum.to_string()),
            "managers": hex.managers,
        }}),
        Origin::Git(git) => json!({ "git": {
            "url": git.url,
            "revision": git.revision,
            "submodules": git.submodules,
            "sparse": git.sparse,
        }}),
        Origin::File(file) => json!({ "file": {
            "url": file.url,
            "sha256": file.sha256.to_string(),
            "name": file.name.to_string(),
            "executable": file.is_executable,
        }}),
    };
    json!({ "name": fetch.name, "origin": origin })
}

fn step(proposal: &Proposal, step: &ProposedStep) -> Value {
    let uses = step.uses.iter().map(|used| match &used.what {
        UsedThing::Output { step, output } => json!({
            "step": proposal.steps[*step].name,
            "output": output.to_string(),
            "at": used.at.to_string(),
        }),
        UsedThing::Fetched(index) => json!({
            "fetch": proposal.fetches[*index].name,
            "at": used.at.to_string(),
        }),
    });
    let files: Map<String, Value> = step
        .files
        .iter()
        .map(|(path, contents)| (path.to_string(), contents.as_str().into()))
        .collect();
    json!({
        "name": step.name,
        "stage": step.stage,
        "argv": step.argv,
        "env": pairs(&step.env),
        "workdir": step.workdir.to_string(),
        "sources": step.sources.patterns(),
        "files": files,
        "uses": uses.collect::<Vec<_>>(),
        "outputs": step.outputs.iter().map(RelPath::to_string).collect::<Vec<_>>(),
        "together": step.together,
    })
}

fn image(proposal: &Proposal, image: &ProposedImage) -> Value {
    let layers = image.layers.iter();
    let layers = layers.map(|layer| json!({ "name": layer.name, "files": layer.files.patterns() }));
    json!({
        "step": proposal.steps[image.step].name,
        "output": image.output.to_string(),
        "at": image.at.to_string(),
        "layers": layers.collect::<Vec<_>>(),
        "env": pairs(&image.env),
        "workdir": image.workdir.to_string(),
        "entrypoint": image.entrypoint,
        "command": image.command,
        "labels": pairs(&image.labels),
    })
}

fn pairs(pairs: &BTreeMap<String, String>) -> Value {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_steers_a_terminal() {
        let odd = json!({ "a": "\u{7f}\u{9b}2J\u{202e}é\u{1b}" });
        let printed = text(&odd);
        assert_eq!(printed, "{\n  \"a\": \"\\u007f\\u009b2J\\u202eé\\u001b\"\n}\n");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), odd);
    }
}
