//! What is locked, moved on purpose.

use crate::{EXFLOW, archive, shell, workspace};
use exflow_content::Sha256;
use exflow_diagnostics::SourceName;
use exflow_lock::{
    Lock, LockedBase, LockedDebian, LockedPackage, LockedRoot, Platform, RequestedBase,
    RequestedDebian, VERSION, print,
};
use exflow_testkit::{
    ARCHITECTURE, Archive, Image, Package, Server, Squeeze, Workspace, entry, registry,
};
use std::collections::BTreeMap;
use tar::EntryType;

const MANIFEST: &str =
    "base \"builder\" { debian \"made-up\" slim=#true; packages \"shell\" \"app\"; }
base \"other\" { debian \"made-up\" slim=#true; packages \"shell\" \"tool\"; }
project \"made\" {
    stage \"one\" { run \"mkdir out\"; output \"out\"; }
    stage \"two\" base=\"other\" { run \"mkdir more\"; output \"more\"; }
}
";

/// The archive as it was before: `app` needed another library, and `tool` nothing.
fn before() -> Archive {
    Archive::new("made-up")
        .package(shell())
        .package(Package::new("tool", "0.9").file("usr/bin/tool", 0o755, b"old"))
        .package(Package::new("legacy", "1.0").file("usr/share/legacy", 0o644, b"old"))
        .package(Package::new("app", "1.0").field("Depends", "legacy"))
}

/// What stands in a lock from this key on, up to the next one at its place.
fn block<'a>(lock: &'a str, name: &str) -> &'a str {
    let begin = lock.split_once(&format!("    \"{name}\": {{\n")).expect(name).1;
    begin.split_once("\n    }").unwrap().0
}

/// A workspace that was locked.
fn locked() -> (Server, Workspace) {
    let before = before();
    let server = Server::new(before.files());
    let workspace = workspace(&before, &server).with("exflow.kdl", MANIFEST);
    workspace.ok(&["lock"]);
    (server, workspace)
}

/// The same, and its archive has moved on since.
fn outdated() -> (Server, Workspace) {
    let (server, workspace) = locked();
    move_on(&server, &workspace);
    (server, workspace)
}

fn move_on(server: &Server, workspace: &Workspace) {
    let newer = Package::new("newer", "1.0").field("Depends", "app (>= 2.0)");
    let after = archive().package(newer);
    server.now_serves(after.files());
    std::fs::write(workspace.outside().join("keyring.asc"), after.keyring()).unwrap();
}

#[test]
fn what_is_named_moves_and_nothing_else() {
    let (server, workspace) = outdated();
    let old = workspace.read("exflow.lock");
    let builder = format!(
        "base `builder` on linux/{ARCHITECTURE}\n  app 1.0 → 2.0\n  legacy 1.0, gone\n  library 2.0, new\n"
    );
    let other = format!("base `other` on linux/{ARCHITECTURE}\n  tool 0.9 → 1.0\n");
    // To look is not to move.
    let both = format!("{builder}{other}");
    assert_eq!(workspace.ok(&["lock", "outdated"]).stdout, both);
    assert_eq!(workspace.ok(&["lock", "outdated", "o*"]).stdout, other);
    let dry = workspace.ok(&["update", "--dry-run"]);
    dry.says(&["nothing was changed"]);
    assert_eq!(dry.stdout, both);
    assert_eq!(workspace.read("exflow.lock"), old);
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), old);

    assert_eq!(workspace.ok(&["update", "base:other"]).stdout, other);
    let new = workspace.read("exflow.lock");
    assert_eq!(block(&new, "builder"), block(&old, "builder"));
    assert!(block(&new, "other").contains("\"version\":\"1.0\""), "{new}");
    assert_eq!(workspace.ok(&["update", "b*"]).stdout, builder);
    let all = workspace.read("exflow.lock");
    assert_eq!(block(&all, "other"), block(&new, "other"));
    let done = workspace.ok(&["update"]);
    done.says(&["what is locked is what there is today"]);
    assert_eq!(done.stdout, "");
    assert_eq!(workspace.read("exflow.lock"), all);
    workspace.ok(&["build", "--locked"]);

    workspace.fails(&["update", "bilder"], 2).says(&["did you mean `builder`?"]);
    workspace.fails(&["update", "plugin:other"], 2).says(&["base `builder`, base `other`"]);
    workspace.fails(&["update", "{"], 2).says(&["`{`"]);
    // What can't be looked up leaves the lock as it was.
    server.now_serves(BTreeMap::new());
    workspace.fails(&["update"], 1).says(&["exflow::fetch::bad-index"]);
    assert_eq!(workspace.read("exflow.lock"), all);
}

/// What the manifest adds may need what is locked to move, and that it does by `update` only.
#[test]
fn what_has_to_move_does_not_by_itself() {
    let (_server, workspace) = outdated();
    let old = workspace.read("exflow.lock");
    workspace.write("exflow.kdl", &MANIFEST.replace("\"app\"", "\"app\" \"newer\""));
    for command in ["lock", "build"] {
        workspace.fails(&[command], 1).says(&[
            "exflow::lock::would-move",
            "can't be locked without moving what is locked: app 1.0 → 2.0",
            "`exflow update base:builder`",
            "exflow.kdl:1",
        ]);
        assert_eq!(workspace.read("exflow.lock"), old);
    }
    let moved = workspace.ok(&["update", "builder"]).stdout;
    assert!(moved.contains("  app 1.0 → 2.0\n") && moved.contains("  newer 1.0, new\n"), "{moved}");
    assert_eq!(block(&workspace.read("exflow.lock"), "other"), block(&old, "other"));
    workspace.ok(&["lock", "--check"]);
}

/// What another machine has locked stays as well when the manifest changes, and nobody has to lock it again there.
#[test]
fn what_is_locked_for_another_platform_does_not_move_either() {
    let elsewhere =
        if ARCHITECTURE == "amd64" { Platform::LinuxArm64 } else { Platform::LinuxAmd64 };
    let (server, workspace) = locked();
    let parsed = |text: &str| exflow_lock::parse(&SourceName::new("exflow.lock"), text).unwrap();
    let mut lock = parsed(&workspace.read("exflow.lock"));
    for base in lock.bases.values_mut() {
        let here = base.locked.values().next().unwrap().clone();
        base.locked.insert(elsewhere.clone(), here);
    }
    workspace.write("exflow.lock", &print(&lock));
    workspace.ok(&["lock", "--check"]);
    workspace.write("exflow.kdl", &MANIFEST.replace("\"app\"", "\"app\" \"tool\""));
    workspace.ok(&["lock"]);
    let new = parsed(&workspace.read("exflow.lock"));
    assert_eq!(new.bases["other"], lock.bases["other"]);
    assert_eq!(new.bases["builder"].locked.len(), 2);
    for (platform, root) in &new.bases["builder"].locked {
        let versions: BTreeMap<&str, &str> =
            root.packages().into_iter().map(|(name, version, _)| (name, version)).collect();
        assert_eq!((versions["app"], versions["tool"]), ("1.0", "0.9"), "{platform}");
    }
    // What there is none of for the other platform doesn't keep anyone from building here.
    let here = Package::new("here", "1.0").only_for(ARCHITECTURE);
    let with_it = before().package(here);
    server.now_serves(with_it.files());
    std::fs::write(workspace.outside().join("keyring.asc"), with_it.keyring()).unwrap();
    let both = workspace.read("exflow.lock");
    workspace.write("exflow.kdl", &MANIFEST.replace("\"app\"", "\"app\" \"here\""));
    workspace.ok(&["lock"]).says(&[
        "exflow::lock::dropped-platform",
        &format!("for {elsewhere}: "),
        &format!("base `builder` is no longer locked for {elsewhere}"),
    ]);
    let here = parsed(&workspace.read("exflow.lock"));
    assert_eq!(here.bases["builder"].locked.len(), 1);
    workspace.write("exflow.lock", &both);
    // And where it can't stay, nothing moves for any.
    move_on(&server, &workspace);
    let before = workspace.read("exflow.lock");
    workspace.write("exflow.kdl", &MANIFEST.replace("\"app\"", "\"app\" \"newer\""));
    let said = workspace.fails(&["lock"], 1);
    said.says(&["on linux/amd64", "on linux/arm64", "app 1.0 → 2.0"]);
    assert_eq!(workspace.read("exflow.lock"), before);
}

/// A base that isn't locked yet is not what `update` of another one is about.
#[test]
fn what_is_missing_stays_missing() {
    let (_server, workspace) = outdated();
    let more = MANIFEST.replace(
        "    stage \"two\"",
        "    stage \"three\" base=\"third\" { run \"mkdir x\"; output \"x\"; }\n    stage \"two\"",
    );
    let third = "base \"third\" { debian \"made-up\" slim=#true; packages \"shell\"; }\n";
    workspace.write("exflow.kdl", &format!("{third}{more}"));
    workspace.ok(&["update", "other"]);
    assert!(!workspace.read("exflow.lock").contains("third"));
    workspace.fails(&["lock", "--check"], 1).says(&["base `third` is not in the lock"]);
    let added = workspace.ok(&["update", "third"]).stdout;
    assert!(
        added.starts_with("base `third` on linux/") && added.contains("shell 1.0, new"),
        "{added}"
    );
}

/// What a newer exflow has added is not lost: the lock is read, and not written.
#[test]
fn a_lock_of_a_newer_exflow_is_left_as_it_is() {
    let (_server, workspace) = outdated();
    let lock = workspace.read("exflow.lock");
    let version = format!("\"version\": {VERSION},\n  \"minor\": 1,\n  \"news\": {{}}");
    let newer = lock.replace("\"version\": 1", &version);
    workspace.write("exflow.lock", &newer);
    workspace.ok(&["lock", "--check"]);
    workspace.ok(&["lock"]);
    workspace.ok(&["plan"]);
    let refused = workspace.fails(&["update"], 1);
    refused.says(&["exflow::lock::newer-version", "`news`", "update exflow"]);
    assert_eq!(workspace.read("exflow.lock"), newer);
}

#[test]
fn who_needs_an_input() {
    let (_server, workspace) = outdated();
    let platform = format!("linux/{ARCHITECTURE}");
    let why = |input: &str| workspace.ok(&["lock", "why", input]).stdout;
    assert_eq!(why("other"), "base `other`\n  stage `two` of project `made`\n");
    assert_eq!(
        why("legacy"),
        format!(
            "package `legacy` 1.0 of base `builder` on {platform}, needed by others\n  \
             stage `one` of project `made`\n"
        )
    );
    let shell = why("package:shell");
    assert_eq!(shell.matches("named in the manifest").count(), 2, "{shell}");
    workspace.fails(&["lock", "why", "legaci"], 2).says(&["did you mean `legacy`?"]);
    workspace.fails(&["lock", "why", "plugin:other"], 2).says(&["plugin:other"]);
    workspace.fails(&["lock", "why"], 2).says(&["INPUT"]);
    workspace.fails(&["lock", "--check", "why", "other"], 2).says(&["--check"]);
}

/// An image is one for all the platforms that it is locked for.
#[test]
fn an_image_moves_on_all_platforms() {
    let elsewhere = if ARCHITECTURE == "amd64" { "arm64" } else { "amd64" };
    let images = |words: &str| {
        [ARCHITECTURE, elsewhere].map(|architecture| {
            let file = entry("etc/words", EntryType::Regular, "", 0o644, words.as_bytes());
            Image::new(Squeeze::Gzip).architecture(architecture).layer(&[file])
        })
    };
    let serves = |images: &[Image; 2]| registry(&[("team/base", "1", &[&images[0], &images[1]])]);
    let (first, second) = (images("first"), images("second"));
    let server = Server::new(serves(&first));
    let host = server.url().trim_start_matches("http://").to_owned();
    let manifest = format!(
        "workspace \"w\" {{ registry \"{host}\" plain-http=#true; }}\nbase \"builder\" {{ image \"{host}/team/base:1\"; }}\n\
         project \"made\" {{\n    stage \"one\" {{ run \"x\"; output \"out\"; }}\n}}\n"
    );
    let workspace =
        Workspace::new(EXFLOW).with("exflow.kdl", &manifest).env("DOCKER_CONFIG", "/nowhere");
    workspace.ok(&["lock"]);
    // As if both machines had locked it.
    let other = workspace
        .read("exflow.lock")
        .replace(ARCHITECTURE, elsewhere)
        .replace(&first[0].digest(), &first[1].digest())
        .replace(&first[0].id(), &first[1].id());
    workspace.write("exflow.lock", &other);
    let lacking = format!("base `builder` is not locked for linux/{ARCHITECTURE}");
    workspace.fails(&["lock", "--check"], 1).says(&[&lacking]);
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    assert!(first.iter().all(|image| lock.contains(&image.digest())), "{lock}");
    server.now_serves(serves(&second));
    let moved = workspace.ok(&["update"]).stdout;
    for (old, new) in first.iter().zip(&second) {
        let line = format!("  image {} → {}\n", old.digest(), new.digest());
        assert!(moved.contains(&line), "{moved}");
    }
    let lock = workspace.read("exflow.lock");
    assert!(second.iter().all(|image| lock.contains(&image.digest())), "{lock}");
}

/// A base as a branch adds it.
fn added(lock: &mut Lock, name: &str) {
    let package = |number: usize| LockedPackage {
        name: format!("{name}-{number}"),
        version: "1.0".into(),
        architecture: "all".into(),
        archive: "debian".into(),
        path: format!("pool/{name}-{number}.deb"),
        size: 1,
        sha256: Sha256::of(name.as_bytes()),
    };
    let packages = vec![package(1), package(2), package(3)];
    let debian = LockedDebian { snapshot: "20261101T000000Z".into(), packages };
    let requested = RequestedBase::Debian(RequestedDebian {
        suite: "made-up".into(),
        slim: true,
        packages: vec![format!("{name}-1")],
    });
    let locked = [(Platform::LinuxAmd64, LockedRoot::Debian(debian))].into();
    lock.bases.insert(name.to_owned(), LockedBase { requested, locked });
}

/// Branches that add bases at different places merge by themselves; those that add at the same one are for people.
#[test]
fn branches_that_add_inputs_merge() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = Lock { image_assembly: 1, ..Lock::default() };
    for name in ["d", "m", "t"] {
        added(&mut old, name);
    }
    let names = ["a", "f", "p", "z"];
    let (mut merged, mut all) = (0, 0);
    for ours in names {
        for theirs in names.into_iter().filter(|theirs| *theirs != ours) {
            let with = |more: &[&str]| {
                let mut lock = old.clone();
                for name in more {
                    added(&mut lock, name);
                }
                lock
            };
            let files = [("ours", &[ours][..]), ("old", &[]), ("theirs", &[theirs])];
            for (file, more) in files {
                std::fs::write(folder.path().join(file), print(&with(more))).unwrap();
            }
            let output = std::process::Command::new("git")
                .args(["merge-file", "-p", "ours", "old", "theirs"])
                .current_dir(folder.path())
                .output()
                .unwrap();
            all += 1;
            if output.status.success() {
                merged += 1;
                assert_eq!(
                    String::from_utf8(output.stdout).unwrap(),
                    print(&with(&[ours, theirs]))
                );
            }
        }
    }
    assert!(merged == all, "{merged} of {all}");
}

/// Whatever is there instead of a lock, it is said where, and nothing is written over it.
#[test]
fn a_lock_that_is_none_is_left_as_it_is() {
    let (_server, workspace) = outdated();
    let good = workspace.read("exflow.lock");
    let digest = good.split("\"sha256\":\"").nth(1).unwrap().split('"').next().unwrap();
    let package = good.lines().find(|line| line.contains("\"name\":\"app\"")).unwrap();
    for (bad, code, place) in [
        (format!("<<<<<<< HEAD\n{good}"), "exflow::lock::merge-conflict", "exflow.lock:1:"),
        (
            good.replace("\n  \"plugins\"", "\n=======\n>>>>>>> b\n  \"plugins\""),
            "exflow::lock::merge-conflict",
            "exflow.lock:",
        ),
        (good[..good.len() / 2].to_owned(), "exflow::lock::invalid", "exflow.lock:"),
        (String::new(), "exflow::lock::invalid", "exflow.lock:"),
        (good.replacen("\"size\":", "\"length\":", 1), "exflow::lock::invalid", "exflow.lock:"),
        (
            good.replacen("\"image-assembly\"", "\"news\": 1, \"image-assembly\"", 1),
            "exflow::lock::invalid",
            "exflow.lock:",
        ),
        (good.replacen(digest, &digest[1..], 1), "exflow::lock::invalid", "exflow.lock:"),
        (
            good.replacen(package, &format!("{package}\n{package}"), 1),
            "exflow::lock::invalid",
            "exflow.lock:",
        ),
        (
            good.replacen("    \"builder\": {", "    \"other\": {", 1),
            "exflow::lock::invalid",
            "exflow.lock:",
        ),
        (
            good.replacen("\"version\": 1", "\"version\": 99", 1),
            "exflow::lock::newer-version",
            "exflow",
        ),
        ("\u{1}garbage ".repeat(4_000_000), "exflow::lock::invalid", "exflow.lock"),
    ] {
        workspace.write("exflow.lock", &bad);
        for command in
            [&["lock"][..], &["lock", "--check"], &["update"], &["build"], &["fetch"], &["verify"]]
        {
            workspace.fails(command, 1).says(&[code, place]);
            assert!(workspace.read("exflow.lock") == bad, "{command:?} has changed a bad lock");
        }
    }
}
