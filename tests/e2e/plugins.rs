//! Plugins of one's own that can't be used.

use crate::EXFLOW;
use exflow_content::{Digest, Sha256};
use exflow_image::ComponentArtifact;
use exflow_testkit::{
    Contract, DockerRegistry, Fault, Run, Server, Workspace, component, declaring, missing,
};

const MANIFEST: &str = "base \"builder\" { debian \"made-up\" }\nbase \"runner\" { debian \"made-up\" }\n\
    plugin \"mine\" path=\"mine.wasm\"\nproject \"made\" { release-tool \"mine\" }\n";

fn check(component: &[u8]) -> Run {
    let workspace = Workspace::new(EXFLOW).with("exflow.kdl", MANIFEST);
    std::fs::write(workspace.root().join("mine.wasm"), component).unwrap();
    workspace.fails(&["check"], 1)
}

#[test]
fn a_plugin_that_is_missing() {
    let workspace = Workspace::new(EXFLOW).with("exflow.kdl", MANIFEST);
    workspace.fails(&["check"], 1).says(&["mine.wasm"]);
}

#[test]
fn a_plugin_that_is_none() {
    check(b"nonsense").says(&["exflow::plugin::not-a-component", "exflow.kdl:4", "`mine`"]);
    check(&wat::parse_str("(module)").unwrap()).says(&["exflow::plugin::not-a-component"]);
}

#[test]
fn a_plugin_that_imports() {
    let component =
        wat::parse_str("(component (import \"wasi:clocks/wall-clock@0.2.6\" (instance)))").unwrap();
    check(&component).says(&[
        "exflow::plugin::imports",
        "wasi:clocks/wall-clock@0.2.6",
        "wasm32-unknown-unknown",
        "exflow.kdl:4",
    ]);
}

#[test]
fn a_plugin_of_another_contract() {
    check(&wat::parse_str("(component)").unwrap()).says(&["exflow::plugin::wrong-contract"]);
}

/// A plugin with this body, for each of the contracts.
fn check_each(body: &str, words: &[&str]) {
    for contract in Contract::ALL {
        check(&component(contract, body)).says(words);
    }
}

#[test]
fn a_plugin_that_loops() {
    let words = ["exflow::plugin::limit", "instructions", "exflow.kdl:4", "`mine`"];
    check_each("(loop $again (br $again)) unreachable", &words);
}

#[test]
fn a_plugin_that_eats_memory() {
    let body = "(loop $again (drop (memory.grow (i32.const 64))) (br $again)) unreachable";
    check_each(body, &["exflow::plugin::limit", "memory", "`mine`"]);
}

#[test]
fn a_plugin_that_wants_all_memory_at_once() {
    let body = "(drop (memory.grow (i32.const 65000))) unreachable";
    check_each(body, &["exflow::plugin::limit", "memory", "`mine`"]);
}

#[test]
fn a_plugin_with_a_table_without_end() {
    let body = "(drop (table.grow (ref.null func) (i32.const 2000000))) unreachable";
    check_each(body, &["exflow::plugin::limit", "1048576 elements of a table", "`mine`"]);
}

#[test]
fn a_plugin_that_calls_itself() {
    for contract in Contract::ALL {
        // The function before it takes memory.
        let body = format!("{}call 1", "i32.const 0 ".repeat(contract.parameters()));
        check(&component(contract, &body)).says(&["exflow::plugin::limit", "stack", "`mine`"]);
    }
}

/// 16384 times the same 64 KiB, as files that it wants to see.
#[test]
fn a_plugin_with_an_answer_of_a_gigabyte() {
    let body = "(local $i i32)
        (loop $more
            (i32.store offset=131076 (local.get $i) (i32.const 65536))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const 131072))))
        (i32.store (i32.const 1028) (i32.const 131072)) (i32.store (i32.const 1032) (i32.const 16384))
        i32.const 1024";
    check_each(body, &["exflow::plugin::limit", "answer", "`mine`"]);
}

/// What no number is has other bits from one processor to the next: x86 sets the sign of it. A plugin that asks for
/// the file `../p` has seen none that are set, and one that asks for `../q` has.
#[test]
fn numbers_are_the_same_everywhere() {
    let body = "(local $zero f32)
        (local.set $zero (f32.convert_i32_s (i32.load (i32.const 5000))))
        (i32.store (i32.const 3000) (i32.const 0x002f2e2e))
        (i32.store8 (i32.const 3003) (i32.add (i32.const 112)
            (i32.shr_u (i32.reinterpret_f32 (f32.div (local.get $zero) (local.get $zero))) (i32.const 31))))
        (i32.store (i32.const 4096) (i32.const 3000)) (i32.store (i32.const 4100) (i32.const 4))
        (i32.store (i32.const 1028) (i32.const 4096)) (i32.store (i32.const 1032) (i32.const 1))
        i32.const 1024";
    check_each(body, &["exflow::plugin::invalid-proposal", "`../p`"]);
}

/// The same component, asked the same, by whatever exflow was built for whatever machine. If this fails and the
/// example was not changed, then answers depend on who asks.
#[test]
fn an_answer_is_the_same_on_every_machine() {
    let (workspace, bytes) = fetching("");
    let manifest = workspace.read("exflow.kdl").replace("source=\"\"", "path=\"tool.wasm\"");
    workspace.write("exflow.kdl", &manifest);
    std::fs::write(workspace.root().join("tool.wasm"), bytes).unwrap();
    let answer = workspace.ok(&["plugin", "run"]).stdout;
    let digest = exflow_content::Digest::of(answer.as_bytes()).to_string();
    assert_eq!(
        digest, "fc390e55c62b6817eb955892029beadda809015bddcf83f68d69c432e627fdde",
        "{answer}"
    );
}

#[test]
fn a_plugin_whose_texts_are_none() {
    let body = "(i32.store8 (i32.const 3000) (i32.const 255))
        (i32.store (i32.const 4096) (i32.const 3000)) (i32.store (i32.const 4100) (i32.const 1))
        (i32.store (i32.const 1028) (i32.const 4096)) (i32.store (i32.const 1032) (i32.const 1))
        i32.const 1024";
    check_each(body, &["exflow::plugin::failed", "utf-8", "`mine`"]);
}

#[test]
fn a_plugin_that_fails() {
    check_each("unreachable", &["exflow::plugin::failed", "`mine`"]);
    // Whatever a pointer leads to is checked before it is used.
    check_each("i32.const -4", &["exflow::plugin::failed"]);
}

/// The first cases of an answer: to be shown nothing more, and to refuse without a reason.
#[test]
fn a_plugin_whose_answer_says_nothing() {
    let words = ["exflow::plugin::invalid-proposal", "`mine`"];
    check_each("i32.const 1024", &[&words[..], &["shown already"]].concat());
    let refuse = "(i32.store8 (i32.const 1024) (i32.const 2)) i32.const 1024";
    check_each(refuse, &[&words[..], &["doesn't say why"]].concat());
}

/// One setting at 4096, a text named `depth`, that has to be there.
const DEPTH: &str = r"
    (i64.store (i32.const 5000) (i64.const 0x6874706564))
    (i32.store (i32.const 4096) (i32.const 5000)) (i32.store (i32.const 4100) (i32.const 5))
    (i32.store8 (i32.const 4116) (i32.const 1))
    (i32.store (i32.const 4120) (i32.const 5000)) (i32.store (i32.const 4124) (i32.const 5))
    (i32.store (i32.const 2048) (i32.const 4096)) (i32.store (i32.const 2052) (i32.const 1))
    i32.const 2048";

/// They are looked at before it is asked anything, which would fail.
#[test]
fn settings_are_what_the_plugin_declares() {
    let check = |component: &[u8], settings: &str| {
        let manifest = MANIFEST.replace("\"mine\" }", &format!("\"mine\" {settings} }}"));
        let workspace = Workspace::new(EXFLOW).with("exflow.kdl", &manifest);
        std::fs::write(workspace.root().join("mine.wasm"), component).unwrap();
        workspace.fails(&["check"], 1)
    };
    let component = declaring(DEPTH);
    check(&component, "").says(&["exflow::plugin::missing-setting", "exflow.kdl:4", "`depth`"]);
    let words = ["exflow::plugin::unknown-setting", "exflow.kdl:4", "did you mean `depth`?"];
    check(&component, "dept=\"1\"").says(&words);
    let words = ["exflow::plugin::wrong-setting", "exflow.kdl:4", "expected a text"];
    check(&component, "depth=1").says(&words);
    check(&component, "depth=\"1\"").says(&["exflow::plugin::failed"]);
    // One that declares nothing has none; an old one may have any.
    let words = ["exflow::plugin::unknown-setting", "`mine` has no settings"];
    check(&declaring("i32.const 2048"), "depth=1").says(&words);
    check(&self::component(Contract::V0_2_0, "unreachable"), "depth=1")
        .says(&["exflow::plugin::failed"]);
}

#[test]
fn a_plugin_whose_declaration_can_not_be() {
    // A list that begins with a name of no letters.
    let nameless = "(i32.store (i32.const 2048) (i32.const 4096)) (i32.store (i32.const 2052) (i32.const 1)) i32.const 2048";
    check(&declaring(nameless)).says(&["exflow::plugin::invalid-proposal", "a setting named"]);
    let endless = "(loop $again (br $again)) unreachable";
    check(&declaring(endless)).says(&["exflow::plugin::limit", "instructions"]);
    let long = "(i32.store (i32.const 2048) (i32.const 4096)) (i32.store (i32.const 2052) (i32.const -1)) i32.const 2048";
    check(&declaring(long)).says(&["exflow::plugin::failed"]);
}

#[test]
fn a_plugin_is_inspected() {
    let workspace = Workspace::new(EXFLOW);
    let builtin = workspace.ok(&["plugin", "inspect", "mix-release"]);
    for words in
        ["contract  0.2.1", "imports   nothing", "mix-env", "a text. The environment of Mix"]
    {
        assert!(builtin.stdout.contains(words), "{}", builtin.stdout);
    }
    for (contract, said) in [
        (Contract::V0_1_0, ["contract  0.1.0", "not declared"]),
        (Contract::V0_2_0, ["contract  0.2.0", "not declared"]),
        (Contract::V0_2_1, ["contract  0.2.1", "settings  none"]),
    ] {
        let bytes = component(contract, "unreachable");
        std::fs::write(workspace.root().join("mine.wasm"), &bytes).unwrap();
        let run = workspace.ok(&["plugin", "inspect", "mine.wasm"]);
        assert!(said.iter().all(|words| run.stdout.contains(words)), "{}", run.stdout);
    }
    std::fs::write(workspace.root().join("mine.wasm"), declaring(DEPTH)).unwrap();
    let run = workspace.ok(&["plugin", "inspect", "./mine.wasm", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["settings"][0]["name"], "depth");
    assert_eq!(found["settings"][0]["required"], true);
    assert_eq!(found["blake3"].as_str().unwrap().len(), 64);
    // What can't be used is said before anyone asks for it.
    std::fs::write(workspace.root().join("mine.wasm"), b"nonsense").unwrap();
    workspace
        .fails(&["plugin", "inspect", "mine.wasm"], 1)
        .says(&["exflow::plugin::not-a-component"]);
    workspace.fails(&["plugin", "inspect", "gone.wasm"], 1).says(&["exflow::plugin::unreadable"]);
    let workspace = workspace.with("exflow.kdl", MANIFEST);
    workspace.fails(&["plugin", "inspect", "mix-relase"], 2).says(&["did you mean `mix-release`?"]);
    workspace.write("mine.wasm", "nonsense");
    workspace.fails(&["plugin", "inspect", "mine"], 1).says(&["exflow::plugin::not-a-component"]);
}

/// What is proposed, in JSON: with a lock or without.
#[test]
fn what_plugins_propose_is_printed() {
    let workspace = Workspace::new(EXFLOW).with_files_of(&crate::hello::hello());
    let run = workspace.ok(&["plugin", "run"]);
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["hello"]["steps"][0]["name"], "release");
    assert_eq!(found["hello"]["image"]["step"], "release");
    std::fs::remove_file(workspace.root().join("exflow.lock")).unwrap();
    assert_eq!(workspace.ok(&["plugin", "run", "hello"]).stdout, run.stdout);
    workspace.fails(&["plugin", "run", "helo"], 2).says(&["did you mean `hello`?"]);
    // Refused settings are said, and nothing is printed.
    let manifest = workspace.read("exflow.kdl");
    workspace.write(
        "exflow.kdl",
        &manifest.replace("\"mix-release\"\n", "\"mix-release\" relase=\"a\"\n"),
    );
    let run = workspace.fails(&["plugin", "run"], 1);
    run.says(&["exflow::plugin::unknown-setting"]);
    assert_eq!(run.stdout, "");
}

/// Whoever writes one sees what it says now; a build sees what is locked, and says so.
#[test]
fn a_plugin_that_was_built_anew() {
    let locked = declaring("i32.const 2048");
    let workspace = Workspace::new(EXFLOW);
    let lock = |bytes: &[u8]| {
        std::fs::write(workspace.root().join("mine.wasm"), bytes).unwrap();
        let lock = format!(
            "{{\"version\":1,\"image-assembly\":1,\"plugins\":{{\"mine\":{{\"requested\":{{\"path\":\"mine.wasm\"}},\
             \"locked\":{{\"blake3\":\"{}\",\"size\":{}}}}}}}}}",
            exflow_content::Digest::of(bytes),
            bytes.len()
        );
        workspace.write("exflow.lock", &lock);
    };
    lock(&locked);
    workspace.write("exflow.kdl", MANIFEST);
    workspace.fails(&["check"], 1).says(&["exflow::plugin::failed"]);
    // Another component, with a setting that the locked one doesn't have.
    std::fs::write(workspace.root().join("mine.wasm"), declaring(DEPTH)).unwrap();
    let manifest = MANIFEST.replace("\"mine\" }", "\"mine\" depth=\"1\" }");
    workspace.write("exflow.kdl", &manifest);
    workspace.fails(&["check"], 1).says(&["exflow::plugin::changed", "exflow update mine"]);
    workspace.fails(&["plugin", "run"], 1).says(&["exflow::plugin::failed"]);
}

#[test]
fn a_plugin_is_tested_by_cases() {
    let prebuilt = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins/prebuilt/mix-release.wasm");
    let manifest = "base \"builder\" { debian \"made-up\" }\nbase \"runner\" { debian \"made-up\" }\n\
        project \"app\" { release-tool \"mix-release\" }\n";
    let workspace = Workspace::new(EXFLOW)
        .with("tests/good/in/exflow.kdl", manifest)
        .with("tests/good/in/mix.exs", "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\"]\nend\n")
        .with("tests/none/in/exflow.kdl", manifest)
        .with("tests/README.md", "not a case");
    let prebuilt = prebuilt.to_str().unwrap();
    workspace.fails(&["plugin", "test", prebuilt], 1).says(&[
        "good",
        "proposals.json, line 1",
        "none",
        "problems.txt, line 1",
        "2 of 2 cases",
    ]);
    workspace.ok(&["plugin", "test", prebuilt, "--bless"]).says(&["2 cases"]);
    workspace.ok(&["plugin", "test", prebuilt]).says(&["2 cases"]);
    assert!(workspace.read("tests/good/proposals.json").contains("\"entrypoint\""));
    assert!(!workspace.root().join("tests/good/problems.txt").exists());
    assert!(workspace.read("tests/none/problems.txt").contains("exflow::mix-release::no-mix-exs"));
    let changed = workspace.read("tests/good/proposals.json").replace("\"release\"", "\"other\"");
    workspace.write("tests/good/proposals.json", &changed);
    workspace.fails(&["plugin", "test", prebuilt], 1).says(&["good", "1 of 2 cases", "other"]);
    workspace.fails(&["plugin", "test", prebuilt, "tests/good"], 2).says(&["there are no cases"]);
    workspace.ok(&["plugin", "test", prebuilt, "--bless"]);
    // Line ends are seen.
    let problems = workspace.read("tests/none/problems.txt");
    workspace.write("tests/none/problems.txt", problems.trim_end());
    workspace.fails(&["plugin", "test", prebuilt], 1).says(&["problems.txt, line"]);
    workspace.write("tests/none/problems.txt", &problems);
    // From elsewhere, with paths that are relative to that.
    std::fs::copy(prebuilt, workspace.root().join("mix.wasm")).unwrap();
    std::fs::create_dir(workspace.root().join("odd")).unwrap();
    workspace.ok(&["-C", "odd", "plugin", "test", "../mix.wasm", "../tests"]).says(&["2 cases"]);
    // A plugin that fails is no expectation.
    std::fs::write(workspace.root().join("bad.wasm"), component(Contract::V0_2_0, "unreachable"))
        .unwrap();
    workspace
        .fails(&["plugin", "test", "bad.wasm", "--bless"], 1)
        .says(&["exflow::plugin::failed"]);
    assert_eq!(workspace.read("tests/none/problems.txt"), problems);
    // Nor is a case that asks nothing, or has no manifest: that of a workspace above is not its own.
    workspace.write("exflow.kdl", &format!("workspace \"all\" {{ members \"**\" }}\n{manifest}"));
    workspace.write("mix.exs", "");
    workspace.ok(&["plugin", "test", prebuilt]).says(&["2 cases"]);
    let toolless = "base \"b\" { debian \"made-up\" }\n\
        project \"odd\" { stage \"one\" base=\"b\" { run \"true\"; output \"out\" } }\n";
    workspace.write("tests/odd/in/exflow.kdl", toolless);
    workspace.fails(&["plugin", "test", prebuilt], 2).says(&["case `odd` asks nothing"]);
    std::fs::remove_file(workspace.root().join("tests/odd/in/exflow.kdl")).unwrap();
    workspace.fails(&["plugin", "test", prebuilt], 2).says(&["has no `exflow.kdl`"]);
    workspace.fails(&["plugin", "test", "gone.wasm"], 1).says(&["exflow::plugin::unreadable"]);
}

/// What is written is a plugin: it is compiled, passes its own tests, and is the same bytes wherever it is.
#[test]
fn a_plugin_of_ones_own_begins_with_a_template() {
    let toolchain = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    let toolchain = toolchain.iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    let workspace = toolchain
        .fold(Workspace::new(EXFLOW), |workspace, (name, value)| workspace.env(name, value))
        // What this was compiled with is all that it needs.
        .env("CARGO_NET_OFFLINE", "true");
    workspace.ok(&["plugin", "new", "my-tool"]).says(&["exflow plugin build my-tool"]);
    let spaced = workspace.ok(&["plugin", "new", "a folder/my-tool"]);
    spaced.says(&["exflow plugin build 'a folder/my-tool'"]);
    workspace.fails(&["plugin", "new", "my-tool"], 2).says(&["is there already"]);
    workspace.fails(&["plugin", "new", "My_Tool"], 2).says(&["lower-case letters"]);
    workspace.fails(&["plugin", "new", "mix-release"], 2).says(&["comes with exflow"]);
    // In a folder of a workspace of cargo's, of which it is no member.
    workspace.write("Cargo.toml", "[workspace]\nresolver = \"3\"\n");
    let built = workspace.ok(&["plugin", "build", "my-tool"]);
    for words in ["my-tool/my_tool.wasm", "contract  0.2.1", "imports   nothing", "target  a text"]
    {
        assert!(built.stdout.contains(words), "{}", built.stdout);
    }
    let test = |arguments: &[&str]| {
        let all = ["-C", "my-tool", "plugin", "test", "my_tool.wasm"];
        workspace.ok(&[&all, arguments].concat())
    };
    test(&["--bless"]).says(&["no-makefile", "plain", "2 cases"]);
    test(&[]).says(&["2 cases"]);
    says_what_all_templates_say(&workspace);
    let own = std::process::Command::new("cargo")
        .args(["test", "--quiet", "--offline"])
        .current_dir(workspace.root().join("my-tool"))
        .output()
        .unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    let first = std::fs::read(workspace.root().join("my-tool/my_tool.wasm")).unwrap();
    std::fs::create_dir(workspace.root().join("elsewhere")).unwrap();
    workspace.ok(&["plugin", "new", "elsewhere/my-tool"]);
    let lock = workspace.read("my-tool/Cargo.lock");
    workspace.write("elsewhere/my-tool/Cargo.lock", &lock);
    workspace.ok(&["plugin", "build", "elsewhere/my-tool"]);
    let second = std::fs::read(workspace.root().join("elsewhere/my-tool/my_tool.wasm")).unwrap();
    assert!(first == second, "other bytes in another folder");
    let words = ["exflow::plugin::build-failed", "`plugin.py`"];
    workspace.fails(&["plugin", "build", "elsewhere"], 1).says(&words);
    workspace.write("elsewhere/plugin.py", "");
    workspace.write("elsewhere/plugin.c", "");
    let words =
        ["exflow::plugin::build-failed", "several languages: there are `plugin.py`, `plugin.c`"];
    workspace.fails(&["plugin", "build", "elsewhere"], 1).says(&words);
    // One that can't be used takes no other's place.
    let source = workspace.read("my-tool/src/lib.rs");
    workspace.write("my-tool/src/lib.rs", &source.replace("export!(propose, settings);", ""));
    workspace.fails(&["plugin", "build", "my-tool"], 1).says(&["exflow::plugin::"]);
    assert!(first == std::fs::read(workspace.root().join("my-tool/my_tool.wasm")).unwrap());
    workspace.write("my-tool/src/lib.rs", "nonsense");
    workspace.fails(&["plugin", "build", "my-tool"], 1).says(&["cargo did not build"]);
}

/// The cases that come with a template, and one with a setting: in all languages, the same is proposed.
fn says_what_all_templates_say(workspace: &Workspace) {
    for (case, file, expected) in [
        ("plain", "proposals.json", include_str!("template/proposals.json")),
        ("no-makefile", "problems.txt", include_str!("template/problems.txt")),
    ] {
        workspace.write(&format!("my-tool/tests/{case}/{file}"), expected);
    }
    let case = workspace.read("my-tool/tests/plain/in/exflow.kdl");
    let case = case.replace("release-tool \"my-tool\"", "release-tool \"my-tool\" target=\"dist\"");
    workspace.write("my-tool/tests/target/in/exflow.kdl", &case);
    workspace.write("my-tool/tests/target/in/Makefile", "");
    let expected = include_str!("template/proposals.json");
    let expected =
        expected.replace("\"make\",\n          \"release\"", "\"make\",\n          \"dist\"");
    workspace.write("my-tool/tests/target/proposals.json", &expected);
    workspace.ok(&["-C", "my-tool", "plugin", "test", "my_tool.wasm"]).says(&[
        "no-makefile",
        "plain",
        "target",
        "3 cases",
    ]);
}

/// A workspace with the template of a language, where this machine has the tool that it needs, built.
fn template(language: &str, tool: &str, source: &str, change: [&str; 2]) -> Option<Workspace> {
    let path = std::env::var("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()) {
        exflow_testkit::missing(tool, &format!("the template of a plugin in {language}"));
        return None;
    }
    let workspace = Workspace::new(EXFLOW)
        .env("PATH", &path)
        .env("HOME", std::env::var("HOME").unwrap_or_default());
    workspace.ok(&["plugin", "new", "my-tool", "--lang", language]).says(&["my-tool: its README"]);
    let source = format!("my-tool/{source}");
    let text = workspace.read(&source);
    assert!(text.contains(change[0]), "{text}");
    workspace.write(&source, &text.replace(change[0], &change.concat()));
    let built = workspace.ok(&["plugin", "build", "my-tool"]);
    for words in ["my-tool/my_tool.wasm", "contract  0.2.1", "imports   nothing", "target  a text"]
    {
        assert!(built.stdout.contains(words), "{}", built.stdout);
    }
    assert!(!workspace.root().join("my-tool/.exflow-build").exists());
    says_what_all_templates_say(&workspace);
    Some(workspace)
}

/// What nobody catches is a problem that says what it was, and is nothing that a case expects.
fn an_error_is_a_problem(workspace: &Workspace, words: &[&str]) {
    let case = workspace.read("my-tool/tests/plain/in/exflow.kdl");
    workspace.write("odd/fails/in/exflow.kdl", &case.replace("\"app\"", "\"odd\""));
    let run = workspace.fails(&["plugin", "test", "my-tool/my_tool.wasm", "odd", "--bless"], 1);
    run.says(&[words, &["exflow::my-tool::internal"]].concat());
    assert!(!workspace.root().join("odd/fails/problems.txt").exists());
}

#[test]
fn a_plugin_in_javascript() {
    let change = [
        "export function propose(request) {\n",
        "  if (request.project === \"odd\") throw new Error(\"too odd\");\n",
    ];
    let Some(workspace) = template("js", "componentize-qjs", "plugin.js", change) else { return };
    an_error_is_a_problem(&workspace, &["the plugin failed: Error: too odd", "at propose"]);
    let own = std::process::Command::new("node")
        .arg("--test")
        .current_dir(workspace.root().join("my-tool"))
        .output()
        .unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stdout));
    workspace.write("my-tool/plugin.js", "export {");
    let words = ["exflow::plugin::build-failed", "componentize-qjs did not build"];
    workspace.fails(&["plugin", "build", "my-tool"], 1).says(&words);
}

#[test]
fn a_plugin_in_python() {
    let change = [
        "    \"\"\"What is to be done for a project.\"\"\"\n",
        "    if request.project == \"odd\":\n        raise ValueError(\"too odd\")\n",
    ];
    let Some(workspace) = template("python", "componentize-py", "plugin.py", change) else {
        return;
    };
    an_error_is_a_problem(&workspace, &["the plugin failed: ValueError: too odd", "at propose"]);
}

#[test]
fn a_plugin_in_c() {
    let Some(workspace) = template("c", "python-zig", "plugin.c", ["#include", ""]) else { return };
    let first = std::fs::read(workspace.root().join("my-tool/my_tool.wasm")).unwrap();
    workspace.ok(&["plugin", "new", "elsewhere/my-tool", "--lang", "c"]);
    workspace.ok(&["plugin", "build", "elsewhere/my-tool"]);
    let second = std::fs::read(workspace.root().join("elsewhere/my-tool/my_tool.wasm")).unwrap();
    assert!(first == second, "other bytes in another folder");
    // A function that nobody has would be an import.
    let source = workspace.read("my-tool/plugin.c");
    let calls = source.replace("exflow_answer propose", "void f(void);\nexflow_answer propose");
    let calls = calls.replace("    exflow_string makefile", "    f();\n    exflow_string makefile");
    assert_ne!(calls, source);
    workspace.write("my-tool/plugin.c", &calls);
    workspace.fails(&["plugin", "build", "my-tool"], 1).says(&["python-zig did not build"]);
    workspace.write("my-tool/plugin.c", &source);
    workspace.write("my-tool/sdk/exflow.c", "");
    workspace.fails(&["plugin", "build", "my-tool"], 1).says(&["exflow::plugin::"]);
    assert!(first == std::fs::read(workspace.root().join("my-tool/my_tool.wasm")).unwrap());
}

/// It is said what is missing, and how it is installed.
#[test]
fn a_plugin_whose_tools_are_missing() {
    let workspace = Workspace::new(EXFLOW).with("bin/nothing", "");
    let bin = workspace.root().join("bin").display().to_string();
    let workspace = workspace.env("PATH", &bin);
    for (language, words) in [
        ("rust", ["`rustc`", "https://rustup.rs"]),
        ("js", ["`componentize-qjs`", "npm install"]),
        ("python", ["`componentize-py`", "pip install -r requirements.txt"]),
        ("c", ["`python-zig`, `zig` or `clang`", "pip install -r requirements.txt"]),
    ] {
        let name = format!("{language}-tool");
        workspace.ok(&["plugin", "new", &name, "--lang", language]);
        let run = workspace.fails(&["plugin", "build", &name], 1);
        run.says(&["exflow::plugin::missing-tool"]);
        run.says(&words);
    }
    workspace.fails(&["plugin", "new", "other", "--lang", "cobol"], 2).says(&["cobol", "python"]);
}

/// The example, with a plugin of its own, in a base that other tests have, too.
#[test]
fn a_release_of_rebar3() {
    let example =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/custom-plugin");
    let read = |path: &str| std::fs::read_to_string(example.join(path)).unwrap();
    let manifest = read("exflow.kdl");
    let own = "packages \"erlang-base\" \"erlang-dev\" \"rebar3\"";
    assert!(manifest.contains(own), "{manifest}");
    let shared = "packages \"elixir\" \"erlang-dev\" \"build-essential\" \"rebar3\" \"git\"";
    let workspace = crate::deps::sharing("bookworm")
        .with("exflow.kdl", &manifest.replace(own, shared))
        .with("rebar.config", &read("rebar.config"))
        .with_folder("src", &example.join("src"))
        .with_folder("config", &example.join("config"));
    std::fs::create_dir(workspace.root().join("plugin")).unwrap();
    std::fs::copy(
        example.join("plugin/rebar3_release.wasm"),
        workspace.root().join("plugin/rebar3_release.wasm"),
    )
    .unwrap();
    let (first, ..) = workspace.build_one(&[]);
    assert_eq!(workspace.build_one(&[]).0, first);
    let port = crate::hello::free_port();
    let mut child = workspace.start(&["run", "--env", &format!("PORT={port}")]);
    assert_eq!(crate::hello::echo(port, "is it there?\n"), "is it there?\n");
    child.kill().unwrap();
    child.wait().unwrap();
    // What is made again is the same.
    std::fs::remove_dir_all(workspace.root().join("_release")).ok();
    workspace.write("src/echo.erl", &(read("src/echo.erl") + "%% A comment.\n"));
    let run = workspace.ok(&["build", "--json"]);
    assert_eq!(run.built()[0]["digest"].as_str(), Some(&*first), "{}", run.stderr);
    let manifest = workspace.read("exflow.kdl");
    workspace.write(
        "exflow.kdl",
        &manifest.replace("\"rebar3-release\"\n", "\"rebar3-release\" profil=\"x\"\n"),
    );
    workspace
        .fails(&["build"], 1)
        .says(&["exflow::plugin::unknown-setting", "did you mean `profile`?"]);
}

/// The example of a plugin, fetched from `source` and not of its folder; and its component.
fn fetching(source: &str) -> (Workspace, Vec<u8>) {
    let example =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/custom-plugin");
    let read = |path: &str| std::fs::read_to_string(example.join(path)).unwrap();
    let path = "path=\"plugin/rebar3_release.wasm\"";
    let manifest = read("exflow.kdl");
    assert!(manifest.contains(path), "{manifest}");
    let manifest = manifest.replace(path, &format!("source=\"{source}\""));
    let variables = crate::hello::MIRROR.environment();
    let workspace = variables
        .into_iter()
        .fold(Workspace::new(EXFLOW), |workspace, (name, value)| workspace.env(name, value))
        .with("exflow.kdl", &manifest)
        .with("rebar.config", &read("rebar.config"))
        .with_folder("src", &example.join("src"))
        .with_folder("config", &example.join("config"));
    (workspace, std::fs::read(example.join("plugin/rebar3_release.wasm")).unwrap())
}

#[test]
fn a_plugin_from_the_web() {
    let (_, bytes) = fetching("");
    let files = [
        ("tool.wasm".to_owned(), bytes),
        ("page.wasm".to_owned(), b"<html>moved</html>".to_vec()),
        ("core.wasm".to_owned(), b"\0asm\x01\0\0\0".to_vec()),
        ("large.wasm".to_owned(), vec![0; (32 << 20) + 1]),
    ];
    let server = Server::new(files.into());
    let url = server.url();
    for (path, words) in [
        ("page.wasm", &["exflow::fetch::bad-plugin", "`rebar3-release`", "exflow.kdl"][..]),
        ("core.wasm", &["exflow::fetch::bad-plugin"]),
        ("large.wasm", &["larger than", "docs/plugins.md"]),
        ("gone.wasm", &["nothing at", "check the plugin's `source`"]),
    ] {
        fetching(&format!("{url}/{path}")).0.fails(&["lock"], 1).says(words);
    }
    let (workspace, _) = fetching(&format!("{url}/tool.wasm"));
    workspace.fails(&["plugin", "inspect", "rebar3-release"], 1).says(&["exflow lock"]);
    workspace.fails(&["plugin", "run"], 1).says(&["`rebar3-release` is not in the lock"]);
    // Which is no mistake of the manifest's.
    workspace.ok(&["check"]).says(&["`rebar3-release` is not in the lock", "no mistakes"]);
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    assert!(lock.contains("\"version\": 3") && lock.contains("\"url\""), "{lock}");
    // From there on it is known by its content, and in the store: nothing is asked.
    server.forget();
    let proposed = workspace.ok(&["plugin", "run"]).stdout;
    workspace.ok(&["lock", "--check"]);
    workspace.ok(&["lock"]);
    workspace.ok(&["plugin", "inspect", "rebar3-release"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    assert_eq!(server.requests(), [""; 0]);
    // Elsewhere it is fetched again.
    let elsewhere = || {
        let (workspace, _) = fetching(&format!("{url}/tool.wasm"));
        workspace.with("exflow.lock", &lock)
    };
    elsewhere().fails(&["build", "--offline"], 1).says(&["not in the store"]);
    assert_eq!(elsewhere().ok(&["plugin", "run"]).stdout, proposed);
    assert!(!server.requests().is_empty());
    // And is what was locked, or isn't used.
    server.fault("tool.wasm", Fault::WrongByte, 100);
    elsewhere().fails(&["plugin", "run"], 1).says(&["is pinned", "tool.wasm"]);
    server.fault("tool.wasm", Fault::WrongByte, 0);
    // What is there now is taken on purpose.
    let other = declaring("i32.const 2048");
    let now = Digest::of(&other).to_string();
    server.now_serves([("tool.wasm".to_owned(), other)].into());
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    let moved = workspace.ok(&["update", "rebar3-release"]).stdout;
    assert!(moved.contains(&format!("→ {now}")), "{moved}");
    assert!(workspace.read("exflow.lock").contains(&now));
}

#[test]
fn a_plugin_from_a_registry() {
    let Some(registry) = DockerRegistry::start(false) else {
        missing("docker-registry", "a_plugin_from_a_registry");
        return;
    };
    let host = registry.host();
    let source = format!("oci://{host}/team/rebar3:1.0");
    let plain = |workspace: Workspace| {
        workspace.env("EXFLOW_PLAIN_HTTP_REGISTRIES", &*host).env("DOCKER_CONFIG", "/nowhere")
    };
    let (workspace, bytes) = fetching(&source);
    let workspace = plain(workspace);
    let file = workspace.outside().join("tool.wasm");
    let push = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        workspace.run(&["plugin", "push", file.to_str().unwrap(), &source])
    };
    workspace.fails(&["lock"], 1).says(&["team/rebar3"]);
    let refused = push(b"nonsense");
    assert_eq!(refused.code, Some(1));
    refused.says(&["exflow::plugin::not-a-component"]);
    let pushed = push(&bytes);
    let digest = pushed.stdout.trim().rsplit_once('@').expect("a digest").1.to_owned();
    pushed.says(&[&format!("source=\"{source}\"")]);
    assert!(registry.has("team/rebar3", "manifests/revisions", &digest), "{digest}");
    assert_eq!(push(&bytes).stdout, pushed.stdout, "the same each time");
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    let proposed = workspace.ok(&["plugin", "run"]).stdout;
    // A tag that moves moves nothing that is locked, here or elsewhere.
    assert_ne!(push(&declaring("i32.const 2048")).stdout, pushed.stdout);
    workspace.ok(&["lock"]);
    assert_eq!(workspace.read("exflow.lock"), lock);
    let elsewhere = plain(fetching(&source).0).with("exflow.lock", &lock);
    assert_eq!(elsewhere.ok(&["plugin", "run"]).stdout, proposed);
    // By its digest, it is the same component.
    let by_digest = plain(fetching(&format!("oci://{host}/team/rebar3@{digest}")).0);
    by_digest.ok(&["lock"]);
    assert_eq!(by_digest.ok(&["plugin", "run"]).stdout, proposed);
    // An image is no plugin, nor is what isn't there.
    let other = plain(fetching(&format!("oci://{host}/team/rebar3:2.0")).0);
    other.fails(&["lock"], 1).says(&["rebar3"]);
}

/// What a registry says is believed as far as digests go.
#[test]
fn a_registry_that_lies_about_a_plugin() {
    let (_, bytes) = fetching("");
    let artifact = ComponentArtifact::of(&bytes, &[]);
    let manifest = String::from_utf8(artifact.manifest.clone()).unwrap();
    let layer = manifest.split_once("\"layers\":[").unwrap().1.split_once(']').unwrap().0;
    let two = manifest.replace(layer, &format!("{layer},{layer}"));
    let old = manifest.replace("application/wasm", "application/vnd.wasm.content.layer.v1+wasm");
    let page = b"<html>moved</html>".to_vec();
    let index = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{{\
         \"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:{}\",\"size\":{}}}]}}",
        Sha256::of(&artifact.manifest),
        artifact.manifest.len()
    );
    let digest = format!("sha256:{}", Sha256::of(&artifact.manifest));
    let at = |kind: &str, name: &str| format!("v2/team/tool/{kind}/{name}");
    let blob = |bytes: &[u8]| at("blobs", &format!("sha256:{}", Sha256::of(bytes)));
    let of_page = ComponentArtifact::of(&page, &[]).manifest;
    let files = [
        (at("manifests", "1"), artifact.manifest.clone()),
        (at("manifests", &digest), artifact.manifest),
        (at("manifests", "old"), old.into_bytes()),
        (at("manifests", "two"), two.into_bytes()),
        (at("manifests", "index"), index.into_bytes()),
        (at("manifests", "page"), of_page),
        (at("manifests", "html"), page.clone()),
        (blob(&bytes), bytes.clone()),
        (blob(&page), page),
    ];
    let server = Server::new(files.into());
    let host = server.url().trim_start_matches("http://").to_owned();
    let named = |version: &str| {
        let (workspace, _) = fetching(&format!("oci://{host}/team/tool{version}"));
        workspace.env("EXFLOW_PLAIN_HTTP_REGISTRIES", &*host).env("DOCKER_CONFIG", "/nowhere")
    };
    for (version, words) in [
        (":two", &["exflow::fetch::bad-plugin", "it has 2 layers"][..]),
        (":index", &["exflow::fetch::bad-plugin", "an index"]),
        (":page", &["exflow::fetch::bad-plugin"]),
        (":html", &["exflow::fetch::bad-plugin"]),
        (":gone", &["exflow::fetch::not-found"]),
    ] {
        named(version).fails(&["lock"], 1).says(&[words, &["exflow.kdl:"]].concat());
    }
    named(":old").ok(&["lock"]);
    let by_digest = format!("@{digest}");
    for (path, version) in [(blob(&bytes), ":1"), (at("manifests", &digest), &by_digest)] {
        for (fault, code) in [
            (Fault::WrongByte, "exflow::fetch::wrong-digest"),
            (Fault::Status(401, None), "exflow::fetch::denied"),
            (Fault::Status(403, None), "exflow::fetch::denied"),
        ] {
            server.fault(&path, fault.clone(), 99);
            let workspace = named(version);
            workspace.fails(&["lock"], 1).says(&[code, "exflow.kdl:"]);
            assert!(!workspace.root().join("exflow.lock").exists());
            server.fault(&path, fault, 0);
            workspace.ok(&["lock"]);
        }
    }
    // Who is asked for a token gets one.
    server.want_token("secret");
    let workspace = named(":1");
    workspace.ok(&["lock"]);
    let lock = workspace.read("exflow.lock");
    // What is locked needs no registry, where the component is.
    drop(server);
    workspace.ok(&["plugin", "run"]);
    workspace.ok(&["lock", "--check"]);
    let elsewhere = named(":1").with("exflow.lock", &lock);
    elsewhere.fails(&["plugin", "run"], 1).says(&["exflow::fetch::unreachable", &host]);
}

#[test]
fn a_plugin_that_is_not_the_one_that_was_locked() {
    let workspace = Workspace::new(EXFLOW).with("exflow.kdl", MANIFEST);
    std::fs::write(workspace.root().join("mine.wasm"), component(Contract::V0_2_0, "unreachable"))
        .unwrap();
    let lock = format!(
        "{{\"version\":1,\"image-assembly\":1,\"plugins\":{{\"mine\":{{\"requested\":{{\"path\":\"mine.wasm\"}},\
         \"locked\":{{\"blake3\":\"{}\",\"size\":1}}}}}}}}",
        "0".repeat(64)
    );
    workspace.write("exflow.lock", &lock);
    workspace.fails(&["check"], 1).says(&["exflow::plugin::changed", "exflow update mine"]);
}
