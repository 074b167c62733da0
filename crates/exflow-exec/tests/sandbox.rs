//! The conformance suite of executors, run with the sandbox: as the user who runs the tests, and
//! where that is root, as an ordinary user too.

mod conformance;

use exflow_exec::{SandboxExecutor, sandbox_main};
use exflow_store::Store;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use {
    exflow_content as _, exflow_diagnostics as _, exflow_plan as _, libcontainer as _,
    oci_spec as _, serde as _, serde_json as _, signal_hook as _, thiserror as _,
};

/// The user that tests are run as beside root: nobody.
const ORDINARY: u32 = 65534;

fn main() -> ExitCode {
    if let Some(code) = sandbox_main() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What `cargo test` and its like ask of every test program.
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-')).cloned();
    let Some(busybox) = conformance::busybox() else {
        let required = std::env::var("EXFLOW_TEST_REQUIRE").unwrap_or_default();
        eprintln!("left out: no static busybox on this host (package `busybox-static`)");
        return if required.contains("sandbox") { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let executor = SandboxExecutor::new(store.clone(), "/proc/self/exe".into());
    let mut failed = conformance::run(&executor, &store, &busybox, filter.as_deref());
    if rustix::process::geteuid().is_root() {
        eprintln!("once more, as an ordinary user:");
        failed += as_ordinary_user(filter.as_deref());
    }
    println!("test result: {}. sandbox", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs this program again as a user without any rights, in a folder of theirs.
fn as_ordinary_user(filter: Option<&str>) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    chown(folder.path(), Some(ORDINARY), Some(ORDINARY)).expect("a folder of theirs");
    // A copy, because the folders above the original may be closed to them.
    let program = folder.path().join("program");
    std::fs::copy("/proc/self/exe", &program).expect("a copy of this program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let status = Command::new(&program)
        .args(filter)
        .env("TMPDIR", folder.path())
        .uid(ORDINARY)
        .gid(ORDINARY)
        .current_dir(folder.path())
        .status()
        .expect("this program runs");
    usize::from(!status.success())
}
