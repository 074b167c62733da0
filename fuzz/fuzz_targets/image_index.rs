#![no_main]
//! The `index.json` of a layout that an image is added to, and the `/etc/passwd` of a base.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = exflow_image::check_index(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = exflow_image::resolve_user("nobody:staff", text, text);
    }
});
