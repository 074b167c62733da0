//! Any proposal at all is refused, or is what it is taken for. `PROPTEST_CASES` says how many are tried.

use super::*;
use crate::contract_0_2::{
    HexPackage as ShownHex, Layer, Look, RemoteFile as ShownFile, Span, StepOutput, Used,
    WrittenFile,
};
use exflow_content::Tree;
use exflow_lock::Platform;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Texts that mean something somewhere, most of them where they shouldn't.
const TEXTS: &[&str] = &[
    "",
    "a",
    "a-b",
    "image",
    "A",
    "-a",
    "a_b",
    "deps",
    "release",
    "runtime",
    "app",
    "app/rel",
    "app/rel/x",
    "app/../x",
    "..",
    "../x",
    "/",
    "/etc",
    ".",
    "./a",
    "a//b",
    "a/",
    "_exflow",
    "_exflow/a",
    "_exflow/../x",
    "_exflowed",
    "app\0",
    "a\nb",
    "a\\b",
    "*",
    "**",
    "!**",
    "{a,b}",
    "{a",
    "[",
    "[a-",
    "\\",
    "app/**/*.ex",
    "=",
    "A=B",
    "\u{202e}",
    "é",
    "https://x/y",
    "ftp://x",
    "https://",
    "file:///etc/passwd",
    "0123",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "mix",
    "/bin/sh",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(TEXTS).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// What is good nearly always: there are many fields, and what is behind the first check is to be reached as well.
fn good(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![60 => proptest::sample::select(texts).prop_map(str::to_owned), 1 => text()]
}

fn sources() -> impl Strategy<Value = Vec<String>> {
    vec(good(&["app/lib", "app/**", "!app/x", "lib/*-1"]), 0..3)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec(good(&["mix", "", "-e", "é"]), 0..3)
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let pair = (good(&["A", "B", "C", "D", "E", "F"]), good(&["", "x"]));
    vec(pair.prop_map(|(name, value)| Pair { name, value }), 0..2)
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Nowhere),
        text().prop_map(Place::InSetting),
        (text(), any::<u32>(), any::<u32>()).prop_map(|(path, start, end)| Place::InFile(Span {
            path,
            start,
            end
        })),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    let sha256 = || good(&["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]);
    let hex = (text(), text(), text(), option::of(sha256()), sha256().prop_map(Some), words());
    let file = (good(&["https://x/y"]), sha256(), good(&["rebar3"]), any::<bool>());
    prop_oneof![
        hex.prop_map(|(repo, name, version, inner_checksum, outer_checksum, managers)| {
            Origin::Hex(ShownHex { repo, name, version, inner_checksum, outer_checksum, managers })
        }),
        file.prop_map(|(url, sha256, name, is_executable)| {
            Origin::File(ShownFile { url, sha256, name, is_executable })
        }),
    ]
}

fn fetch() -> impl Strategy<Value = Fetch> {
    (good(&["f", "g", "h", "i", "j"]), origin(), place()).prop_map(|(name, origin, place)| Fetch {
        name,
        origin,
        place,
    })
}

fn used() -> impl Strategy<Value = Used> {
    let what = prop_oneof![
        (prop_oneof![9 => Just(0u32), 1 => 0u32..4], good(&["app/rel"]))
            .prop_map(|(step, output)| UsedThing::Output(StepOutput { step, output })),
        prop_oneof![9 => Just(0u32), 1 => 0u32..3].prop_map(UsedThing::Fetched),
    ];
    (what, good(&["_exflow/deps/a", "x"])).prop_map(|(what, at)| Used { what, at })
}

fn step() -> impl Strategy<Value = Step> {
    let named = (
        good(&["a", "b", "c", "d", "e-1", "k", "l", "m"]),
        good(&["deps", "release"]),
        vec(good(&["mix", "x"]), 1..4),
        good(&["app", "_exflow"]),
        vec(good(&["_exflow/a", "app/x"]), 0..3),
    );
    let files = vec((good(&["app/f", "_exflow/f"]), text()), 0..2);
    (named, pairs(), sources(), files, vec(used(), 0..3), any::<bool>(), place()).prop_map(
        |((name, stage, argv, workdir, mut outputs), env, picked, files, uses, together, place)| {
            // Something that others can use.
            outputs.insert(0, "app/rel".to_owned());
            Step {
                name,
                stage,
                argv,
                env,
                workdir,
                sources: picked,
                files: files
                    .into_iter()
                    .map(|(path, contents)| WrittenFile { path, contents })
                    .collect(),
                uses,
                outputs,
                together,
                place,
            }
        },
    )
}

fn image() -> impl Strategy<Value = Image> {
    let layers = vec(
        (good(&["otp", "app"]), sources()).prop_map(|(name, files)| Layer { name, files }),
        0..3,
    );
    let started = (good(&["/app/bin/x"]), words(), words());
    let step = prop_oneof![9 => Just(0u32), 1 => 0u32..4];
    let at = (good(&["app/rel"]), good(&["app"]), good(&["app", ""]));
    (step, at, layers, started, pairs(), pairs()).prop_map(
        |(step, (output, at, workdir), layers, (program, more, command), env, labels)| {
            let entrypoint = std::iter::once(program).chain(more).collect();
            Image { step, output, at, layers, env, workdir, entrypoint, command, labels }
        },
    )
}

fn diagnostic() -> impl Strategy<Value = Diagnostic> {
    (text(), text(), place(), text(), text()).prop_map(|(code, message, place, label, help)| {
        Diagnostic { code, message, place, label, help }
    })
}

fn any_proposal() -> impl Strategy<Value = Proposal> {
    (vec(fetch(), 0..3), vec(step(), 0..4), option::of(image()), vec(diagnostic(), 0..2))
        .prop_map(|(fetches, steps, image, warnings)| Proposal { fetches, steps, image, warnings })
}

/// What the engine relies on.
fn holds(made: &plan::Proposal, root: &RelPath) {
    let mut names = BTreeSet::new();
    for fetch in &made.fetches {
        assert!(names.insert(fetch.name.clone()), "{}", fetch.name);
    }
    let is_own =
        |path: &RelPath| path.is_within(root) || path.names().next() == Some(OWN_FOLDER.as_bytes());
    for (index, step) in made.steps.iter().enumerate() {
        assert!(names.insert(step.name.clone()) && step.name != RESERVED, "{}", step.name);
        assert!(STAGES.contains(&step.stage.as_str()));
        assert!(!step.argv.is_empty() && !step.argv[0].is_empty());
        assert!(step.outputs.iter().all(|output| is_own(output) && output != root));
        assert!(step.files.keys().all(is_own) && is_own(&step.workdir));
        for used in &step.uses {
            assert!(is_own(&used.at) && used.at != *root);
            match &used.what {
                plan::UsedThing::Output { step, output } => {
                    assert!(*step < index && made.steps[*step].outputs.contains(output));
                }
                plan::UsedThing::Fetched(fetch) => assert!(*fetch < made.fetches.len()),
            }
        }
    }
    if let Some(image) = &made.image {
        assert!(made.steps[image.step].outputs.contains(&image.output));
        assert!(!image.at.is_root() && !image.entrypoint.is_empty());
    }
}

proptest! {
    #[test]
    fn any_proposal_is_refused_or_holds(proposed in any_proposal()) {
        let root = RelPath::new("app").unwrap();
        let plugin = Plugin {
            name: "any".into(),
            digest: exflow_content::Digest::of(b""),
            bytes: crate::PluginBytes::Embedded(b""),
        };
        let project = Subject {
            name: "any",
            folder: &root,
            platform: &Platform::LinuxAmd64,
            site: None,
            settings: &BTreeMap::new(),
            sources: &Tree::new(),
        };
        let was_checked = check(&Answer::Ready(proposed.clone()), &root).is_ok();
        match proposal(proposed.clone(), &plugin, &project) {
            Ok(made) => {
                prop_assert!(was_checked);
                holds(&made, &root);
            }
            Err(_) => prop_assert!(!was_checked),
        }
        // The same steps as what has to be made first.
        let looks = proposed.steps.iter().map(|step| Look {
            of: step.name.clone(),
            path: step.workdir.clone(),
        });
        let needs = Needs {
            files: Vec::new(),
            folders: Vec::new(),
            looks: looks.collect(),
            fetches: proposed.fetches,
            steps: proposed.steps,
        };
        if check(&Answer::Need(needs.clone()), &root).is_ok() {
            let (made, _) = super::looks(needs, &project).expect("it was checked");
            holds(&made, &root);
        }
    }
}
