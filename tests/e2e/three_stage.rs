//! The example on image bases. No public image can be pulled where tests run, so a mirror of Docker Hub
//! serves images of the same names, made of Debian's own packages.

use crate::EXFLOW;
use crate::docker::{docker, trees};
use crate::hello::MIRROR;
use exflow_content::Digest;
use exflow_lock::{LockedRoot, Platform};
use exflow_store::Store;
use exflow_testkit::{Image, Server, Squeeze, Workspace, registry};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Bases of Debian packages, from which the images are made. The last one is the second with what the
/// example puts on it, for where Docker is to make the image, which installs nothing.
const BASES: &str = r#"
base "elixir" {
    debian "bookworm"
    packages "elixir" "erlang-dev"
}
base "debian" { debian "bookworm" }
base "running" {
    debian "bookworm"
    packages "libstdc++6" "libncurses6" "openssl"
}
project "bases" {
    stage "one" base="elixir" { run "mkdir out"; output "out" }
    stage "two" base="debian" { run "mkdir out2"; output "out2" }
    stage "three" base="running" { run "mkdir out3"; output "out3" }
}
"#;

/// The images by name, and the layers of the second, which the runtime of the example stands on.
type Images = ([(&'static str, Image); 3], Vec<String>);

/// Made once.
pub(crate) static ELIXIR: LazyLock<Images> = LazyLock::new(|| {
    let workspace = with_packages(Workspace::new(EXFLOW)).with("exflow.kdl", BASES);
    // The same packages as the example's: they are fetched once.
    workspace.ok(&["build"]);
    let store = Store::open(workspace.store()).unwrap();
    let elixir = image_of(&store, &workspace, "elixir");
    let debian = image_of(&store, &workspace, "debian");
    let layers = debian.layer_digests();
    let running = image_of(&store, &workspace, "running");
    let images = [
        ("library/elixir:1.14", elixir),
        ("library/debian:bookworm-slim", debian),
        ("library/debian:running", running),
    ];
    (images, layers)
});

/// The mirror.
static HUB: LazyLock<Server> = LazyLock::new(|| {
    let ([(_, elixir), (_, debian), _], _) = &*ELIXIR;
    Server::new(registry(&[
        ("library/elixir", "1.14", &[elixir]),
        ("library/debian", "bookworm-slim", &[debian]),
    ]))
});

/// With a mirror of Debian that is asked for each package once.
fn with_packages(workspace: Workspace) -> Workspace {
    let variables = MIRROR.environment().into_iter();
    variables.fold(workspace, |workspace, (name, value)| workspace.env(name, value))
}

fn platform() -> Platform {
    if cfg!(target_arch = "aarch64") { Platform::LinuxArm64 } else { Platform::LinuxAmd64 }
}

/// The tree of a base of Debian packages that was built.
fn tree_of(store: &Store, workspace: &Workspace, base: &str) -> Digest {
    let source = exflow_diagnostics::SourceName::new("exflow.lock");
    let lock = exflow_lock::parse(&source, &workspace.read("exflow.lock")).unwrap();
    let LockedRoot::Debian(debian) = &lock.bases[base].locked[&platform()] else {
        unreachable!("it is made of packages")
    };
    let key = exflow_packages::debian::base_key(debian, false, &platform());
    store.record(&key).unwrap().unwrap().trees[0]
}

/// An image of a base: one layer.
fn image_of(store: &Store, workspace: &Workspace, base: &str) -> Image {
    let tree = store.tree(&tree_of(store, workspace, base)).unwrap();
    let open = |blob: &Digest| store.open_blob(blob).map_err(std::io::Error::other);
    let (archive, ..) = exflow_image::write_tar(&tree, 1_700_000_000, open, Vec::new()).unwrap();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Image::new(Squeeze::Gzip)
        .raw_layer(archive)
        .config(json!({"Env": [format!("PATH={path}"), "FROM_HUB=yes"], "Cmd": ["bash"]}))
}

pub(crate) fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-stage")
}

/// The example, with Docker Hub where it can be reached.
pub(crate) fn workspace() -> Workspace {
    let host = HUB.url().trim_start_matches("http://").to_owned();
    with_packages(Workspace::new(EXFLOW))
        .with_files_of(&example())
        .env("EXFLOW_REGISTRY_MIRRORS", format!("docker.io={host}"))
        .env("EXFLOW_PLAIN_HTTP_REGISTRIES", host)
        .env("DOCKER_CONFIG", "/nowhere")
}

/// The example as it was built first, its digest and its place.
pub(crate) static BUILT: LazyLock<(Workspace, String, PathBuf)> = LazyLock::new(|| {
    let workspace = workspace();
    let run = workspace.ok(&["build"]);
    let words: Vec<&str> = run.stdout.split_whitespace().collect();
    let ["three_stage", digest, place] = words[..] else { panic!("{}", run.stdout) };
    let (digest, place) = (digest.to_owned(), PathBuf::from(place));
    (workspace, digest, place)
});

pub(crate) fn document(layout: &Path, digest: &str) -> Value {
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_layers_of_the_base_stay_as_they_are() {
    let (workspace, digest, layout) = &*BUILT;
    let manifest = document(layout, digest);
    let layers = manifest["layers"].as_array().unwrap();
    let kept: Vec<&str> =
        layers[..ELIXIR.1.len()].iter().map(|layer| layer["digest"].as_str().unwrap()).collect();
    assert_eq!(kept, ELIXIR.1);
    // Packages, OTP, what was compiled of dependencies and of the application.
    assert!(layers.len() >= kept.len() + 3, "{manifest}");
    let config = document(layout, manifest["config"]["digest"].as_str().unwrap());
    let env = config["config"]["Env"].as_array().unwrap();
    assert!(
        env.contains(&json!("FROM_HUB=yes")) && env.contains(&json!("LANG=C.UTF-8")),
        "{env:?}"
    );
    assert_eq!(config["config"]["User"], json!("65534:65534"));
    // dpkg knows what was there, and what was added; nobody has it twice.
    let lock = workspace.read("exflow.lock");
    assert!(lock.contains("\"name\":\"libncurses6\""), "{lock}");
    assert!(!lock.contains("\"name\":\"libc6\""), "it is installed: {lock}");
    let run = workspace.ok(&["run", "--", "eval", "IO.puts(ThreeStage.hello(\"you\"))"]);
    assert_eq!(run.stdout, "Hello, you!\n", "{}", run.stderr);
    let again = workspace.build_one(&["--locked", "--offline"]);
    assert_eq!((&again.0, again.1), (digest, 0));
}

#[test]
fn another_store_gives_the_same_digest_and_so_does_docker() {
    let (first, digest, _) = &*BUILT;
    let locked = || workspace().with("exflow.lock", &first.read("exflow.lock"));
    let sandboxed = locked();
    assert_eq!(&sandboxed.build_one(&["--locked"]).0, digest);
    let test = "another_store_gives_the_same_digest_and_so_does_docker";
    let Some(host) = docker(test) else { return };
    let contained = locked().env("EXFLOW_EXECUTOR", "docker").env("DOCKER_HOST", host);
    let run = contained.ok(&["build", "--locked", "--json"]);
    run.says(&["using Docker"]);
    assert_eq!(run.built()[0]["digest"].as_str(), Some(&**digest));
    // Not only in the end: every base, input and output is the same.
    assert_eq!(trees(&contained), trees(&sandboxed));
}

/// A base that steps run in is the same image whether packages are added to it or not.
#[test]
fn packages_on_an_image() {
    let manifest = |packages: &str| {
        format!(
            "base \"builder\" {{ image \"debian:bookworm-slim\"; packages {packages} }}\n\
             project \"made\" {{ stage \"one\" {{ run \"\"\"\n{}\n\"\"\"; output \"out\" }} }}\n",
            "mkdir out\n\
             dpkg-query --show bc libncurses6 libc6 > out/versions\n\
             dpkg --audit\n\
             echo '6 * 7' | bc > out/answer\n\
             test \"$(cat out/answer)\" = 42\n\
             test \"$FROM_HUB\" = yes"
        )
    };
    let workspace = workspace().with("exflow.kdl", &manifest("\"bc\" \"libncurses6\""));
    let run = workspace.ok(&["build"]);
    run.says(&["packages are added"]);
    let lock = workspace.read("exflow.lock");
    assert!(lock.contains("\"name\":\"bc\"") && !lock.contains("\"name\":\"libc6\""), "{lock}");
    // What is asked for is there already: nothing is added.
    workspace.write("exflow.kdl", &manifest("\"bc\" \"libncurses6\" \"bash\""));
    workspace.ok(&["build"]);
    assert!(!workspace.read("exflow.lock").contains("\"name\":\"bash\""));
    workspace.write("exflow.kdl", &manifest("\"libncurses66\""));
    workspace.fails(&["lock"], 1).says(&[
        "exflow::packages::unknown-package",
        "`libncurses66`",
        "did you mean",
    ]);
}
