//! Files that a release has once for each kind of machine.

use exflow_content::RelPath;

/// What a path says of a machine, a system or a libc.
const WORDS: &[&str] = &[
    "32",
    "64",
    "aarch64",
    "amd64",
    "android",
    "apple",
    "arm",
    "arm64",
    "armhf",
    "armv6",
    "armv7",
    "armv7l",
    "armv8",
    "darwin",
    "freebsd",
    "glibc",
    "gnu",
    "gnueabihf",
    "i386",
    "i586",
    "i686",
    "linux",
    "linuxmusl",
    "macos",
    "mips",
    "mips64",
    "musl",
    "musleabihf",
    "netbsd",
    "openbsd",
    "osx",
    "pc",
    "powerpc64le",
    "ppc64le",
    "riscv64",
    "riscv64gc",
    "s390x",
    "unknown",
    "windows",
    "win32",
    "win64",
    "x64",
    "x86",
];

/// A path without what it says of a machine. Of two files with the same one, a package chooses when it
/// runs: that one of them can't be loaded here says nothing.
pub(crate) fn without_machine(path: &RelPath) -> String {
    let text = path.to_string();
    let words = text.split(['/', '.', '-', '_']);
    let kept: Vec<&str> =
        words.filter(|word| !WORDS.contains(&&*word.to_ascii_lowercase())).collect();
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_for_several_machines() {
        let of = |path: &str| without_machine(&RelPath::new(path).unwrap());
        for path in
            ["lib/a-1.0/priv/aarch64-linux-musl/a.so", "lib/a-1.0/priv/x86_64-linux-gnu/a.so"]
        {
            assert_eq!(of(path), of("lib/a-1.0/priv/a.so"), "{path}");
        }
        assert_eq!(of("lib/a/priv/tool-linux-arm64"), of("lib/a/priv/tool-linux-x64"));
        assert_ne!(of("lib/a/priv/a.so"), of("lib/b/priv/a.so"));
    }
}
