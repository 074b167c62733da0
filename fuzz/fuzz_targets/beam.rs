//! The chunks of modules, which steps may have written in any way.
#![no_main]

use exflow_compare::{chunks, differing_chunks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(chunks) = chunks(bytes) {
        assert!(chunks.len() <= bytes.len() * 1100);
        assert_eq!(differing_chunks(bytes, bytes), Ok(Vec::new()));
    }
});
