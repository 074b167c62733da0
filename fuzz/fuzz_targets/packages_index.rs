#![no_main]
//! The list of a suite's packages, and what it says of their relations.

use exflow_lock::RequestedDebian;
use exflow_packages::debian::{Catalog, compare_versions, parse_relations, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut catalog = Catalog::new();
    if catalog.add("debian", "20261101T000000Z", text.as_bytes()).is_ok() {
        let names: Vec<String> = catalog.names().take(3).map(str::to_owned).collect();
        let requested = RequestedDebian { suite: "fuzz".into(), slim: true, packages: names };
        let _ = resolve(&requested, &catalog, None);
    }
    for relation in parse_relations(text) {
        let _ = format!("{relation:?}");
    }
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (a, b) = text.split_at(middle);
    assert_eq!(compare_versions(a, b), compare_versions(b, a).reverse());
});
