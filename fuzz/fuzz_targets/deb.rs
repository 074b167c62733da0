#![no_main]
//! A package comes from a mirror.

use exflow_content::Digest;
use exflow_packages::debian::{Limits, read_deb};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { unpacked: 1 << 20, entries: 1000, control: 1 << 16 };
    let _ = read_deb(bytes, &limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    });
});
