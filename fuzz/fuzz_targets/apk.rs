#![no_main]
//! Packages, indexes and lists of what is installed come from mirrors and images.

use exflow_content::Digest;
use exflow_packages::alpine::{
    Catalog, Checksum, Keys, Limits, compare_versions, parse_dependencies, parse_installed,
    read_apk, read_index, resolve, world_with,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { unpacked: 1 << 20, entries: 1000, control: 1 << 16 };
    let _ = read_apk(bytes, &Checksum::of(b""), &limits, &mut |_, content| {
        let mut kept = Vec::new();
        content.read_to_end(&mut kept)?;
        Ok((Digest::of(&kept), kept.len() as u64))
    });
    let _ = read_index(bytes, &Keys::new());
    let installed = parse_installed(bytes).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut catalog = Catalog::new();
    if catalog.add("fuzz/main", text).is_ok() {
        let names: Vec<String> = catalog.names().take(3).map(str::to_owned).collect();
        let few = &installed.packages[..installed.packages.len().min(3)];
        let _ = resolve(&names, &catalog, few, None);
    }
    let world = world_with(text, &[]);
    assert_eq!(world, world_with(&world, &[]));
    for dependency in parse_dependencies(text) {
        let _ = dependency.constraint.is_some_and(|constraint| constraint.allows("1.2_rc3-r4"));
    }
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (a, b) = text.split_at(middle);
    assert_eq!(compare_versions(a, b), compare_versions(b, a).reverse());
});
