//! What the sandbox adds to a command that does nothing, beside a yardstick: `unshare` of util-linux,
//! which makes the same namespaces and mounts nothing. Prints medians; asserts nothing.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark for the terminal")]

use exflow_content::{Entry, Mode, RelPath, Tree};
use exflow_exec::{Executor, Exit, RunOptions, SandboxExecutor, sandbox_main};
use exflow_fetch::Cancel;
use exflow_store::Store;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ROUNDS: usize = 50;

fn main() -> ExitCode {
    if let Some(code) = sandbox_main() {
        return code;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
    let busybox = store.check_in_file(&exflow_testkit::busybox(&cache), Mode::EXECUTABLE).unwrap();
    let mut tree = Tree::new();
    let path = |text: &str| RelPath::new(text).unwrap();
    tree.insert(path("bin/busybox"), busybox).unwrap();
    tree.insert(path("bin/true"), Entry::Symlink { target: (*b"busybox").into() }).unwrap();
    for folder in ["proc", "dev", "tmp"] {
        tree.insert(path(folder), Entry::Folder { mode: Mode::FOLDER }).unwrap();
    }
    let base = store.put_tree(&tree).unwrap();
    let command = exflow_plan::Command {
        base,
        mounts: Vec::new(),
        argv: vec!["/bin/true".into()],
        env: BTreeMap::new(),
        workdir: path("src"),
        outputs: Vec::new(),
    };
    let executor = SandboxExecutor::new(store, "/proc/self/exe".into());
    let log = folder.path().join("log");
    let sandboxed = median(|| {
        let options = RunOptions {
            time_limit: Duration::from_mins(1),
            cancel: Cancel::new(),
            log: log.clone(),
        };
        let outcome = executor.run(&command, &options).unwrap();
        assert_eq!(outcome.exit, Exit::Code(0));
    });
    println!("a step of `true` in the sandbox   {:6.1} ms", ms(sandboxed));
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-Urmnipu", "--fork", "--mount-proc", "true"]);
    if unshare.status().is_ok_and(|status| status.success()) {
        let yardstick = median(|| drop(unshare.status()));
        println!("unshare -Urmnipu true             {:6.1} ms", ms(yardstick));
        println!("ratio                             {:6.1}", ms(sandboxed) / ms(yardstick));
    }
    ExitCode::SUCCESS
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut work: impl FnMut()) -> Duration {
    work();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}
