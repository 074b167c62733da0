//! Dependencies as a graph: packages of every kind, built with Debian's own Elixir and Mix, on both of the
//! toolchains that Debian has.

use crate::EXFLOW;
use crate::hello::MIRROR;
use exflow_content::{Entry, RelPath, Sha256, Tree};
use exflow_store::Store;
use exflow_testkit::{HexFixture, HexMirror, Server, Workspace};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Debian's releases: Elixir 1.14 on OTP 25, and 1.18 on OTP 27.
const SUITES: [&str; 2] = ["bookworm", "trixie"];

fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages")
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects/shop")
}

/// The package in the folder of this name.
pub(crate) fn package(name: &str, tool: &str) -> HexFixture {
    HexFixture::new(name, "1.0.0").build_tools(&[tool]).files_of(&packages().join(name))
}

/// All that the project and its packages depend on, and more than is there in production.
fn all() -> Vec<HexFixture> {
    vec![
        package("bottom", "mix"),
        package("left", "mix").requires("bottom", "~> 1.0"),
        package("right", "mix").requires("bottom", "~> 1.0"),
        package("top", "mix").requires("left", "~> 1.0").requires("right", "~> 1.0"),
        package("greeter", "mix"),
        package("settings", "mix"),
        package("gossip", "mix"),
        package("perhaps", "mix").likes("extra", "~> 1.0"),
        package("squirrel", "rebar3"),
        package("hedgehog", "rebar3").requires("squirrel", "~> 1.0"),
        package("stone", "make"),
        package("spark", "mix"),
        HexFixture::new("never", "1.0.0"),
    ]
}

static HEX: LazyLock<HexMirror> = LazyLock::new(|| {
    let mut packages = all();
    packages.push(package("extra", "mix"));
    packages.push(package("broken", "mix"));
    HexMirror::new(&packages)
});

/// Bases of a suite, and a project on them.
fn manifest(suite: &str) -> String {
    manifest_with(suite, r#"release-tool "mix-release" compile-config="gossip: shop""#)
}

fn manifest_with(suite: &str, tool: &str) -> String {
    format!(
        r#"
base "builder" {{
    debian "{suite}"
    packages "elixir" "erlang-dev" "build-essential" "rebar3" "git"
}}
base "runner" {{
    debian "{suite}" slim=#true
    packages "libstdc++6" "libtinfo6" "zlib1g"
    packages "dash" "coreutils" "sed" "grep" "mawk"
}}
project "shop" {{
    {tool}
    stage "runtime" base="runner" {{ env RELEASE_DISTRIBUTION="none"; }}
}}
"#
    )
}

/// A workspace that has Debian's packages, and these made-up ones of Hex's.
fn workspace(hex: &HexMirror) -> Workspace {
    let variables = MIRROR.environment().into_iter().chain(hex.environment());
    variables.fold(Workspace::new(EXFLOW), |workspace, (name, value)| workspace.env(name, value))
}

fn shop(suite: &str) -> Workspace {
    workspace(&HEX)
        .with_files_of(&project())
        .with("mix.lock", &HexFixture::lock(&all()))
        .with("exflow.kdl", &manifest(suite))
}

/// The shop as it was built first in each suite.
static SHOPS: LazyLock<BTreeMap<&str, Workspace>> = LazyLock::new(|| {
    SUITES
        .into_iter()
        .map(|suite| {
            let workspace = shop(suite);
            workspace.ok(&["build"]);
            (suite, workspace)
        })
        .collect()
});

/// A workspace of its own that shares the store of the shop as it was built.
pub(crate) fn sharing(suite: &str) -> Workspace {
    shop(suite).env("EXFLOW_STORE", SHOPS[suite].store().to_string_lossy())
}

/// The names of the steps that a build ran, but for those that cut the configuration into parts.
fn ran(workspace: &Workspace) -> BTreeSet<String> {
    let run = workspace.ok(&["build", "--json"]);
    let done = run.events().into_iter().filter(|event| {
        event["event"] == "step" && event["status"].as_str().is_some_and(|status| status != "known")
    });
    let names = done.map(|event| event["step"].as_str().unwrap().to_owned());
    names.filter(|name| !name.contains(":config")).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn packages_of_every_kind() {
    for suite in SUITES {
        let workspace = &SHOPS[suite];
        let run = workspace.ok(&["run", "shop", "--", "eval", "Shop.check()"]);
        assert_eq!(
            run.stdout,
            "title: a shop\nsum: 6\nshown: top 6\ncompiled: good day\nread: good day\nmode: fast\n\
             heard: nothing\nextra: false\nnuts: 84\nweight: 7\nvolts: 230\n",
            "{suite}"
        );
        assert_eq!(ran(workspace), BTreeSet::new());
    }
}

/// What an edit makes anew, and nothing else.
#[test]
fn what_changes_is_compiled_again_and_what_depends_on_it() {
    for suite in SUITES {
        let workspace = sharing(suite);
        // The version, and an alias, are none of a package's business.
        let mix = workspace.read("mix.exs").replace("version: \"0.1.0\"", "version: \"0.2.0\"");
        workspace.write("mix.exs", &mix);
        let expected = names(&["shop:release", "shop:image"]);
        assert_eq!(ran(&workspace), expected, "{suite}");
        // Nor is the configuration of others, but of who has declared that it reads it.
        let config = workspace.read("config/config.exs");
        workspace.write("config/config.exs", &config.replace("a shop", "the shop"));
        let gossip = names(&["shop:dep-gossip", "shop:release", "shop:image"]);
        assert_eq!(ran(&workspace), gossip, "{suite}");
        workspace.write("config/config.exs", &config.replace(":fast", ":slow"));
        let settings = names(&["shop:dep-settings", "shop:release", "shop:image"]);
        assert_eq!(ran(&workspace), settings, "{suite}");
        let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(Settings.mode())"]);
        assert_eq!(run.stdout, "slow\n");
        // A package that others stand on.
        let mut packages = all();
        packages[1] = HexFixture::new("left", "1.0.1")
            .build_tools(&["mix"])
            .files_of(&packages_with("left", "Bottom.twice(1)", "Bottom.twice(10)"))
            .requires("bottom", "~> 1.0");
        let mirror = HexMirror::new(&packages);
        let workspace = sharing(suite).with("mix.lock", &HexFixture::lock(&packages));
        let workspace = mirror
            .environment()
            .into_iter()
            .fold(workspace, |workspace, (name, value)| workspace.env(name, value));
        let expected = ["hex-left", "dep-left", "dep-top", "release", "image"]
            .map(|name| format!("shop:{name}"));
        assert_eq!(ran(&workspace), BTreeSet::from(expected), "{suite}");
        let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(Top.sum())"]);
        assert_eq!(run.stdout, "24\n");
    }
}

/// A package's folder, with something else in its module.
fn packages_with(name: &str, old: &str, new: &str) -> PathBuf {
    let folder = tempfile::tempdir().unwrap().keep();
    let from = packages().join(name);
    let file = format!("lib/{name}.ex");
    std::fs::create_dir(folder.join("lib")).unwrap();
    std::fs::copy(from.join("mix.exs"), folder.join("mix.exs")).unwrap();
    let source = std::fs::read_to_string(from.join(&file)).unwrap();
    assert!(source.contains(old), "{source}");
    std::fs::write(folder.join(&file), source.replace(old, new)).unwrap();
    folder
}

/// What one project has compiled is there for the next.
#[test]
fn projects_share_their_packages() {
    let workspace = sharing("bookworm");
    let (mix, lock) = (workspace.read("mix.exs"), workspace.read("mix.lock"));
    let kdl = workspace.read("exflow.kdl");
    let project = &kdl[kdl.find("project ").unwrap()..];
    let second = project.replace("\"shop\"", "\"second\"");
    let workspace = workspace
        .with("exflow.kdl", &format!("workspace \"all\" {{ members \"second\" }}\n{kdl}"))
        .with("second/exflow.kdl", &second)
        .with("second/mix.exs", &mix.replace("app: :shop", "app: :second"))
        .with("second/mix.lock", &lock)
        .with(
            "second/config/config.exs",
            "import Config\nconfig :settings, mode: :fast\nconfig :shop, title: \"a shop\"\n",
        )
        .with("second/lib/second.ex", "defmodule Second do\n  def sum, do: Top.sum()\nend\n");
    let ran = ran(&workspace);
    assert_eq!(ran, names(&["second:release", "second:image"]));
}

/// The trees of releases in a store: that of exflow, and of plain Mix, which has a cookie.
fn releases(store: &Store, workspace: &Workspace) -> (Vec<Tree>, Vec<Tree>) {
    let start = RelPath::new("releases/start_erl.data").unwrap();
    let cookie = RelPath::new("releases/COOKIE").unwrap();
    let trees = crate::docker::trees(workspace).into_iter();
    let trees = trees.map(|name| store.tree(&name.parse().unwrap()).unwrap());
    trees.filter(|tree| tree.get(&start).is_some()).partition(|tree| tree.get(&cookie).is_none())
}

/// The same packages, laid out as `mix deps.get` does, and released by Mix alone: file by file what exflow
/// makes. And what Mix says that there is, is what exflow has decided to build.
#[test]
fn the_same_as_mix_makes() {
    for suite in SUITES {
        let driver =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/mix-project/src/driver");
        // At the same places, which rebar3 puts into what it compiles. The driver's Hex, which is what a Hex would be to Mix where nothing is to be fetched.
        let plain = r#"
project "plain" {
    stage "plain" base="builder" {
        inputs "mix.exs" "mix.lock" "lib" "config" "deps" "driver" "hex.exs"
        env MIX_ENV="prod" MIX_ARCHIVES="/nowhere" EXFLOW_ROOT="/src/_exflow"
        run """
            mkdir tools plain
            elixirc -o tools driver/*.ex
            elixir hex.exs
            mkdir /src/_exflow
            mv deps /src/_exflow/deps
            export MIX_DEPS_PATH=/src/_exflow/deps MIX_BUILD_PATH=/src/_exflow/build
            mix() { elixir -pa tools -e "Exflow.start()" -S mix "$@"; }
            mix deps > plain/deps
            mix deps.tree --only prod --format plain > plain/tree
            mix deps.compile
            mix release --path plain/rel
            mv plain/rel rel
            """
        output "plain"
        output "rel"
    }
}
"#;
        let mut workspace = workspace(&HEX)
            .with_files_of(&project())
            .with("mix.lock", &HexFixture::lock(&all()))
            .with(
                "exflow.kdl",
                &format!("workspace \"all\" {{ members \"plain\"; }}\n{}", manifest(suite)),
            )
            .with("plain/exflow.kdl", plain)
            .with("plain/mix.lock", &HexFixture::lock(&all()))
            .with("plain/hex.exs", MANIFESTS)
            .env("EXFLOW_STORE", SHOPS[suite].store().to_string_lossy());
        workspace = workspace.with_folder("plain", &project());
        workspace = workspace.with_folder("plain/driver", &driver);
        for package in all() {
            let package = package.package();
            let folder = packages().join(&package.name);
            if folder.exists() {
                workspace = workspace.with_folder(&format!("plain/deps/{}", package.name), &folder);
            }
        }
        workspace.ok(&["build"]);
        let store = Store::open(SHOPS[suite].store()).unwrap();
        let (ours, theirs) = releases(&store, &SHOPS[suite]);
        let [theirs] = theirs.as_slice() else { panic!("{} plain releases", theirs.len()) };
        let ours: Vec<BTreeMap<String, Entry>> = ours.iter().map(files).collect();
        let theirs = files(theirs);
        if !ours.contains(&theirs) {
            let nearest = ours.iter().map(|ours| differing(ours, &theirs)).min_by_key(Vec::len);
            panic!("{suite}: {:?}", nearest.unwrap());
        }
        // What Mix lists, and the steps of packages.
        let said = plain_file(&store, &SHOPS[suite], "deps");
        let listed: BTreeSet<String> = said
            .lines()
            .filter_map(|line| line.strip_prefix("* ")?.split_whitespace().next())
            .map(|app| format!("shop:dep-{app}"))
            .collect();
        let decided = needs_of_packages(&workspace);
        let names: BTreeSet<String> = decided.keys().cloned().collect();
        assert_eq!(names, listed, "{suite}: {said}");
        // And what Mix says of each that it depends on, is what its step sees, at whatever distance.
        let tree = plain_file(&store, &SHOPS[suite], "tree");
        assert_eq!(decided, closures(&tree), "{suite}: {tree}");
    }
}

/// The steps of packages, and of what other packages each sees the outputs.
fn needs_of_packages(workspace: &Workspace) -> BTreeMap<String, BTreeSet<String>> {
    let is_package = |name: &String| name.starts_with("shop:dep-");
    let steps = workspace.ok(&["plan", "--json"]).events();
    let steps = steps.iter().map(|step| {
        let name = step["step"].as_str().unwrap().to_owned();
        let needs = step["needs"].as_array().unwrap();
        let needs = needs.iter().map(|need| need.as_str().unwrap().to_owned());
        (name, needs.filter(is_package).collect())
    });
    steps.filter(|(name, _)| is_package(name)).collect()
}

/// What `mix deps.tree` says that each package depends on, directly or not, by the names of steps.
fn closures(tree: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut closures: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut above: Vec<String> = Vec::new();
    // `|   `-- app ~> 1.0 (Hex package)`
    for line in tree.lines() {
        let Some(at) = line.find("-- ") else { continue };
        above.truncate(at / 4);
        let app = line[at + 3..].split_whitespace().next().unwrap();
        let name = format!("shop:dep-{app}");
        for package in &above {
            closures.entry(package.clone()).or_default().insert(name.clone());
        }
        closures.entry(name.clone()).or_default();
        above.push(name);
    }
    closures
}

/// Writes what Hex leaves beside a package that it has fetched.
const MANIFESTS: &str = r#"
{lock, _} = Code.eval_file("mix.lock")

for {app, {:hex, name, version, inner, managers, _, repo, outer}} <- lock, File.dir?("deps/#{app}") do
  manifest = %{
    name: to_string(name),
    version: version,
    inner_checksum: inner,
    outer_checksum: outer,
    repo: repo,
    managers: managers
  }

  File.write!("deps/#{app}/.hex", :erlang.term_to_binary({{:hex, 2, 0}, manifest}))
end
"#;

/// A file that plain Mix has left.
fn plain_file(store: &Store, workspace: &Workspace, name: &str) -> String {
    let (deps, tree) = (RelPath::new(name).unwrap(), RelPath::new("tree").unwrap());
    for digest in crate::docker::trees(workspace) {
        let found = store.tree(&digest.parse().unwrap()).unwrap();
        if let (Some(Entry::File { blob, .. }), Some(_)) = (found.get(&deps), found.get(&tree)) {
            return String::from_utf8(store.read_blob(blob, 1 << 20).unwrap()).unwrap();
        }
    }
    panic!("no tree has it")
}

/// What exflow does to every release besides: no cookie, unless it is asked for, and nothing for Windows.
fn files(tree: &Tree) -> BTreeMap<String, Entry> {
    let changed = |path: &str| {
        path.rsplit('.').next() == Some("bat")
            || path.ends_with("/env.sh")
            || path == "releases/COOKIE"
    };
    tree.entries()
        .map(|(path, entry)| (path.to_string(), entry.clone()))
        .filter(|(path, _)| !changed(path))
        .collect()
}

fn differing<'a>(
    ours: &'a BTreeMap<String, Entry>,
    theirs: &'a BTreeMap<String, Entry>,
) -> Vec<&'a String> {
    let all: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    all.into_iter().filter(|path| ours.get(*path) != theirs.get(*path)).collect()
}

/// Packages that are compiled together give the same as each by itself.
#[test]
fn together_or_one_by_one() {
    for suite in SUITES {
        let workspace = shop(suite).env("EXFLOW_TOGETHER", "1");
        let together = crate::docker::trees(&SHOPS[suite]);
        workspace.ok(&["build"]);
        let alone = crate::docker::trees(&workspace);
        let more: Vec<&String> = alone.difference(&together).collect();
        assert!(more.is_empty(), "{suite}: {more:?}");
    }
}

/// And in containers.
#[test]
fn the_same_in_docker() {
    let Some(host) = crate::docker::docker("deps::the_same_in_docker") else { return };
    let sandboxed = crate::docker::trees(&SHOPS["bookworm"]);
    let workspace = shop("bookworm").env("EXFLOW_EXECUTOR", "docker").env("DOCKER_HOST", host);
    workspace.ok(&["build"]).says(&["steps together"]);
    let contained = crate::docker::trees(&workspace);
    let more: Vec<&String> = contained.difference(&sandboxed).collect();
    assert!(more.is_empty(), "{more:?}");
}

/// A package that reads what it was not shown: nothing is released, and it is said what to declare.
#[test]
fn configuration_that_is_not_declared() {
    for suite in SUITES {
        let workspace = sharing(suite);
        let kdl = manifest_with(suite, "release-tool \"mix-release\"");
        workspace.write("exflow.kdl", &kdl);
        workspace.fails(&["build"], 1).says(&[
            "The package gossip reads the configuration of shop while it is compiled",
            "compile-config=\"gossip: shop\"",
        ]);
    }
}

/// An optional package, where someone wants it.
#[test]
fn an_optional_package_that_is_there() {
    for suite in SUITES {
        let workspace = sharing(suite);
        let mix = workspace.read("mix.exs");
        workspace.write(
            "mix.exs",
            &mix.replace("{:perhaps,", "{:extra, \"~> 1.0\"},\n      {:perhaps,"),
        );
        let mut packages = all();
        packages.push(package("extra", "mix"));
        workspace.write("mix.lock", &HexFixture::lock(&packages));
        workspace.ok(&["build"]);
        let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(Perhaps.extra())"]);
        assert_eq!(run.stdout, "true\n", "{suite}");
    }
}

/// A small project with these dependencies, for what goes wrong.
pub(crate) fn small(hex: &HexMirror, deps: &str, packages: &[HexFixture]) -> Workspace {
    let mix = format!(
        "defmodule A.MixProject do\n  use Mix.Project\n\n  def project do\n    \
         [app: :a, version: \"1.0.0\", deps: deps()]\n  end\n\n  defp deps do\n    [{deps}]\n  end\nend\n"
    );
    workspace(hex)
        .with("exflow.kdl", &manifest_with("bookworm", "release-tool \"mix-release\""))
        .with("lib/a.ex", "defmodule A do\nend\n")
        .with("mix.exs", &mix)
        .with("mix.lock", &HexFixture::lock(packages))
}

fn with_store_of(workspace: Workspace, suite: &str) -> Workspace {
    workspace.env("EXFLOW_STORE", SHOPS[suite].store().to_string_lossy())
}

/// Where one package can't be compiled, the rest is built and kept.
#[test]
fn a_package_that_does_not_compile() {
    let other = HexFixture::new("other", "1.0.0")
        .build_tools(&["mix"])
        .file("mix.exs", 0o644, b"defmodule Other.MixProject do\n  use Mix.Project\n  def project, do: [app: :other, version: \"1.0.0\"]\nend\n")
        .file("lib/other.ex", 0o644, b"defmodule Other do\nend\n");
    let leaning = HexFixture::new("leaning", "1.0.0")
        .build_tools(&["mix"])
        .requires("broken", "~> 1.0")
        .file("mix.exs", 0o644, b"defmodule Leaning.MixProject do\n  use Mix.Project\n  def project, do: [app: :leaning, version: \"1.0.0\"]\nend\n");
    let packages = [package("broken", "mix"), other, leaning];
    let mirror = HexMirror::new(&packages);
    let deps = "{:broken, \"~> 1.0\"}, {:other, \"~> 1.0\"}, {:leaning, \"~> 1.0\"}";
    let workspace = with_store_of(small(&mirror, deps, &packages), "bookworm");
    let run = workspace.fails(&["build"], 1);
    run.says(&["shop:dep-broken", "undefined_variable", "mix.exs:9", "{:broken, \"~> 1.0\"}"]);
    // What was compiled beside it is kept, though something else could not even be begun.
    run.says(&["done 1 steps together"]);
    // Not again.
    let run = workspace.fails(&["build", "--json"], 1);
    let done = run.events().into_iter().filter(|event| event["event"] == "step");
    let done: Vec<Value> = done.collect();
    assert!(done.iter().all(|event| event["step"] != "shop:dep-other"), "{done:?}");
}

/// A package that rebar3 builds with a plugin of its own, which depends on another package.
fn walnut() -> [HexFixture; 3] {
    [
        package("walnut", "rebar3"),
        package("nutcracker", "rebar3").requires("hinge", "~> 1.0"),
        package("hinge", "rebar3"),
    ]
}

const WALNUT: &str = "{:walnut, \"~> 1.0\"}, {:nutcracker, \"~> 1.0\", runtime: false}";

/// rebar3's plugins are packages of the lock as others, and where they aren't, it is said how they get there.
#[test]
fn plugins_of_rebar3() {
    let mirror = HexMirror::new(&walnut());
    for suite in SUITES {
        let tool = "release-tool \"mix-release\" rebar3-plugins=\"walnut: nutcracker\"";
        let workspace = with_store_of(small(&mirror, WALNUT, &walnut()), suite);
        workspace.write("exflow.kdl", &manifest_with(suite, "release-tool \"mix-release\""));
        workspace.fails(&["build"], 1).says(&[
            "shop:dep-walnut",
            "walnut has plugins of rebar3 that nothing is known of: nutcracker",
            "rebar3-plugins=\"walnut: nutcracker\"",
            "{:walnut, \"~> 1.0\"}",
        ]);
        workspace.write("exflow.kdl", &manifest_with(suite, tool));
        workspace.ok(&["build"]);
        let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(:walnut.kernel())"]);
        assert_eq!(run.stdout, "tasty!\n", "{suite}");
        // Known to the next project; and nothing of the plugin is left where it was built.
        let alone = with_store_of(small(&mirror, WALNUT, &walnut()), suite);
        alone.write("exflow.kdl", &manifest_with(suite, tool));
        assert_eq!(ran(&alone), BTreeSet::new());
        let store = Store::open(SHOPS[suite].store()).unwrap();
        let left = crate::docker::trees(&SHOPS[suite]).into_iter().any(|digest| {
            let tree = store.tree(&digest.parse().unwrap()).unwrap();
            ["_checkouts", "_build"].iter().any(|name| {
                let path = RelPath::new(name).unwrap();
                tree.within(&path).next().is_some()
            })
        });
        assert!(!left, "{suite}");
    }
}

/// rebar3 as it is published, where the base has none.
#[test]
fn rebar3_is_fetched() {
    let store = Store::open(SHOPS["bookworm"].store()).unwrap();
    let path = RelPath::new("usr/bin/rebar3").unwrap();
    let found =
        crate::docker::trees(&SHOPS["bookworm"]).into_iter().find_map(|digest| {
            match store.tree(&digest.parse().unwrap()).unwrap().get(&path)? {
                Entry::File { blob, .. } => Some(store.read_blob(blob, 16 << 20).unwrap()),
                _ => None,
            }
        });
    let rebar3 = found.unwrap();
    let sha256 = Sha256::of(&rebar3);
    let server = Server::new(BTreeMap::from([("rebar3".to_owned(), rebar3)]));
    let packages = [package("squirrel", "rebar3")];
    let mirror = HexMirror::new(&packages);
    let small = small(&mirror, "{:squirrel, \"~> 1.0\"}", &packages);
    let workspace = with_store_of(small, "bookworm");
    let manifest = |sha256: &str| {
        let tool = format!(
            "release-tool \"mix-release\" rebar3=\"{}/rebar3\" rebar3-sha256=\"{sha256}\"",
            server.url()
        );
        // All that rebar3 wants, and not itself.
        let more = "\"erlang-common-test\" \"erlang-dialyzer\" \"erlang-edoc\" \"erlang-eunit\" \
                    \"erlang-reltool\"";
        manifest_with("bookworm", &tool).replace("\"rebar3\" \"git\"", more)
    };
    assert!(!manifest("").contains("\"rebar3\""));
    workspace.write("exflow.kdl", &manifest(&"0".repeat(64)));
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::wrong-digest",
        &sha256.to_string(),
        "exflow.kdl:12",
        "rebar3=",
    ]);
    workspace.write("exflow.kdl", &manifest(&sha256.to_string()));
    workspace.ok(&["build"]);
    let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(:squirrel.nuts())"]);
    assert_eq!(run.stdout, "42\n");
    let (digest, ..) = workspace.build_one(&["--locked"]);
    // The same as an input of the lock, which is seen by the steps of packages, too.
    let setting = format!(" rebar3=\"{}/rebar3\" rebar3-sha256=\"{sha256}\"", server.url());
    let stage = "stage \"deps\" { needs \"rebar3\" at=\"/tools/rebar3\"; env MIX_REBAR3=\"/src/tools/rebar3\"; }";
    let declared = manifest(&sha256.to_string())
        .replace(&setting, "")
        .replace("project \"shop\" {", &format!("project \"shop\" {{\n    {stage}"));
    let fetch = format!("fetch \"rebar3\" url=\"{}/rebar3\" executable=#true\n", server.url());
    workspace.write("exflow.kdl", &format!("{fetch}{declared}"));
    workspace.ok(&["lock"]);
    assert!(workspace.read("exflow.lock").contains(&format!("\"sha256\":\"{sha256}\"")));
    let (again, ran, _) = workspace.build_one(&["--locked"]);
    assert_eq!(again, digest);
    assert!(ran > 1, "with another rebar3 beside it, a package is compiled anew");
}

/// Packages that can't be had as they are locked.
#[test]
fn packages_that_can_not_be_had() {
    let locked = HexFixture::new("mine", "1.0.0").build_tools(&["mix"]);
    let altered = locked.clone().file("mix.exs", 0o644, b"altered");
    let mirror = HexMirror::new(&[altered]);
    let packages = [locked];
    let workspace = with_store_of(small(&mirror, "{:mine, \"~> 1.0\"}", &packages), "bookworm");
    let run = workspace.fails(&["build"], 1);
    run.says(&[
        "exflow::fetch::wrong-digest",
        "mine-1.0.0.tar",
        "mix.exs:9",
        "{:mine, \"~> 1.0\"}",
    ]);
    let mirror = HexMirror::new(&[]);
    let workspace = with_store_of(small(&mirror, "{:mine, \"~> 1.0\"}", &packages), "bookworm");
    workspace.fails(&["build"], 1).says(&[
        "exflow::fetch::not-found",
        "mine-1.0.0.tar",
        "mix.exs:9",
    ]);
    workspace.fails(&["build", "--offline"], 1).says(&["exflow::fetch::offline", "mine"]);
}

/// Packages of an organisation: with its key, which nobody else ever sees.
#[test]
fn packages_of_an_organisation() {
    let secret = HexFixture::new("secret", "1.0.0")
        .repo("hexpm:acme")
        .build_tools(&["mix"])
        .file("mix.exs", 0o644, b"defmodule Secret.MixProject do\n  use Mix.Project\n  def project, do: [app: :secret, version: \"1.0.0\"]\nend\n")
        .file("lib/secret.ex", 0o644, b"defmodule Secret do\nend\n");
    let packages = [secret];
    let mirror = HexMirror::new(&packages);
    mirror.want_key("acme", "s3cr3t-k3y");
    let deps = "{:secret, \"~> 1.0\", organization: \"acme\"}";
    let workspace = with_store_of(small(&mirror, deps, &packages), "bookworm")
        .env("EXFLOW_HEX_TRUSTED_MIRROR", mirror.server().url());
    workspace.fails(&["build"], 1).says(&["EXFLOW_HEX_KEY_ACME", "mix.exs:9"]);
    let workspace = workspace.env("EXFLOW_HEX_KEY_ACME", "s3cr3t-k3y");
    let run = workspace.ok(&["build", "--json"]);
    assert!(!run.stdout.contains("s3cr3t") && !run.stderr.contains("s3cr3t"));
    let found = std::process::Command::new("grep")
        .args(["-rlaF", "s3cr3t-k3y"])
        .arg(SHOPS["bookworm"].store())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

/// What can be said before anything is built is said at its place, all at once.
#[test]
fn locks_that_can_not_be_used() {
    let said = |deps: &str, lock: &str, words: &[&str]| {
        let workspace = small(&HEX, deps, &[]).with("mix.lock", lock);
        // Without bases: nothing is fetched, and nothing runs.
        workspace.fails(&["check"], 1).says(words);
    };
    let old = HexFixture::lock(&[
        package("left", "mix").requires("bottom", "~> 2.0"),
        package("bottom", "mix"),
    ]);
    said(
        "{:left, \"~> 1.0\"}",
        &old,
        &["exflow::mix-release::version-conflict", "mix.lock:3", "`bottom` is locked at 1.0.0"],
    );
    said(
        "{:bottom, \"~> 3.0\"}",
        &old,
        &["exflow::mix-release::version-conflict", "mix.exs:9", "mix deps.update bottom"],
    );
    said(
        "{:gone, \"~> 1.0\"}",
        &old,
        &["exflow::mix-release::not-locked", "mix.exs:9", "mix deps.get"],
    );
    said(
        "",
        "%{\"a\" => System.cmd(\"id\", [])}",
        &["exflow::mix-release::lock-code", "mix.lock:1"],
    );
    said("", "%{\n<<<<<<< HEAD\n}", &["exflow::mix-release::lock-conflict", "mix.lock:2"]);
    let unknown = HexFixture::lock(&[package("bottom", "bazel")]);
    said("{:bottom, \"~> 1.0\"}", &unknown, &["exflow::mix-release::unknown-manager", ":bazel"]);
    let circle = HexFixture::lock(&[
        package("left", "mix").requires("right", "~> 1.0"),
        package("right", "mix").requires("left", "~> 1.0"),
    ]);
    said(
        "{:left, \"~> 1.0\"}",
        &circle,
        &["exflow::mix-release::dependency-cycle", "`left` → `right` → `left`"],
    );
}

/// What `mix.exs` computes, Mix is asked for.
#[test]
fn dependencies_that_are_computed() {
    for suite in SUITES {
        let workspace = sharing(suite);
        let mix = workspace.read("mix.exs").replace("deps: deps()", "deps: Enum.sort(deps())");
        workspace.write("mix.exs", &mix);
        let expected = ["facts", "release"].map(|name| format!("shop:{name}"));
        let ran = ran(&workspace);
        assert!(BTreeSet::from(expected).is_subset(&ran), "{ran:?}");
        assert!(!ran.iter().any(|name| name.starts_with("shop:dep-")), "{ran:?}");
    }
    // What is neither literal nor anything that Mix could be asked for.
    let workspace = sharing("bookworm");
    let mix = workspace.read("mix.exs").replace("{:top, \"~> 1.0\"}", "{:top, ~r/^1/}");
    workspace.write("mix.exs", &mix);
    let run = workspace.fails(&["build"], 1);
    run.says(&["exflow::mix-release::unreadable-project", "mix.exs:5"]);
}

/// A revision of a repository, of which the builder knows nothing.
#[test]
fn a_package_from_git() {
    let hex = &*HEX;
    for suite in SUITES {
        let workspace = workspace(hex);
        let repository = workspace.outside().join("tool");
        std::fs::create_dir_all(repository.join("lib")).unwrap();
        let mix = "defmodule Tool.MixProject do\n  use Mix.Project\n  def project, do: [app: :tool, version: \"1.0.0\", deps: [{:bottom, \"~> 1.0\"}]]\nend\n";
        std::fs::write(repository.join("mix.exs"), mix).unwrap();
        let module = "defmodule Tool do\n  require Bottom\n  def use, do: Bottom.twice(21)\nend\n";
        std::fs::write(repository.join("lib/tool.ex"), module).unwrap();
        let git = |arguments: &[&str]| git_in(&repository, arguments);
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", "tool"]);
        let revision = git(&["rev-parse", "HEAD"]);
        let url = format!("file://{}", repository.display());
        let lock = HexFixture::lock(&[package("bottom", "mix")]);
        let lock = lock.replacen(
            "%{\n",
            &format!("%{{\n  \"tool\": {{:git, \"{url}\", \"{revision}\", [branch: \"main\"]}},\n"),
            1,
        );
        let mix = format!(
            "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\", deps: [{{:tool, git: \"{url}\", branch: \"main\"}}]]\nend\n"
        );
        let workspace = with_store_of(workspace, suite)
            .with("exflow.kdl", &manifest_with(suite, "release-tool \"mix-release\""))
            .with("lib/a.ex", "defmodule A do\nend\n")
            .with("mix.exs", &mix)
            .with("mix.lock", &lock);
        workspace.ok(&["build"]);
        let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(Tool.use())"]);
        assert_eq!(run.stdout, "42\n", "{suite}");
        // What it has beside it can't be had.
        let beside = "defmodule Tool.MixProject do\n  use Mix.Project\n  def project, do: [app: :tool, version: \"1.0.0\", deps: [{:side, path: \"side\"}]]\nend\n";
        std::fs::write(repository.join("mix.exs"), beside).unwrap();
        git(&["commit", "--quiet", "--all", "-m", "beside"]);
        let newer = git(&["rev-parse", "HEAD"]);
        workspace.write("mix.lock", &lock.replace(&revision, &newer));
        let run = workspace.fails(&["build"], 1);
        run.says(&["exflow::mix-release::path-in-git", "`tool` depends on `side`", "mix.exs:3"]);
        // Nor a revision that isn't there.
        workspace.write("mix.lock", &lock.replace(&revision, &"0".repeat(40)));
        workspace.fails(&["build"], 1).says(&["exflow::fetch::", "tool", "mix.exs:3"]);
    }
}

/// What git prints, in a repository of somebody's.
fn git_in(repository: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(arguments)
        .current_dir(repository)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Two packages that are folders of one repository.
#[test]
fn packages_from_one_repository() {
    let workspace = workspace(&HEX);
    let repository = workspace.outside().join("tools");
    for (app, module) in [("saw", "Saw"), ("axe", "Axe")] {
        std::fs::create_dir_all(repository.join(app).join("lib")).unwrap();
        let mix = format!(
            "defmodule {module}.MixProject do\n  use Mix.Project\n  def project, do: [app: :{app}, version: \"1.0.0\"]\nend\n"
        );
        std::fs::write(repository.join(app).join("mix.exs"), mix).unwrap();
        let code = format!("defmodule {module} do\n  def name, do: \"{app}\"\nend\n");
        std::fs::write(repository.join(format!("{app}/lib/{app}.ex")), code).unwrap();
    }
    let git = |arguments: &[&str]| git_in(&repository, arguments);
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "tools"]);
    let revision = git(&["rev-parse", "HEAD"]);
    let url = format!("file://{}", repository.display());
    let (mut deps, mut lock) = (Vec::new(), String::from("%{\n"));
    for app in ["axe", "saw"] {
        deps.push(format!("{{:{app}, git: \"{url}\", branch: \"main\", subdir: \"{app}\"}}"));
        lock += &format!(
            "  \"{app}\": {{:git, \"{url}\", \"{revision}\", [branch: \"main\", subdir: \"{app}\"]}},\n"
        );
    }
    lock += "}\n";
    let mix = format!(
        "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\", deps: [{}]]\nend\n",
        deps.join(", ")
    );
    let workspace = with_store_of(workspace, "bookworm")
        .with("exflow.kdl", &manifest_with("bookworm", "release-tool \"mix-release\""))
        .with("lib/a.ex", "defmodule A do\nend\n")
        .with("mix.exs", &mix)
        .with("mix.lock", &lock);
    workspace.ok(&["build"]);
    let run = workspace.ok(&["run", "shop", "--", "eval", "IO.puts(Saw.name() <> Axe.name())"]);
    assert_eq!(run.stdout, "sawaxe\n");
}

fn umbrella() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/umbrella")
}

/// The example: two images, one lock, and what both are made of compiled once.
#[test]
fn two_releases_of_an_umbrella() {
    let workspace = workspace(&HEX).with_files_of(&umbrella());
    let steps = |events: &[Value]| -> Vec<String> {
        let done = events.iter().filter(|event| event["event"] == "step");
        let named = done.filter_map(|event| event["step"].as_str());
        named.filter(|name| name.contains(":app-")).map(str::to_owned).collect()
    };
    let run = workspace.ok(&["build", "--locked", "--json"]);
    let mut first = steps(&run.events());
    first.sort();
    // Each once, whoever's it is.
    assert_eq!(
        first,
        ["backoffice:app-backoffice", "backoffice:app-catalog", "storefront:app-storefront"]
    );
    let images: Vec<_> = run.events().into_iter().filter(|it| it["event"] == "built").collect();
    assert_eq!(images.len(), 2, "{images:?}");
    let page = ["run", "storefront", "--", "eval", "IO.write(Storefront.Server.page())"];
    assert!(workspace.ok(&page).stdout.contains("EUR"), "{}", workspace.ok(&page).stdout);
    // Neither image has the other's application.
    let listed = ["run", "storefront", "--", "eval", "IO.inspect(Application.load(:backoffice))"];
    assert!(workspace.ok(&listed).stdout.contains("error"));

    let file = "apps/backoffice/lib/application.ex";
    workspace.write(file, &(workspace.read(file) + "# Changed.\n"));
    assert_eq!(steps(&workspace.ok(&["build", "--json"]).events()), ["backoffice:app-backoffice"]);
    let config = workspace.read("config/config.exs");
    workspace.write("config/config.exs", &config.replace("port: 4000", "port: 4001"));
    let run = workspace.ok(&["build", "--json"]);
    assert_eq!(steps(&run.events()), ["storefront:app-storefront"]);
    workspace.write("config/config.exs", &config.replace("EUR", "CHF"));
    let mut all = steps(&workspace.ok(&["build", "--json"]).events());
    all.sort();
    assert_eq!(all, first);
}

/// Of a regular expression with names, PCRE leaves in a module what was in memory before. What is done about that is
/// tried with what it could be.
#[test]
fn regular_expressions_are_the_same_each_time() {
    let beam =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/mix-project/src/driver/beam.ex");
    let beam = std::fs::read_to_string(beam).unwrap();
    let script = r#"
[{module, bytes}] =
  Code.compile_string(~S"""
  defmodule Pattern do
    @pattern ~r/(?<a>\d+)-(?<much_longer_than_that>\d+)/
    def names(text), do: Enum.map([text], fn text -> Regex.named_captures(@pattern, text) end)
  end
  """)

{:ok, _, chunks} = :beam_lib.all_chunks(bytes)
{_, <<size::32, literals::binary>>} = List.keyfind(chunks, ~c"LitT", 0)
# From OTP 28 on, there is nothing to be done.
if size > 0 and :binary.match(:zlib.uncompress(literals), "ERCP") != :nomatch do
  literals = :zlib.uncompress(literals)
  {at, _} = :binary.match(literals, <<0, 1, "a", 0>>)
  garbage = fn byte ->
    <<head::binary-size(at), 0, 1, "a", 0, _::binary-size(7), rest::binary>> = literals
    literals = head <> <<0, 1, "a", 0>> <> String.duplicate(byte, 7) <> rest
    chunks = List.keyreplace(chunks, ~c"LitT", 0, {~c"LitT", <<size::32, :zlib.compress(literals)::binary>>})
    {:ok, bytes} = :beam_lib.build_module(chunks)
    bytes
  end
  settled = for {byte, pack} <- [{"x", & &1}, {<<0>>, & &1}, {"x", &:zlib.gzip/1}, {"y", &:zlib.gzip/1}] do
    File.write!("x.beam", pack.(garbage.(byte)))
    Exflow.Beam.settle("x.beam")
    File.read!("x.beam")
  end
  [one, one, packed, packed] = settled
  ^one = :zlib.gunzip(packed)
  :code.purge(module)
  {:module, ^module} = :code.load_binary(module, ~c"x.beam", one)
  File.write!("x.beam", one)
  Exflow.Beam.settle("x.beam")
  ^one = File.read!("x.beam")
end

%{"a" => "1", "much_longer_than_that" => "2"} = module.names("1-2") |> hd()
File.mkdir_p!("out")
File.write!("out/done", "")
"#;
    for suite in SUITES {
        let manifest = format!(
            "base \"builder\" {{ debian \"{suite}\"; packages \"elixir\"; }}\nproject \"it\" {{\n    stage \"try\" base=\"builder\" {{\n        \
             inputs \"*.ex\" \"*.exs\"\n        run \"elixir -r beam.ex try.exs\"\n        output \"out\"\n    }}\n}}\n"
        );
        let workspace = workspace(&HEX)
            .with("exflow.kdl", &manifest)
            .with("beam.ex", &beam)
            .with("try.exs", &script.replace("\\\\", "\\"));
        workspace.ok(&["build"]);
    }
}
