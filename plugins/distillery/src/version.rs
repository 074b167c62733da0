//! Which Distillery it is.

use mix_project::graph::{Graph, What};

/// The version of the Distillery that a project depends on, where it is known: a revision of git's says none.
/// None at all where there is no Distillery.
#[allow(clippy::option_option, reason = "not there and not known are two things")]
pub(crate) fn of(graph: &Graph) -> Option<Option<String>> {
    let package = graph.packages.get("distillery")?;
    Some(match &package.what {
        What::Hex(hex) => Some(hex.version.clone()),
        What::Local { folder, .. } => {
            graph.parts.get(folder).and_then(|part| part.mix.version.clone())
        }
        What::Git(..) => package
            .option("tag")
            .map(|tag| tag.trim_matches('"').trim_start_matches('v').to_owned()),
    })
}

/// Whether it is before 2.1: its task is `release`, which from Elixir 1.9 on is Mix's own.
pub(crate) fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(0 | 1)), _) | (Some(Ok(2)), Some(Ok(0))))
}

#[cfg(test)]
mod tests {
    use super::is_old;

    #[test]
    fn before_2_1() {
        assert_eq!(["0.10.1", "1.5.5", "2.0.14", "1", "2.0.0-rc.1"].map(is_old), [true; 5]);
        assert_eq!(["2.1.0", "2.1.1", "3.0.0", "2", "main", ""].map(is_old), [false; 6]);
    }
}
