use super::*;
use crate::{Proposal, ProposedImage, ProposedStep, ProposedUse, UsedThing, plan};
use exflow_content::{Digest, Entry, Mode, PatternSet};
use exflow_diagnostics::SourceName;
use exflow_lock::{
    LocalImage, Lock, LockedApk, LockedBase, LockedPackage, LockedRoot, Platform, RequestedBase,
    RequestedDebian, RequestedImage,
};
use insta::assert_snapshot;

const DEBIAN: &str = r#"
    base "builder" { debian "bookworm" }
    base "runner" { debian "bookworm" slim=#true; packages "libc6" }
    project "shop" {
        release-tool "mix-release"
        stage "assets" { run "make\necho \"$PWD\" > done"; inputs "assets"; output "priv/static" }
        stage "release" { needs "assets"; env STAGE="staging"; inputs "VERSION" }
        stage "runtime" { env A="b"; user "nobody"; expose 80; label x="y" }
    }
"#;

const IMAGES: &str = r#"
    base "builder" { image "localhost:5000/hexpm/elixir:1.18"; packages "git" }
    base "runner" { image "docker.io/library/alpine:3.21@sha256:00"; packages "libstdc++" }
    project "shop" { release-tool "mix-release" }
"#;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn tree(files: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for name in files {
        let blob = Digest::of(name.as_bytes());
        let entry = match name.strip_suffix('@') {
            Some(_) => Entry::Symlink { target: b"it's/there"[..].into() },
            None => Entry::File { mode: Mode::FILE, blob, size: 1 },
        };
        tree.insert(path(name.trim_end_matches('@')), entry).unwrap();
    }
    tree
}

fn proposal() -> Proposal {
    let step = |name: &str, sources: &[&str], uses: Vec<ProposedUse>, output: &str| ProposedStep {
        name: name.into(),
        stage: name.into(),
        argv: vec!["mix".into(), name.into()],
        env: [("MIX_ENV".to_owned(), "prod".to_owned())].into(),
        workdir: RelPath::root(),
        sources: PatternSet::new(sources).unwrap(),
        uses,
        outputs: vec![path(output)],
        ..ProposedStep::default()
    };
    let used = ProposedUse {
        what: UsedThing::Output { step: 0, output: path("_build") },
        at: path("_build"),
    };
    Proposal {
        steps: vec![
            step("deps", &["mix.exs", "mix.lock"], vec![], "_build"),
            step("release", &["mix.*", "lib", "config/*.exs"], vec![used], "rel"),
        ],
        image: Some(ProposedImage {
            step: 1,
            output: path("rel"),
            at: path("app"),
            layers: Vec::new(),
            env: [("LANG".to_owned(), "C".to_owned())].into(),
            workdir: path("app"),
            entrypoint: vec!["/app/bin/shop".into()],
            command: vec!["start".into()],
            labels: BTreeMap::new(),
        }),
        ..Proposal::default()
    }
}

fn debian(packages: &[(&str, &str, &str)]) -> LockedDebian {
    let package = |(name, version, archive): &(&str, &str, &str)| LockedPackage {
        name: (*name).into(),
        version: (*version).into(),
        architecture: "amd64".into(),
        archive: (*archive).into(),
        path: "pool/x.deb".into(),
        size: 1,
        sha256: Sha256::of(b"package"),
    };
    LockedDebian {
        snapshot: "20261101T000000Z".into(),
        packages: packages.iter().map(package).collect(),
    }
}

fn locked_image(packages: AddedPackages) -> LockedImage {
    LockedImage {
        index: None,
        manifest: Some(Sha256::of(b"manifest")),
        config: Sha256::of(b"config"),
        defaults: ImageDefaults::default(),
        layers: Vec::new(),
        packages,
    }
}

/// The plan of a manifest in which all bases are images.
fn of_images(manifest: &str, builder: LockedImage, runner: LockedImage, sources: &Tree) -> Plan {
    let base = |name: &str, locked: LockedImage| {
        let reference = manifest.split(&format!("base \"{name}\" {{ image \"")).nth(1).unwrap();
        let source = ImageSource::Registry(reference.split('"').next().unwrap().into());
        let requested = RequestedBase::Image(RequestedImage { source, packages: Vec::new() });
        let locked = [(Platform::LinuxAmd64, LockedRoot::Image(Box::new(locked)))].into();
        (name.to_owned(), LockedBase { requested, locked })
    };
    planned(manifest, [base("builder", builder), base("runner", runner)].into(), sources)
}

/// The plan of a manifest in which all bases are Debian's packages.
fn of_debian(manifest: &str, sources: &Tree) -> Plan {
    let base = |name: &str, slim| {
        let (suite, packages) = ("bookworm".into(), Vec::new());
        let requested = RequestedBase::Debian(RequestedDebian { suite, slim, packages });
        let locked = [(Platform::LinuxAmd64, LockedRoot::Debian(debian(&[])))].into();
        (name.to_owned(), LockedBase { requested, locked })
    };
    planned(manifest, [base("builder", false), base("runner", true)].into(), sources)
}

fn planned(manifest: &str, bases: BTreeMap<String, LockedBase>, sources: &Tree) -> Plan {
    let source = SourceName::new("exflow.kdl");
    let manifest = exflow_manifest::parse(&source, manifest).unwrap();
    let workspace =
        exflow_manifest::assemble(&source, manifest, Vec::new(), &["mix-release"]).unwrap();
    let lock = Lock { image_assembly: 1, bases, plugins: BTreeMap::new(), ..Lock::default() };
    let proposal = proposal();
    let projects = [(&workspace.projects[0], Some(&proposal))];
    plan(&workspace, &lock, &Platform::LinuxAmd64, sources, &projects).unwrap()
}

fn written(plan: &Plan, sources: &Tree) -> Result<Dockerfile, DockerfileError> {
    let (archives, ignore_files) = (path("dist/bases"), BTreeMap::new());
    let context = BuildContext { sources, archives: Some(&archives), ignore_files: &ignore_files };
    dockerfile(plan, &plan.images[0], &context)
}

/// The run step of this name.
fn run_of<'a>(plan: &'a mut Plan, name: &str) -> &'a mut PlannedRun {
    let step = plan.steps.iter_mut().find(|step| step.name == name).unwrap();
    let Action::Run(run) = &mut step.action else { panic!("{name} is a base") };
    run
}

/// The part of the Dockerfile of one stage.
fn stage(dockerfile: &Dockerfile, name: &str) -> String {
    let end = format!(" AS {name}\n");
    let part = dockerfile.text.split("\n\n").find(|part| part.contains(&end));
    part.unwrap_or_else(|| panic!("{}", dockerfile.text)).to_owned()
}

#[test]
fn bases_of_packages_are_archives() {
    let files = ["mix.exs", "mix.lock", "lib/a.ex", "assets/x.js", "VERSION", "test/a.exs"];
    let sources = tree(&files);
    let plan = of_debian(DEBIAN, &sources);
    let written = written(&plan, &sources).unwrap();
    let archives: Vec<(&str, String)> = written
        .archives
        .iter()
        .map(|archive| (&plan.steps[archive.step].name[..], archive.path.to_string()))
        .collect();
    assert_eq!(
        archives,
        [
            ("base:builder", "dist/bases/base-builder.tar".to_owned()),
            ("base:runner", "dist/bases/base-runner.tar".to_owned())
        ]
    );
    assert_snapshot!(written.text);
    assert_snapshot!(written.ignore);
}

#[test]
fn bases_of_a_registry_are_pinned_and_get_their_packages() {
    let sources = tree(&["mix.exs", "mix.lock", "config/dev.exs", "config/x.json", "lib/a.ex"]);
    let added =
        debian(&[("git", "1:2.39.5-0+deb12u2", "debian-security"), ("less", "1", "debian")]);
    let apk = LockedApk {
        name: "libstdc++".into(),
        version: "14.2.0-r4".into(),
        architecture: "x86_64".into(),
        repository: "v3.21/main".into(),
        size: 1,
        sha256: Sha256::of(b"apk"),
        checksum: "Q1".into(),
    };
    let mut builder = locked_image(AddedPackages::Debian(added));
    builder.defaults.user = Some("elixir".into());
    builder.defaults.env.insert("PATH".into(), "/opt/bin:/bin".into());
    let mut runner = locked_image(AddedPackages::Alpine(LockedAlpine { packages: vec![apk] }));
    runner.defaults = ImageDefaults {
        env: [("PATH".to_owned(), "/bin".to_owned())].into(),
        user: Some("1000:1000".into()),
        ports: vec!["53/udp".into()],
        volumes: vec!["/var/$x \"y\"".into()],
        labels: [("a b".to_owned(), "it's".to_owned())].into(),
        stop_signal: Some("SIGINT".into()),
    };
    let plan = of_images(IMAGES, builder, runner, &sources);
    let written = written(&plan, &sources).unwrap();
    assert_eq!(written.archives, []);
    assert_snapshot!(written.text);
}

#[test]
fn an_image_without_packages_needs_no_network() {
    let (sources, none) = (tree(&["mix.exs"]), || locked_image(AddedPackages::None));
    let written = written(&of_images(IMAGES, none(), none(), &sources), &sources).unwrap();
    assert!(
        written.text.contains("docker build --platform linux/amd64 --network none --file FILE")
    );
    assert!(!written.text.contains("apt-get") && !written.text.contains("USER"));
    let empty = AddedPackages::Debian(debian(&[]));
    let plan = of_images(IMAGES, locked_image(empty), none(), &sources);
    assert_eq!(self::written(&plan, &sources).unwrap(), written);
}

#[test]
fn the_name_of_an_image_is_its_reference_without_tag_and_digest() {
    for (reference, name) in [
        ("elixir", "elixir"),
        ("elixir:1.18", "elixir"),
        ("docker.io/library/elixir:1.18@sha256:00", "docker.io/library/elixir"),
        ("localhost:5000/elixir", "localhost:5000/elixir"),
        ("localhost:5000/elixir:1", "localhost:5000/elixir"),
        ("localhost:5000/elixir@sha256:00", "localhost:5000/elixir"),
    ] {
        assert_eq!(repository(reference), name);
    }
}

#[test]
fn docker_reads_the_environment_as_it_is() {
    let sources = tree(&["mix.exs", "lib/a.ex"]);
    let mut plan = of_debian(DEBIAN, &sources);
    let run = run_of(&mut plan, "shop:release");
    run.env = [
        ("DOLLAR", "$HOME ${x:-y} $$"),
        ("EMPTY", ""),
        ("QUOTES", "\"it's\""),
        ("SLASHES", "a\\ \\n\\$x\\\\"),
        ("SPACES", " a\tb = c # d "),
        ("UMLAUT", "ä"),
        ("a.b c", "d"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    run.argv =
        ["/bin/sh", "-c", "a \"$1\" 'b' \\\n\tc <<X # é\u{1}\u{85}", ""].map(str::to_owned).into();
    run.workdir = path("src/$a \"b\" 'c' #d");
    assert_snapshot!(stage(&written(&plan, &sources).unwrap(), "shop-release"));
}

#[test]
fn what_ends_a_line_is_refused_unless_the_image_has_it_already() {
    let sources = tree(&["mix.exs", "lib/a.ex"]);
    let mut plan = of_debian(DEBIAN, &sources);
    let refused = |plan: &Plan| written(plan, &sources).unwrap_err().to_string();
    for (name, value) in [("A", "b\nc"), ("A", "b\r"), ("A\nB", "c"), ("A=B", "c"), ("", "c")] {
        run_of(&mut plan, "shop:deps").env = [(name.to_owned(), value.to_owned())].into();
        let said = refused(&plan);
        assert!(said.contains("variable `") && said.contains("can't be written"), "{said}");
    }
    run_of(&mut plan, "shop:deps").env.clear();
    let good = plan.images[0].settings.clone();
    let changes: [fn(&mut ImageSettings); 5] = [
        |settings| settings.labels = [("x".to_owned(), "a\nRUN b".to_owned())].into(),
        |settings| settings.ports = vec!["80/tcp\nRUN b".into()],
        |settings| settings.stop_signal = Some("SIGINT\nRUN b".into()),
        |settings| settings.user = Some("a\nRUN b".into()),
        |settings| settings.at = path("a\nRUN b"),
    ];
    for change in changes {
        plan.images[0].settings = good.clone();
        change(&mut plan.images[0].settings);
        refused(&plan);
    }

    let mut runner = locked_image(AddedPackages::None);
    runner.defaults.labels = [("story", "a\nb"), ("x", "y")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let mut plan = of_images(IMAGES, locked_image(AddedPackages::None), runner, &sources);
    let text = written(&plan, &sources).unwrap().text;
    assert!(text.contains("\nLABEL x=\"y\"\n") && !text.contains("story"), "{text}");
    plan.images[0].settings.labels.insert("story".into(), "another\nend".into());
    assert_eq!(refused(&plan), "label `story` can't be written in a Dockerfile: it has a line end");
}

#[test]
fn no_name_becomes_another_instruction() {
    let sources = tree(&["mix.exs", "lib/a.ex"]);
    let bad = AddedPackages::Debian(debian(&[("git", "1 && reboot", "debian")]));
    let (builder, runner) = (locked_image(bad), locked_image(AddedPackages::None));
    assert_eq!(
        written(&of_images(IMAGES, builder, runner, &sources), &sources).unwrap_err().to_string(),
        "version `1 && reboot` can't be written in a Dockerfile: it has letters that don't belong \
         there"
    );
    let mut plan = of_debian(DEBIAN, &sources);
    plan.images[0].project = "a\nRUN b".into();
    for step in &mut plan.steps {
        step.name.push_str("\nRUN b");
    }
    let text = written(&plan, &sources).unwrap().text;
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("RUN b")).collect();
    assert!(lines.is_empty(), "{text}");
}

#[test]
fn a_line_that_docker_does_not_read_is_refused() {
    let sources = tree(&["mix.exs", "lib/a.ex"]);
    let mut plan = of_debian(DEBIAN, &sources);
    run_of(&mut plan, "shop:deps").argv.push("x".repeat(70_000));
    assert_eq!(
        written(&plan, &sources).unwrap_err().to_string(),
        "`shop:deps` can't be written in a Dockerfile: a line of it would be too long"
    );
}

/// What one step that sees the `seen` of `files` copies.
fn copied(files: &[&str], seen: &[&str]) -> Result<String, DockerfileError> {
    let sources = tree(files);
    let mut plan = of_debian(DEBIAN, &sources);
    let run = run_of(&mut plan, "shop:deps");
    let tree = std::sync::Arc::new(tree(seen));
    run.mounts = vec![crate::PlannedMount { at: path("src"), source: MountSource::Sources(tree) }];
    let text = stage(&written(&plan, &sources)?, "shop-deps");
    let lines = text.split("WORKDIR /src\n").nth(1).unwrap();
    Ok(lines.strip_suffix("\nRUN [\"mix\", \"deps\"]").unwrap_or("nothing").to_owned())
}

#[test]
fn folders_are_copied_as_a_whole_where_all_of_them_is_seen() {
    let files = ["a/1", "a/b/2", "a/b/3", "a/c/4", "d/5", "d/6", "e/f/7", "e/f/g/8", "9", "10"];
    assert_snapshot!(copied(&files, &files).unwrap(), @r##"
    COPY 10 9 /src/
    COPY a/ /src/a/
    COPY d/ /src/d/
    COPY e/ /src/e/
    "##);
    let seen = ["a/1", "a/b/2", "a/b/3", "d/5", "e/f/7", "e/f/g/8", "9"];
    assert_snapshot!(copied(&files, &seen).unwrap(), @r##"
    COPY 9 /src/
    COPY a/1 /src/a/
    COPY a/b/ /src/a/b/
    COPY d/5 /src/d/
    COPY e/ /src/e/
    "##);
    assert_eq!(copied(&files, &[]).unwrap(), "nothing");
}

#[test]
fn many_files_are_on_many_lines() {
    let all: Vec<String> = (10..40).map(|number| format!("a/file-{number}.po")).collect();
    let files: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_snapshot!(copied(&files, &files[1..]).unwrap(), @r##"
    COPY a/file-11.po a/file-12.po a/file-13.po a/file-14.po a/file-15.po a/file-16.po a/file-17.po \
        a/file-18.po a/file-19.po a/file-20.po a/file-21.po a/file-22.po a/file-23.po a/file-24.po \
        a/file-25.po a/file-26.po a/file-27.po a/file-28.po a/file-29.po a/file-30.po a/file-31.po \
        a/file-32.po a/file-33.po a/file-34.po a/file-35.po a/file-36.po a/file-37.po a/file-38.po \
        a/file-39.po /src/a/
    "##);
}

#[test]
fn paths_with_special_letters() {
    let files = [
        "-flag",
        "a b/$x",
        "a b/y",
        "glob/[1]",
        "glob/*?",
        "glob/x",
        "quo\"te's",
        "#c",
        "é",
        "<<EOF",
        "svc[1]/a",
        "svc[1]/b",
    ];
    let seen: Vec<&str> = files.iter().copied().filter(|file| *file != "glob/x").collect();
    assert_snapshot!(copied(&files, &seen).unwrap(), @r##"
    COPY ["#c", "-flag", "<<EOF", "quo\\\"te\\'s", "é", "/src/"]
    COPY ["a b/", "/src/a b/"]
    COPY ["glob/[*][?]", "glob/[[]1]", "/src/glob/"]
    COPY ["svc[[]1]", "/src/svc[1]/"]
    "##);
}

#[test]
fn paths_that_can_not_be_written_are_named() {
    for name in ["a\nb", "a\\b", "a\u{1b}b"] {
        let said = copied(&[name, "x"], &[name]).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{name:?} can't be written")), "{said}");
        let within = format!("d/{name}");
        // Where nobody says its name, it doesn't matter.
        assert_eq!(copied(&[&within, "x"], &[&within]).unwrap(), "COPY d/ /src/d/");
        assert!(copied(&[&within, "d/x"], &[&within]).is_err());
    }
    let mut sources = tree(&["mix.exs"]);
    let entry = Entry::File { mode: Mode::FILE, blob: Digest::of(b"x"), size: 1 };
    sources.insert(RelPath::new(b"lib/a.ex").unwrap(), entry.clone()).unwrap();
    sources.insert(RelPath::new(b"config/\xff.exs").unwrap(), entry.clone()).unwrap();
    sources.insert(RelPath::new(b"config/other").unwrap(), entry).unwrap();
    let said = written(&of_debian(DEBIAN, &sources), &sources).unwrap_err().to_string();
    assert!(said.contains("config/") && said.ends_with("it is not UTF-8"), "{said}");
    let said = copied(&["x"], &["y"]).unwrap_err().to_string();
    assert_eq!(said, "\"y\" is not what it was when the plan was made");
}

#[test]
fn links_stay_links() {
    let files = ["a/link@", "a/x", "b/link@", "b/x", "top@", "x"];
    let seen = ["a/link@", "a/x", "b/link@", "top@"];
    assert_snapshot!(copied(&files, &seen).unwrap(), @r##"
    COPY a/ /src/a/
    RUN ["/bin/sh", "-euc", "mkdir -p '/src' '/src/b'; ln -sfn -- 'it'\\''s/there' '/src/b/link'; ln -sfn -- 'it'\\''s/there' '/src/top'"]
    "##);
}

#[test]
fn empty_folders_are_made() {
    let (mut sources, mut seen) = (tree(&["a/x", "b/x", "b/y"]), tree(&["a/x", "b/x"]));
    for tree in [&mut sources, &mut seen] {
        for folder in ["b/empty/within", "lonely"] {
            tree.insert(path(folder), Entry::Folder { mode: Mode::FOLDER }).unwrap();
        }
    }
    let copies = sources::copies(&sources, &seen, &path("src"), &[]).unwrap();
    assert_eq!(copies.script, ["mkdir -p '/src/b/empty/within' '/src/lonely'"]);
    assert_eq!(copies.folders.len(), 2);
}

#[test]
fn the_folder_of_archives_is_not_copied() {
    let files = ["dist/bases/readme", "dist/notes", "lib/a"];
    assert_eq!(
        copied(&files, &files).unwrap(),
        "COPY dist/notes /src/dist/\nCOPY dist/bases/readme /src/dist/bases/\nCOPY lib/ /src/lib/"
    );
}

#[test]
fn names_of_stages_fit_and_differ() {
    let sources = tree(&["mix.exs"]);
    let mut plan = of_debian(DEBIAN, &sources);
    let names = ["base:X", "shop:a b", "shop-a-b", "Shop:A:B", "1:é"];
    assert_eq!(plan.steps.len(), names.len());
    for (step, name) in plan.steps.iter_mut().zip(names) {
        step.name = name.into();
    }
    let steps: Vec<StepId> = (0..names.len()).collect();
    let stages: Vec<String> = stage_names(&plan, &steps).into_values().collect();
    assert_eq!(stages, ["base-x", "shop-a-b", "shop-a-b-2", "shop-a-b-3", "step-1--"]);
    plan.steps[0].name = "scratch".into();
    assert_eq!(stage_names(&plan, &[0])[&0], "scratch-2");
}

#[test]
fn bases_without_a_registry_need_a_place() {
    let sources = tree(&["mix.exs", "lib/a.ex"]);
    let none = BTreeMap::new();
    let nowhere = BuildContext { sources: &sources, archives: None, ignore_files: &none };
    let refused = |plan: &Plan| dockerfile(plan, &plan.images[0], &nowhere).unwrap_err();
    let error = refused(&of_debian(DEBIAN, &sources));
    assert_eq!(
        error,
        DockerfileError::NoRegistry { bases: vec!["builder".into(), "runner".into()] }
    );
    assert_eq!(error.to_string(), "no registry has `builder`, `runner`");

    let image = || locked_image(AddedPackages::None);
    let mut plan = of_images(IMAGES, image(), image(), &sources);
    assert!(dockerfile(&plan, &plan.images[0], &nowhere).is_ok());
    for step in &mut plan.steps {
        if let Action::Base(PlannedBase { name, root: PlannedRoot::Image { source, .. }, .. }) =
            &mut step.action
            && name == "runner"
        {
            *source = ImageSource::Archive(LocalImage { path: "a.tar".into(), name: None });
        }
    }
    assert_eq!(refused(&plan).to_string(), "no registry has `runner`");
    let text = written(&plan, &sources).unwrap().text;
    let add = "# base:runner: a.tar\nFROM scratch AS base-runner\n\
               ADD dist/bases/base-runner.tar /\n";
    assert!(text.contains(add), "{text}");
}

#[test]
fn nothing_of_other_projects_is_there() {
    let sources = tree(&["mix.exs", "lib/a.ex"]);
    let mut plan = of_debian(DEBIAN, &sources);
    let alone = written(&plan, &sources).unwrap();
    let mut other = plan.steps[0].clone();
    other.name = "base:other".into();
    plan.steps.push(other);
    assert_eq!(written(&plan, &sources).unwrap(), alone);
}

#[test]
fn ignore_files_are_said_again() {
    let wanted = ["lib", "lib/a", "mix.exs", "a b/c", "svc[1]/x/y", "apps/web/lib"];
    let wanted: BTreeSet<RelPath> = wanted.into_iter().map(path).collect();
    let git = "# comment\n\n*.beam\n/deps\n_build/\ndoc/*.html  \n\\#x\n!keep.beam\n!/\n[!a-c]x[]]\n\
               a+(b)\n**/tmp/**\nspace\\ \n/#y\nbroken[\n\
               ../up\n./here\na//b\n[[:alpha:]]\n[z-a]\n[-a]\n[a-]\n[^\\]*?x-z]\nx***y\n/a/**/b/\nä[ö.]\n";
    let files: BTreeMap<RelPath, String> = [
        (".exflowignore", "*.md"),
        ("apps/.gitignore", "/dist\n"),
        ("apps/+x/.gitignore", "log"),
        (".gitignore", git),
        ("empty/.gitignore", "#\n"),
    ]
    .map(|(name, text)| (path(name), text.to_owned()))
    .into();
    let archive = path("dist/base-a.tar");
    assert_snapshot!(ignore::ignore("shop", &wanted, &[&archive], &files));
}
