#![no_main]
//! Programs and libraries come from images and packages, and from whatever a release has.

use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_lock::Platform;
use exflow_preflight::{Blobs, Elf, Names, Subject, check, diagnose};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

/// Every file is the same.
struct Same<'a>(&'a [u8]);

impl<'a> Blobs for Same<'a> {
    type Error = ();
    type Reader = Cursor<&'a [u8]>;

    fn open(&self, _: &Digest) -> Result<Self::Reader, ()> {
        Ok(Cursor::new(self.0))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let path = |text: &str| RelPath::new(text).unwrap();
    let _ = Elf::read(Cursor::new(bytes), true);
    let file = |tree: &mut Tree, at: &str| {
        let blob = Digest::of(at.as_bytes());
        let entry = Entry::File { mode: Mode::EXECUTABLE, blob, size: bytes.len() as u64 };
        tree.insert(path(at), entry).unwrap();
    };
    for (loader, cache) in
        [("lib/ld-musl-x86_64.so.1", "lib/x"), ("lib64/ld-linux-x86-64.so.2", "etc/ld.so.cache")]
    {
        let (mut base, mut release) = (Tree::new(), Tree::new());
        for at in [
            loader,
            cache,
            "lib/libc.so.6",
            "usr/lib/libx.so.1",
            "etc/ld.so.conf",
            "var/lib/dpkg/info/a.list",
        ] {
            file(&mut base, at);
        }
        for at in ["bin/a", "erts-1/bin/beam.smp", "lib/a-1/priv/a.so"] {
            file(&mut release, at);
        }
        let mut whole = base.clone();
        whole.merge(&path("app"), &release).unwrap();
        let subject = Subject {
            base: &base,
            release: &release,
            at: &path("app"),
            whole: &whole,
            platform: Platform::LinuxAmd64,
            start: Some("/app/bin/a"),
            library_path: Some("/usr/lib"),
            path: None,
            is_distributed: true,
        };
        let findings = check(&subject, &Same(bytes), || Ok(Some(base.clone()))).unwrap();
        let names = Names { base: "a", builder: Some("b"), platform: &Platform::LinuxAmd64 };
        let _ = diagnose(&findings, &names, None);
    }
});
