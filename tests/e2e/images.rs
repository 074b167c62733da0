//! Bases that are images: from registries, folders, archives, and a Docker daemon.

use crate::docker::docker;
use crate::{EXFLOW, cache};
use exflow_testkit::{
    ARCHITECTURE, AlpinePackage, AlpineRepository, Fault, Image, Server, Squeeze, Workspace,
    archive_of, entry, registry, write_files,
};
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};
use tar::EntryType;

/// A layer with a shell.
fn shell() -> Vec<Vec<u8>> {
    let busybox = std::fs::read(exflow_testkit::busybox(&cache())).unwrap();
    let mut entries = vec![file("bin/busybox", 0o755, &busybox)];
    for applet in ["cat", "cp", "env", "find", "ls", "mkdir", "sh", "sort"] {
        entries.push(entry(&format!("bin/{applet}"), EntryType::Symlink, "busybox", 0o777, b""));
    }
    entries
}

fn file(path: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    entry(path, EntryType::Regular, "", mode, content)
}

/// An image with a shell, and a second layer that changes something of the first.
fn image(squeeze: Squeeze) -> Image {
    let mut first = shell();
    first.extend([file("etc/a", 0o644, b"one"), file("etc/b", 0o644, b"two")]);
    Image::new(squeeze)
        .layer(&first)
        .layer(&[file("etc/a", 0o644, b"three"), file("etc/.wh.b", 0o644, b"")])
        .config(json!({"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "User": "1000"}))
}

/// A stage that says what it sees.
const STAGE: &str = "project \"made\" {
    stage \"one\" {
        run \"mkdir out; cat /etc/* > out/etc; echo $FROM_IMAGE > out/env\"
        output \"out\"
    }
}
";

fn manifest(image: &str, more: &str) -> String {
    format!("{more}base \"builder\" {{\n    image {image}\n}}\n\n{STAGE}")
}

fn host(server: &Server) -> String {
    server.url().trim_start_matches("http://").to_owned()
}

/// A registry with an image, and a workspace whose base it is.
fn served(images: &[&Image]) -> (Server, Workspace) {
    let server = Server::new(registry(&[("team/base", "1", images)]));
    let host = host(&server);
    let declared = format!("workspace \"w\" {{\n    registry \"{host}\" plain-http=#true\n}}\n\n");
    let manifest = manifest(&format!("\"{host}/team/base:1\""), &declared);
    (server, workspace(&manifest))
}

fn workspace(manifest: &str) -> Workspace {
    Workspace::new(EXFLOW).with("exflow.kdl", manifest).env("DOCKER_CONFIG", "/nowhere")
}

/// What the stage made, in the store.
fn made(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(workspace.store().join("blobs")).unwrap() {
        for blob in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = blob.unwrap().path();
            if std::fs::metadata(&path).unwrap().len() < 20 {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

fn sees_the_image(workspace: &Workspace) {
    let made = made(workspace);
    assert!(
        made.contains(&"three".to_owned()),
        "the upper layer, without what it took away: {made:?}"
    );
    assert!(made.contains(&"yes\n".to_owned()), "the environment: {made:?}");
}

#[test]
fn an_image_from_a_registry() {
    let image = image(Squeeze::Gzip);
    let other = Image::new(Squeeze::Gzip).architecture("s390x");
    let (server, workspace) = served(&[&other, &image]);
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    for digest in [image.digest(), image.id()].iter().chain(&image.layer_digests()) {
        assert!(lock.contains(digest), "{digest} is not in {lock}");
    }
    assert!(lock.contains("\"index\": \"sha256:"), "{lock}");
    assert!(
        server
            .requests()
            .iter()
            .all(|one| !image.layer_digests().iter().any(|digest| one.contains(digest)))
    );
    server.forget();
    let run = workspace.ok(&["build", "--locked"]);
    sees_the_image(&workspace);
    // Everything else is known from the lock.
    let mut asked = server.requests();
    asked.sort();
    let mut expected: Vec<String> = image
        .layer_digests()
        .iter()
        .map(|digest| format!("GET v2/team/base/blobs/{digest}"))
        .collect();
    expected.sort();
    assert_eq!(asked, expected, "{}", run.stderr);
    server.forget();
    workspace.ok(&["build", "--offline"]);
    workspace.ok(&["lock", "--check"]);
    assert!(server.requests().is_empty());
}

/// A tag is what the lock says that it was.
#[test]
fn a_tag_that_moves() {
    let first = image(Squeeze::Gzip);
    let (server, workspace) = served(&[&first]);
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    drop(server);
    // The same registry at another place, with the old image under its digest alone.
    let second = Image::new(Squeeze::Gzip).layer(&shell());
    let mut files = registry(&[("team/base", "1", &[&first])]);
    files.extend(registry(&[("team/base", "1", &[&second])]));
    let server = Server::new(files);
    let named = lock.split("\"image\":\"").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let workspace = workspace
        .env("EXFLOW_REGISTRY_MIRRORS", format!("{named}={}", host(&server)))
        .env("EXFLOW_PLAIN_HTTP_REGISTRIES", host(&server));
    workspace.ok(&["build"]);
    sees_the_image(&workspace);
    assert_eq!(workspace.read("exflow.lock"), lock);
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
}

#[test]
fn an_image_in_a_folder_or_an_archive() {
    for squeeze in [Squeeze::Gzip, Squeeze::None, Squeeze::Zstd] {
        let image = image(squeeze);
        let layout = image.layout("base");
        let folder = workspace(&manifest("\"images/base\" from=\"layout\"", ""));
        write_files(&layout, &folder.root().join("images/base"));
        folder.ok(&["build"]);
        sees_the_image(&folder);
        let archive = workspace(&manifest("\"base.tar\" from=\"archive\" name=\"base\"", ""));
        std::fs::write(archive.root().join("base.tar"), archive_of(&layout)).unwrap();
        archive.ok(&["build"]);
        sees_the_image(&archive);
        let saved = workspace(&manifest("\"base.tar\" from=\"archive\"", ""));
        std::fs::write(saved.root().join("base.tar"), image.saved("base:latest")).unwrap();
        saved.ok(&["build"]);
        sees_the_image(&saved);
        assert!(saved.read("exflow.lock").contains(&image.id()));
    }
}

#[test]
fn an_image_that_is_not_there() {
    let layout = image(Squeeze::Gzip).layout("base");
    let folder = workspace(&manifest("\"images/base\" from=\"layout\" name=\"bse\"", ""));
    folder.fails(&["lock"], 1).says(&[
        "exflow::fetch::unreadable-image",
        "images/base",
        "exflow.kdl:",
    ]);
    write_files(&layout, &folder.root().join("images/base"));
    folder.fails(&["lock"], 1).says(&["exflow::fetch::bad-image", "no image `bse`", "`base`"]);
    let (_server, registry) = served(&[&image(Squeeze::Gzip)]);
    let text = registry.read("exflow.kdl");
    registry.write("exflow.kdl", &text.replace("base:1", "base:2"));
    registry.fails(&["lock"], 1).says(&["exflow::fetch::not-found", "base:2", "name and tag"]);
    registry.write("exflow.kdl", &text.replace("base:1", "Base:1"));
    let bad = registry.fails(&["check"], 1);
    bad.says(&["exflow::workspace::bad-image-reference", "Base:1", "exflow.kdl:"]);
    let nobody = workspace(&manifest("\"127.0.0.1:1/base\"", ""));
    nobody.fails(&["lock"], 1).says(&["exflow::fetch::unreachable", "plain-http=#true"]);
    let daemon =
        workspace(&manifest("\"base\" from=\"docker\"", "")).env("DOCKER_HOST", "unix:///nowhere");
    daemon.fails(&["lock"], 1).says(&["exflow::fetch::not-in-daemon", "/nowhere"]);
}

/// What was locked is all that is believed.
#[test]
fn an_image_that_has_changed_since() {
    let folder = workspace(&manifest("\"images/base\" from=\"layout\"", ""));
    let image = image(Squeeze::Gzip);
    write_files(&image.layout("base"), &folder.root().join("images/base"));
    folder.ok(&["lock"]);
    let lock = folder.read("exflow.lock");
    let blob = format!("images/base/blobs/{}", image.layer_digests()[1].replace(':', "/"));
    std::fs::write(folder.root().join(&blob), vec![7; image.layer_bytes(1).len()]).unwrap();
    folder.fails(&["build"], 1).says(&["exflow::fetch::wrong-digest", "exflow.kdl:"]);
    std::fs::remove_file(folder.root().join(&blob)).unwrap();
    folder.fails(&["build"], 1).says(&["exflow::fetch::unreadable-image", &blob]);
    write_files(&image.layout("base"), &folder.root().join("images/base"));
    folder.ok(&["build"]);
    sees_the_image(&folder);
    assert_eq!(folder.read("exflow.lock"), lock);
}

#[test]
fn no_image_for_this_platform() {
    let other = image(Squeeze::Gzip).architecture("s390x");
    let listed = [&other, &image(Squeeze::Gzip).architecture("riscv64")];
    for images in [&listed[..1], &listed] {
        let (_server, workspace) = served(images);
        let run = workspace.fails(&["lock"], 1);
        run.says(&["exflow::fetch::bad-image", ARCHITECTURE, "linux/s390x", "exflow.kdl:"]);
    }
}

/// Registries that are busy, broken, or lie: what came is never believed, and a later build goes on.
#[test]
fn registries_that_misbehave() {
    let image = image(Squeeze::Gzip);
    let (server, workspace) = served(&[&image]);
    let tag = "v2/team/base/manifests/1";
    let begun = Instant::now();
    server.fault(tag, Fault::Status(429, Some(("Retry-After", "1"))), 1);
    workspace.ok(&["lock"]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waits as long as it was asked to");
    let fresh = || {
        let manifest = workspace.read("exflow.kdl");
        let lock = workspace.read("exflow.lock");
        self::workspace(&manifest).with("exflow.lock", &lock)
    };
    let layer = format!("v2/team/base/blobs/{}", image.layer_digests()[0]);
    for (fault, times, code) in [
        (Fault::Status(500, None), 99, "exflow::fetch::unreachable"),
        (Fault::Status(404, None), 99, "exflow::fetch::not-found"),
        (Fault::Status(403, None), 99, "exflow::fetch::denied"),
        (Fault::WrongByte, 99, "exflow::fetch::wrong-digest"),
        (Fault::TooLong(10), 99, "exflow::fetch::too-large"),
    ] {
        let workspace = fresh();
        server.fault(&layer, fault, times);
        let run = workspace.fails(&["build"], 1);
        run.says(&[code, "team/base:1", "exflow.kdl:"]);
        server.fault(&layer, Fault::Status(500, None), 0);
        workspace.ok(&["build"]);
        sees_the_image(&workspace);
    }
    // A part of it is not fetched again.
    let workspace = fresh();
    server.fault(&layer, Fault::HangUpAfter(100_000), 1);
    server.forget();
    workspace.ok(&["build"]);
    assert!(
        server.requests().contains(&format!("GET {layer} from 100000")),
        "{:?}",
        server.requests()
    );
    sees_the_image(&workspace);
    // Documents, too, are what their digests say.
    let config = format!("v2/team/base/blobs/{}", image.id());
    for (fault, code) in [
        (Fault::WrongByte, "exflow::fetch::wrong-digest"),
        (Fault::Status(404, None), "exflow::fetch::not-found"),
        (Fault::TooLong(5 << 20), "exflow::fetch::too-large"),
    ] {
        server.fault(&config, fault, 1);
        std::fs::remove_file(workspace.root().join("exflow.lock")).unwrap();
        workspace.fails(&["lock"], 1).says(&[code, "team/base:1"]);
        workspace.ok(&["lock"]);
    }
    for document in [&b"[]"[..], b"{}", br#"{"schemaVersion":1}"#, b"<html>"] {
        let mut files = registry(&[("team/base", "1", &[&image])]);
        files.insert(tag.to_owned(), document.to_vec());
        let server = Server::new(files);
        let manifest = manifest(&format!("\"{}/team/base:1\"", host(&server)), "");
        let workspace =
            self::workspace(&manifest).env("EXFLOW_PLAIN_HTTP_REGISTRIES", host(&server));
        workspace.fails(&["lock"], 1).says(&["exflow::fetch::bad-image", "exflow.kdl:"]);
    }
}

#[test]
fn hostile_layers() {
    let header = |path: &str, kind: EntryType, target: &str| entry(path, kind, target, 0o644, b"");
    for entries in [
        vec![file("../../etc/passwd", 0o644, b"x")],
        vec![file("a/../../x", 0o644, b"x")],
        vec![file("etc/.wh...", 0o644, b"")],
        vec![header("etc/disk", EntryType::Block, "")],
        vec![header("x", EntryType::Link, "../../../etc/shadow")],
        vec![header("x", EntryType::Link, "no/such/file")],
        vec![header("x", EntryType::Symlink, "/etc"), file("x/passwd", 0o644, b"x")],
    ] {
        let image = Image::new(Squeeze::Gzip).layer(&shell()).layer(&entries);
        let (_server, workspace) = served(&[&image]);
        let run = workspace.fails(&["build"], 1);
        run.says(&[
            "exflow::fetch::bad-layer",
            &image.layer_digests()[1],
            "exflow.kdl:",
            "docs/images.md",
        ]);
    }
    // Not an archive at all.
    let image = Image::new(Squeeze::Gzip).raw_layer(b"no archive".repeat(200));
    let (_server, workspace) = served(&[&image]);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::bad-layer"]);
}

/// The configuration says what its layers are before compression, and may lie.
#[test]
fn a_layer_that_holds_something_else() {
    let image = image(Squeeze::Gzip);
    let (_server, workspace) = served(&[&image]);
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    let at = lock.find("\"diff-id\":\"sha256:").unwrap() + 18;
    let wrong = format!("{}{}{}", &lock[..at], "0".repeat(64), &lock[at + 64..]);
    workspace.write("exflow.lock", &wrong);
    workspace.fails(&["build"], 1).says(&["exflow::fetch::bad-layer", "unpacks to"]);
}

/// As Docker Hub does: whoever asks is given a token, and has to show it. It may end meanwhile.
#[test]
fn a_registry_that_gives_tokens() {
    let image = image(Squeeze::Gzip);
    let (server, workspace) = served(&[&image]);
    server.want_token("first");
    workspace.ok(&["lock"]);
    let of_tokens = |server: &Server| {
        server.requests().iter().filter(|request| request.contains("token")).count()
    };
    assert_eq!(of_tokens(&server), 1, "it is kept: {:?}", server.requests());
    server.want_token("second");
    workspace.ok(&["build"]);
    sees_the_image(&workspace);
    let scope = server.requests().into_iter().find(|request| request.contains("token")).unwrap();
    assert!(scope.contains("repository:team/base:pull"), "{scope}");
}

/// It is asked first, and what it lacks comes from the registry itself.
#[test]
fn a_mirror_of_a_registry() {
    let image = image(Squeeze::Gzip);
    let (server, workspace) = served(&[&image]);
    let mut files = registry(&[("team/base", "1", &[&image])]);
    files.remove(&format!("v2/team/base/blobs/{}", image.layer_digests()[1]));
    let mirror = Server::new(files);
    let pair = format!("{}={}", host(&server), host(&mirror));
    let workspace = workspace
        .env("EXFLOW_REGISTRY_MIRRORS", pair)
        .env("EXFLOW_PLAIN_HTTP_REGISTRIES", host(&mirror));
    workspace.ok(&["build"]);
    sees_the_image(&workspace);
    assert_eq!(server.requests(), [format!("GET v2/team/base/blobs/{}", image.layer_digests()[1])]);
    assert!(!workspace.read("exflow.lock").contains(&host(&mirror)));
}

/// An image of Alpine's, with a shell, whose repository `server` serves.
fn alpine(server: &Server) -> Image {
    let installed = AlpinePackage::new("alpine-base", "3.21.0-r0").file("etc/issue", 0o644, b"hi");
    let mut entries = shell();
    for (path, mode, content) in AlpineRepository::new().rootfs(&server.url(), &[installed]) {
        entries.push(file(&path, mode, &content));
    }
    Image::new(Squeeze::Gzip).layer(&entries)
}

/// A repository with a package that needs another one.
fn apks() -> AlpineRepository {
    AlpineRepository::new()
        .package(AlpinePackage::new("tool", "1.2-r3").field("depend", "so:liblibrary.so.1").file(
            "usr/bin/tool",
            0o755,
            b"#!/bin/sh\necho tool\n",
        ))
        .package(
            AlpinePackage::new("library", "2.0-r0").field("provides", "so:liblibrary.so.1=1").file(
                "usr/lib/liblibrary.so.1",
                0o644,
                b"library",
            ),
        )
        .package(AlpinePackage::new("library", "1.0-r0").file("usr/lib/old", 0o644, b"old"))
}

const ALPINE_STAGE: &str = "project \"made\" {
    stage \"one\" {
        run #\"\"\"
            mkdir out
            tool > out/tool
            cat /usr/lib/liblibrary.so.1 > out/library
            cat /lib/apk/db/installed > out/installed
            cat /etc/apk/world > out/world
            \"\"\"#
        output \"out\"
    }
}
";

fn on_alpine(server: &Server, packages: &str) -> Workspace {
    let image = alpine(server);
    let manifest = format!(
        "base \"builder\" {{\n    image \"images/alpine\" from=\"layout\"\n    packages {packages}\n}}\n\n{ALPINE_STAGE}"
    );
    let workspace = workspace(&manifest);
    write_files(&image.layout("alpine"), &workspace.root().join("images/alpine"));
    workspace
}

#[test]
fn packages_on_an_image_of_alpine() {
    let server = Server::new(apks().files());
    let workspace = on_alpine(&server, "\"tool\"");
    workspace.ok(&["build"]);
    let lock = workspace.read("exflow.lock");
    for word in [
        "\"name\":\"tool\",\"version\":\"1.2-r3\"",
        "\"name\":\"library\",\"version\":\"2.0-r0\"",
        "\"repository\":\"v3.21/main\"",
    ] {
        assert!(lock.contains(word), "{word} is not in {lock}");
    }
    assert!(!lock.contains("127.0.0.1"), "no address is in the lock: {lock}");
    let made = made(&workspace);
    assert!(
        made.contains(&"tool\n".to_owned()) && made.contains(&"library".to_owned()),
        "{made:?}"
    );
    server.forget();
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    assert!(server.requests().is_empty());
    // Another store, and a mirror at another place.
    let moved = Server::new(apks().files());
    let other = on_alpine(&server, "\"tool\"")
        .with("exflow.lock", &lock)
        .env("EXFLOW_ALPINE_MIRROR", moved.url());
    server.forget();
    other.ok(&["build", "--locked"]);
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    // What is asked for anew is added, and nothing else moves.
    let manifest = workspace.read("exflow.kdl");
    workspace.write("exflow.kdl", &manifest.replace("\"tool\"", "\"tool\" \"library\""));
    workspace.ok(&["build"]);
}

#[test]
fn repositories_of_alpine_that_lie() {
    let server = Server::new(apks().files());
    let unknown = on_alpine(&server, "\"tol\"");
    unknown.fails(&["lock"], 1).says(&[
        "exflow::packages::unknown-package",
        "did you mean `tool`",
        "exflow.kdl:",
    ]);
    let arch = exflow_testkit::ALPINE_ARCHITECTURE;
    let index = format!("v3.21/main/{arch}/APKINDEX.tar.gz");
    let apk = format!("v3.21/main/{arch}/tool-1.2-r3.apk");
    let workspace = || on_alpine(&server, "\"tool\"");
    server.fault(&index, Fault::WrongByte, 9);
    workspace().fails(&["lock"], 1).says(&[
        "exflow::fetch::bad-signature",
        "APKINDEX",
        "exflow.kdl:",
    ]);
    server.fault(&index, Fault::WrongByte, 0);
    server.fault(&apk, Fault::WrongByte, 9);
    workspace().fails(&["lock"], 1).says(&["exflow::fetch::bad-package", "`tool`", "exflow.kdl:"]);
    server.fault(&apk, Fault::WrongByte, 0);
    let first = workspace();
    first.ok(&["lock"]);
    // What was fetched to be locked is there when it is built.
    server.forget();
    first.ok(&["build"]);
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    let locked = workspace().with("exflow.lock", &first.read("exflow.lock"));
    server.fault(&apk, Fault::WrongByte, 9);
    locked.fails(&["build"], 1).says(&[
        "exflow::fetch::wrong-digest",
        "tool",
        "EXFLOW_ALPINE_MIRROR",
    ]);
    server.fault(&apk, Fault::WrongByte, 0);
    server.fault(&apk, Fault::Status(404, None), 9);
    locked.fails(&["build"], 1).says(&["exflow::fetch::", "EXFLOW_ALPINE_MIRROR"]);
    server.fault(&apk, Fault::WrongByte, 0);
    locked.ok(&["build"]);
}

#[test]
fn packages_on_an_image_of_something_else() {
    let image =
        Image::new(Squeeze::Gzip).layer(&[file("etc/os-release", 0o644, b"ID=\"fedora\"\n")]);
    let manifest = manifest("\"images/base\" from=\"layout\"; packages \"git\"", "");
    let workspace = workspace(&manifest);
    write_files(&image.layout("base"), &workspace.root().join("images/base"));
    workspace.fails(&["lock"], 1).says(&[
        "exflow::fetch::unknown-system",
        "`fedora`",
        "exflow.kdl:",
    ]);
}

/// Locked by its ID: another image may have its name by now.
#[test]
fn an_image_in_the_docker_daemon() {
    let Some(address) = docker("an_image_in_the_docker_daemon") else { return };
    let name = format!("exflow-test/base:{}", std::process::id());
    let run = |arguments: &[&str]| {
        let output =
            Command::new("docker").args(["-H", &address]).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    let fresh = || {
        workspace(&manifest(&format!("\"{name}\" from=\"docker\""), ""))
            .env("DOCKER_HOST", &address)
    };
    let workspace = fresh();
    let load = |image: &Image, name: &str| {
        let path = workspace.outside().join("saved.tar");
        std::fs::write(&path, image.saved(name)).unwrap();
        run(&["load", "-i", &path.display().to_string()]);
    };
    let unknown = workspace.fails(&["lock"], 1);
    unknown.says(&["exflow::fetch::not-in-daemon", &name, "exflow.kdl:"]);
    let image = image(Squeeze::None);
    load(&image, &name);
    workspace.ok(&["build"]);
    sees_the_image(&workspace);
    let lock = workspace.read("exflow.lock");
    assert!(lock.contains(&image.id()), "{lock}");
    // What is in the store needs no daemon.
    workspace.write("exflow.kdl", &workspace.read("exflow.kdl").replace("$FROM_IMAGE", "new"));
    let away =
        workspace.command(&["build"]).env("DOCKER_HOST", "unix:///nowhere").output().unwrap();
    assert!(away.status.success(), "{}", String::from_utf8_lossy(&away.stderr));
    // The name moves on: the ID still leads to what was locked.
    run(&["tag", &name, &format!("{name}-kept")]);
    load(&Image::new(Squeeze::None).layer(&shell()), &name);
    let other = fresh().with("exflow.lock", &lock);
    other.ok(&["build", "--locked"]);
    sees_the_image(&other);
    run(&["rmi", &format!("{name}-kept")]);
    let gone = fresh().with("exflow.lock", &lock).fails(&["build", "--locked"], 1);
    gone.says(&[&name, "exflow.kdl:"]);
    run(&["rmi", &name]);
}

/// The same image for all platforms, whenever each of them is locked.
#[test]
fn another_platform_is_locked_to_the_same_index() {
    let other = if ARCHITECTURE == "amd64" { "arm64" } else { "amd64" };
    let first = image(Squeeze::Gzip);
    let (server, workspace) = served(&[&first, &Image::new(Squeeze::Gzip).architecture(other)]);
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    // As if it had been locked on the other machine alone, and the tag had moved since.
    let renamed = lock.replace(&format!("linux/{ARCHITECTURE}"), &format!("linux/{other}"));
    workspace.write("exflow.lock", &renamed);
    server.fault("v2/team/base/manifests/1", Fault::Status(500, None), 99);
    workspace.ok(&["build"]);
    sees_the_image(&workspace);
    let both = workspace.read("exflow.lock");
    let index = |lock: &str| lock.split("\"index\": ").nth(1).unwrap()[..73].to_owned();
    assert_eq!(both.matches(&index(&lock)).count(), 2, "{both}");
}
