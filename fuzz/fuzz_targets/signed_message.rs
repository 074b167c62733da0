#![no_main]
//! `InRelease`, before anything is known of who signed it; and a keyring.

use exflow_fetch::debian::Keyring;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static DEBIAN: LazyLock<Keyring> = LazyLock::new(Keyring::debian);

fuzz_target!(|bytes: &[u8]| {
    let _ = DEBIAN.verify(bytes, 1_790_000_000);
    let _ = Keyring::debian().add(bytes);
});
