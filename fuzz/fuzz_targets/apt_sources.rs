#![no_main]
//! The host's configuration of apt.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = exflow_fetch::debian::parse_apt_sources(text, true);
    let _ = exflow_fetch::debian::parse_apt_sources(text, false);
});
