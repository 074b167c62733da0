//! Builds that are done once more, and images of others.

use crate::deps;
use crate::docker::docker;
use crate::hello::{built_in_the_sandbox, hello, sharing};
use crate::steps::ARCHIVE;
use crate::{one_stage, workspace};
use exflow_content::{Digest, RelPath};
use exflow_store::{Record, Store};
use exflow_testkit::{DockerRegistry, HexFixture, HexMirror, Workspace, missing, ordinary_user};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn made(script: &str) -> Workspace {
    let (archive, server) = &*ARCHIVE;
    let workspace = workspace(archive, server).env("DOCKER_HOST", "unix:///nowhere");
    let workspace = workspace.with("exflow.kdl", &one_stage(script, "")).with("in/a", "first");
    workspace.ok(&["build"]);
    workspace
}

/// A module in which a literal, and what is found out about it, is another each time.
const MODULE: &str = "mkdir -p out/ebin
printf 'FOR1\\0\\0\\0\\050BEAMCode\\0\\0\\0\\004same' > out/ebin/Elixir.A.beam
printf 'LitT\\0\\0\\0\\004' >> out/ebin/Elixir.A.beam
dd if=/dev/urandom bs=4 count=1 2>/dev/null >> out/ebin/Elixir.A.beam
printf 'Line\\0\\0\\0\\004' >> out/ebin/Elixir.A.beam
dd if=/dev/urandom bs=4 count=1 2>/dev/null >> out/ebin/Elixir.A.beam
echo same > out/same";

#[test]
fn the_example_comes_out_the_same_in_both_executors_and_as_another_user() {
    let test = "the_example_comes_out_the_same_in_both_executors_and_as_another_user";
    let (_, digest) = built_in_the_sandbox();
    let workspace = sharing().with_files_of(&hello()).env("DOCKER_HOST", "unix:///nowhere");
    let run = workspace.ok(&["verify", "--from-store"]);
    assert_eq!(run.stdout, format!("hello {digest}\n"));
    let sandbox = match ordinary_user() {
        Some(_) => "same 1 step in the sandbox as another user",
        None => "same 1 step in the sandbox",
    };
    run.says(&[sandbox]);
    if let Some(host) = docker(test) {
        let workspace = workspace.env("DOCKER_HOST", &host).env("EXFLOW_EXECUTOR", "auto");
        let run = workspace.ok(&["verify", "--from-store"]);
        assert_eq!(run.stdout, format!("hello {digest}\n"));
        run.says(&[sandbox, "same 1 step in Docker"]);
    }
}

#[test]
fn what_differs_is_said_by_file_and_chunk() {
    let workspace = made(MODULE);
    let run = workspace.fails(&["verify"], 1);
    let file = "/src/out/ebin/Elixir.A.beam";
    assert_eq!(
        run.stdout,
        format!("made:one: {file} has other content in its chunks Line, LitT\n"),
        "{}",
        run.stderr
    );
    run.says(&[
        "exflow::verify::different",
        "`made:one` came out different in the sandbox",
        file,
        "exflow.kdl:",
        "something in the module was computed when it was compiled",
    ]);
    let event = workspace.fails(&["verify", "--json"], 1).events();
    let event = event.iter().find(|event| event["event"] == "different").unwrap().clone();
    assert_eq!(event["chunks"], serde_json::json!(["Line", "LitT"]));
    assert_eq!((&event["of"], &event["path"]), (&"made:one".into(), &file[1..].into()));
    // What is in the store is what it was: verifying has changed nothing.
    let made = blobs(&workspace.store(), b"same\n");
    assert_eq!(made.len(), 1);
    assert_eq!(workspace.ok(&["build", "--json"]).events().len(), 0);
}

#[test]
fn a_step_that_stands_on_one_that_differs_is_compared_by_itself() {
    let two =
        "stage \"two\" { needs \"one\"; run \"mkdir two; cat out/same > two/c\"; output \"two\" }";
    let (archive, server) = &*ARCHIVE;
    let manifest = one_stage(MODULE, "");
    let manifest =
        manifest.replacen("project \"made\" {\n", &format!("project \"made\" {{\n    {two}\n"), 1);
    let workspace = workspace(archive, server)
        .env("DOCKER_HOST", "unix:///nowhere")
        .with("exflow.kdl", &manifest)
        .with("in/a", "first");
    workspace.ok(&["lock"]);
    // What isn't built is built first.
    let run = workspace.fails(&["verify", "--from-store"], 1);
    assert!(
        run.stdout.contains("made:one: ") && !run.stdout.contains("made:two"),
        "{}",
        run.stdout
    );
    run.says(&["done made:two"]);
}

/// They are compiled together, in one sandbox.
#[test]
fn of_packages_that_are_compiled_together_the_one_that_differs_is_named() {
    let package = |name: &str, code: &str| {
        let module = format!("defmodule {name} do\n  {code}\nend\n");
        let mix = format!(
            "defmodule {name}.MixProject do\n  use Mix.Project\n  def project, do: [app: :{}, version: \"1.0.0\", deps: deps()]\n  \
             defp deps, do: []\nend\n",
            name.to_lowercase()
        );
        HexFixture::new(&name.to_lowercase(), "1.0.0")
            .build_tools(&["mix"])
            .file("mix.exs", 0o644, mix.as_bytes())
            .file("lib/a.ex", 0o644, module.as_bytes())
    };
    let restless = package(
        "Restless",
        "@at System.unique_integer() + System.os_time()\n  def at, do: {:at, @at}",
    );
    let calm = package("Calm", "def at, do: Restless.at()").requires("restless", "~> 1.0");
    let packages = [restless, calm];
    let hex = HexMirror::new(&packages);
    let deps = "{:restless, \"~> 1.0\"}, {:calm, \"~> 1.0\"}";
    let workspace = deps::small(&hex, deps, &packages).env("DOCKER_HOST", "unix:///nowhere");
    workspace.ok(&["build"]).says(&["steps together"]);
    let run = workspace.fails(&["verify", "--from-store"], 1);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line.contains("restless")),
        "{}\n{}",
        run.stdout,
        run.stderr
    );
    assert!(
        run.stdout.contains("Elixir.Restless.beam has other content in its chunk"),
        "{}",
        run.stdout
    );
    run.says(&["exflow::verify::different"]);
    assert!(!run.stderr.contains("steps together"), "{}", run.stderr);
    // In Docker they are compiled together again, and only that one is named, too.
    if let Some(host) =
        docker("of_packages_that_are_compiled_together_the_one_that_differs_is_named")
    {
        let workspace = workspace.env("DOCKER_HOST", host).env("EXFLOW_EXECUTOR", "auto");
        let run = workspace.fails(&["verify", "--from-store"], 1);
        assert!(run.stdout.lines().all(|line| line.contains("restless")), "{}", run.stdout);
        run.says(&["steps together", "came out different in Docker"]);
    }
}

#[test]
fn a_step_that_fails_the_second_time() {
    // As another user, which only root can be.
    let workspace = made("mkdir out; echo who; ! grep 2000000019 /proc/self/uid_map");
    if ordinary_user().is_some() {
        let run = workspace.fails(&["verify"], 1);
        run.says(&["exflow::exec::step-failed", "  | who", "the whole log: "]);
        // It is kept, though the place is gone where the step was done.
        let log = run.stderr.split("the whole log: ").nth(1).unwrap().lines().next().unwrap();
        assert!(fs::read_to_string(log).unwrap().starts_with("who\n"), "{log}");
    }
    workspace.fails(&["verify", "mad"], 2).says(&["did you mean `made`?"]);
}

/// The files of the store's blobs with this content.
fn blobs(store: &Path, content: &[u8]) -> Vec<PathBuf> {
    let folders = fs::read_dir(store.join("blobs")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    files.filter(|file| fs::read(file).unwrap() == content).collect()
}

#[test]
fn a_changed_byte_in_the_store_is_found_and_named() {
    let workspace = made("mkdir out; echo content > out/file");
    workspace.ok(&["verify", "--offline"]);
    let [blob] = &blobs(&workspace.store(), b"content\n")[..] else { panic!("one blob") };
    fs::write(blob, b"cOntent\n").unwrap();
    let run = workspace.fails(&["verify", "--offline"], 1);
    run.says(&["exflow::store::failed", &blob.display().to_string()]);
    // It was taken away, and is made again.
    workspace.ok(&["verify"]);
    assert_eq!(blobs(&workspace.store(), b"content\n").len(), 1);
}

/// A record that says something else than what was fetched: nothing about it is damaged.
#[test]
fn a_base_that_is_not_what_is_locked_is_found_and_forgotten() {
    let workspace = made("mkdir out; echo content > out/file");
    let store = Store::open(workspace.store()).unwrap();
    let mut told = 0;
    for folder in fs::read_dir(workspace.store().join("records")).unwrap() {
        let folder = folder.unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let (first, rest) = (folder.file_name(), file.unwrap().file_name());
            let name = format!("{}{}", first.to_string_lossy(), rest.to_string_lossy());
            let Ok(key) = name.parse::<Digest>() else { continue };
            let record = store.record(&key).unwrap().unwrap_or_default();
            let Some(tree) = record.trees.first() else { continue };
            let mut tree = store.tree(tree).unwrap();
            // The base, not the package in it: that has no list of what is installed.
            let status = RelPath::new("var/lib/dpkg").unwrap();
            if record.data.is_empty() && tree.get(&status).is_some() {
                tree.remove(&status);
                let trees = vec![store.put_tree(&tree).unwrap()];
                store.put_record(&key, &Record { trees, data: Vec::new() }).unwrap();
                told += 1;
            }
        }
    }
    assert_eq!(told, 1);
    workspace.ok(&["verify", "--from-store"]);
    let run = workspace.fails(&["verify"], 1);
    assert!(run.stdout.contains("base:builder: /var/lib/dpkg is new"), "{}", run.stdout);
    run.says(&[
        "exflow::verify::fetched-otherwise",
        "`base:builder` in the store is not what is locked",
    ]);
    workspace.ok(&["verify"]);
}

#[test]
fn as_an_ordinary_user() {
    let Some(user) = ordinary_user() else {
        return missing("root", "as_an_ordinary_user");
    };
    let (archive, server) = &*ARCHIVE;
    let workspace = workspace(archive, server)
        .env("DOCKER_HOST", "unix:///nowhere")
        .with("exflow.kdl", &one_stage("mkdir out; cat in/a > out/a", ""))
        .with("in/a", "first")
        .owned_by(user);
    workspace.ok(&["lock"]);
    workspace.ok(&["verify"]).says(&["same 1 step in the sandbox\n"]);
}

#[test]
fn nothing_is_locked_by_the_way() {
    let (archive, server) = &*ARCHIVE;
    let workspace = workspace(archive, server).with("exflow.kdl", &one_stage("mkdir out", ""));
    workspace.fails(&["verify"], 1).says(&["exflow::lock::stale"]);
    assert!(!workspace.root().join("exflow.lock").exists());
}

#[test]
fn an_image_that_someone_else_has_built() {
    let (_, digest) = built_in_the_sandbox();
    let workspace = sharing().with_files_of(&hello()).env("DOCKER_HOST", "unix:///nowhere");
    workspace.ok(&["build", "--output", "oci=theirs", "--output", "docker-archive=theirs.tar"]);
    for image in ["oci=theirs", "docker-archive=theirs.tar"] {
        let run = workspace.ok(&["verify", "--image", image]);
        assert_eq!(run.stdout, format!("hello {digest}\n"));
        run.says(&["is what this commit gives"]);
    }
    // Of several, the one with the project's name.
    let index = workspace.root().join("theirs/index.json");
    let mut images: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let mut other = images["manifests"][0].clone();
    other["annotations"]["org.opencontainers.image.ref.name"] = "other".into();
    images["manifests"].as_array_mut().unwrap().push(other);
    fs::write(&index, images.to_string()).unwrap();
    let run = workspace.ok(&["verify", "--image", "oci=theirs"]);
    assert_eq!(run.stdout, format!("hello {digest}\n"));
    images["manifests"].as_array_mut().unwrap().pop();
    fs::write(&index, images.to_string()).unwrap();
    // One whose configuration is ours, and whose layers are not: nothing is believed of it.
    let lies = workspace.root().join("lies");
    let copied = std::process::Command::new("cp")
        .args(["-r", "theirs", "lies"])
        .current_dir(workspace.root())
        .status();
    assert!(copied.unwrap().success());
    let json = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |digest: &str| lies.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut index = json(&lies.join("index.json"));
    let mut manifest_of = json(&blob(index["manifests"][0]["digest"].as_str().unwrap()));
    let layers = manifest_of["layers"].as_array_mut().unwrap();
    let first = layers[0].clone();
    *layers.last_mut().unwrap() = first;
    let bytes = manifest_of.to_string();
    let named = exflow_content::Sha256::of(bytes.as_bytes());
    fs::write(blob(&named.to_string()), &bytes).unwrap();
    index["manifests"][0]["digest"] = format!("sha256:{named}").into();
    index["manifests"][0]["size"] = bytes.len().into();
    fs::write(lies.join("index.json"), index.to_string()).unwrap();
    let run = workspace.fails(&["verify", "--image", "oci=lies"], 1);
    run.says(&["exflow::fetch::bad-layer"]);
    // One that was built from something else.
    let manifest = workspace.read("exflow.kdl");
    let greeting = workspace.read("lib/hello/application.ex");
    workspace.write(
        "lib/hello/application.ex",
        &format!("{greeting}\n# no change in what it does\n\ndefmodule Hello.Other do\nend\n"),
    );
    workspace.ok(&["build", "--output", "oci=other"]);
    workspace.write("lib/hello/application.ex", &greeting);
    // A changed byte in it.
    let layers = fs::read_dir(workspace.root().join("other/blobs/sha256")).unwrap();
    let layers = layers.map(|file| file.unwrap().path());
    let known = |file: &PathBuf| {
        workspace.root().join("theirs/blobs/sha256").join(file.file_name().unwrap()).exists()
    };
    let layer =
        layers.filter(|file| !known(file)).max_by_key(|file| fs::metadata(file).unwrap().len());
    let layer = layer.unwrap();
    let good = fs::read(&layer).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&layer, bad).unwrap();
    let run = workspace.fails(&["verify", "--image", "oci=other"], 1);
    run.says(&["exflow::", &layer.file_name().unwrap().to_string_lossy()]);
    fs::write(&layer, good).unwrap();
    let run = workspace.fails(&["verify", "--image", "oci=other"], 1);
    run.says(&[
        "exflow::verify::different-image",
        "is not what this commit gives",
        "exflow.kdl:",
        &digest,
    ]);
    assert!(run.stdout.contains("/Elixir.Hello.Other.beam is new\n"), "{}", run.stdout);
    assert!(run.stdout.contains("/hello.app has other content\n"), "{}", run.stdout);
    // With other settings.
    let ports = manifest.replace("expose 4001", "expose 4002");
    assert_ne!(ports, manifest);
    workspace.write("exflow.kdl", &ports);
    workspace.ok(&["build", "--output", "oci=ports"]);
    workspace.write("exflow.kdl", &manifest);
    let run = workspace.fails(&["verify", "--image", "oci=ports"], 1);
    run.says(&["its files are the same, but not its ports"]);
    workspace.fails(&["verify", "--image", "oci=nowhere"], 1).says(&["nowhere"]);
    workspace.fails(&["verify", "--image", "a b"], 2).says(&["no name of an image"]);

    if let Some(host) = docker("an_image_that_someone_else_has_built") {
        let workspace = sharing().with_files_of(&hello()).env("DOCKER_HOST", &host);
        workspace.ok(&["build", "--output", "docker=verified"]);
        let run = workspace.ok(&["verify", "--image", "docker=verified"]);
        assert_eq!(run.stdout, format!("hello {digest}\n"));
    }
    let Some(registry) = DockerRegistry::start(false) else {
        return missing("docker-registry", "an_image_that_someone_else_has_built");
    };
    let host = registry.host();
    let workspace = workspace.env("EXFLOW_PLAIN_HTTP_REGISTRIES", &host);
    let name = format!("{host}/team/hello:1");
    workspace.ok(&["build", "--output", &format!("registry={name}")]);
    assert_eq!(workspace.ok(&["verify", "--image", &name]).stdout, format!("hello {digest}\n"));
    let missing = format!("{host}/team/hello:2");
    workspace.fails(&["verify", "--image", &missing], 1).says(&["team/hello"]);
}
