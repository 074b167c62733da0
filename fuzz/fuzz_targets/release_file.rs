#![no_main]
//! The `Release` file of a suite.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(release) = exflow_packages::debian::Release::parse(text) {
        let _ = release.snapshot();
    }
});
