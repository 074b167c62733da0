//! What steps see of the workspace.

use super::Planner;
use crate::graph::{MountSource, PlannedMount};
use exflow_content::{PatternError, PatternSet, RelPath};
use exflow_diagnostics::Diagnostic;
use exflow_manifest::{Project, Stage};
use std::sync::Arc;

const BAD_INPUTS: &str = "exflow::plan::bad-inputs";

/// Where steps see the workspace.
pub(crate) fn source_root() -> RelPath {
    RelPath::new("src").expect("a clean path")
}

/// Patterns that are relative to `folder`, or with a `/` before them to the workspace, as patterns
/// relative to the workspace.
pub(super) fn below(folder: &RelPath, patterns: &[String]) -> Result<PatternSet, PatternError> {
    let folder = match folder.as_str() {
        Some("") => String::new(),
        Some(folder) => escaped(folder) + "/",
        None => {
            let pattern = folder.to_string();
            return Err(PatternError { pattern, reason: "the folder's name is no text".into() });
        }
    };
    PatternSet::new(patterns.iter().map(|pattern| {
        let (sign, body) =
            pattern.strip_prefix('!').map_or(("", pattern.as_str()), |body| ("!", body));
        match body.strip_prefix('/') {
            Some(body) => format!("{sign}{body}"),
            None => format!("{sign}{folder}{body}"),
        }
    }))
}

/// A pattern that picks what has this name, and nothing else.
fn escaped(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for (at, letter) in name.char_indices() {
        // As the first letter, `!` takes away.
        if "*?[]{}\\".contains(letter) || (at == 0 && letter == '!') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

impl Planner<'_> {
    pub(super) fn sources(&mut self, at: &RelPath, patterns: &PatternSet) -> PlannedMount {
        let tree = if let Some(known) = self.picked.get(patterns.patterns()) {
            known.clone()
        } else {
            let picked = Arc::new(patterns.pick(self.sources));
            self.picked.insert(patterns.patterns().to_vec(), picked.clone());
            picked
        };
        PlannedMount { at: at.clone(), source: MountSource::Sources(tree) }
    }

    /// What `stage` reads of the workspace.
    pub(super) fn inputs(&mut self, project: &Project, stage: &Stage) -> Option<PlannedMount> {
        match below(&project.folder, &stage.inputs) {
            Ok(picked) => Some(self.sources(&source_root(), &picked)),
            Err(error) => {
                let (name, reason) = (stage.kind.name(), error.reason);
                // The whole may be as long as the manifest.
                let begin: String = error.pattern.chars().take(60).collect();
                self.problems.push(
                    Diagnostic::error(
                        BAD_INPUTS,
                        format!(
                            "what stage `{name}` reads can't be looked up: {reason}: `{begin}…`"
                        ),
                    )
                    .at(&stage.site, "its `inputs`")
                    .help(
                        "shorten them, or the path of the project's folder, with which they begin",
                    ),
                );
                None
            }
        }
    }
}
