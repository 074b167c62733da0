#![no_main]
//! A manifest is the user's own, or whoever's they checked out.

use exflow_diagnostics::{SourceName, Sources, Style, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = SourceName::new("exflow.kdl");
    if let Ok(once) = exflow_manifest::format(&source, text) {
        assert_eq!(exflow_manifest::format(&source, &once).as_ref(), Ok(&once));
    }
    let built = exflow_manifest::parse(&source, text).and_then(|manifest| {
        exflow_manifest::assemble(&source, manifest, Vec::new(), &["mix-release"])
    });
    let mut sources = Sources::new();
    sources.insert(source, text);
    for problem in built.err().iter().flatten() {
        let _ = render(problem, &sources, Style::default());
    }
});
