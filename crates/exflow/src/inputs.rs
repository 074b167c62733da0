//! The inputs of a workspace, as the command line names them.

use crate::report::Failure;
use crate::session::wanted;
use exflow_content::{PatternSet, RelPath};
use exflow_diagnostics::did_you_mean;
use exflow_lock::InputName;
use exflow_manifest::Workspace;
use std::collections::BTreeSet;

/// The inputs whose names fit one of `patterns`; all of them where there are none. A pattern that fits none is an
/// error. `base:NAME`, `plugin:NAME` and `fetch:NAME` name only such, where several have one of that name.
pub(crate) fn chosen(
    workspace: &Workspace,
    patterns: &[String],
) -> Result<BTreeSet<InputName>, Failure> {
    let wanted = wanted(workspace);
    let bases = wanted.bases.into_keys().map(InputName::Base);
    let plugins = wanted.plugins.into_keys().map(InputName::Plugin);
    let fetches = wanted.fetches.into_keys().map(InputName::Fetch);
    let all: BTreeSet<InputName> = bases.chain(plugins).chain(fetches).collect();
    if patterns.is_empty() {
        return Ok(all);
    }
    let mut chosen = BTreeSet::new();
    for pattern in patterns {
        let (kind, name) = match pattern.split_once(':') {
            Some((kind @ ("base" | "plugin" | "fetch"), name)) => (Some(kind), name),
            _ => (None, pattern.as_str()),
        };
        let glob = PatternSet::new([name])
            .map_err(|error| Failure::Usage(format!("no input is called so: {error}")))?;
        let fits = |input: &&InputName| {
            let is_kind = match input {
                InputName::Base(_) => "base",
                InputName::Plugin(_) => "plugin",
                InputName::Fetch(_) => "fetch",
            };
            kind.is_none_or(|kind| kind == is_kind)
                && RelPath::new(input.name()).is_ok_and(|name| glob.matches(&name))
        };
        let fitting: Vec<&InputName> = all.iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(unknown(pattern, &all));
        }
        chosen.extend(fitting.into_iter().cloned());
    }
    Ok(chosen)
}

fn unknown(pattern: &str, all: &BTreeSet<InputName>) -> Failure {
    let help = if let Some(near) = did_you_mean(pattern, all.iter().map(InputName::name)) {
        format!("did you mean `{near}`?")
    } else {
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        format!("there are: {}", all.join(", "))
    };
    Failure::Usage(format!("nothing that the manifests ask for is called `{pattern}`: {help}"))
}
