//! Bases from an archive of made-up packages: what a lock says, and what a bad server can do.

use crate::{archive, one_stage, shell, workspace};
use exflow_testkit::{Archive, Fault, Package, Server, Workspace, deb_of, entry, tar_of};
use std::time::Duration;
use tar::EntryType;

const APP: &str = "base \"builder\" {\n    debian \"made-up\" slim=#true\n    packages \"shell\" \"app\"\n}\n\n\
    project \"made\" {\n    stage \"one\" {\n        run \"cat /usr/share/library > out/a\"\n        output \"out\"\n    }\n}\n";

fn app() -> String {
    APP.replace("cat /usr", "mkdir out; cat /usr")
}

fn served(archive: &Archive, manifest: &str) -> (Server, Workspace) {
    let server = Server::new(archive.files());
    let workspace = workspace(archive, &server).with("exflow.kdl", manifest);
    (server, workspace)
}

/// A locked workspace with a package that takes a while, of so many words that no compressor shortens.
fn with_big_package(words: u32) -> (Server, Workspace) {
    let big: Vec<u8> =
        (0..words).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let archive = archive().package(Package::new("big", "1.0").file("usr/share/big", 0o644, &big));
    let (server, workspace) = served(&archive, &app().replace("\"app\"", "\"app\" \"big\""));
    workspace.ok(&["lock"]);
    (server, workspace)
}

#[test]
fn locks_the_newest_that_fits_and_builds_it() {
    let (server, workspace) = served(&archive(), &app());
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    assert!(lock.contains("\"name\":\"library\",\"version\":\"2.0\""), "{lock}");
    assert!(!lock.contains("127.0.0.1"), "no address is in the lock: {lock}");
    workspace.ok(&["build"]);
    // Locking again changes nothing, and needs no network.
    server.forget();
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    assert_eq!(server.requests(), [""; 0]);
    workspace.ok(&["lock", "--check"]);
}

#[test]
fn a_build_never_moves_what_is_locked() {
    let first = Archive::new("made-up").package(shell()).package(Package::new("app", "1.0").file(
        "usr/share/library",
        0o644,
        b"first",
    ));
    let (server, workspace) = served(&first, &app());
    workspace.ok(&["build"]);
    let lock = workspace.read("exflow.lock");
    // The archive moves on, and another base is added: only that one is locked anew.
    drop(server);
    let second = archive();
    let server = Server::new(second.files());
    let keyring = workspace.outside().join("keyring.asc");
    std::fs::write(keyring, second.keyring()).unwrap();
    let workspace = workspace
        .env("EXFLOW_DEBIAN_MIRROR", server.url())
        .env("EXFLOW_DEBIAN_SECURITY_MIRROR", server.url());
    workspace.ok(&["build"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    let more = app().replace(
        "output \"out\"\n    }\n",
        "output \"out\"\n    }\n    stage \"two\" base=\"other\" { run \"mkdir out2\"; output \"out2\" }\n",
    );
    workspace.write(
        "exflow.kdl",
        &format!("base \"other\" {{ debian \"made-up\" slim=#true; packages \"shell\" \"tool\" }}\n{more}"),
    );
    // Not without being allowed to.
    workspace.fails(&["build", "--locked"], 1).says(&[
        "exflow::lock::stale",
        "`other`",
        "exflow lock",
    ]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    workspace.ok(&["build"]).says(&["locking", "base `other` is not in the lock"]);
    let new = workspace.read("exflow.lock");
    let block = |text: &str| {
        text.split("\"builder\"").nth(1).unwrap().split("\n    }").next().unwrap().to_owned()
    };
    assert_eq!(block(&new), block(&lock));
    assert!(new.contains("\"other\""), "{new}");
}

#[test]
fn a_package_that_does_not_exist() {
    let (_server, workspace) = served(&archive(), &app().replace("\"app\"", "\"appp\""));
    workspace.fails(&["build"], 1).says(&[
        "exflow::packages::unknown-package",
        "`made-up` has no package `appp`",
        "exflow.kdl:3",
        "did you mean `app`?",
    ]);
    assert!(!workspace.root().join("exflow.lock").exists());
}

#[test]
fn packages_that_exclude_one_another() {
    let archive = archive().package(Package::new("rival", "1.0").field("Conflicts", "app"));
    let (_server, workspace) = served(&archive, &app().replace("\"app\"", "\"app\" \"rival\""));
    workspace.fails(&["lock"], 1).says(&[
        "exflow::packages::unsolvable",
        "rival",
        "the solver says",
    ]);
}

#[test]
fn a_suite_that_does_not_exist() {
    let (_server, workspace) = served(&archive(), &app().replace("\"made-up\"", "\"nowhere\""));
    workspace
        .fails(&["lock"], 1)
        .says(&["exflow::fetch::bad-index", "no mirror has a suite `nowhere`"]);
}

#[test]
fn an_index_that_nobody_trusted_has_signed() {
    let (_server, workspace) = served(&archive(), &app());
    std::fs::write(workspace.outside().join("keyring.asc"), archive().keyring()).unwrap();
    workspace.fails(&["lock"], 1).says(&["exflow::fetch::bad-signature", "EXFLOW_DEBIAN_KEYRING"]);
    std::fs::write(workspace.outside().join("keyring.asc"), "nonsense").unwrap();
    workspace.fails(&["lock"], 1).says(&["exflow::lock::bad-keyring"]);
}

#[test]
fn indexes_that_were_tampered_with() {
    let archive = archive();
    let mut files = archive.files();
    let release = String::from_utf8(files["dists/made-up/InRelease"].clone()).unwrap();
    // Text around the signed part is not believed, and text within it can't be changed.
    for (name, changed) in [
        ("before", format!("Codename: other\n\n{release}")),
        ("within", release.replace("Codename: made-up", "Codename: made-uq")),
        ("unsigned", "Suite: made-up\nCodename: made-up\n".to_owned()),
        ("cut", release[..release.len() / 2].to_owned()),
        ("empty", String::new()),
    ] {
        files.insert("dists/made-up/InRelease".to_owned(), changed.into_bytes());
        let server = Server::new(files.clone());
        let workspace = workspace(&archive, &server).with("exflow.kdl", &app());
        let run = workspace.fails(&["lock"], 1);
        assert!(run.stderr.contains("exflow::fetch::bad-"), "{name}: {}", run.stderr);
    }
}

#[test]
fn an_index_that_is_too_old() {
    let archive = archive().release_field("Valid-Until", "Mon, 02 Nov 2026 12:00:00 UTC");
    let (_server, workspace) = served(&archive, &app());
    workspace.fails(&["lock"], 1).says(&["exflow::fetch::bad-index", "too old"]);
}

#[test]
fn a_mirror_that_serves_a_wrong_byte() {
    let (server, workspace) = served(&archive(), &app());
    workspace.ok(&["lock"]);
    server.fault("pool/library_2.0_all.deb", Fault::WrongByte, 99);
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::wrong-digest",
        "pool/library_2.0_all.deb",
        "exflow.kdl:",
    ]);
    // Nothing of it is left: it is fetched from its beginning.
    server.fault("pool/library_2.0_all.deb", Fault::WrongByte, 0);
    server.forget();
    workspace.ok(&["build"]);
    let asked = server.requests();
    assert!(asked.contains(&"GET pool/library_2.0_all.deb".to_owned()), "{asked:?}");
}

#[test]
fn a_mirror_that_serves_a_wrong_index() {
    let (server, workspace) = served(&archive(), &app());
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let index = format!("dists/made-up/main/binary-{architecture}/Packages.gz");
    server.fault(&index, Fault::WrongByte, 99);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::wrong-digest"]);
    server.fault(&index, Fault::TooLong(1000), 99);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::too-large"]);
    server.fault(&index, Fault::WrongByte, 0);
    workspace.ok(&["build"]);
}

#[test]
fn a_mirror_that_dies_halfway_is_continued() {
    let (server, workspace) = with_big_package(3_000_000);
    server.forget();
    server.fault("pool/big_1.0_all.deb", Fault::HangUpAfter(1_000_000), 3);
    workspace.ok(&["build"]);
    let asked: Vec<String> =
        server.requests().into_iter().filter(|request| request.contains("big")).collect();
    assert_eq!(
        asked,
        [
            "GET pool/big_1.0_all.deb",
            "GET pool/big_1.0_all.deb from 1000000",
            "GET pool/big_1.0_all.deb from 2000000",
            "GET pool/big_1.0_all.deb from 3000000",
        ]
    );
}

#[test]
fn a_mirror_that_stays_dead_is_continued_by_the_next_build() {
    let (server, workspace) = with_big_package(500_000);
    server.fault("pool/big_1.0_all.deb", Fault::HangUpAfter(0), 99);
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::unreachable",
        "big_1.0",
        "goes on from there",
    ]);
    server.fault("pool/big_1.0_all.deb", Fault::Status(500, None), 99);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::unreachable", "500"]);
    server.fault("pool/big_1.0_all.deb", Fault::Status(403, None), 99);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::unreachable", "403"]);
    server.fault("pool/big_1.0_all.deb", Fault::Status(404, None), 99);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::not-found", "exflow update"]);
    server.fault("pool/big_1.0_all.deb", Fault::Status(429, Some(("retry-after", "0"))), 2);
    workspace.ok(&["build"]);
}

/// What has come by then is kept, and the next build goes on from there.
#[test]
fn stopped_while_something_is_fetched() {
    let (server, workspace) = with_big_package(500_000);
    server.fault("pool/big_1.0_all.deb", Fault::Slowly(Duration::from_millis(100)), 1);
    let mut build = workspace.start(&["build"]);
    let lock = workspace.read("exflow.lock");
    let digest = lock.split("\"name\":\"big\"").nth(1).and_then(|rest| {
        rest.split("\"sha256\":\"").nth(1).and_then(|rest| rest.split('"').next())
    });
    let partial = workspace.store().join(format!("downloads/{}.partial", digest.unwrap()));
    let has_come = || std::fs::metadata(&partial).is_ok_and(|found| found.len() > 100_000);
    let begun = std::time::Instant::now();
    while !has_come() {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing comes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &build.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let begun = std::time::Instant::now();
    assert_eq!(build.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(has_come());
    workspace.ok(&["build"]);
    let asked = server.requests();
    let last = asked.iter().rfind(|request| request.contains("big_1.0")).unwrap();
    assert!(last.contains(" from "), "{asked:?}");
}

#[test]
fn a_server_that_falls_silent_does_not_hang_a_build() {
    let (server, workspace) = served(&archive(), &app());
    workspace.ok(&["lock"]);
    server.fault("pool/library_2.0_all.deb", Fault::StallAfter(10), 1);
    let begun = std::time::Instant::now();
    workspace.ok(&["build"]);
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[test]
fn offline_names_what_is_missing() {
    let (server, workspace) = served(&archive(), &app());
    workspace.fails(&["build", "--offline"], 1).says(&["exflow::lock::stale", "`builder`"]);
    workspace.ok(&["lock"]);
    server.forget();
    workspace.fails(&["build", "--offline"], 1).says(&["exflow::fetch::offline", "--offline"]);
    assert_eq!(server.requests(), [""; 0]);
    workspace.ok(&["build"]);
    server.forget();
    workspace.ok(&["build", "--offline"]);
    assert_eq!(server.requests(), [""; 0]);
}

/// Locks and builds with one more package.
fn with_package(package: Package) -> Workspace {
    let archive = archive().package(package);
    let (server, workspace) = served(&archive, &app().replace("\"app\"", "\"app\" \"evil\""));
    workspace.ok(&["lock"]);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::bad-package", "`evil`"]);
    // The store is sound: without the package, the same build goes on.
    workspace.write("exflow.kdl", &app());
    workspace.ok(&["build"]);
    drop(server);
    workspace
}

#[test]
fn hostile_packages() {
    let evil = || Package::new("evil", "1.0");
    let target = "/tmp/exflow-must-not-be-written";
    for package in [
        evil().raw_entry(entry("../../evil", EntryType::Regular, "", 0o644, b"x")),
        evil().raw_entry(entry("usr/../../evil", EntryType::Regular, "", 0o644, b"x")),
        evil().raw_entry(entry("/etc/evil", EntryType::Regular, "", 0o644, b"x")),
        // Through a link of its own that leads outside.
        evil().link("usr/out", "/tmp").raw_entry(entry(
            "usr/out/exflow-must-not-be-written",
            EntryType::Regular,
            "",
            0o644,
            b"x",
        )),
        evil().raw_entry(entry("usr/hard", EntryType::Link, "/etc/passwd", 0o644, b"")),
        evil().raw_entry(entry("usr/hard", EntryType::Link, "../../../etc/passwd", 0o644, b"")),
        evil().raw_entry(entry("usr/device", EntryType::Block, "", 0o644, b"")),
        evil().raw_entry(entry("usr/device", EntryType::Char, "", 0o644, b"")),
        evil().raw_entry(entry("usr/pipe", EntryType::Fifo, "", 0o644, b"")),
        evil().raw(b"no archive".to_vec()),
        evil().raw(Vec::new()),
        evil().raw(deb_of(&[("debian-binary", b"2.0\n".to_vec())])),
        evil().raw(deb_of(&[
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.xz", b"not compressed".to_vec()),
            ("data.tar", tar_of(&[])),
        ])),
    ] {
        with_package(package);
    }
    assert!(!std::path::Path::new(target).exists());
    // A link that leads outside is fine by itself: it means what it means in the base.
    let archive =
        archive().package(evil().link("usr/share/outside", "../../../../../../etc/passwd"));
    let (_server, workspace) = served(
        &archive,
        &one_stage("mkdir out; cat /usr/share/outside > out/a", "")
            .replace("\"shell\"", "\"shell\" \"evil\""),
    );
    workspace.ok(&["build"]);
}

#[test]
fn two_packages_with_the_same_file() {
    let archive =
        archive().package(Package::new("evil", "1.0").file("usr/share/app", 0o644, b"mine"));
    let (_server, workspace) = served(&archive, &app().replace("\"app\"", "\"app\" \"evil\""));
    workspace.ok(&["lock"]);
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::overlapping-packages",
        "`app`",
        "`evil`",
        "/usr/share/app",
    ]);
}

#[test]
fn a_lock_that_is_not_one() {
    let (_server, workspace) = served(&archive(), &app());
    workspace.ok(&["lock"]);
    let good = workspace.read("exflow.lock");
    let digest = good.split("\"sha256\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (code, text) in [
        ("exflow::lock::invalid", good[..good.len() / 2].to_owned()),
        ("exflow::lock::invalid", String::new()),
        ("exflow::lock::invalid", "[]".to_owned()),
        ("exflow::lock::invalid", good.replacen("\"size\"", "\"sise\"", 1)),
        ("exflow::lock::invalid", good.replacen(&digest, &digest[1..], 1)),
        ("exflow::lock::invalid", good.replacen("pool/", "../pool/", 1)),
        (
            "exflow::lock::invalid",
            good.replacen("\"archive\":\"debian\"", "\"archive\":\"http:\"", 1),
        ),
        ("exflow::lock::newer-version", good.replacen("\"version\": 1", "\"version\": 99", 1)),
        (
            "exflow::lock::other-assembly",
            good.replacen("\"image-assembly\": 1", "\"image-assembly\": 99", 1),
        ),
        ("exflow::lock::merge-conflict", format!("<<<<<<< a\n{good}=======\n>>>>>>> b\n")),
    ] {
        workspace.write("exflow.lock", &text);
        for command in [&["build"][..], &["lock"], &["check"], &["plan"]] {
            workspace.fails(command, 1).says(&[code]);
        }
        assert_eq!(workspace.read("exflow.lock"), text, "nothing is overwritten");
    }
    // Another content for a locked package is found when it is fetched.
    workspace.write("exflow.lock", &good.replacen(&digest, &"0".repeat(64), 1));
    workspace.fails(&["build"], 1).says(&["exflow::fetch::wrong-digest"]);
}

#[test]
fn a_base_is_as_if_it_had_been_installed() {
    let archive = archive()
        .package(
            Package::new("compiler", "1.0")
                .file("usr/bin/compiler-12", 0o755, b"#!/bin/sh\necho compiler\n")
                .control_file(
                    "postinst",
                    "#!/bin/sh\nupdate-alternatives --quiet --install /usr/bin/cc cc /usr/bin/compiler-12 20\n",
                ),
        )
        .package(
            Package::new("ca-certificates", "1")
                .file("usr/share/ca-certificates/b.crt", 0o644, b"B\n")
                .file("usr/share/ca-certificates/a.crt", 0o644, b"A\n"),
        );
    let manifest = one_stage(
        "mkdir out; cc > out/cc; cat /etc/ssl/certs/ca-certificates.crt > out/bundle\n\
         test -L /bin; test -x /bin/sh; grep -q '^Package: compiler' /var/lib/dpkg/status; id > out/id",
        "",
    );
    let manifest = manifest.replace("\"shell\"", "\"shell\" \"compiler\" \"ca-certificates\"");
    let (_server, workspace) = served(&archive, &manifest);
    workspace.ok(&["build"]);
}

/// Since trixie, base-files ships the links of the merged /usr itself.
#[test]
fn a_base_whose_packages_ship_the_links_of_the_merged_usr() {
    let archive = archive().package(
        Package::new("base-files", "13")
            .link("bin", "usr/bin")
            .link("lib", "usr/lib")
            .link("lib64", "usr/lib64")
            .link("sbin", "usr/sbin"),
    );
    let manifest = one_stage("mkdir out; tool > out/a; test -L /bin; /bin/ls /usr/bin/tool", "")
        .replace("\"shell\"", "\"shell\" \"base-files\" \"tool\"");
    let (_server, workspace) = served(&archive, &manifest);
    workspace.ok(&["build"]);
}

#[test]
fn versions_with_a_plus() {
    let archive =
        archive().package(Package::new("plus++", "1.0+b1").file("usr/share/plus", 0o644, b"plus"));
    let (server, workspace) = served(&archive, &app().replace("\"app\"", "\"app\" \"plus++\""));
    workspace.ok(&["build"]);
    assert!(server.requests().contains(&"GET pool/plus++_1.0+b1_all.deb".to_owned()));
}

/// A beginning that is not the file's, left by a mirror that lies, is not what a build fails of.
#[test]
fn a_wrong_beginning_of_a_download() {
    let (server, workspace) = with_big_package(500_000);
    let lock = workspace.read("exflow.lock");
    let line = lock.lines().find(|line| line.contains("\"big\",\"version\"")).unwrap();
    let digest = line.split("\"sha256\":\"").nth(1).unwrap().split('"').next().unwrap();
    let downloads = workspace.store().join("downloads");
    std::fs::create_dir_all(&downloads).unwrap();
    std::fs::write(downloads.join(format!("{digest}.partial")), [0; 1000]).unwrap();
    server.forget();
    workspace.ok(&["build"]);
    let asked: Vec<String> =
        server.requests().into_iter().filter(|request| request.contains("big")).collect();
    assert_eq!(asked, ["GET pool/big_1.0_all.deb from 1000", "GET pool/big_1.0_all.deb"]);
}

#[test]
fn a_changed_byte_in_the_lock_is_found_and_named() {
    let (_server, workspace) = served(&archive(), &app());
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    let (before, after) = lock.split_once("library_2.0_all.deb").unwrap();
    let at = after.find("\"sha256\":\"").unwrap() + 10;
    let digit = if &after[at..=at] == "0" { "1" } else { "0" };
    let changed = format!("{before}library_2.0_all.deb{}{digit}{}", &after[..at], &after[at + 1..]);
    workspace.write("exflow.lock", &changed);
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::wrong-digest",
        "library_2.0_all.deb",
        "exflow.kdl:",
    ]);
    assert_eq!(workspace.read("exflow.lock"), changed);
}

/// What was published anew, and is on no mirror, nor in the snapshot archive under its date.
#[test]
fn a_package_that_is_nowhere_but_in_the_snapshot_archive_by_its_hash() {
    let archive = archive();
    let (server, workspace) = served(&archive, &app());
    workspace.ok(&["lock"]);
    let package = "pool/library_2.0_all.deb";
    let mut files = archive.files();
    let deb = files.remove(package).unwrap();
    server.now_serves(files.clone());
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::not-found",
        package,
        "exflow update",
        "exflow.kdl:",
    ]);
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let answer = format!(
        "{{\"result\": [{{\"architecture\": \"arm64\", \"hash\": \"{}\"}}, {{\"architecture\": \"all\", \"hash\": \"{hash}\"}}]}}",
        "f".repeat(40)
    );
    files.insert("snapshot/mr/binary/library/2.0/binfiles".to_owned(), answer.into_bytes());
    files.insert(format!("snapshot/file/{hash}"), b"something else".to_vec());
    server.now_serves(files.clone());
    // Whatever the archive says, the lock decides.
    workspace.fails(&["build"], 1).says(&["exflow::fetch::not-found", package]);
    files.insert(format!("snapshot/file/{hash}"), deb.clone());
    // What is published under its name now is longer, or shorter, or the mirror is broken.
    for other in [[&deb[..], b"more"].concat(), deb[..100].to_vec()] {
        files.insert(package.to_owned(), other);
        server.now_serves(files.clone());
        std::fs::remove_dir_all(workspace.store()).unwrap();
        workspace.ok(&["build"]);
    }
    server.fault(package, Fault::Status(500, None), 99);
    std::fs::remove_dir_all(workspace.store()).unwrap();
    workspace.ok(&["build"]);
}

#[test]
fn a_folder_that_is_shared_has_what_others_have_fetched() {
    let (server, first) = served(&archive(), &app());
    let shared = tempfile::tempdir().unwrap();
    let downloads = shared.path().join("downloads");
    let with = |workspace: exflow_testkit::Workspace| {
        workspace.env("EXFLOW_DOWNLOADS", downloads.to_string_lossy())
    };
    let first = with(first);
    first.ok(&["build"]);
    let lock = first.read("exflow.lock");
    // Another store, and no network.
    let second = || {
        let second = exflow_testkit::Workspace::new(crate::EXFLOW);
        second.with("exflow.kdl", &app()).with("exflow.lock", &lock)
    };
    second().fails(&["build", "--offline"], 1).says(&["exflow::fetch::offline"]);
    with(second()).ok(&["build", "--offline"]);
    // A changed byte is found, and what is right takes its place once it is fetched.
    let name = lock.split("library_2.0_all.deb").nth(1).unwrap();
    let name = name.split("\"sha256\":\"").nth(1).unwrap().split('"').next().unwrap();
    let file = downloads.join(name);
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    std::fs::write(&file, bad).unwrap();
    with(second()).fails(&["build", "--offline"], 1).says(&["exflow::fetch::wrong-digest", name]);
    server.forget();
    std::fs::remove_dir_all(first.store()).unwrap();
    first.ok(&["build"]);
    let asked: Vec<String> =
        server.requests().into_iter().filter(|asked| asked.contains(".deb")).collect();
    assert_eq!(asked, ["GET pool/library_2.0_all.deb"]);
    assert_eq!(std::fs::read(&file).unwrap(), good);
}
