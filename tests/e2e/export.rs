//! Projects as Dockerfiles, which Docker builds.

use crate::docker::docker;
use crate::hello::{built_in_the_sandbox, hello, sharing};
use crate::three_stage::{self, ELIXIR};
use exflow_content::Sha256;
use exflow_registry::{Push, Registry, Settings};
use exflow_testkit::{DockerRegistry, Workspace, missing, write_files};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `docker`, which must end well.
fn run(host: &str, builder: &str, arguments: &[&str]) -> String {
    // Debian's client has BuildKit built in; a newer one may need a plugin for it.
    let client = if Path::new("/usr/bin/docker").exists() { "/usr/bin/docker" } else { "docker" };
    let output = Command::new(client)
        .args(["-H", host])
        .args(arguments)
        .env("DOCKER_BUILDKIT", builder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Builds what was exported, and copies the folder `/app` of the image to `to`.
fn build(host: &str, builder: &str, workspace: &Workspace, to: &Path) -> String {
    // Tests run side by side, and share the daemon.
    static BUILT: AtomicUsize = AtomicUsize::new(0);
    let number = BUILT.fetch_add(1, Ordering::Relaxed);
    let name = format!("exflow-test/export-{}-{number}:{builder}", std::process::id());
    let root = workspace.root();
    let file = root.join("Dockerfile");
    // The classic builder looks for it here.
    std::fs::copy(root.join("Dockerfile.dockerignore"), root.join(".dockerignore")).unwrap();
    let (root, file) = (root.display().to_string(), file.display().to_string());
    run(host, builder, &["build", "--network", "none", "-t", &name, "-f", &file, &root]);
    let container = run(host, builder, &["create", &name]);
    let from = format!("{container}:/app");
    run(host, builder, &["cp", &from, &to.display().to_string()]);
    run(host, builder, &["rm", &container]);
    name
}

/// The files below a folder: paths, whether they may be executed, and contents.
fn files(root: &Path) -> BTreeSet<(PathBuf, bool, Vec<u8>)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = std::fs::symlink_metadata(&path).unwrap();
            let at = path.strip_prefix(root).unwrap().to_owned();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                found.insert((at, false, target.into_os_string().into_encoded_bytes()));
            } else {
                let mode = std::os::unix::fs::PermissionsExt::mode(&kind.permissions());
                found.insert((at, mode & 0o111 != 0, std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// The release in an image that exflow has built: its layers, but for those of the base.
fn release(workspace: &Workspace, to: &Path) {
    let archive = workspace.outside().join("image.tar");
    let output = format!("docker-archive={}", archive.display());
    let run = workspace.ok(&["build", "--output", &output]);
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    let layout = PathBuf::from(words[2]);
    let manifest = three_stage::document(&layout, words[1]);
    std::fs::create_dir_all(to).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap().replace(':', "/");
        let status = Command::new("tar")
            .args(["-xzf", &layout.join("blobs").join(digest).display().to_string()])
            .args(["-C", &to.display().to_string(), "--no-same-owner", "--wildcards", "app/*"])
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        // Where a layer has none of it, tar says so.
        let _ = status;
    }
}

fn same_release(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (files(ours), files(theirs));
    assert!(!ours.is_empty());
    let names = |of: &BTreeSet<(PathBuf, bool, Vec<u8>)>, without: &BTreeSet<_>| {
        of.difference(without).map(|(path, ..)| path.clone()).collect::<Vec<_>>()
    };
    let (only_ours, only_theirs) = (names(&ours, &theirs), names(&theirs, &ours));
    assert!(only_ours.is_empty() && only_theirs.is_empty(), "{only_ours:?} {only_theirs:?}");
}

/// Its bases are made of packages: they go beside the Dockerfile.
#[test]
fn docker_makes_the_same_release_of_hello() {
    built_in_the_sandbox();
    let workspace = sharing().with_files_of(&hello());
    let export = ["export", "dockerfile", "--output", "Dockerfile"];
    workspace.fails(&export, 1).says(&["exflow::export::no-registry", "`builder`", "--bases"]);
    let manifest = workspace.read("exflow.kdl");
    workspace.write("exflow.kdl", &manifest.replace("=\"none\"", "=\"none\" A=\"two\\nlines\""));
    let unwritable = workspace.fails(&[&export[..], &["--bases", "exflow-bases"]].concat(), 1);
    unwritable.says(&["exflow::export::not-for-docker", "variable `A`", "exflow.kdl:"]);
    workspace.write("exflow.kdl", &manifest);
    let Some(host) = docker("docker_makes_the_same_release_of_hello") else { return };
    workspace.ok(&[&export[..], &["--bases", "exflow-bases"]].concat());
    // The same again, byte for byte, and what it wrote is no source of anything.
    let text = workspace.read("Dockerfile");
    workspace.write(".gitignore", "/exflow-bases\n/Dockerfile*\n/.dockerignore\n");
    workspace.ok(&[&export[..], &["--bases", "exflow-bases"]].concat());
    assert_eq!(workspace.read("Dockerfile"), text);
    let ours = workspace.outside().join("ours");
    release(&workspace, &ours);
    for builder in ["0", "1"] {
        let theirs = workspace.outside().join(format!("theirs-{builder}"));
        let name = build(&host, builder, &workspace, &theirs);
        same_release(&ours.join("app"), &theirs);
        let eval = ["run", "--rm", "--network", "none", &name, "eval", "IO.puts(6 * 7)"];
        assert_eq!(run(&host, builder, &eval), "42");
        run(&host, builder, &["rmi", &name]);
    }
}

/// Its bases are images in a registry, which Docker pulls by their digests.
/// What is no source is said by files in folders of any name, and is said in full.
#[test]
fn ignore_files_wherever_they_are() {
    let workspace = sharing().with_files_of(&hello());
    let export = ["export", "dockerfile", "--bases", "bases"];
    let folder = workspace.root().join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".gitignore"), "x\n").unwrap();
    workspace.ok(&export);
    workspace.write(".gitignore", &"x\n".repeat(600_000));
    workspace.fails(&export, 1).says(&[".gitignore", "longer than 1 MiB"]);
}

#[test]
fn docker_makes_the_same_release_of_three_stage() {
    let test = "docker_makes_the_same_release_of_three_stage";
    let Some(host) = docker(test) else { return };
    let Some(registry) = DockerRegistry::start(false) else {
        return missing("docker-registry", test);
    };
    let (images, _) = &*ELIXIR;
    let at = registry.host();
    let settings = Settings { plain_http: BTreeSet::from([at.clone()]), ..Settings::default() };
    let client = Registry::new(&settings, exflow_fetch::Cancel::new()).unwrap();
    let workspace = three_stage::workspace().env("EXFLOW_PLAIN_HTTP_REGISTRIES", at.clone());
    let images = [&images[0], &images[2]];
    for (name, image) in images {
        let folder = workspace.outside().join(name.replace(['/', ':'], "-"));
        write_files(&image.layout("x"), &folder);
        let open = |digest: &Sha256| File::open(folder.join(format!("blobs/sha256/{digest}")));
        let parsed = |digest: &str| Sha256::from_oci(digest).unwrap();
        let mut manifest = Vec::new();
        std::io::Read::read_to_end(&mut open(&parsed(&image.digest())).unwrap(), &mut manifest)
            .unwrap();
        let mut names = image.layer_digests();
        names.push(image.id());
        let blobs: Vec<(Sha256, u64)> = names
            .iter()
            .map(|name| (parsed(name), open(&parsed(name)).unwrap().metadata().unwrap().len()))
            .collect();
        let push = Push {
            manifest: &manifest,
            media_type: "application/vnd.oci.image.manifest.v1+json",
            blobs: &blobs,
            open: &|digest| Ok(Box::new(open(digest)?)),
            elsewhere: &|_| None,
        };
        let (repository, tag) = name.split_once(':').unwrap();
        let to = format!("{at}/{repository}").parse().unwrap();
        client.push(&to, &[tag.to_owned()], &push, &()).unwrap();
    }
    let manifest = workspace.read("exflow.kdl").replace("docker.io/", &format!("{at}/"));
    let manifest = manifest.replace("debian:bookworm-slim", "debian:running");
    let without_packages: Vec<&str> =
        manifest.lines().filter(|line| !line.contains("packages")).collect();
    workspace.write("exflow.kdl", &without_packages.join("\n"));
    workspace.ok(&["export", "dockerfile", "three_stage", "-o", "Dockerfile"]);
    let text = workspace.read("Dockerfile");
    for (_, image) in images {
        assert!(text.contains(&image.digest()), "{} is not in {text}", image.digest());
    }
    let ours = workspace.outside().join("ours");
    release(&workspace, &ours);
    let theirs = workspace.outside().join("theirs");
    let name = build(&host, "1", &workspace, &theirs);
    same_release(&ours.join("app"), &theirs);
    run(&host, "1", &["rmi", &name]);
}

/// Packages of all kinds, each compiled by a step of its own. They go beside the Dockerfile, as the bases do.
#[test]
fn docker_makes_the_same_release_of_a_project_with_packages() {
    let test = "docker_makes_the_same_release_of_a_project_with_packages";
    let workspace = crate::deps::sharing("bookworm");
    let export = ["export", "dockerfile", "--output", "Dockerfile", "--bases", "exflow-bases"];
    workspace.ok(&["build"]);
    workspace.ok(&export);
    let Some(host) = docker(test) else { return };
    let ours = workspace.outside().join("ours");
    release(&workspace, &ours);
    let theirs = workspace.outside().join("theirs");
    let name = build(&host, "1", &workspace, &theirs);
    same_release(&ours.join("app"), &theirs);
    run(&host, "1", &["rmi", &name]);
}
