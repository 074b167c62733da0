#![no_main]
//! A lock comes with a checkout.

use exflow_diagnostics::SourceName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = SourceName::new("exflow.lock");
    if let Ok(lock) = exflow_lock::parse(&source, text) {
        assert_eq!(exflow_lock::parse(&source, &exflow_lock::print(&lock)), Ok(lock));
    }
});
