//! Plugins of one's own that can't be used.

use crate::EXFLOW;
use exflow_testkit::{Contract, Run, Workspace, component};

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
    workspace.fails(&["check"], 1).says(&["exflow::plugin::changed", "exflow lock"]);
}
