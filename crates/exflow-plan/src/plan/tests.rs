use super::sources::below;
use super::*;
use crate::{ProposedImage, ProposedLayer, ProposedStep, ProposedUse, UsedThing};
use exflow_content::{Digest, Entry, Mode, PatternSet, Sha256};
use exflow_diagnostics::{Diagnostic, SourceName};
use exflow_lock::{
    AddedPackages, Compression, ImageDefaults, ImageSource, LockedBase, LockedDebian, LockedImage,
    LockedLayer, LockedRoot, RequestedBase, RequestedDebian, RequestedImage,
};
use insta::assert_snapshot;

const MANIFEST: &str = r#"
    base "builder" { debian "bookworm" }
    base "runner" { debian "bookworm" slim=#true; packages "libc6" }
    project "shop" {
        release-tool "mix-release"
        stage "assets" { run "make"; inputs "assets"; output "priv/static"; needs "icons" }
        stage "icons" { run "draw"; output "icons"; time-limit "5s" }
        stage "release" { needs "assets"; env STAGE="own" MIX_ENV="prod"; inputs "VERSION" }
        stage "runtime" { env A="b"; command "eval" "1"; user "nobody"; expose 80; label x="y" }
    }
"#;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn workspace() -> Workspace {
    let source = SourceName::new("exflow.kdl");
    let manifest = exflow_manifest::parse(&source, MANIFEST).unwrap();
    exflow_manifest::assemble(&source, manifest, Vec::new(), &["mix-release"]).unwrap()
}

fn lock() -> Lock {
    let base = |slim| LockedBase {
        requested: RequestedBase::Debian(RequestedDebian {
            suite: "bookworm".into(),
            slim,
            packages: Vec::new(),
        }),
        locked: [(
            Platform::LinuxAmd64,
            LockedRoot::Debian(LockedDebian {
                snapshot: "20261101T000000Z".into(),
                packages: Vec::new(),
            }),
        )]
        .into(),
    };
    Lock {
        image_assembly: 1,
        bases: [("builder".into(), base(false)), ("runner".into(), base(true))].into(),
        plugins: BTreeMap::new(),
        ..Lock::default()
    }
}

fn proposal() -> Proposal {
    let step = |name: &str, sources: &str, uses: Vec<ProposedUse>, output: &str| ProposedStep {
        name: name.into(),
        stage: name.into(),
        argv: vec!["mix".into(), name.into()],
        env: [("MIX_ENV".to_owned(), "prod".to_owned())].into(),
        workdir: RelPath::root(),
        sources: PatternSet::new([sources]).unwrap(),
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
            step("deps", "mix.exs", vec![], "_build"),
            step("release", "lib", vec![used], "rel"),
        ],
        image: Some(ProposedImage {
            step: 1,
            output: path("rel"),
            at: path("app"),
            layers: vec![ProposedLayer {
                name: "otp".into(),
                files: PatternSet::new(["erts-*"]).unwrap(),
            }],
            env: [("LANG".to_owned(), "C".to_owned())].into(),
            workdir: path("app"),
            entrypoint: vec!["/app/bin/shop".into()],
            command: vec!["start".into()],
            labels: BTreeMap::new(),
        }),
        ..Proposal::default()
    }
}

fn sources() -> Tree {
    let mut tree = Tree::new();
    for name in ["mix.exs", "lib/a.ex", "assets/x.js", "VERSION", "test/a.exs"] {
        let blob = Digest::of(name.as_bytes());
        let entry = Entry::File { mode: Mode::FILE, blob, size: name.len() as u64 };
        tree.insert(path(name), entry).unwrap();
    }
    tree
}

fn planned(sources: &Tree) -> Plan {
    let (workspace, proposal) = (workspace(), proposal());
    let projects = [(&workspace.projects[0], Some(&proposal))];
    plan(&workspace, &lock(), &Platform::LinuxAmd64, sources, &projects).unwrap()
}

/// As `FROM` does: what the image says holds, until something else is said.
#[test]
fn an_image_brings_along_what_its_configuration_says() {
    let text = |text: &str| text.to_owned();
    let image = LockedImage {
        index: None,
        manifest: None,
        config: Sha256::of(b"config"),
        defaults: ImageDefaults {
            env: [("PATH", "/opt/bin"), ("A", "image"), ("LANG", "de"), ("MIX_ENV", "dev")]
                .map(|(name, value)| (text(name), text(value)))
                .into(),
            user: Some(text("app")),
            ports: vec![text("80/tcp"), text("9/udp")],
            volumes: vec![text("/data")],
            labels: [(text("x"), text("image")), (text("z"), text("image"))].into(),
            stop_signal: Some(text("SIGINT")),
        },
        layers: vec![LockedLayer {
            digest: Sha256::of(b"layer"),
            diff_id: Sha256::of(b"files"),
            size: 1,
            compression: Compression::Gzip,
        }],
        packages: AddedPackages::None,
    };
    let base = |name: &str| LockedBase {
        requested: RequestedBase::Image(RequestedImage {
            source: ImageSource::Registry(name.into()),
            packages: Vec::new(),
        }),
        locked: [(Platform::LinuxAmd64, LockedRoot::Image(Box::new(image.clone())))].into(),
    };
    let lock = Lock {
        bases: [("builder".into(), base("a")), ("runner".into(), base("b"))].into(),
        ..lock()
    };
    let (workspace, proposal) = (workspace(), proposal());
    let projects = [(&workspace.projects[0], Some(&proposal))];
    let plan = plan(&workspace, &lock, &Platform::LinuxAmd64, &sources(), &projects).unwrap();
    let release = plan.steps.iter().find(|step| step.name == "shop:release").unwrap();
    let Action::Run(release) = &release.action else { unreachable!("it is a command") };
    // The image's before exflow's own, and before the image's what plugin and stage say.
    for (name, value) in
        [("PATH", "/opt/bin"), ("LANG", "de"), ("MIX_ENV", "prod"), ("STAGE", "own"), ("TZ", "UTC")]
    {
        assert_eq!(release.env[name], value, "{name}");
    }
    let settings = &plan.images[0].settings;
    assert_eq!(settings.kept, image.layers);
    for (name, value) in [("PATH", "/opt/bin"), ("LANG", "C"), ("A", "b")] {
        assert_eq!(settings.env[name], value, "{name}");
    }
    assert_eq!(settings.user.as_deref(), Some("nobody"));
    assert_eq!(settings.ports, ["80/tcp", "9/udp"]);
    assert_eq!((&*settings.labels["x"], &*settings.labels["z"]), ("y", "image"));
    assert_eq!(settings.volumes, ["/data"]);
    assert_eq!(settings.stop_signal.as_deref(), Some("SIGINT"));
}

fn text(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for (id, step) in plan.steps.iter().enumerate() {
        lines.push(format!(
            "{id} {} needs {:?} within {:?}",
            step.name,
            step.needs(),
            step.time_limit
        ));
        let Action::Run(run) = &step.action else { continue };
        lines.push(format!(
            "    {:?} in /{}, STAGE {:?}",
            run.argv,
            run.workdir,
            run.env.get("STAGE")
        ));
        for mount in &run.mounts {
            let what = match &mount.source {
                MountSource::Output(output) => {
                    format!("output {} of {}", output.index, output.step)
                }
                MountSource::Sources(tree) => tree
                    .entries()
                    .filter(|(_, entry)| matches!(entry, Entry::File { .. }))
                    .map(|(path, _)| path.to_string())
                    .collect::<Vec<_>>()
                    .join(" "),
                MountSource::Inline(files) => {
                    let files = files.files().map(|(path, text)| format!("{path}={text:?}"));
                    files.collect::<Vec<_>>().join(" ")
                }
            };
            lines.push(format!("    /{}: {what}", mount.at));
        }
        lines.push(format!("    -> {:?}", run.outputs));
    }
    for image in &plan.images {
        let settings = &image.settings;
        lines.push(format!(
            "image {} on {} of {:?}: {:?} {:?} {:?} {:?} {:?} {:?}",
            image.project,
            image.base,
            image.release,
            settings.env,
            settings.command,
            settings.entrypoint,
            settings.user,
            settings.ports,
            settings.labels,
        ));
    }
    lines.join("\n")
}

#[test]
fn stages_become_steps() {
    assert_snapshot!(text(&planned(&sources())));
}

#[test]
fn patterns_start_from_the_project_or_the_workspace() {
    let patterns = |folder: &str| {
        let texts = ["a/*", "/b", "!c", "!/d"].map(str::to_owned);
        below(&RelPath::new(folder).unwrap(), &texts).unwrap().patterns().to_vec()
    };
    assert_eq!(patterns("x/y"), ["x/y/a/*", "b", "!x/y/c", "!d"]);
    assert_eq!(patterns(""), ["a/*", "b", "!c", "!d"]);
}

#[test]
fn the_name_of_a_folder_is_no_pattern() {
    for folder in ["svc[1]", "a{b,c}/[", "!a", "x/!a", "*", "a?", "back\\slash", "]}"] {
        let folder = path(folder);
        let texts = ["lib/*", "!lib/b"].map(str::to_owned);
        let picked = below(&folder, &texts).unwrap();
        assert!(picked.matches(&folder.join(&path("lib/a"))), "{folder}");
        assert!(!picked.matches(&folder.join(&path("lib/b"))), "{folder}");
        assert!(!picked.matches(&path("svc1/lib/a")), "{folder}");
    }
    let mut workspace = workspace();
    workspace.projects[0].folder = path("svc[1]");
    let mut sources = Tree::new();
    let entry = Entry::File { mode: Mode::FILE, blob: Digest::of(b"x"), size: 1 };
    sources.insert(path("svc[1]/assets/x.js"), entry).unwrap();
    let projects = [(&workspace.projects[0], None)];
    let plan = plan(&workspace, &lock(), &Platform::LinuxAmd64, &sources, &projects).unwrap();
    assert!(text(&plan).contains("/src: svc[1]/assets/x.js"), "{}", text(&plan));
}

#[test]
fn inputs_that_can_not_be_looked_up_are_shown() {
    let mut workspace = workspace();
    // Not one of the names is too long; only all of them together.
    workspace.projects[0].folder = path(&["folder"; 700].join("/"));
    let projects = [(&workspace.projects[0], None)];
    let problems =
        plan(&workspace, &lock(), &Platform::LinuxAmd64, &sources(), &projects).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["exflow::plan::bad-inputs"]);
    let said = &problems.iter().next().unwrap().message;
    assert!(said.contains("longer than 4096 bytes") && said.len() < 200, "{said}");
}

#[test]
fn a_step_of_the_plugin_may_not_be_named_as_a_stage() {
    let (workspace, mut proposal) = (workspace(), proposal());
    proposal.steps[0].name = "icons".into();
    let projects = [(&workspace.projects[0], Some(&proposal))];
    let problems =
        plan(&workspace, &lock(), &Platform::LinuxAmd64, &Tree::new(), &projects).unwrap_err();
    let is_named = |problem: &Diagnostic| problem.code.as_str() == "exflow::plan::name-taken";
    assert!(problems.iter().any(is_named));
}

/// It has planned with it, and a step that has another value would not fit the rest.
#[test]
fn what_the_plugin_sets_is_not_set_by_a_stage() {
    let (mut workspace, proposal) = (workspace(), proposal());
    let stage = workspace.projects[0].stages.get_mut("release").unwrap();
    stage.env.get_mut("MIX_ENV").unwrap().value = "staging".to_owned();
    let projects = [(&workspace.projects[0], Some(&proposal))];
    let problems =
        plan(&workspace, &lock(), &Platform::LinuxAmd64, &sources(), &projects).unwrap_err();
    let said = problems.iter().map(|problem| (problem.code.as_str(), &*problem.message));
    let said: Vec<_> = said.collect();
    let message = "`MIX_ENV` is set by `mix-release`, which has planned with `prod`";
    assert_eq!(said, [("exflow::plan::taken-variable", message)]);
}

#[test]
fn what_no_step_reads_changes_nothing() {
    let mut edited = sources();
    let entry = Entry::File { mode: Mode::FILE, blob: Digest::of(b"other"), size: 5 };
    edited.insert(path("test/a.exs"), entry).unwrap();
    assert_eq!(planned(&edited), planned(&sources()));
}

#[test]
fn what_is_not_locked_is_shown() {
    let (workspace, proposal) = (workspace(), proposal());
    let projects = [(&workspace.projects[0], Some(&proposal))];
    let problems =
        plan(&workspace, &Lock::default(), &Platform::LinuxAmd64, &Tree::new(), &projects)
            .unwrap_err();
    let is_named = |problem: &Diagnostic| problem.code.as_str() == "exflow::plan::not-locked";
    assert!(problems.iter().all(is_named));
    let mut bad = proposal.clone();
    bad.steps[1].uses[0].what = UsedThing::Output { step: 7, output: path("_build") };
    let projects = [(&workspace.projects[0], Some(&bad))];
    let problems =
        plan(&workspace, &lock(), &Platform::LinuxAmd64, &Tree::new(), &projects).unwrap_err();
    let is_named = |problem: &Diagnostic| problem.code.as_str() == "exflow::plan::no-such-output";
    assert!(problems.iter().any(is_named));
}
