//! The files that a profile names.

use crate::checks::SETTINGS;
use crate::config::{Setting, Span};
use crate::profile::{Found, Profile};
use mix_project::elixir::Value;
use mix_project::graph::{Part, place_in};
use mix_project::{Reader, join, pattern};

/// Looks for them. Patterns of them.
pub(crate) fn find(
    reader: &mut Reader<'_>,
    root: &Part,
    path: &str,
    profile: &Profile<'_>,
) -> Vec<String> {
    let at = |span: Span| place_in(path, span);
    // Whether it may be made by another stage stands beside it.
    let mut named: Vec<(String, Span, bool)> = Vec::new();
    for key in SETTINGS {
        let is_path =
            matches!(*key, "vm_args" | "sys_config" | "config") || key.ends_with("_hooks");
        if let Some((text, place)) = profile.text(key).filter(|_| is_path) {
            named.push((text.to_owned(), place, false));
        }
    }
    for (key, which) in [("overlays", 1), ("commands", 0), ("overrides", 0)] {
        let Found::Set(Setting { value: Value::List(values), place, .. }) = profile.get(key) else {
            continue;
        };
        for value in values {
            let (path, place) = match value {
                Value::Tuple(parts, own) if parts.len() == 3 && copies(&parts[0]) => {
                    (parts.get(which), own.unwrap_or(*place))
                }
                Value::Pair(_, path) if which == 0 => (Some(&**path), *place),
                _ => continue,
            };
            if let Some(path) = path.and_then(Value::text) {
                named.push((path.to_owned(), place, key == "overlays"));
            }
        }
    }
    let mut patterns = Vec::new();
    for (path, place, may_be_made) in named {
        // What is put together when it is made.
        if path.starts_with('/') || path.contains("<%") || path.contains("${") {
            continue;
        }
        let Some(full) = join(&root.folder, &path) else {
            let place = at(place);
            reader.outside("what rel/config.exs names", &path, place);
            continue;
        };
        if reader.is_there(&full) == Some(false) {
            let message = format!("there is no `{full}`");
            if may_be_made {
                // By a stage of the user's own.
                let help = "paths are relative to the project's folder; what another stage makes is there in time";
                reader.warn_at("missing-file", message, at(place), "named here", help);
            } else {
                let help = "paths are relative to the project's folder";
                reader.refuse("missing-file", message, at(place), "named here", help);
            }
        }
        patterns.extend(pattern(&root.folder, &path));
    }
    patterns.sort();
    patterns.dedup();
    patterns
}

/// Whether an overlay of this kind reads a file of the project.
fn copies(kind: &Value) -> bool {
    // What a link leads to is meant in the image.
    matches!(kind.atom(), Some("copy" | "template"))
}
