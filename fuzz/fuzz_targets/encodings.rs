#![no_main]
//! What is read back from the store.

use exflow_content::{PatternSet, RelPath, Tree};
use exflow_plan::Command;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tree) = Tree::decode(bytes) {
        assert_eq!(tree.encode(), bytes);
    }
    if let Ok(command) = Command::decode(bytes) {
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }
    if let Ok(path) = RelPath::clean(bytes) {
        assert_eq!(RelPath::new(path.as_bytes()), Ok(path));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PatternSet::new(text.split('\n'));
    }
});
