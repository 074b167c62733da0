#![no_main]
//! Erlang terms come from packages, and from the user's own configuration of Hex.

use exflow_packages::hex::{parse_terms, read_hex_config};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_hex_config(bytes);
    let Ok(terms) = parse_terms(bytes) else { return };
    let text: String = terms.iter().map(|term| format!("{term}.\n")).collect();
    assert_eq!(parse_terms(text.as_bytes()), Ok(terms), "{text}");
});
