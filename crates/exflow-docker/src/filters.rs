#![expect(
    clippy::disallowed_types,
    reason = "filters of the client are hash maps; one with a single entry has no order"
)]

use std::collections::HashMap;

/// Picks what has a label.
pub(crate) fn by_label(label: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![label.to_owned()])])
}
