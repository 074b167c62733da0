//! The example, from Debian's own packages to an image that answers; and projects in other shapes.

use crate::{EXFLOW, cache};
use exflow_content::{Entry, RelPath};
use exflow_store::Store;
use exflow_testkit::{Mirror, Run, Workspace, missing, ordinary_user};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The most that the files of the image may take, in bytes.
const MOST: u64 = 35_000_000;

pub(crate) static MIRROR: LazyLock<Mirror> = LazyLock::new(|| Mirror::new(&cache()));

pub(crate) fn hello() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello")
}

pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::new(EXFLOW);
    MIRROR
        .environment()
        .into_iter()
        .fold(workspace, |workspace, (name, value)| workspace.env(name, value))
}

/// The example, built once; tests that edit take a copy with the same store.
static BUILT: LazyLock<(Workspace, String)> = LazyLock::new(|| {
    let workspace = workspace().with_files_of(&hello());
    let (digest, ran, cached) = workspace.build_one(&["--locked"]);
    assert_eq!((ran, cached), (4, 0));
    (workspace, digest)
});

/// The example as the sandbox built it, and its digest.
pub(crate) fn built_in_the_sandbox() -> (&'static Workspace, String) {
    (&BUILT.0, BUILT.1.clone())
}

/// A workspace of its own that shares the store of the built example.
pub(crate) fn sharing() -> Workspace {
    workspace().env("EXFLOW_STORE", BUILT.0.store().to_string_lossy())
}

#[test]
fn the_same_digest_in_other_folders_as_another_user() {
    let (first, digest) = &*BUILT;
    let event = &first.build(&["--locked"])[0];
    assert_eq!(event["digest"].as_str(), Some(&**digest));
    let size = event["unpacked_bytes"].as_u64().unwrap();
    assert!(size <= MOST, "{size} bytes unpacked");
    let Some(user) = ordinary_user() else {
        // The tests run as an ordinary user already; root's part is left out.
        missing("root", "the_same_digest_in_other_folders_as_another_user");
        let second = workspace().with_files_of(&hello());
        assert_eq!(second.build_one(&["--locked"]), (digest.clone(), 4, 0));
        return;
    };
    let second = workspace().with_files_of(&hello()).env("TZ", "Asia/Tokyo").owned_by(user);
    assert_eq!(second.build_one(&["--locked"]), (digest.clone(), 4, 0));
    // As an ordinary user, too, the image starts.
    let run = second.ok(&["run", "--", "eval", "IO.puts(6 * 7)"]);
    assert_eq!(run.stdout, "42\n", "{}", run.stderr);
}

/// Nothing is built for it, and nothing has to be.
#[test]
fn a_variable_of_the_plugin_is_not_set_by_a_stage() {
    let workspace = workspace().with_files_of(&hello());
    let manifest = workspace.read("exflow.kdl");
    let edited = manifest.replace(
        "    stage \"runtime\"",
        "    stage \"release\" base=\"builder\" { env MIX_ENV=\"dev\"; }\n    stage \"runtime\"",
    );
    workspace.write("exflow.kdl", &edited);
    workspace.fails(&["check"], 1).says(&[
        "exflow::plan::taken-variable",
        "`MIX_ENV` is set by `mix-release`",
        "exflow.kdl:18",
        "take it away",
    ]);
}

#[test]
fn a_slim_base_is_only_what_was_named_and_can_be_scanned() {
    let (workspace, _) = &*BUILT;
    let lock = workspace.read("exflow.lock");
    let runner = lock.split("\"runner\"").nth(1).unwrap();
    // It is laid out when something runs in it.
    workspace.ok(&["run", "hello", "--", "eval", "1"]);
    let checkouts = std::fs::read_dir(workspace.store().join("checkouts")).unwrap();
    let slim = checkouts.map(|entry| entry.unwrap().path()).find(|base| {
        base.join("var/lib/dpkg/status").is_file() && !base.join("usr/bin/erl").exists()
    });
    let slim = slim.expect("the base of the image");
    let status = std::fs::read_to_string(slim.join("var/lib/dpkg/status")).unwrap();
    let listed = status.lines().filter(|line| line.starts_with("Package: ")).count();
    assert_eq!(listed, runner.matches("\"name\":").count(), "each package of the lock");
    for unwanted in ["usr/share/man", "usr/share/locale", "usr/bin/dpkg", "usr/bin/perl"] {
        assert!(!slim.join(unwanted).exists(), "{unwanted}");
    }
    assert!(slim.join("usr/share/doc/libc6/copyright").exists());
    let release = std::fs::read_to_string(slim.join("usr/lib/os-release")).unwrap();
    assert!(release.contains("VERSION_CODENAME=bookworm"), "{release}");
}

#[test]
fn a_second_build_does_nothing() {
    let (workspace, digest) = &*BUILT;
    let run = workspace.ok(&["build", "--json", "--locked", "--offline"]);
    // Nothing but what was built: no step and no plugin was run.
    let [event] = run.events().try_into().unwrap();
    assert_eq!(event["digest"].as_str(), Some(&**digest));
    assert_eq!((event["steps_run"].as_u64(), event["steps_cached"].as_u64()), (Some(0), Some(4)));
}

/// What ran, by the events of a build.
fn ran(run: &Run) -> Vec<String> {
    let done = run.events().into_iter().filter(|event| event["event"] == "step");
    let mut names: Vec<String> =
        done.map(|event| event["step"].as_str().unwrap().to_owned()).collect();
    // Steps that don't need each other end in any order.
    names.sort();
    names
}

#[test]
fn an_edit_runs_only_what_depends_on_it() {
    let workspace = sharing().with_files_of(&hello());
    let digest = &BUILT.1;
    assert_eq!(workspace.build_one(&[]), (digest.clone(), 0, 4));
    // What no compiler reads.
    workspace.write("README.md", "changed");
    workspace.write("test/hello_test.exs", "changed");
    assert_eq!(workspace.build_one(&[]), (digest.clone(), 0, 4));
    // A comment: it is compiled, and nothing comes of it.
    let source = workspace.read("lib/hello.ex");
    workspace.write("lib/hello.ex", &format!("{source}# A comment.\n"));
    let run = workspace.ok(&["build", "--json"]);
    assert_eq!(ran(&run), ["hello:release"]);
    assert_eq!(run.built()[0]["digest"].as_str(), Some(&**digest));
    // Code.
    workspace
        .write("lib/hello.ex", &format!("{source}\ndefmodule Hello.More, do: def(one, do: 1)\n"));
    let run = workspace.ok(&["build", "--json"]);
    assert_eq!(ran(&run), ["hello:image", "hello:release"]);
    assert_ne!(run.built()[0]["digest"].as_str(), Some(&**digest));
    run.says(&["lib/hello.ex"]);
}

#[test]
fn a_user_that_the_base_does_not_have() {
    let workspace = sharing().with_files_of(&hello());
    let manifest = workspace.read("exflow.kdl");
    assert!(manifest.contains("user \"nobody\""), "{manifest}");
    workspace.write("exflow.kdl", &manifest.replace("user \"nobody\"", "user \"nobdy\""));
    let failed = workspace.fails(&["build"], 1);
    failed.says(&["exflow::image::unknown-user", "did you mean `nobody`?", "exflow.kdl:"]);
}

/// What is built is printed and written out, whatever becomes of the rest.
#[test]
fn an_image_beside_a_project_that_fails() {
    let workspace = sharing().with_files_of(&hello());
    let manifest = workspace.read("exflow.kdl");
    workspace.write("exflow.kdl", &format!("workspace \"both\" {{ members \"bad\" }}\n{manifest}"));
    let bad =
        "project \"bad\" { stage \"one\" base=\"builder\" { run \"exit 3\"; output \"out\" } }\n";
    workspace.write("bad/exflow.kdl", bad);
    let run = workspace.fails(&["build", "--json", "--output", "oci=layout"], 1);
    run.says(&["`bad:one` failed with exit code 3"]);
    let built = run.built();
    assert_eq!(built.len(), 1, "{built:?}");
    assert_eq!(built[0]["project"], "hello");
    let digest = built[0]["digest"].as_str().unwrap();
    assert!(workspace.read("layout/index.json").contains(digest));
}

/// A layer is lost, and a file that it has to be made of again is not what it was.
#[test]
fn damage_that_shows_when_an_image_is_packed() {
    let workspace = workspace().with_files_of(&hello());
    let first = workspace.build_one(&["--locked"]);
    let blobs = || {
        let folders = std::fs::read_dir(workspace.store().join("blobs")).unwrap().flatten();
        folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten())
    };
    let mut altered = false;
    for blob in blobs() {
        let path = blob.path();
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() > 1_000_000 {
            std::fs::remove_file(&path).unwrap();
        } else if bytes.len() < 100_000
            && bytes.windows(20).any(|part| part == b"Upstream-Name: dash\n")
        {
            // The copyright file of dash, which is in the image.
            bytes[0] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            altered = true;
        }
    }
    assert!(altered);
    let run = workspace.ok(&["build", "--locked", "--json"]);
    run.says(&["the store was damaged"]);
    assert_eq!(run.built()[0]["digest"].as_str(), Some(&*first.0), "{}", run.stderr);
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a server on loopback answers, once it does.
fn get(port: u16, path: &str) -> String {
    let mut stream = connect(port);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// As much as was said to a server on loopback of what it answers, once it does.
pub(crate) fn echo(port: u16, text: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// A connection to a server on loopback, once it listens.
fn connect(port: u16) -> TcpStream {
    let begun = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            return stream;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_image_boots_answers_and_stops() {
    let (workspace, _) = &*BUILT;
    let port = free_port();
    let mut child = workspace.start(&["run", "hello", "--env", &format!("PORT={port}")]);
    let answer = get(port, "/Ada%20Lovelace");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("Hello, Ada Lovelace!\n"), "{answer}");
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
    let begun = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(0), "it stops in good order");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let run = workspace.ok(&["run", "hello", "--", "eval", "IO.puts(Hello.greet(\"π\"))"]);
    assert_eq!(run.stdout, "Hello, π!\n", "{}", run.stderr);
    // An exit code is passed on.
    workspace.fails(&["run", "hello", "--", "eval", "System.halt(3)"], 3);
}

/// What mix.exs can say of a release is done by Mix, and found by exflow.
#[test]
fn every_option_of_a_release() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects/full");
    let example = sharing().with_files_of(&hello());
    let manifest = example.read("exflow.kdl").replace("project \"hello\"", "project \"full\"");
    let workspace = sharing()
        .with_files_of(&project)
        .with("exflow.kdl", &manifest)
        .with("exflow.lock", &example.read("exflow.lock"));
    workspace.ok(&["build", "--locked"]);
    let run = workspace.ok(&["run", "full", "--", "eval", "IO.puts(Full.said())"]);
    assert_eq!(run.stdout, "read when it starts full\n", "{}", run.stderr);
    let store = Store::open(BUILT.0.store()).unwrap();
    let start = RelPath::new("marked").unwrap();
    let trees = crate::docker::trees(&BUILT.0).into_iter();
    let mut trees = trees.map(|name| store.tree(&name.parse().unwrap()).unwrap());
    let release = trees.find(|tree| tree.get(&start).is_some()).expect("the mark of its own step");
    let text = |path: &str| match release.get(&RelPath::new(path).unwrap()) {
        Some(Entry::File { blob, .. }) => {
            String::from_utf8(store.read_blob(blob, 1 << 20).unwrap()).unwrap()
        }
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(text("etc/note.txt"), "laid over\n");
    assert_eq!(text("always.txt"), "by itself\n");
    assert_eq!(text("releases/COOKIE"), "given in mix.exs");
    assert!(text("releases/0.2.0/runtime.exs").contains("late"));
    let names: Vec<String> = release.entries().map(|(path, _)| path.to_string()).collect();
    let ends = |name: &String| ["bat", "gz"].contains(&name.rsplit('.').next().unwrap_or_default());
    let left = names.iter().find(|name| ends(name));
    assert_eq!(left, None);
}

/// Nodes talk to each other, and so do commands with a release that runs.
#[test]
fn commands_to_a_release_that_runs() {
    let workspace = sharing().with_files_of(&hello());
    let manifest = workspace
        .read("exflow.kdl")
        .replace("\"zlib1g\"", "\"zlib1g\" \"libsystemd0\"")
        .replace("env RELEASE_DISTRIBUTION=\"none\"", "env RELEASE_DISTRIBUTION=\"name\"");
    let workspace = workspace.with("exflow.kdl", &manifest);
    workspace.ok(&["build"]);
    let port = free_port();
    let variables = [
        format!("PORT={port}"),
        format!("RELEASE_NODE=hello-{}@127.0.0.1", std::process::id()),
        "RELEASE_COOKIE=for-this-test".to_owned(),
    ];
    let given = |command: &[&str]| {
        let mut all = vec!["run".to_owned(), "hello".to_owned()];
        all.extend(variables.iter().flat_map(|variable| ["--env".to_owned(), variable.clone()]));
        all.extend(command.iter().map(|&word| word.to_owned()));
        all
    };
    let mut child = workspace.start(&given(&[]));
    get(port, "/");
    let run = workspace.ok(&given(&["--", "rpc", "IO.puts(Hello.greet(\"π\"))"]));
    assert_eq!(run.stdout, "Hello, π!\n", "{}", run.stderr);
    workspace.ok(&given(&["--", "stop"]));
    assert_eq!(child.wait().unwrap().code(), Some(0), "it stops in good order");
}

/// Nothing but the BEAM, its libraries, and the release: what its script would do is said in the image.
#[test]
fn an_image_without_a_shell() {
    let workspace = sharing().with_files_of(&hello());
    let manifest = workspace
        .read("exflow.kdl")
        .replace("release-tool \"mix-release\"", "release-tool \"mix-release\" shell=#false")
        .replace("    packages \"dash\" \"coreutils\" \"sed\" \"grep\" \"mawk\"\n", "")
        .replace("        command \"start\"\n", "");
    let workspace = workspace.with("exflow.kdl", &manifest);
    let event = &workspace.build(&[])[0];
    let size = event["unpacked_bytes"].as_u64().unwrap();
    assert!(size <= 20_000_000, "{size} bytes unpacked");
    let port = free_port();
    let variable = format!("PORT={port}");
    let mut child = workspace.start(&["run", "hello", "--env", &variable]);
    let answer = get(port, "/Ada%20Lovelace");
    assert!(answer.ends_with("Hello, Ada Lovelace!\n"), "{answer}");
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0), "it stops in good order");
    let code = "IO.puts(Hello.greet(Path.basename(\"π\")))";
    let run = workspace.ok(&["run", "hello", "--env", &variable, "--", "--eval", code]);
    assert!(run.stdout.ends_with("\nHello, π!\n"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn an_image_layout_and_an_archive() {
    let (workspace, digest) = &*BUILT;
    let out = workspace.outside().join("out");
    let archive = workspace.outside().join("hello.tar");
    workspace.ok(&[
        "build",
        "--output",
        &format!("oci={}", out.display()),
        "-o",
        &format!("docker-archive={}", archive.display()),
    ]);
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"].as_str(), Some(&**digest));
    // Every blob is what its name says.
    let mut blobs = 0;
    for entry in std::fs::read_dir(out.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let found = exflow_content::Sha256::of(&std::fs::read(&path).unwrap());
        assert_eq!(path.file_name().unwrap().to_string_lossy(), found.to_string());
        blobs += 1;
    }
    assert_eq!(blobs, 6, "a configuration, a manifest and four layers");
    // An archive as `docker save` writes it: a list that names what is in it.
    let mut names = Vec::new();
    let mut listed = serde_json::Value::Null;
    let mut tar = tar::Archive::new(std::fs::File::open(&archive).unwrap());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name == "manifest.json" {
            listed = serde_json::from_reader(&mut entry).unwrap();
        }
        names.push(name);
    }
    assert_eq!(listed[0]["RepoTags"][0], "hello:latest");
    let layers = listed[0]["Layers"].as_array().unwrap().iter().chain([&listed[0]["Config"]]);
    for blob in layers {
        assert!(names.contains(&blob.as_str().unwrap().to_owned()), "{blob}");
    }
    // Written again, and into a folder that is something else.
    workspace.ok(&["build", "--output", &format!("oci={}", out.display())]);
    let root = workspace.root();
    workspace
        .fails(&["build", "--output", &format!("oci={}", root.display())], 2)
        .says(&["not empty"]);
}

/// The bases of the example, for other projects.
const BASES: &str = r#"
base "builder" { debian "bookworm"; packages "elixir" "erlang-dev"; }
base "runner" {
    debian "bookworm" slim=#true
    packages "libstdc++6" "libtinfo6" "zlib1g" "dash" "coreutils" "sed" "grep" "mawk"
}
"#;

/// A workspace with these bases, locked as the example is.
fn project(manifest: &str, files: &[(&str, &str)]) -> Workspace {
    let lock = std::fs::read_to_string(hello().join("exflow.lock")).unwrap();
    let workspace =
        sharing().with("exflow.kdl", &format!("{BASES}{manifest}")).with("exflow.lock", &lock);
    files.iter().fold(workspace, |workspace, (path, text)| workspace.with(path, text))
}

fn mix(app: &str, more: &str) -> String {
    let module = format!("{}{}", app[..1].to_uppercase(), &app[1..]);
    format!(
        "defmodule {module}.MixProject do\n  use Mix.Project\n\n  def project do\n    [\n      app: :{app},\n      \
         version: \"0.1.0\",\n      elixir: \"~> 1.14\",\n      start_permanent: Mix.env() == :prod,\n      \
         deps: deps(){more}\n    ]\n  end\n\n  def application, do: [extra_applications: [:logger]]\n\n"
    )
}

fn deps(list: &str) -> String {
    format!("  defp deps do\n    [\n      {list}\n    ]\n  end\nend\n")
}

#[test]
fn a_project_as_mix_new_makes_it() {
    // No `releases`: Mix makes one that is named as the application.
    let workspace = project(
        "project \"plain\" { release-tool \"mix-release\"; stage \"runtime\" { env RELEASE_DISTRIBUTION=\"none\" } }",
        &[
            ("mix.exs", &(mix("plain", "") + &deps("# {:dep_from_hexpm, \"~> 0.3.0\"},"))),
            ("lib/plain.ex", "defmodule Plain do\n  def hello, do: :world\nend\n"),
            ("test/plain_test.exs", "defmodule PlainTest do\nend\n"),
            (".formatter.exs", "[inputs: []]"),
        ],
    );
    let run = workspace.ok(&["run", "plain", "--", "eval", "IO.inspect(Plain.hello())"]);
    assert_eq!(run.stdout, ":world\n", "{}", run.stderr);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[test]
fn an_umbrella_with_a_path_dependency_and_two_releases() {
    let umbrella = "defmodule Shop.MixProject do\n  use Mix.Project\n\n  def project do\n    [\n      \
        apps_path: \"apps\",\n      version: \"0.1.0\",\n      deps: [],\n      releases: [\n        \
        web: [applications: [web: :permanent], cookie: \"a cookie of one's own\"],\n        \
        db: [applications: [db: :permanent]]\n      ]\n    ]\n  end\nend\n";
    let child = |more: &str| {
        format!(
            ",\n      build_path: \"../../_build\",\n      config_path: \"../../config/config.exs\",\n      \
                 deps_path: \"../../deps\",\n      lockfile: \"../../mix.lock\"{more}"
        )
    };
    let workspace = project(
        "project \"web\" { release-tool \"mix-release\" release=\"web\"; stage \"runtime\" { env RELEASE_DISTRIBUTION=\"none\" } }\n",
        &[
            ("mix.exs", umbrella),
            ("config/config.exs", "import Config\nconfig :web, answer: 42\n"),
            ("config/runtime.exs", "import Config\nconfig :web, at_runtime: config_env()\n"),
            ("apps/web/mix.exs", &(mix("web", &child("")) + &deps("{:db, in_umbrella: true}"))),
            (
                "apps/web/lib/web.ex",
                "defmodule Web do\n  @answer Application.compile_env(:web, :answer)\n  def answer, do: {@answer, Db.get(), Application.get_env(:web, :at_runtime)}\nend\n",
            ),
            (
                "apps/db/mix.exs",
                &(mix("db", &child("")) + &deps("{:codec, path: \"../../libs/codec\"}")),
            ),
            ("apps/db/lib/db.ex", "defmodule Db do\n  def get, do: Codec.decode(\"x\")\nend\n"),
            ("libs/codec/mix.exs", &(mix("codec", "") + &deps(""))),
            (
                "libs/codec/lib/codec.ex",
                "defmodule Codec do\n  def decode(x), do: {:decoded, x}\nend\n",
            ),
        ],
    );
    let eval = |workspace: &Workspace| {
        workspace.ok(&["run", "web", "--", "eval", "IO.inspect(Web.answer())"]).stdout
    };
    assert_eq!(eval(&workspace), "{42, {:decoded, \"x\"}, :prod}\n");
    // The cookie that mix.exs asks for is the one that is used.
    let run =
        workspace.ok(&["run", "web", "--", "eval", "IO.puts(System.get_env(\"RELEASE_COOKIE\"))"]);
    assert_eq!(run.stdout, "a cookie of one's own\n");
    // Each edit reruns what depends on it.
    let built = |path: &str, text: &str| {
        workspace.write(path, text);
        let run = workspace.ok(&["build", "--json"]);
        ran(&run)
    };
    assert_eq!(
        built("apps/db/lib/db.ex", "defmodule Db do\n  def get, do: Codec.decode(\"y\")\nend\n"),
        ["web:app-db", "web:app-web", "web:image", "web:release"]
    );
    assert_eq!(
        built(
            "libs/codec/lib/codec.ex",
            "defmodule Codec do\n  def decode(x), do: {:other, x}\nend\n"
        ),
        ["web:app-codec", "web:app-db", "web:app-web", "web:image", "web:release"]
    );
    assert_eq!(
        built("config/runtime.exs", "import Config\nconfig :web, at_runtime: :changed\n"),
        ["web:image", "web:release"]
    );
    assert_eq!(eval(&workspace), "{42, {:other, \"y\"}, :changed}\n");
    assert_eq!(built("apps/web/test/web_test.exs", "changed"), [""; 0]);
}

#[test]
fn a_workspace_of_two_projects_that_share_a_library() {
    let lock = std::fs::read_to_string(hello().join("exflow.lock")).unwrap();
    let one = |name: &str| {
        format!(
            "project \"{name}\" {{\n    release-tool \"mix-release\"\n    \
             stage \"runtime\" {{ env RELEASE_DISTRIBUTION=\"none\" }}\n}}\n"
        )
    };
    let source = |name: &str| {
        let module = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        format!("defmodule {module} do\n  def hi, do: Shared.hi(\"{name}\")\nend\n")
    };
    let shared = deps("{:shared, path: \"../../libs/shared\"}");
    let workspace = sharing()
        .with("exflow.kdl", &format!("workspace \"both\" {{ members \"services/*\" }}\n{BASES}"))
        .with("exflow.lock", &lock)
        .with("libs/shared/mix.exs", &(mix("shared", "") + &deps("")))
        .with(
            "libs/shared/lib/shared.ex",
            "defmodule Shared do\n  def hi(name), do: \"hi, \" <> name\nend\n",
        )
        .with("services/one/exflow.kdl", &one("one"))
        .with("services/one/mix.exs", &(mix("one", "") + &shared))
        .with("services/one/lib/one.ex", &source("one"))
        .with("services/two/exflow.kdl", &one("two"))
        .with("services/two/mix.exs", &(mix("two", "") + &shared))
        .with("services/two/lib/two.ex", &source("two"));
    assert_eq!(workspace.build(&[]).len(), 2);
    let run = workspace.ok(&["run", "two", "--", "eval", "IO.puts(Two.hi())"]);
    assert_eq!(run.stdout, "hi, two\n", "{}", run.stderr);
    // One project, from within its folder.
    let run = workspace.ok(&["-C", "services/one", "build", "one", "--json"]);
    assert_eq!(run.built().len(), 1);
    workspace
        .write("services/one/lib/one.ex", "defmodule One do\n  def hi, do: \"changed\"\nend\n");
    let run = workspace.ok(&["build", "--json"]);
    assert_eq!(ran(&run), ["one:image", "one:release"]);
}
