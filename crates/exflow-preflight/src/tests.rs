mod compiled;
mod made;

use crate::elf::{Elf, Machine};
use crate::{Blobs, Findings, Names, Problem, Subject, check, diagnose};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_diagnostics::{Site, SourceName, Style, render};
use exflow_lock::Platform;
use made::{AMD64, Made, library, program};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Cursor;

const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// Two bases and a release.
#[derive(Default)]
struct World {
    blobs: BTreeMap<Digest, Vec<u8>>,
    opened: Cell<usize>,
    base: Tree,
    builder: Option<Tree>,
    release: Tree,
    library_path: Option<&'static str>,
    /// No other node talks to it.
    alone: bool,
}

impl Blobs for World {
    type Error = String;
    type Reader = Cursor<Vec<u8>>;

    fn open(&self, blob: &Digest) -> Result<Self::Reader, String> {
        self.opened.set(self.opened.get() + 1);
        self.blobs.get(blob).cloned().map(Cursor::new).ok_or_else(|| blob.to_string())
    }
}

impl World {
    fn put(&mut self, tree: impl Fn(&mut Self) -> &mut Tree, at: &str, bytes: &[u8]) {
        let blob = Digest::of(bytes);
        let entry = Entry::File { mode: Mode::EXECUTABLE, blob, size: bytes.len() as u64 };
        self.blobs.insert(blob, bytes.to_vec());
        tree(self).insert(path(at), entry).unwrap();
    }

    fn base(mut self, at: &str, file: &Made) -> Self {
        self.put(|it| &mut it.base, at, &file.bytes());
        self
    }

    fn base_text(mut self, at: &str, text: &str) -> Self {
        self.put(|it| &mut it.base, at, text.as_bytes());
        self
    }

    fn base_link(mut self, at: &str, target: &str) -> Self {
        let entry = Entry::Symlink { target: target.as_bytes().into() };
        self.base.insert(path(at), entry).unwrap();
        self
    }

    fn builder(mut self, at: &str, file: &Made) -> Self {
        self.put(|it| it.builder.get_or_insert_default(), at, &file.bytes());
        self
    }

    fn builder_text(mut self, at: &str, text: &str) -> Self {
        self.put(|it| it.builder.get_or_insert_default(), at, text.as_bytes());
        self
    }

    fn release(mut self, at: &str, file: &Made) -> Self {
        self.put(|it| &mut it.release, at, &file.bytes());
        self
    }

    fn release_text(mut self, at: &str, text: &str) -> Self {
        self.put(|it| &mut it.release, at, text.as_bytes());
        self
    }

    fn find(&self) -> Findings {
        let mut whole = self.base.clone();
        whole.merge(&path("app"), &self.release).unwrap();
        let subject = Subject {
            base: &self.base,
            release: &self.release,
            at: &path("app"),
            whole: &whole,
            platform: Platform::LinuxAmd64,
            start: Some("/app/bin/start"),
            library_path: self.library_path,
            path: None,
            is_distributed: !self.alone,
        };
        check(&subject, self, || Ok(self.builder.clone())).unwrap()
    }

    /// What the user sees.
    fn shown(&self) -> String {
        let source = SourceName::new("exflow.kdl");
        let text = "project \"shop\" {\n    stage \"runtime\" base=\"runner\"\n}\n";
        let mut sources = exflow_diagnostics::Sources::new();
        sources.insert(source.clone(), text);
        let names = Names {
            base: "runner",
            builder: self.builder.is_some().then_some("builder"),
            platform: &Platform::LinuxAmd64,
        };
        let problems = diagnose(&self.find(), &names, Some(&Site::new(&source, 21..50)));
        problems.iter().map(|problem| render(problem, &sources, Style::default())).collect()
    }

    fn fits(&self) {
        assert_eq!(self.find().mismatches, []);
    }
}

fn libc(versions: &[&'static str]) -> Made {
    library().soname("libc.so.6").provides(versions)
}

/// Debian, with a merged `/usr`, with this glibc.
fn debian(versions: &[&'static str]) -> World {
    World::default()
        .base_link("lib", "usr/lib")
        .base_link("lib64", "usr/lib64")
        .base("usr/lib/x86_64-linux-gnu/libc.so.6", &libc(versions))
        .base("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &library())
        .base_link("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        .base_text("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
}

fn alpine() -> World {
    World::default()
        .base("lib/ld-musl-x86_64.so.1", &Made { defined: vec!["malloc"], ..library() })
        .base_link("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
        .base_text("etc/os-release", "ID=alpine\nVERSION_ID=3.21.3\n")
}

fn beam() -> Made {
    program(GLIBC).needs("libc.so.6").requires("libc.so.6", "GLIBC_2.2.5")
}

#[test]
fn what_fits() {
    let world = debian(&["GLIBC_2.2.5", "GLIBC_2.36"])
        .base("usr/lib/x86_64-linux-gnu/libcrypto.so.3", &library().needs("libc.so.6"))
        .release("erts-1/bin/beam.smp", &beam())
        .release(
            "lib/crypto-5/priv/lib/crypto.so",
            &library().needs("libcrypto.so.3").needs("libc.so.6"),
        )
        .release_text("lib/a/ebin/a.beam", "no program")
        .release_text("bin/a", "#!/bin/sh\n");
    world.fits();
    // Statically linked programs run everywhere.
    World::default().release("bin/static", &library()).fits();
}

#[test]
fn files_are_opened_once() {
    let world = debian(&["GLIBC_2.2.5"])
        .release("erts-1/bin/beam.smp", &beam())
        .release("erts-1/bin/epmd", &beam())
        .release("erts-1/bin/heart", &beam());
    world.fits();
    // The program, libc and the loader.
    assert_eq!(world.opened.get(), 3);
}

#[test]
fn a_library_is_missing() {
    let world = debian(&["GLIBC_2.2.5"])
        .release("lib/crypto-5/priv/lib/crypto.so", &library().needs("libcrypto.so.3"))
        .release("lib/crypto-5/priv/lib/other.so", &library().needs("libcrypto.so.3"))
        .builder("lib64/ld-linux-x86-64.so.2", &library())
        .builder("usr/lib/x86_64-linux-gnu/libcrypto.so.3", &library())
        .builder_text("var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n")
        .builder_text(
            "var/lib/dpkg/info/libssl3:amd64.list",
            "/.\n/usr/lib/x86_64-linux-gnu/libcrypto.so.3\n",
        )
        .builder_text("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
    insta::assert_snapshot!(world.shown());
}

#[test]
fn what_the_emulator_lacks_is_said_once() {
    let world = debian(&["GLIBC_2.2.5"])
        .base("usr/lib/libncurses.so.6", &library().needs("libmissing.so.1"))
        .release("erts-1/bin/beam.smp", &beam().needs("libtinfo.so.6").needs("libncurses.so.6"))
        .release("lib/a-1/priv/a.so", &library().needs("libc.so.6"));
    let found = world.find().mismatches;
    assert_eq!(found.len(), 2, "{found:?}");
    for mismatch in found {
        assert_eq!(mismatch.files, [path("app/erts-1/bin/beam.smp")]);
    }
}

#[test]
fn epmd_is_not_always_started() {
    let epmd = beam().needs("libsystemd.so.0");
    let mut world = debian(&["GLIBC_2.2.5"]).release("erts-1/bin/epmd", &epmd);
    assert_eq!(world.find().mismatches.len(), 1);
    world.alone = true;
    world.fits();
}

#[test]
fn a_library_elsewhere_in_the_release() {
    let x = library().soname("libx.so.1");
    let none = || debian(&["GLIBC_2.2.5"]).release("x/lib/libx.so.1", &x);
    // Whoever opens it may have opened the other one before; nobody has for a program.
    none().release("x/plugins/a.so", &library().needs("libx.so.1")).fits();
    let program = none().release("x/bin/a", &beam().needs("libx.so.1"));
    assert_eq!(program.find().mismatches.len(), 1);
    none().release("x/bin/a", &beam().needs("$ORIGIN/../lib/libx.so.1")).fits();
}

#[test]
fn a_library_of_the_base_lacks_one() {
    let world = debian(&["GLIBC_2.2.5"])
        .base("usr/lib/x86_64-linux-gnu/libcrypto.so.3", &library().needs("libz.so.1"))
        .release("lib/crypto-5/priv/lib/crypto.so", &library().needs("libcrypto.so.3"));
    insta::assert_snapshot!(world.shown());
}

#[test]
fn another_openssl() {
    let world = debian(&["GLIBC_2.2.5"])
        .base("usr/lib/x86_64-linux-gnu/libcrypto.so.3", &library())
        .release("lib/crypto-5/priv/lib/crypto.so", &library().needs("libcrypto.so.1.1"))
        .builder("lib64/ld-linux-x86-64.so.2", &library())
        .builder("usr/lib/x86_64-linux-gnu/libcrypto.so.1.1", &library())
        .builder_text("etc/os-release", "ID=debian\nVERSION_CODENAME=bullseye\n");
    insta::assert_snapshot!(world.shown());
}

#[test]
fn glibc_is_too_old() {
    let world = debian(&["GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.36", "GLIBC_PRIVATE"])
        .release("erts-1/bin/beam.smp", &beam().requires("libc.so.6", "GLIBC_2.38"))
        .release("erts-1/bin/epmd", &beam().requires("libc.so.6", "GLIBC_2.37"))
        .release("erts-1/bin/heart", &beam().requires("libc.so.6", "GLIBC_2.38"))
        .release("erts-1/bin/inet_gethost", &beam().requires("libc.so.6", "GLIBC_2.38"))
        .builder("lib64/ld-linux-x86-64.so.2", &library())
        .builder("usr/lib/x86_64-linux-gnu/libc.so.6", &libc(&["GLIBC_2.36", "GLIBC_2.41"]));
    insta::assert_snapshot!(world.shown());
}

#[test]
fn versions_that_are_no_mismatch() {
    let weak = Made { requires: vec![("libc.so.6", "GLIBC_2.99", true)], ..beam() };
    debian(&["GLIBC_2.2.5"]).release("bin/a", &weak).fits();
    // A library without versions has them all.
    debian(&["GLIBC_2.2.5"])
        .base("usr/lib/libx.so.1", &library())
        .release("bin/a", &beam().needs("libx.so.1").requires("libx.so.1", "X_2"))
        .fits();
}

#[test]
fn another_libc() {
    let glibc = alpine()
        .release("erts-1/bin/beam.smp", &beam())
        .release("lib/crypto-5/priv/lib/crypto.so", &library().needs("libc.so.6"))
        .builder("usr/lib/x86_64-linux-gnu/libc.so.6", &libc(&["GLIBC_2.36"]));
    insta::assert_snapshot!(glibc.shown());
    let musl = debian(&["GLIBC_2.2.5"])
        .release("erts-1/bin/beam.smp", &program(MUSL).needs("libc.musl-x86_64.so.1"));
    insta::assert_snapshot!(musl.shown());
    let none = World::default().release("erts-1/bin/beam.smp", &beam());
    insta::assert_snapshot!(none.shown());
    let unmerged = debian(&["GLIBC_2.2.5"]).release("bin/a", &program("/lib/ld-linux.so.9"));
    insta::assert_snapshot!(unmerged.shown());
}

#[test]
fn a_base_that_starts_both() {
    let gcompat = alpine()
        .base("lib/libgcompat.so.0", &library())
        .base_link("lib64/ld-linux-x86-64.so.2", "../lib/libgcompat.so.0")
        .release("erts-1/bin/beam.smp", &beam())
        .release("lib/a-1/priv/a.so", &library().needs("libc.so.6"));
    gcompat.fits();
}

#[test]
fn another_machine() {
    let arm = Made { machine: Machine::new(183, true), ..library() };
    let world = debian(&["GLIBC_2.2.5"]).release("lib/a-1/priv/a.so", &arm);
    insta::assert_snapshot!(world.shown());
    // One of several, of which the package chooses.
    debian(&["GLIBC_2.2.5"])
        .release("lib/a-1/priv/aarch64-linux/a.so", &arm)
        .release("lib/a-1/priv/x86_64-linux/a.so", &library())
        .fits();
}

#[test]
fn musl_has_names_and_symbols() {
    let nif = |symbols: &[&'static str]| Made {
        defined: vec!["nif_init"],
        undefined: symbols.to_vec(),
        ..library().needs("libc.musl-x86_64.so.1").needs("libpthread.so.0")
    };
    let beam = Made { defined: vec!["enif_make_int"], ..program(MUSL).needs("libc.so") };
    let world = |symbols: &[&'static str]| {
        let world = alpine().release("erts-1/bin/beam.smp", &beam);
        world.release("lib/a-1/priv/a.so", &nif(symbols))
    };
    world(&["enif_make_int", "malloc"]).fits();
    insta::assert_snapshot!(world(&["enif_make_int", "qsort_r"]).shown());
}

#[test]
fn where_libraries_are_looked_for() {
    let needs = || beam().needs("libx.so.1");
    let x = library().soname("libx.so.1");
    let none = || debian(&["GLIBC_2.2.5"]);
    for (world, fits) in [
        (none().release("bin/a", &needs()), false),
        (none().base("usr/local/lib/libx.so.1", &x).release("bin/a", &needs()), false),
        (
            none()
                .base("usr/local/lib/libx.so.1", &x)
                .base_text("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
                .base_text("etc/ld.so.conf.d/libc.conf", "# local\n/usr/local/lib\n")
                .base_text("etc/ld.so.cache", "")
                .release("bin/a", &needs()),
            true,
        ),
        (
            none()
                .release("lib/x/libx.so.1", &x)
                .release("bin/a", &Made { runpath: Some("$ORIGIN/../lib/x"), ..needs() }),
            true,
        ),
        (
            none()
                .release("lib/x/libx.so.1", &x)
                .release("bin/a", &Made { rpath: Some("/nowhere:${ORIGIN}/../lib/x"), ..needs() }),
            true,
        ),
        // Whose libraries are looked for there, too: of a DT_RPATH, and not of a DT_RUNPATH.
        (
            none()
                .release("x/libx.so.1", &x)
                .release("x/liby.so.1", &library().needs("libx.so.1"))
                .release("bin/a", &Made { rpath: Some("/app/x"), ..beam().needs("liby.so.1") }),
            true,
        ),
        // One for another machine is passed over.
        (
            none()
                .base("usr/lib/libx.so.1", &Made { machine: Machine::new(3, false), ..x.clone() })
                .release("bin/a", &needs()),
            false,
        ),
        // What is loaded already is known by its own name.
        (
            none()
                .base("usr/lib/liby.so", &x)
                .release("bin/a", &beam().needs("liby.so").needs("libx.so.1")),
            true,
        ),
        // The driver of a graphics card comes from the host.
        (none().release("bin/a", &beam().needs("libcuda.so.1")), true),
        // Nobody opens a window.
        (none().release("lib/wx-2/priv/wxe_driver.so", &library().needs("libwx_gtk3u.so.0")), true),
    ] {
        let found = world.find().mismatches;
        assert_eq!(found.is_empty(), fits, "{found:?}");
    }
    let mut world = none().base("opt/x/libx.so.1", &x).release("bin/a", &needs());
    world.library_path = Some("/opt/x");
    world.fits();
    let runpath = none()
        .release("x/libx.so.1", &x)
        .release("x/liby.so.1", &library().needs("libx.so.1"))
        .release("bin/a", &Made { runpath: Some("/app/x"), ..beam().needs("liby.so.1") });
    let found = runpath.find().mismatches;
    assert!(matches!(&found[0].problem, Problem::MissingLibrary { by: Some(_), .. }), "{found:?}");
}

#[test]
fn musl_looks_where_its_file_says() {
    let x = library();
    let world = |at: &str| {
        let beam = program(MUSL).needs("libx.so.1");
        alpine().base(at, &x).release("erts-1/bin/beam.smp", &beam)
    };
    world("usr/local/lib/libx.so.1").fits();
    let elsewhere = world("opt/libx.so.1");
    assert_eq!(elsewhere.find().mismatches.len(), 1);
    elsewhere.base_text("etc/ld-musl-x86_64.path", "/lib\n/opt\n").fits();
}

#[test]
fn a_package_of_apk() {
    let world = alpine()
        .release("lib/crypto-5/priv/lib/crypto.so", &library().needs("libcrypto.so.3"))
        .builder("lib/ld-musl-x86_64.so.1", &library())
        .builder("usr/lib/libcrypto.so.3", &library())
        .builder_text(
            "lib/apk/db/installed",
            "P:musl\nV:1\nF:lib\nR:ld-musl-x86_64.so.1\n\nP:libcrypto3\nV:3\nF:usr/lib\nR:libcrypto.so.3\n\n",
        );
    insta::assert_snapshot!(world.shown());
}

#[test]
fn a_release_without_erts() {
    let release = |world: World| world.release_text("releases/start_erl.data", "14.2.5 1.0.0\n");
    insta::assert_snapshot!(release(debian(&["GLIBC_2.2.5"])).shown());
    let with = |version: &str| {
        release(debian(&["GLIBC_2.2.5"]))
            .base_text("usr/lib/erlang/bin/erl", "#!/bin/sh\n")
            .base_link("usr/bin/erl", "../lib/erlang/bin/erl")
            .base_text(&format!("usr/lib/erlang/erts-{version}/bin/beam.smp"), "")
    };
    with("14.2.5").fits();
    insta::assert_snapshot!(with("15.0").shown());
    // With its own, it doesn't matter what the base has.
    with("15.0").release_text("erts-14.2.5/bin/beam.smp", "").fits();
}

#[test]
fn every_class_and_order_is_read() {
    for (number, is_64, is_big_endian) in
        [(62, true, false), (3, false, false), (22, true, true), (20, false, true)]
    {
        let made = Made {
            machine: Machine { number, is_64, is_big_endian },
            rpath: Some("/a"),
            runpath: Some("/b"),
            undefined: vec!["malloc"],
            defined: vec!["own"],
            ..program("/lib/ld.so").needs("libc.so.6").needs("libm.so.6").soname("libown.so")
        };
        let made = made
            .requires("libc.so.6", "C_2")
            .requires("libm.so.6", "M_1")
            .provides(&["A_1", "A_2"]);
        let elf = Elf::read(Cursor::new(made.bytes()), true).unwrap();
        assert_eq!(elf.machine, made.machine);
        assert!(elf.is_program);
        assert_eq!(elf.interpreter.as_deref(), Some("/lib/ld.so"));
        assert_eq!(elf.needed, ["libc.so.6", "libm.so.6"]);
        assert_eq!((elf.rpath.as_deref(), elf.runpath.as_deref()), (Some("/a"), Some("/b")));
        assert_eq!(elf.soname.as_deref(), Some("libown.so"));
        let requires: Vec<_> = elf.requires.iter().map(|it| (&*it.library, &*it.version)).collect();
        assert_eq!(requires, [("libc.so.6", "C_2"), ("libm.so.6", "M_1")]);
        assert_eq!(elf.provides, ["A_1", "A_2"]);
        assert_eq!(elf.defined.iter().collect::<Vec<_>>(), [&b"own"[..].into()]);
        assert_eq!(elf.undefined.iter().collect::<Vec<_>>(), [&b"malloc"[..].into()]);
    }
    assert_eq!(AMD64.to_string(), "x86_64");
}

/// The script that an image starts with is a program like others: who runs it has to be there.
#[test]
fn a_script_that_nobody_runs() {
    let world = |script: &str| debian(&["GLIBC_2.2.5"]).release_text("bin/start", script);
    let lacks = |script: &str| {
        let problem = world(script).find().mismatches.into_iter().map(|it| it.problem).next();
        problem.map(|problem| match problem {
            Problem::NoScriptInterpreter { interpreter } => interpreter,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(lacks("#!/bin/sh\necho").as_deref(), Some("/bin/sh"));
    assert_eq!(lacks("#! /usr/bin/env -S A=b bash -e").as_deref(), Some("/usr/bin/env"));
    for no_script in ["", "#!", "#!\n/bin/sh", "#!  ", "echo", "\u{fffd}#!/bin/sh"] {
        assert_eq!(lacks(no_script), None, "{no_script:?}");
    }
    let with = |script: &str, at: &str| world(script).base_text(at, "").base_link("bin", "usr/bin");
    with("#!/bin/sh\n", "usr/bin/sh").fits();
    with("#!/usr/bin/env bash\n", "usr/bin/env").base_text("usr/local/bin/bash", "").fits();
    let shown = with("#!/usr/bin/env bash\n", "usr/bin/env").shown();
    assert!(shown.contains("a script for `bash`"), "{shown}");
    assert!(shown.contains("add `bash` to the packages of base `runner`"), "{shown}");
    with("#!/usr/bin/env -S -u LANG bash\n", "usr/bin/env").fits();
    let shown = world("#!/bin/sh\n").shown();
    assert!(
        shown.contains("exflow::image::no-interpreter") && shown.contains("add `dash`"),
        "{shown}"
    );
    // Others in a release may never be run there.
    debian(&["GLIBC_2.2.5"]).release_text("bin/other", "#!/usr/bin/python").fits();
}

#[test]
fn what_is_missing_in_the_store_is_an_error() {
    let mut world = debian(&["GLIBC_2.2.5"]).release("bin/a", &beam());
    world.blobs.clear();
    let whole = world.release.clone();
    let subject = Subject {
        base: &world.base,
        release: &world.release,
        at: &RelPath::root(),
        whole: &whole,
        platform: Platform::LinuxAmd64,
        start: None,
        library_path: None,
        path: None,
        is_distributed: true,
    };
    check(&subject, &world, || Ok(None)).unwrap_err();
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Elf::read(Cursor::new(bytes.clone()), true);
        let _ = Elf::read(Cursor::new([&b"\x7fELF\x02\x01\x01"[..], &bytes].concat()), true);
    }

    /// What was changed in a few places is read or refused, alone and as what a release needs.
    #[test]
    fn damaged_files_are_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        is_64 in any::<bool>(),
        is_big_endian in any::<bool>(),
    ) {
        let machine = Machine { number: 62, is_64, is_big_endian };
        let made = Made { machine, undefined: vec!["a"], ..beam() };
        let mut bytes = made.requires("libx.so.1", "X_1").provides(&["A_1"]).bytes();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Elf::read(Cursor::new(bytes.clone()), true);
        let mut world = debian(&["GLIBC_2.2.5"]).release("bin/a", &beam());
        world.put(|it| &mut it.release, "bin/b", &bytes);
        world.put(|it| &mut it.base, "usr/lib/x86_64-linux-gnu/libc.so.6", &bytes);
        let _ = world.find();
    }
}
