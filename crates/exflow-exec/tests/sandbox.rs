//! The conformance suite of executors, run with the sandbox: as the user who runs the tests, and
//! where that is root, as an ordinary user too.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

mod conformance;

use exflow_exec::{SandboxExecutor, sandbox_main};
use exflow_store::Store;
use exflow_testkit::{busybox, missing, ordinary_user};
use libtest_mimic::{Arguments, Trial};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// Says where the busybox is to a copy of this program that runs as an ordinary user.
const BUSYBOX: &str = "EXFLOW_TEST_BUSYBOX";

fn main() -> ExitCode {
    if let Some(code) = sandbox_main() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One sets the umask, which is the whole process's.
    arguments.test_threads = Some(1);
    let given = std::env::var_os(BUSYBOX).map(PathBuf::from);
    let is_copy = given.is_some();
    let busybox =
        given.unwrap_or_else(|| busybox(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian")));
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let executor = Arc::new(SandboxExecutor::new(store.clone(), "/proc/self/exe".into()));
    let mut trials = conformance::trials(&executor, &store, &busybox);
    if !is_copy {
        trials.push(Trial::test("as_an_ordinary_user", move || {
            match ordinary_user() {
                Some(user) => as_ordinary_user(user, &busybox),
                None => missing("root", "sandbox: as_an_ordinary_user"),
            }
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs this program again as a user without any rights, in a folder of theirs.
fn as_ordinary_user(user: u32, busybox: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    chown(folder.path(), Some(user), Some(user)).expect("a folder of theirs");
    // Copies, because the folders above the originals may be closed to them.
    let program = folder.path().join("program");
    let shell = folder.path().join("busybox");
    for (from, to) in [(Path::new("/proc/self/exe"), &program), (busybox, &shell)] {
        std::fs::copy(from, to).expect("a copy");
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let status = Command::new(&program)
        .env("TMPDIR", folder.path())
        .env(BUSYBOX, &shell)
        .uid(user)
        .gid(user)
        .current_dir(folder.path())
        .status()
        .expect("this program runs");
    assert!(status.success(), "as user {user}");
}
