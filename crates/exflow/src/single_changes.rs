//! What a single change of a manifest or of a lock changes: it is refused, or the keys of just those steps are others that
//! depend on it. Every value of both files is changed in several ways.

use crate::engine::base_key;
use crate::inputs::{platform, requested_fetch, wanted};
use crate::pack;
use exflow_content::{Digest, Encoder, Entry, Mode, PatternSet, RelPath, Sha256, Tree};
use exflow_diagnostics::SourceName;
use exflow_image::ASSEMBLY_VERSION;
use exflow_lock::{
    AddedPackages, Compression, FetchedContent, ImageDefaults, Lock, LockedBase, LockedDebian,
    LockedFetch, LockedImage, LockedLayer, LockedPackage, LockedPlugin, LockedRoot, Platform,
    RequestedPlugin, parse, print, stale,
};
use exflow_manifest::{Workspace, assemble};
use exflow_plan::{
    Action, Output, Plan, Proposal, ProposedImage, ProposedStep, ProposedUse, UsedThing, plan,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Behind each line is what depends on it: a step with all that stands on it, or nothing. With a `!`, that step itself has
/// another key where the change is taken; with a `*`, every step whose name begins so.
const MANIFEST: &str = r#"
workspace "shop" { // nothing
    debian-mirror "http://mirror.example/debian" // nothing
    registry "registry.example" plain-http=#true // nothing
}
base "builder" { // base:builder
    debian "bookworm" // !base:builder
    packages "elixir" "git" // !base:builder
}
base "other" { // base:other
    image "registry.example/team/node:20" // !base:other
}
base "runner" { // base:runner
    debian "bookworm" slim=#true // !base:runner
}
fetch "tool" url="https://example.org/tool-1" executable=#true // fetch:tool*
git "icons" url="https://example.org/icons.git" tag="v1" folder="optimized" // fetch:icons
project "shop" { // nothing
    release-tool "mix-release" // nothing
    stage "assets" base="other" { // shop:*
        env NODE_ENV="production" // !shop:assets
        needs "tool" at="bin/css" // fetch:tool*
        needs "icons" at="icons" // shop:assets
        inputs "assets" // shop:assets
        run "bin/css assets > priv/out" // !shop:assets
        output "priv" // !shop:assets
        time-limit "30m" // nothing
    }
    stage "docs" base="builder" { // shop:*
        run "mkdir doc" // !shop:docs
        output "doc" // !shop:docs
    }
    stage "deps" base="builder" { // shop:*
        env ERL_FLAGS="+S 2" // !shop:deps
    }
    stage "release" base="builder" { // shop:*
        needs "assets" // shop:release
    }
    stage "runtime" base="runner" { // shop:*
        env LANG="C.UTF-8" // !shop:image
        expose "4001" // shop:image
        user "nobody" // !shop:image
        command "start" // !shop:image
        label team="shop" // !shop:image
    }
}
"#;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn sources() -> Tree {
    let mut tree = Tree::new();
    for name in ["mix.exs", "lib/a.ex", "assets/x.css", "README"] {
        let blob = Digest::of(name.as_bytes());
        let entry = Entry::File { mode: Mode::FILE, blob, size: name.len() as u64 };
        tree.insert(path(name), entry).unwrap();
    }
    tree
}

/// What the plugin would say.
fn proposal() -> Proposal {
    let step = |name: &str, sources: &str, uses: Vec<ProposedUse>, output: &str| ProposedStep {
        name: name.into(),
        stage: name.into(),
        argv: vec!["mix".into(), name.into()],
        sources: PatternSet::new([sources]).unwrap(),
        uses,
        outputs: vec![path(output)],
        ..ProposedStep::default()
    };
    let what = UsedThing::Output { step: 0, output: path("_build") };
    let used = ProposedUse { what, at: path("_build") };
    Proposal {
        steps: vec![
            step("deps", "mix.exs", vec![], "_build"),
            step("release", "lib", vec![used], "rel"),
        ],
        image: Some(ProposedImage {
            step: 1,
            output: path("rel"),
            at: path("app"),
            layers: Vec::new(),
            env: BTreeMap::new(),
            workdir: path("app"),
            entrypoint: vec!["/app/bin/shop".into()],
            command: vec!["start".into()],
            labels: BTreeMap::new(),
        }),
        ..Proposal::default()
    }
}

fn workspace(text: &str) -> Result<Workspace, String> {
    let source = SourceName::new("exflow.kdl");
    let manifest =
        exflow_manifest::parse(&source, text).map_err(|problems| format!("{problems:?}"))?;
    assemble(&source, manifest, Vec::new(), &["mix-release"])
        .map_err(|problems| format!("{problems:?}"))
}

fn other_platform() -> Platform {
    match platform() {
        Platform::LinuxAmd64 => Platform::LinuxArm64,
        Platform::LinuxArm64 => Platform::LinuxAmd64,
    }
}

fn lock() -> Lock {
    let workspace = workspace(MANIFEST).unwrap();
    let package = |name: &str| LockedPackage {
        name: name.into(),
        version: "1.0-1".into(),
        architecture: "all".into(),
        archive: "debian".into(),
        path: format!("pool/main/{name}.deb"),
        size: 42,
        sha256: Sha256::of(name.as_bytes()),
    };
    let debian = |names: &[&str]| {
        LockedRoot::Debian(LockedDebian {
            snapshot: "20261101T000000Z".into(),
            packages: names.iter().map(|name| package(name)).collect(),
        })
    };
    let layer = |text: &str| LockedLayer {
        digest: Sha256::of(text.as_bytes()),
        diff_id: Sha256::of(text.to_uppercase().as_bytes()),
        size: 9,
        compression: Compression::Gzip,
    };
    let image = LockedRoot::Image(Box::new(LockedImage {
        index: Some(Sha256::of(b"index")),
        manifest: Some(Sha256::of(b"manifest")),
        config: Sha256::of(b"config"),
        defaults: ImageDefaults {
            env: [("NODE_VERSION".to_owned(), "20.1".to_owned())].into(),
            user: Some("node".into()),
            ..ImageDefaults::default()
        },
        layers: vec![layer("one"), layer("two")],
        packages: AddedPackages::None,
    }));
    let roots =
        [("builder", debian(&["elixir", "git"])), ("other", image), ("runner", debian(&["libc6"]))];
    let wanted = wanted(&workspace);
    let bases = roots.map(|(name, root)| {
        let locked = [(platform(), root.clone()), (other_platform(), root)].into();
        (name.to_owned(), LockedBase { requested: wanted.bases[name].clone(), locked })
    });
    let plugin = LockedPlugin {
        requested: RequestedPlugin::Builtin,
        blake3: Digest::of(b"plugin"),
        size: 7,
        sha256: None,
    };
    let revision = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let contents = [
        ("icons", FetchedContent::Git { revision, tree: Digest::of(b"icons") }),
        ("tool", FetchedContent::File { sha256: Sha256::of(b"tool"), size: 4 }),
    ];
    let fetched = contents.map(|(name, locked)| {
        let requested = requested_fetch(&workspace.fetches[name].what);
        (name.to_owned(), LockedFetch { requested, locked })
    });
    Lock {
        image_assembly: ASSEMBLY_VERSION,
        bases: bases.into(),
        plugins: [("mix-release".to_owned(), plugin)].into(),
        fetches: fetched.into(),
        ..Lock::default()
    }
}

/// A plan of what these texts say, as a build would have it; why there is none.
fn planned(manifest: &str, lock: &str) -> Result<Plan, String> {
    let workspace = workspace(manifest)?;
    let lock = parse(&SourceName::new("exflow.lock"), lock).map_err(|it| format!("{it:?}"))?;
    if lock.image_assembly != ASSEMBLY_VERSION {
        return Err("another assembly".to_owned());
    }
    if let Some(stale) =
        stale(&lock, &wanted(&workspace)).into_iter().find(exflow_lock::Stale::is_needed)
    {
        return Err(stale.to_string());
    }
    let project = workspace.projects.first().ok_or("no project")?;
    let proposal = proposal();
    plan(&workspace, &lock, &platform(), &sources(), &[(project, Some(&proposal))])
        .map_err(|problems| format!("{problems:?}"))
}

/// The key of each step and image by its name, where what comes of a step follows from its key.
fn keys(plan: &Plan) -> BTreeMap<String, Digest> {
    let mut outputs: Vec<Digest> = Vec::new();
    let output = |outputs: &[Digest], output: Output| {
        let mut encoder = Encoder::new("output");
        encoder.digest(&outputs[output.step]).number(output.index as u64);
        encoder.digest_of()
    };
    let mut keys = BTreeMap::new();
    for step in &plan.steps {
        let key = match &step.action {
            Action::Base(base) => base_key(base),
            Action::Fetch(origin) => origin.key(),
            Action::Run(run) => run.command(|it| output(&outputs, it)).key(),
        };
        outputs.push(key);
        keys.insert(step.name.clone(), key);
    }
    for image in &plan.images {
        let base = output(&outputs, Output { step: image.base, index: 0 });
        let release = output(&outputs, image.release);
        keys.insert(image.name(), pack::key(image, &base, &release));
    }
    keys
}

/// A step, and all that stands on it.
fn downstream(plan: &Plan, name: &str) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = BTreeSet::from([name.to_owned()]);
    let names = |step: usize| &plan.steps[step].name;
    for step in &plan.steps {
        if step.needs().iter().any(|need| found.contains(names(*need))) {
            found.insert(step.name.clone());
        }
    }
    for image in &plan.images {
        if found.contains(names(image.base)) || found.contains(names(image.release.step)) {
            found.insert(image.name());
        }
    }
    found
}

/// Holds what a change has changed against what depends on it. `depends` is empty where nothing does.
fn check(what: &str, depends: &str, before: &Plan, after: &Plan) {
    let (old, new) = (keys(before), keys(after));
    let (must, depends) = match depends.strip_prefix('!') {
        Some(depends) => (true, depends),
        None => (false, depends),
    };
    // What is called otherwise afterwards, or isn't there, has another key.
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed: BTreeSet<&String> =
        names.into_iter().filter(|name| old.get(*name) != new.get(*name)).collect();
    let may = match depends {
        "" => BTreeSet::new(),
        depends => {
            let fits = |name: &&String| match depends.strip_suffix('*') {
                Some(begin) => name.starts_with(begin),
                None => *name == depends,
            };
            let begin = old.keys().chain(new.keys()).filter(fits);
            begin
                .flat_map(|name| [downstream(before, name), downstream(after, name)])
                .flatten()
                .collect()
        }
    };
    for name in &changed {
        assert!(may.contains(*name), "{what}: {name} has another key and doesn't depend on it");
        // Whatever has another key, all that stands on it has one, too.
        for above in downstream(after, name) {
            assert!(
                changed.contains(&above),
                "{what}: {name} has another key, and {above} has not"
            );
        }
    }
    if must {
        assert!(changed.iter().any(|name| *name == depends), "{what}: {depends} has the same key");
    }
}

/// A text that is another one, in several ways.
fn others(text: &str) -> Vec<String> {
    let mut last = text.to_owned();
    let letter = last.pop();
    last.push(if letter == Some('0') { '1' } else { '0' });
    vec![last, format!("{text}0"), format!("0{text}"), String::new(), "x".to_owned()]
}

#[test]
fn of_the_manifest() {
    let lock = print(&lock());
    let before = planned(MANIFEST, &lock).unwrap();
    let (mut taken, mut refused) = (0, 0);
    let mut start = 0;
    for line in MANIFEST.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let Some((code, depends)) = line.trim_end().split_once(" // ") else { continue };
        let depends = if depends == "nothing" { "" } else { depends };
        let mut changes: Vec<(usize, usize, String)> = Vec::new();
        for (number, part) in code.split('"').enumerate() {
            if number % 2 == 1 {
                let begin = part.as_ptr() as usize - MANIFEST.as_ptr() as usize;
                changes.extend(others(part).into_iter().map(|to| (begin, part.len(), to)));
            }
        }
        if let Some(flag) = code.find("#true") {
            changes.push((at + flag, 5, "#false".to_owned()));
        }
        for (begin, length, to) in changes {
            let mut text = MANIFEST.to_owned();
            text.replace_range(begin..begin + length, &to);
            let what =
                format!("{} with `{to}` for `{}`", code.trim(), &MANIFEST[begin..begin + length]);
            match planned(&text, &lock) {
                Ok(after) => {
                    taken += 1;
                    // Whoever has another name is another one.
                    if !code.trim_start().starts_with("project") {
                        check(&what, depends, &before, &after);
                    }
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(taken > 40 && refused > 40, "{taken} were taken, {refused} refused");
}

/// Every value of a document, by the path to it.
fn values(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                values(
                    value,
                    &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                values(value, &format!("{path}/{index}"), found);
            }
        }
        value => found.push((path.to_owned(), value.clone())),
    }
}

#[test]
fn of_the_lock() {
    let text = print(&lock());
    let before = planned(MANIFEST, &text).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    values(&document, "", &mut found);
    let here = platform().to_string().replace('/', "~1");
    let (mut taken, mut refused, mut changing) = (0, 0, 0);
    for (pointer, value) in found {
        let parts: Vec<&str> = pointer.split('/').skip(1).collect();
        let field = *parts.last().unwrap();
        let content = matches!(
            field,
            "name" | "version" | "sha256" | "digest" | "diff-id" | "revision" | "tree"
        );
        let place = matches!(
            field,
            "size" | "path" | "archive" | "snapshot" | "architecture" | "index" | "manifest"
        );
        let depends = match parts.as_slice() {
            _ if place => String::new(),
            ["bases", base, "locked", platform, ..] if *platform == here => {
                format!("{}base:{base}", if content { "!" } else { "" })
            }
            ["fetches", "tool", "locked", _] => "!fetch:tool:css".to_owned(),
            ["fetches", "icons", "locked", _] => "!fetch:icons".to_owned(),
            // Of another platform. What is said of plugins is for whoever asks them: one that is not what is locked isn't asked.
            _ => String::new(),
        };
        let to: Vec<Value> = match &value {
            Value::String(text) => others(text).into_iter().map(Value::from).collect(),
            Value::Number(number) => vec![(number.as_u64().unwrap() + 1).into(), Value::from("1")],
            Value::Bool(flag) => vec![Value::from(!flag), Value::Null],
            _ => vec![Value::from("x")],
        };
        for to in to {
            let mut changed = document.clone();
            *changed.pointer_mut(&pointer).unwrap() = to.clone();
            match planned(MANIFEST, &changed.to_string()) {
                Ok(after) => {
                    taken += 1;
                    changing += usize::from(keys(&after) != keys(&before));
                    check(&format!("{pointer} as {to}"), &depends, &before, &after);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(
        taken > 100 && refused > 100 && changing > 30,
        "{taken} taken, {refused} refused, {changing} changing"
    );
}
