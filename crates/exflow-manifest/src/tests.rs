use crate::{BaseSource, ImageOrigin, assemble, format, parse, reference, schema};
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostics, SourceName, Sources, Style, render};
use insta::assert_snapshot;
use proptest::prelude::*;

const HELLO: &str = include_str!("../../../examples/hello/exflow.kdl");

fn source() -> SourceName {
    SourceName::new("exflow.kdl")
}

fn drawn(text: &str, problems: &Diagnostics) -> String {
    let mut sources = Sources::default();
    sources.insert(source(), text);
    problems
        .iter()
        .map(|problem| render(problem, &sources, Style { color: false, unicode: true, width: 90 }))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is wrong with `text`, as users see it; nothing if it is right.
fn check(text: &str) -> String {
    let built = parse(&source(), text)
        .and_then(|manifest| assemble(&source(), manifest, Vec::new(), &["mix-release"]));
    match built {
        Ok(_) => String::new(),
        Err(problems) => drawn(text, &problems),
    }
}

#[test]
fn hello_is_right_and_complete() {
    let manifest = parse(&source(), HELLO).unwrap();
    let workspace = assemble(&source(), manifest, Vec::new(), &["mix-release"]).unwrap();
    assert_eq!(workspace.name, "hello");
    let project = &workspace.projects[0];
    assert_eq!(project.stages.keys().collect::<Vec<_>>(), ["deps", "release", "runtime"]);
    assert_eq!(project.stages["deps"].base.as_ref().unwrap().value, "builder");
    assert_eq!(project.stages["runtime"].expose, ["4001/tcp"]);
    assert_eq!(workspace.bases.len(), 2);
}

#[test]
fn every_mistake_is_shown_at_once() {
    assert_snapshot!(check(
        r#"workspce "shop"
base "builder" {
    debian "bookworm" slim="yes" fast=#true
    packages
}
project "My App" {
    release-tool "mix-relase"
    stage "deps" { run "x" }
    stage "release" base="bilder" { needs "assets" }
    stage "runtime" { expose 99999; user "a"; user "b" }
    stage "assets" { input "a/**" }
}
"#
    ));
}

#[test]
fn what_only_shows_in_the_workspace() {
    assert_snapshot!(check(
        r#"workspace "shop" { members "services/*" }
base "builder" { debian "bookworm" }
base "builder" { debian "trixie" }
project "shop" {
    release-tool "mix-relase"
    stage "release" base="bilder" { needs "asets" }
    stage "assets" { run "a"; output "x"; needs "more" }
    stage "more" { run "a"; output "y"; needs "assets" }
}
"#
    ));
}

#[test]
fn what_is_not_kdl() {
    assert_snapshot!(check("project \"a\" {\n    stage \"deps\" base=builder\" {\n}\n"));
    assert_snapshot!(check(""));
    assert!(check(&"a {".repeat(10_000)).contains("too-large"));
    assert!(check(&"/*".repeat(10_000)).contains("too-large"));
    assert!(check(&" ".repeat(2 << 20)).contains("too-large"));
}

#[test]
fn a_member_declares_nothing_but_its_project() {
    let root = parse(&source(), "workspace \"w\" { members \"*\" }").unwrap();
    let member = SourceName::new("a/exflow.kdl");
    let text = "base \"x\" { debian \"bookworm\" }\nproject \"a\"";
    let manifest = parse(&member, text).unwrap();
    let folder = RelPath::new("a").unwrap();
    let problems = assemble(&source(), root, vec![(folder, manifest)], &[]).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["exflow::manifest::misplaced"]);
}

#[test]
fn the_order_of_nodes_does_not_matter() {
    let bases = "base \"builder\" { debian \"bookworm\" }\n";
    let stages = [
        "stage \"a\" { run \"x\"; output \"o\"; needs \"b\" }",
        "stage \"b\" { run \"y\"; output \"p\" }",
    ];
    let order = |first: usize| {
        let text = format!("{bases}project \"p\" {{\n{}\n{}\n}}", stages[first], stages[1 - first]);
        let manifest = parse(&source(), &text).unwrap();
        assemble(&source(), manifest, Vec::new(), &[]).unwrap().projects[0].own_stages.clone()
    };
    assert_eq!(order(0), ["b", "a"]);
    assert_eq!(order(1), ["b", "a"]);
}

/// Each needs the one before it, and all stand in the worst order.
#[test]
fn as_many_stages_as_there_may_be() {
    let project = |count: usize| {
        let mut text = "base \"builder\" { debian \"bookworm\" }\nproject \"p\" {\n".to_owned();
        for number in (0..count).rev() {
            text += &format!("stage \"s{:04}\" {{ run \"x\"; output \"o\"", 9999 - number);
            if number > 0 {
                text += &format!("; needs \"s{:04}\"", 9999 - (number - 1));
            }
            text += " }\n";
        }
        text + "}\n"
    };
    let manifest = parse(&source(), &project(512)).unwrap();
    let order = &assemble(&source(), manifest, Vec::new(), &[]).unwrap().projects[0].own_stages;
    assert_eq!(order.len(), 512);
    assert!(order.iter().rev().is_sorted());
    let said = check(&project(513));
    assert!(said.contains("exflow::manifest::too-large"), "{said}");
    assert!(said.contains("more than 512 stages"), "{said}");
}

#[test]
fn a_stage_waits_for_all_that_it_needs() {
    let text = "base \"builder\" { debian \"bookworm\" }\nproject \"p\" {
        stage \"a\" { run \"x\"; output \"o\"; needs \"c\" \"d\" \"c\" }
        stage \"b\" { run \"x\"; output \"o\"; needs \"d\" }
        stage \"c\" { run \"x\"; output \"o\"; needs \"b\" }
        stage \"d\" { run \"x\"; output \"o\" }
    }";
    let manifest = parse(&source(), text).unwrap();
    let workspace = assemble(&source(), manifest, Vec::new(), &[]).unwrap();
    assert_eq!(workspace.projects[0].own_stages, ["d", "b", "c", "a"]);
    let said = check(&text.replace("needs \"d\"", "needs \"a\""));
    assert!(said.contains("the stages `a`, `b`, `c` need each other"), "{said}");
}

/// Names that are nobody's, as many as fit, and as many names that could be meant: none of it may take
/// long.
#[test]
fn a_manifest_that_is_all_mistakes() {
    let many = |count: usize, node: &dyn Fn(usize) -> String| {
        (0..count).map(node).collect::<Vec<String>>().concat()
    };
    let needs = many(15_000, &|number| format!(" \"none-{number:05}\""));
    let bases = many(15_000, &|number| format!("base \"name-{number:05}\" {{ debian \"a\" }}\n"));
    let stages = many(500, &|number| {
        format!("stage \"s-{number:05}\" base=\"x-{number:05}\" {{ run \"x\"; output \"o\" }}\n")
    });
    for text in [
        format!(
            "project \"p\" {{ {stages} stage \"x\" {{ run \"x\"; output \"o\"; needs{needs} }} }}"
        ),
        format!("{bases} project \"p\" {{ {stages} }}"),
    ] {
        let built = parse(&source(), &text)
            .and_then(|manifest| assemble(&source(), manifest, Vec::new(), &[]));
        assert!(built.unwrap_err().iter().len() >= 500);
    }
    let patterns = many(15_000, &|number| format!(" \"a{number}/*\""));
    let problems =
        parse(&source(), &format!("workspace \"w\" {{ members{patterns} }}")).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!(problem.code.as_str(), "exflow::manifest::too-large");
}

#[test]
fn no_text_that_a_program_is_given_has_a_nul_byte() {
    for stage in [
        "stage \"x\" { run \"a\\u{0}b\"; output \"o\" }",
        "stage \"runtime\" { user \"a\\u{0}\" }",
        "stage \"runtime\" { command \"a\" \"\\u{0}b\" }",
    ] {
        let said = check(&format!("project \"p\" {{\n{stage}\n}}"));
        assert!(said.contains("no text has a NUL byte"), "{stage}: {said}");
    }
}

#[test]
fn the_image_keeps_its_name() {
    let said = check("project \"p\" {\nstage \"image\" { run \"a\"; output \"o\" }\n}");
    assert!(said.contains("what the image of the project is called"), "{said}");
}

#[test]
fn an_output_is_a_folder() {
    let said = check("project \"p\" {\nstage \"x\" { run \"a\"; output \".\" }\n}");
    assert!(said.contains("name a folder in it"), "{said}");
}

#[test]
fn formatting_keeps_comments_and_settles() {
    let text = "// all of it\nproject   \"a\"  { stage \"x\" {  // here\n run \"y\"; output \"z\" } }\n\n\n\n";
    let once = format(&source(), text).unwrap();
    assert_snapshot!(once);
    assert_eq!(format(&source(), &once).unwrap(), once);
    assert_eq!(format(&source(), HELLO).unwrap(), HELLO);
}

#[test]
fn the_schema_is_that_of_the_grammar() {
    let schema = schema();
    kdl::KdlDocument::parse_v2(&schema).unwrap();
    let kept = include_str!("../../../schemas/manifest.kdl");
    assert_eq!(kept, schema, "schemas/manifest.kdl must be:\n{schema}");
}

#[test]
fn the_reference_lists_every_node() {
    let docs = include_str!("../../../docs/manifest.md");
    assert!(docs.contains(&reference()), "docs/manifest.md must contain:\n{}", reference());
}

const SPACES: &[&str] = &[" ", "  ", " \\\n ", " \\ // why\n  ", " /* here */ ", "\t"];
const VALUES: &[&str] = &["\"x\"", "a=1", "#true", "\"\\\"}/*\"", "#\"raw // \"#", "b=\"y z\""];
const ENDS: &[&str] = &["\n", " ; ", " // end\n", "\n\n\n", " /* c */\n", " \\ // on\n\n"];

/// The nodes of a text without their looks.
fn values(text: &str) -> String {
    let mut document = kdl::KdlDocument::parse_v2(text).unwrap();
    document.clear_format_recursive();
    document.to_string()
}

#[test]
fn what_would_overflow_the_parser_is_refused() {
    for text in [
        "a{".repeat(100_000),
        "a \"}\"{".repeat(100_000),
        "a #\"}\"#{".repeat(100_000),
        format!("/*{}", "*".repeat(900_000)),
        format!("/*{}*/", "/".repeat(900_000)),
        "/* ".repeat(300_000),
        "/-".repeat(300_000),
        "(".repeat(300_000),
        format!("a \"{}", "{".repeat(100_000)),
        format!("a \"\"\"\n{}", "b{".repeat(100_000)),
    ] {
        let problems = parse(&source(), &text).unwrap_err();
        let code = problems.iter().next().unwrap().code.as_str().to_owned();
        assert!(code.starts_with("exflow::manifest::"), "{code}");
    }
    // None of these is deep.
    for text in ["// {{{{{\n", "a \"{{{{\"\n", "/* {{{{ ** // */\n", "a #\"\"\"\n{{{{\n\"\"\"#\n"] {
        assert!(exflow_parses(&text.repeat(200)), "{text}");
    }
}

fn exflow_parses(text: &str) -> bool {
    !parse(&source(), text).is_err_and(|problems| {
        problems.iter().any(|problem| problem.code.as_str() == "exflow::manifest::too-large")
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z\"{}#=/\\-*; \n\\\\()]{0,80}") {
        let _ = check(&text);
        let _ = format(&source(), &text);
    }

    #[test]
    fn formatting_changes_no_value_and_settles(
        nodes in prop::collection::vec(("[a-z]{1,6}", prop::collection::vec((0..SPACES.len(), 0..VALUES.len()), 0..4), 0..SPACES.len(), 0..ENDS.len()), 1..5)
    ) {
        let mut text = String::new();
        for (name, entries, space, end) in &nodes {
            text += name;
            for (space, value) in entries {
                text += SPACES[*space];
                text += VALUES[*value];
            }
            let before = if ENDS[*end].contains(';') { " " } else { ENDS[*end] };
            text += &format!("{}{{{before} inner 1 }}{}", SPACES[*space], ENDS[*end]);
        }
        // Not every mixture is KDL; most are.
        prop_assume!(kdl::KdlDocument::parse_v2(&text).is_ok());
        let once = format(&source(), &text).unwrap();
        prop_assert_eq!(values(&once), values(&text), "{}\n{}", text, once);
        prop_assert_eq!(format(&source(), &once).unwrap(), once);
    }
}

#[test]
fn a_base_may_be_an_image() {
    let text = r#"
        workspace "w" {
            alpine-mirror "https://mirror.example/alpine"
            registry "docker.io" mirror="localhost:5000"
            registry "localhost:5000" plain-http=#true
        }
        base "a" { image "alpine:3.21"; packages "build-base" "libstdc++" }
        base "b" { image "images/./b" from="layout" name="b" }
        base "c" { image "b.tar" from="archive" }
        base "d" { image "mine" from="docker" }
    "#;
    let manifest = parse(&SourceName::new("exflow.kdl"), text).expect("it is valid");
    let images: Vec<_> = manifest
        .bases
        .iter()
        .map(|base| match &base.source {
            BaseSource::Image(image) => (image.from, &*image.place.value, image.name.as_deref()),
            BaseSource::Debian { .. } => unreachable!("none is"),
        })
        .collect();
    assert_eq!(
        images,
        [
            (ImageOrigin::Registry, "alpine:3.21", None),
            (ImageOrigin::Layout, "images/b", Some("b")),
            (ImageOrigin::Archive, "b.tar", None),
            (ImageOrigin::Docker, "mine", None),
        ]
    );
    let workspace = manifest.workspace.expect("there is one");
    let registries: Vec<_> = workspace
        .registries
        .iter()
        .map(|node| (&*node.host.value, node.mirror.as_deref(), node.plain_http))
        .collect();
    assert_eq!(
        registries,
        [("docker.io", Some("localhost:5000"), false), ("localhost:5000", None, true)]
    );
}

#[test]
fn mistakes_in_images() {
    assert_snapshot!(check(
        r#"
workspace "w" {
    alpine-mirror "ftp://x"
    registry "https://docker.io"
    registry "docker.io" mirrors="x"
    registry "docker.io" mirror="a/b"
}
base "a" { image "alpine"; debian "bookworm" }
base "b" { packages "git" }
base "c" { image "../x" from="layout" }
base "d" { image "x" from="arcive" }
base "e" { image "x y"; packages "a b" }
base "f" { image "x" name="y" }
base "g" { image }
"#
    ));
}
