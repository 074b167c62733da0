//! Steps that fail, hang, and misbehave, and builds that are interrupted.

use crate::{archive, one_stage, workspace};
use exflow_testkit::{Archive, Run, Server, Workspace, missing};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub(crate) static ARCHIVE: LazyLock<(Archive, Server)> = LazyLock::new(|| {
    let archive = archive();
    let server = Server::new(archive.files());
    (archive, server)
});

fn with(script: &str, more: &str) -> Workspace {
    let (archive, server) = &*ARCHIVE;
    workspace(archive, server).with("exflow.kdl", &one_stage(script, more)).with("in/a", "first")
}

fn ran(run: &Run) -> usize {
    run.events()
        .iter()
        .filter(|event| event["event"] == "step" && event["status"] == "done")
        .count()
}

#[test]
fn runs_again_only_what_changed() {
    let workspace = with("mkdir out; cp in/a out/b", "").with("README.md", "x");
    // The base, and the stage.
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 2);
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 0);
    workspace.write("README.md", "y");
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 0);
    workspace.write("in/a", "second");
    let run = workspace.ok(&["build", "--json"]);
    assert_eq!(ran(&run), 1);
    run.says(&["made:one", "in/a"]);
    // What was there before is there still.
    workspace.write("in/a", "first");
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 0);
}

#[test]
fn a_step_whose_inputs_came_out_the_same_is_not_run_again() {
    let two =
        "stage \"two\" { needs \"one\"; run \"mkdir two; cat out/b > two/c\"; output \"two\" }";
    let manifest = one_stage("mkdir out; grep -v '^#' in/a > out/b", "");
    let manifest =
        manifest.replacen("project \"made\" {\n", &format!("project \"made\" {{\n    {two}\n"), 1);
    let (archive, server) = &*ARCHIVE;
    let workspace = workspace(archive, server)
        .with("exflow.kdl", &manifest)
        .with("in/a", "# a comment\ncode\n");
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 3);
    workspace.write("in/a", "# another comment\ncode\n");
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 1);
    workspace.write("in/a", "# another comment\nother code\n");
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 2);
}

#[test]
fn a_step_that_fails() {
    let workspace = with("echo the reason; echo more >&2; exit 7", "");
    let run = workspace.fails(&["build"], 1);
    run.says(&[
        "exflow::exec::step-failed",
        "`made:one` failed with exit code 7",
        "exflow.kdl:",
        "  | the reason",
        "  | more",
        "the whole log: ",
    ]);
    // What was finished before is kept, and the same step is tried again.
    workspace.write("exflow.kdl", &one_stage("mkdir out", ""));
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 1);
}

#[test]
fn what_a_step_prints_does_not_steer_the_terminal() {
    let workspace = with("printf '\\033[2Jcleared\\a\\n'; exit 1", "");
    let run = workspace.fails(&["build"], 1);
    run.says(&["cleared"]);
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\x07'), "{:?}", run.stderr);
}

#[test]
fn a_step_that_hangs() {
    let workspace = with("echo waiting; sleep 1000 & sleep 1000", "time-limit \"1s\"");
    let begun = Instant::now();
    workspace.fails(&["build"], 1).says(&[
        "exflow::exec::step-failed",
        "longer than its time limit",
        "time-limit",
        "  | waiting",
    ]);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_step_that_writes_outside_of_its_outputs() {
    let script =
        "mkdir out; echo x > out/a; echo x > in/b; echo x > /usr/bin/new; echo changed > in/a";
    let workspace = with(script, "");
    workspace.ok(&["build"]);
    assert_eq!(workspace.read("in/a"), "first");
    assert!(!workspace.root().join("in/b").exists());
    assert!(!workspace.root().join("out").exists());
    // Nor does the next step find it.
    workspace
        .write("exflow.kdl", &one_stage("mkdir out; test ! -e /usr/bin/new; test ! -e in/b", ""));
    workspace.ok(&["build"]);
}

#[test]
fn outputs_that_are_none() {
    for (script, code) in [
        ("true", "exflow::exec::missing-output"),
        ("touch out", "exflow::exec::bad-output"),
        ("mkdir out; mkfifo out/pipe", "exflow::exec::bad-output"),
    ] {
        with(script, "").fails(&["build"], 1).says(&[code, "`made:one`", "exflow.kdl:"]);
    }
}

#[test]
fn a_program_that_is_not_in_the_base() {
    let (archive, server) = &*ARCHIVE;
    let manifest = one_stage("true", "").replace("\"shell\"", "\"tool\"");
    let workspace = workspace(archive, server).with("exflow.kdl", &manifest);
    workspace.fails(&["build"], 1).says(&["exflow::exec::no-such-program", "/bin/sh", "packages"]);
}

#[test]
fn a_step_sees_no_network_and_no_host() {
    let (_, server) = &*ARCHIVE;
    let url = server.url();
    let script = format!(
        "mkdir out; command -v wget; if wget -T 2 -q -O - {url}/dists/made-up/InRelease; then exit 1; fi; test ! -e {}; test \"$(id -u)\" = 0",
        env!("CARGO_MANIFEST_DIR")
    );
    with(&script, "").ok(&["build"]);
}

#[test]
fn other_steps_go_on_when_one_fails() {
    let two = "stage \"two\" { run \"sleep 1; mkdir two\"; output \"two\" }";
    let manifest = one_stage("exit 1", "");
    let manifest =
        manifest.replacen("project \"made\" {\n", &format!("project \"made\" {{\n    {two}\n"), 1);
    let (archive, server) = &*ARCHIVE;
    let workspace = workspace(archive, server).with("exflow.kdl", &manifest);
    workspace.fails(&["build"], 1);
    assert_eq!(ran(&workspace.ok(&["build", "--json", "made:two"])), 0);
}

#[test]
fn a_damaged_store_is_mended() {
    let workspace = with("mkdir out; cp in/a out/a; echo made > out/b", "");
    workspace.ok(&["build"]);
    // Every file is cut short; the base's among them, and what came out of the step.
    let mut damaged = 0;
    for folder in std::fs::read_dir(workspace.store().join("blobs")).unwrap() {
        for blob in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            std::fs::write(blob.unwrap().path(), "").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 3, "{damaged}");
    // What stands on the step's result finds out, and all of it is made again.
    let two =
        "stage \"two\" { needs \"one\"; run \"mkdir two; cp out/a out/b two\"; output \"two\" }";
    let manifest = one_stage("mkdir out; cp in/a out/a; echo made > out/b", "");
    let manifest =
        manifest.replacen("project \"made\" {\n", &format!("project \"made\" {{\n    {two}\n"), 1);
    workspace.write("exflow.kdl", &manifest);
    workspace.ok(&["build"]).says(&["the store was damaged"]);
    // And is sound again.
    assert_eq!(ran(&workspace.ok(&["build", "--json"])), 0);
    workspace.write("in/a", "second");
    workspace.ok(&["build"]);
}

#[test]
fn where_no_sandbox_can_be_made() {
    let workspace = with("mkdir out", "");
    workspace.ok(&["lock"]);
    // In a user namespace of its own, the limit holds for that alone.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces || exit 77; exec \"$0\" build";
    let exflow = workspace.command(&[""; 0]);
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(exflow.get_program())
        .current_dir(workspace.root())
        .env_clear()
        .envs(exflow.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let Ok(output) = command.output() else {
        return missing("unshare", "where_no_sandbox_can_be_made");
    };
    let run = Run::of(&output);
    if run.code == Some(77) {
        return missing("unshare", "where_no_sandbox_can_be_made");
    }
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    run.says(&[
        "exflow::exec::no-sandbox",
        "can't make a user namespace",
        "user.max_user_namespaces",
    ]);
}

#[test]
fn a_full_disk() {
    // A small file system of its own for the store; made in a namespace, so no root is needed.
    let workspace = with("mkdir out; dd if=/dev/zero of=out/big bs=65536 count=400", "");
    std::fs::create_dir(workspace.store()).unwrap();
    let script = r#"
        mount -t tmpfs -o size=12m none "$EXFLOW_STORE" || exit 77
        "$0" build; echo "code $?" >&2
        mount -o remount,size=200m "$EXFLOW_STORE"
        "$0" build --json; echo "code $?" >&2
    "#;
    let mut command = Command::new("unshare");
    let exflow = workspace.command(&[""; 0]);
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(exflow.get_program())
        .current_dir(workspace.root())
        .env_clear()
        .envs(exflow.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let Ok(output) = command.output() else { return missing("unshare", "a_full_disk") };
    let run = Run::of(&output);
    if run.code == Some(77) {
        return missing("unshare", "a_full_disk");
    }
    run.says(&["exflow::store::disk-full", "make room", "code 1\n", "code 0\n"]);
    assert_eq!(ran(&run), 1, "only the step that failed: {}\n{}", run.stdout, run.stderr);
}

/// Sends a signal to a process.
fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// Whether a process runs whose command line has `word`.
fn is_running(word: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(word)
    })
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_stops_cleanly() {
    for (name, number) in [("INT", 31_337), ("TERM", 31_338)] {
        let workspace = with(&format!("trap '' TERM INT; sleep {number} & sleep {number}"), "");
        let sleeps = format!("sleep {number}");
        let mut child = workspace.start(&["build"]);
        wait_until("the step starts", || is_running(&sleeps));
        signal(child.id(), name);
        let begun = Instant::now();
        let status = child.wait().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(status.code(), Some(130));
        wait_until("the step is gone", || !is_running(&sleeps));
        let left = std::fs::read_dir(workspace.store().join("tmp")).unwrap().count();
        assert_eq!(left, 0, "nothing is left behind");
    }
}

#[test]
fn when_exflow_is_killed_so_are_its_steps() {
    let workspace = with("sleep 31339 & sleep 31339", "");
    let mut child = workspace.start(&["build"]);
    wait_until("the step starts", || is_running("sleep 31339"));
    signal(child.id(), "KILL");
    child.wait().unwrap();
    wait_until("the step is gone", || !is_running("sleep 31339"));
    // The next one takes away what it left.
    workspace.write("exflow.kdl", &one_stage("mkdir out", ""));
    workspace.ok(&["build"]);
    assert_eq!(std::fs::read_dir(workspace.store().join("tmp")).unwrap().count(), 0);
}

#[test]
fn killed_at_any_moment() {
    let script = "mkdir out; cp in/a out/a; dd if=/dev/zero of=out/b bs=4096 count=100 2>/dev/null";
    let workspace = with(script, "");
    workspace.ok(&["lock"]);
    let mut delay = Duration::from_millis(2);
    let mut killed = 0;
    for _ in 0..40 {
        let mut child = workspace.start(&["build"]);
        std::thread::sleep(delay);
        delay += Duration::from_millis(4);
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(killed > 3, "{killed} were killed");
    workspace.ok(&["build"]);
    // And the same came out as without any of it.
    let other = with(script, "");
    other.ok(&["build"]);
    let trees = |workspace: &Workspace| {
        let mut names = Vec::new();
        for folder in std::fs::read_dir(workspace.store().join("trees")).unwrap() {
            for tree in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                names.push(tree.unwrap().file_name());
            }
        }
        names.sort();
        names
    };
    assert_eq!(trees(&workspace), trees(&other));
}

#[test]
fn two_at_once_share_a_store() {
    let workspace = with("mkdir out; sleep 1; cp in/a out/a", "");
    let children: Vec<_> = (0..3).map(|_| workspace.start(&["build"])).collect();
    for child in children {
        let run = Run::of(&child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    workspace.ok(&["build", "--offline"]);
}

#[test]
fn progress_is_plain_lines_where_there_is_no_terminal() {
    let workspace = with("mkdir out", "");
    let mut child = workspace.command(&["build"]).stderr(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert!(lines.iter().any(|line| line.contains("made:one")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains('\x1b') && !line.contains('\r')), "{lines:?}");
}

/// On a terminal, which `script` of util-linux makes, steps and downloads are drawn while they last.
#[test]
fn progress_is_drawn_on_a_terminal() {
    let workspace = with("sleep 1; mkdir out", "");
    let build = workspace.command(&["build"]);
    let line = format!("'{}' build", build.get_program().to_string_lossy());
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::null()).env_clear();
    for (name, value) in build.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    let output = script.env("TERM", "xterm").current_dir(workspace.root()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("\x1b[") && shown.contains('\r'), "{shown:?}");
    // The spinner of a step that lasts, drawn several times.
    let drawn = shown.matches("made:one").count();
    assert!(drawn > 3, "{drawn} times in {shown:?}");
    assert!(shown.contains("base:builder"), "{shown:?}");
}

#[test]
fn as_an_ordinary_user() {
    let Some(user) = exflow_testkit::ordinary_user() else {
        return missing("root", "as_an_ordinary_user");
    };
    let script =
        "mkdir -p out/closed; cp in/a out/a; chmod 600 out/a; chmod 700 out/closed; id > out/id";
    let root = with(script, "");
    let ordinary = with(script, "").owned_by(user);
    let plan = |workspace: &Workspace| {
        workspace.ok(&["build"]);
        let mut names = Vec::new();
        for folder in std::fs::read_dir(workspace.store().join("trees")).unwrap() {
            for tree in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                names.push(tree.unwrap().file_name());
            }
        }
        names.sort();
        names
    };
    assert_eq!(plan(&root), plan(&ordinary));
}
