//! Files that a compiler made, where there is one.
#![expect(clippy::disallowed_methods, reason = "a compiler reads and writes files")]

use super::{World, path};
use crate::Problem;
use crate::elf::Elf;
use exflow_content::Tree;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

/// Runs `cc` in `folder`; whether there is one, and one for the machine that is checked.
fn cc(folder: &Path, arguments: &[&str]) -> bool {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
        return false;
    }
    let output = Command::new("cc").args(arguments).current_dir(folder).output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => false,
    }
}

/// A library with versions, and a program that needs it.
fn compiled(versions: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("x.c", "int answer(void) { return 42; }\n");
    write("x.map", versions);
    write("a.c", "int answer(void);\nint main(void) { return answer(); }\n");
    let library = ["-shared", "-fPIC", "-o", "libx.so.1", "-Wl,-soname,libx.so.1"];
    let library = [&library[..], &["-Wl,--version-script,x.map", "x.c"]].concat();
    let program = ["-o", "a", "a.c", "./libx.so.1", "-Wl,--enable-new-dtags"];
    let program = [&program[..], &["-Wl,-rpath,$ORIGIN/../lib"]].concat();
    if !cc(folder.path(), &library) || !cc(folder.path(), &program) {
        return None;
    }
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    Some((read("libx.so.1"), read("a")))
}

#[test]
fn what_a_compiler_makes_is_read() {
    let Some((library, program)) = compiled("X_1 { global: answer; local: *; };\n") else { return };
    let library = Elf::read(Cursor::new(library), true).unwrap();
    assert_eq!(library.soname.as_deref(), Some("libx.so.1"));
    assert_eq!(library.provides, ["X_1"]);
    assert!(!library.is_program);
    assert!(library.defined.contains(&b"answer"[..]));
    let program = Elf::read(Cursor::new(program), true).unwrap();
    assert!(program.is_program && program.interpreter.is_some());
    assert_eq!(program.runpath.as_deref(), Some("$ORIGIN/../lib"));
    assert_eq!(program.needed, ["libx.so.1", "libc.so.6"]);
    assert!(program.undefined.contains(&b"answer"[..]));
    let versions = program.requires.iter().map(|it| (&*it.library, &*it.version));
    assert!(versions.into_iter().any(|it| it == ("libx.so.1", "X_1")));
}

/// Adds the loader and the libc of this machine.
fn with_own_libc(world: &mut World) -> bool {
    let find = |paths: &[&str]| paths.iter().find_map(|path| fs::read(path).ok());
    let loader = find(&["/lib64/ld-linux-x86-64.so.2"]);
    let libc = find(&["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"]);
    let (Some(loader), Some(libc)) = (loader, libc) else { return false };
    let base = |world: &mut World, at: &str, bytes: &[u8]| {
        fn tree(world: &mut World) -> &mut Tree {
            &mut world.base
        }
        world.put(tree, at, bytes);
    };
    base(world, "lib64/ld-linux-x86-64.so.2", &loader);
    base(world, "usr/lib64/libc.so.6", &libc);
    true
}

#[test]
fn a_program_and_its_library() {
    let Some((library, program)) = compiled("X_1 { global: answer; local: *; };\n") else { return };
    let Some((other, _)) = compiled("X_0 { global: answer; local: *; };\n") else { return };
    let mut world = World::default();
    if !with_own_libc(&mut world) {
        return;
    }
    world.put(|it| &mut it.release, "bin/a", &program);
    world.put(|it| &mut it.release, "lib/libx.so.1", &library);
    world.fits();
    world.put(|it| &mut it.release, "lib/libx.so.1", &other);
    let found = world.find().mismatches;
    let [mismatch] = &found[..] else { panic!("{found:?}") };
    assert_eq!(mismatch.files, [path("app/bin/a")]);
    assert_eq!(
        mismatch.problem,
        Problem::SymbolVersion {
            library: "libx.so.1".into(),
            versions: vec!["X_1".into()],
            newest: Some("X_0".into()),
            by: None,
        }
    );
    world.release.remove(&path("lib/libx.so.1"));
    let found = world.find().mismatches;
    assert!(
        matches!(&found[0].problem, Problem::MissingLibrary { library, .. } if library == "libx.so.1")
    );
}
