use crate::differing_chunks;
use exflow_content::RelPath;
use std::fmt;

/// What usually makes a file of a release differ from one build to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The cookie is random where none is said.
    Cookie,
    /// An archive has the times of its files.
    Archive,
    /// Mix's own notes about what it has compiled.
    MixManifest,
    /// An `.app` file with the time of the configuration in it.
    AppFile,
    /// Only debug information, documentation or the options of the compiler differ.
    DebugInformation,
    /// Only lines and the files that they are in, or attributes, differ, which are not stripped.
    Lines,
    /// A module that was compressed or laid out in another way, with the same content.
    Layout,
    /// A literal of a module was computed when it was compiled.
    Literal,
    /// The code of a module is another, though its literals are not.
    Code,
    /// Text that differs in its digits alone.
    Digits,
    /// What a compiler of another language made.
    Native,
    /// Nothing that is known.
    Unknown,
}

/// Chunks that a running system doesn't need.
const BESIDE_CODE: &[&str] =
    &["Abst", "CInf", "Dbgi", "DbgB", "Docs", "ExCk", "ExDc", "ExDp", "Meta"];
/// Chunks that a running system has, and that hold where the sources were.
const LINES: &[&str] = &["Line", "Attr"];
/// Chunks that hold what a module has written out in it.
const LITERALS: &[&str] = &["LitT", "StrT", "AtU8", "Atom"];

impl Cause {
    /// What a file at `path` suggests, with its bytes in both trees, and the chunks of it that differ where it is a BEAM
    /// file.
    pub fn of(path: &RelPath, first: &[u8], second: &[u8]) -> (Self, Vec<String>) {
        let name = path.name().unwrap_or_default();
        if name.ends_with(b".beam")
            && let Ok(chunks) = differing_chunks(first, second)
        {
            let all_of = |known: &[&str]| chunks.iter().all(|chunk| known.contains(&&**chunk));
            let cause = if chunks.is_empty() {
                Self::Layout
            } else if all_of(BESIDE_CODE) {
                Self::DebugInformation
            } else if chunks
                .iter()
                .all(|chunk| LINES.contains(&&**chunk) || BESIDE_CODE.contains(&&**chunk))
            {
                Self::Lines
            } else if chunks.iter().any(|chunk| LITERALS.contains(&&**chunk)) {
                Self::Literal
            } else {
                Self::Code
            };
            return (cause, chunks);
        }
        (Self::of_file(path, name, first, second), Vec::new())
    }

    fn of_file(path: &RelPath, name: &[u8], first: &[u8], second: &[u8]) -> Self {
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end.as_bytes()));
        if name == b"COOKIE" {
            return Self::Cookie;
        }
        if ends(&[".tar", ".tar.gz", ".tgz", ".zip", ".ez", ".gz"]) {
            return Self::Archive;
        }
        if path.names().any(|name| name == b".mix") || name.starts_with(b"compile.") {
            return Self::MixManifest;
        }
        if ends(&[".app"]) {
            return Self::AppFile;
        }
        if first.starts_with(b"\x7fELF") || ends(&[".so", ".o", ".a"]) {
            return Self::Native;
        }
        if differ_in_digits(first, second) { Self::Digits } else { Self::Unknown }
    }
}

/// Whether two texts are the same but for their digits.
fn differ_in_digits(first: &[u8], second: &[u8]) -> bool {
    let rest = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
    };
    first != second && std::str::from_utf8(first).is_ok() && rest(first) == rest(second)
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cookie => {
                "the cookie is random where none is said: set `cookie:` in the release's options"
            }
            Self::Archive => {
                "an archive holds the times of its files, in the order in which a folder lists them: leave it out \
                 (of a release, `steps: [:assemble]` without `:tar`), or pack it with `tar --sort=name --mtime=@0`"
            }
            Self::MixManifest => "Mix's own notes differ from build to build: keep them out of what a step gives",
            Self::AppFile => {
                "Elixir 1.17 writes the time of the configuration into `.app` files: update to 1.18, or give `config` and \
                 `mix.exs` the same times"
            }
            Self::DebugInformation => {
                "only debug information differs, which holds paths and options: strip it (`strip_beams: true`), or set \
                 `ERL_COMPILER_OPTIONS=deterministic` (from Elixir 1.18 on)"
            }
            Self::Lines => {
                "only the lines and the files that they are in differ, or attributes: sources were at another place, or an \
                 attribute is computed"
            }
            Self::Layout => "the content of the module is the same: it was only compressed or laid out in another way",
            Self::Literal => {
                "something in the module was computed when it was compiled: a time, a random number, a path, the output of \
                 `git`, or the keys of a map in the order that a macro found them in"
            }
            Self::Code => {
                "a macro made other code: mostly it goes through the keys of a map, whose order is not defined from OTP 26 on \
                 (sort them), or modules were compiled in another order"
            }
            Self::Digits => {
                "only digits differ: a time, a random number or the id of a process was written into it"
            }
            Self::Native => {
                "a compiler or linker writes times, paths or random names: `-ffile-prefix-map`, no `__DATE__`, `ar` with \
                 `D`, `-Wl,--build-id=none`"
            }
            Self::Unknown => {
                "usual causes: the time, random numbers, the order in which a folder lists its files, the number of cores, \
                 or several programs that write at the same time"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beam::tests::{beam, gzip};

    fn of(path: &str, first: &[u8], second: &[u8]) -> Cause {
        Cause::of(&RelPath::new(path).unwrap(), first, second).0
    }

    #[test]
    fn files_by_their_names_and_what_is_in_them() {
        assert_eq!(of("releases/COOKIE", b"a", b"b"), Cause::Cookie);
        assert_eq!(of("shop-0.1.0.tar.gz", b"a", b"b"), Cause::Archive);
        assert_eq!(of("_build/prod/lib/shop/.mix/compile.elixir", b"a", b"b"), Cause::MixManifest);
        assert_eq!(of("lib/shop/ebin/shop.app", b"a", b"b"), Cause::AppFile);
        assert_eq!(of("priv/nif.so", b"\x7fELF1", b"\x7fELF2"), Cause::Native);
        assert_eq!(of("priv/stamp", b"at 10:22", b"at 9:01"), Cause::Digits);
        assert_eq!(of("priv/stamp", b"one", b"two"), Cause::Unknown);
        assert_eq!(of("priv/bin", b"\xff1", b"\xff2"), Cause::Unknown);
    }

    #[test]
    fn modules_by_their_chunks() {
        let module = |code: &[u8], literals: &[u8], debug: &[u8]| {
            beam(&[("Code", code), ("LitT", literals), ("Dbgi", debug), ("Line", debug)])
        };
        let first = module(b"1", b"1", b"1");
        let path = RelPath::new("ebin/Elixir.Shop.beam").unwrap();
        for (second, cause, differ) in [
            (module(b"1", b"1", b"2"), Cause::Lines, &["Dbgi", "Line"][..]),
            (module(b"2", b"1", b"1"), Cause::Code, &["Code"]),
            (module(b"2", b"2", b"2"), Cause::Literal, &["Code", "Dbgi", "Line", "LitT"]),
            (gzip(&first, 9), Cause::Layout, &[]),
        ] {
            let (found, chunks) = Cause::of(&path, &first, &second);
            assert_eq!((found, chunks), (cause, differ.iter().map(ToString::to_string).collect()));
        }
        let debug = |debug: &[u8]| beam(&[("Code", b"1"), ("Dbgi", debug), ("Docs", debug)]);
        assert_eq!(of("ebin/a.beam", &debug(b"1"), &debug(b"2")), Cause::DebugInformation);
        // One that is damaged is a file as any other.
        assert_eq!(of("ebin/a.beam", &first, b"FOR1"), Cause::Unknown);
    }
}
