//! What the sandbox adds to a command that does nothing, beside a yardstick: `unshare` of util-linux,
//! which makes the same namespaces and mounts nothing. Prints medians; asserts nothing.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark for the terminal")]

use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_docker::Daemon;
use exflow_exec::{DockerExecutor, Executor, Exit, RunOptions, SandboxExecutor, sandbox_main};
use exflow_fetch::Cancel;
use exflow_lock::Platform;
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
    let log = folder.path().join("log");
    let step = |executor: &dyn Executor| {
        median(|| {
            let options = RunOptions {
                name: "true".into(),
                slot: Digest::of(b"true"),
                time_limit: Duration::from_mins(1),
                cancel: Cancel::new(),
                log: log.clone(),
                progress: &(),
            };
            let outcome = executor.run(&command, &options).unwrap();
            assert_eq!(outcome.exit, Exit::Code(0));
        })
    };
    let sandboxed = step(&SandboxExecutor::new(store.clone(), "/proc/self/exe".into()));
    println!("a step of `true` in the sandbox   {:6.1} ms", ms(sandboxed));
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-Urmnipu", "--fork", "--mount-proc", "true"]);
    if unshare.status().is_ok_and(|status| status.success()) {
        let yardstick = median(|| drop(unshare.status()));
        println!("unshare -Urmnipu true             {:6.1} ms", ms(yardstick));
        println!("ratio                             {:6.1}", ms(sandboxed) / ms(yardstick));
    }
    let endpoint = exflow_docker::find(|name| std::env::var_os(name));
    if let Some((host, daemon)) = endpoint
        .ok()
        .and_then(|endpoint| Daemon::connect(&endpoint).ok().map(|daemon| (endpoint.host, daemon)))
    {
        let platform =
            if cfg!(target_arch = "aarch64") { Platform::LinuxArm64 } else { Platform::LinuxAmd64 };
        let contained = step(&DockerExecutor::new(store, daemon, platform).unwrap());
        println!("a step of `true` in Docker        {:6.1} ms", ms(contained));
        // The same image, in which the step's root is a folder.
        let image = format!("exflow-step:{}", Digest::of(b"true"));
        let mut run = std::process::Command::new("docker");
        run.args(["-H", &host, "run", "--rm", "--network", "none", "--entrypoint"]);
        run.args(["/exflow/root/bin/busybox", &image, "true"]);
        assert!(run.status().is_ok_and(|status| status.success()), "docker run");
        let yardstick = median(|| drop(run.status()));
        println!("docker run --rm true              {:6.1} ms", ms(yardstick));
        println!("ratio                             {:6.2}", ms(contained) / ms(yardstick));
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
