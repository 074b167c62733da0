//! What every executor must do alike.

use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_exec::{ExecError, Executor, Exit, Outcome, RunOptions};
use exflow_fetch::Cancel;
use exflow_plan::{Command, Mount};
use exflow_store::Store;
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an executor has to do.
type Case = fn(&Bench<'_>);

/// The cases, by name.
const CASES: &[(&str, Case)] = &[
    ("exit_codes", exit_codes),
    ("signals", signals),
    ("a_program_that_is_not_there", a_program_that_is_not_there),
    ("time_limit", time_limit),
    ("cancelled", cancelled),
    (
        "a_signal_for_the_terminal_is_not_for_the_step",
        a_signal_for_the_terminal_is_not_for_the_step,
    ),
    ("the_callers_umask_does_not_show", the_callers_umask_does_not_show),
    ("files_with_the_same_content_are_two_files", files_with_the_same_content_are_two_files),
    ("log", log),
    ("environment_is_all_given", environment_is_all_given),
    ("the_same_view_everywhere", the_same_view_everywhere),
    ("inputs_are_laid_over_the_base", inputs_are_laid_over_the_base),
    ("times_of_inputs_are_fixed", times_of_inputs_are_fixed),
    ("outputs", outputs),
    ("an_output_that_is_a_file", an_output_that_is_a_file),
    ("a_missing_output", a_missing_output),
    ("an_output_with_a_pipe", an_output_with_a_pipe),
    ("an_output_behind_a_link_stays_inside", an_output_behind_a_link_stays_inside),
    ("what_is_written_elsewhere_is_dropped", what_is_written_elsewhere_is_dropped),
    ("inputs_and_base_are_never_changed", inputs_and_base_are_never_changed),
    ("what_is_removed_is_gone_from_the_output", what_is_removed_is_gone_from_the_output),
    ("no_network", no_network),
    ("no_host_files", no_host_files),
    ("no_process_is_left", no_process_is_left),
    ("many_files_and_a_large_one", many_files_and_a_large_one),
];

/// The cases, as tests.
pub(crate) fn trials(
    executor: &Arc<impl Executor + Send + 'static>,
    store: &Store,
    busybox: &Path,
) -> Vec<Trial> {
    let base = base(store, busybox);
    let trial = |(name, case): &(&'static str, Case)| {
        let (executor, store, case) = (executor.clone(), store.clone(), *case);
        Trial::test(*name, move || {
            case(&Bench { executor: &*executor, store: &store, base });
            Ok(())
        })
    };
    CASES.iter().map(trial).collect()
}

pub(crate) fn base(store: &Store, busybox: &Path) -> Digest {
    let mut tree = Tree::new();
    let shell = store.check_in_file(busybox, Mode::EXECUTABLE).unwrap();
    tree.insert(path("bin/busybox"), shell).unwrap();
    for applet in [
        "sh", "cat", "chmod", "cp", "date", "dd", "echo", "env", "find", "hostname", "id", "ip",
        "kill", "ln", "ls", "mkdir", "mkfifo", "mv", "nc", "printf", "ps", "readlink", "rm", "seq",
        "sleep", "stat", "test", "touch", "true", "wc",
    ] {
        let target = (*b"busybox").into();
        tree.insert(path(&format!("bin/{applet}")), Entry::Symlink { target }).unwrap();
    }
    for (at, mode) in [("tmp", 0o1777), ("proc", 0o755), ("dev", 0o755), ("root", 0o700)] {
        tree.insert(path(at), Entry::Folder { mode: Mode::new(mode) }).unwrap();
    }
    store.put_tree(&tree).unwrap()
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

struct Bench<'a> {
    executor: &'a dyn Executor,
    store: &'a Store,
    base: Digest,
}

impl Bench<'_> {
    fn command(&self, script: &str) -> Command {
        Command {
            base: self.base,
            mounts: Vec::new(),
            argv: vec!["/bin/sh".into(), "-euc".into(), script.into()],
            env: BTreeMap::from([("PATH".into(), "/bin".into())]),
            workdir: path("src"),
            outputs: Vec::new(),
        }
    }

    fn file(&self, content: &str, mode: u32) -> Entry {
        let blob = self.store.put_blob(content.as_bytes()).unwrap();
        Entry::File { mode: Mode::new(mode), blob, size: content.len() as u64 }
    }

    fn tree(&self, entries: &[(&str, Entry)]) -> Digest {
        let mut tree = Tree::new();
        for (at, entry) in entries {
            tree.insert(path(at), entry.clone()).unwrap();
        }
        self.store.put_tree(&tree).unwrap()
    }

    fn try_run(&self, command: &Command) -> (Result<Outcome, ExecError>, String) {
        let temp = self.store.temp_dir().unwrap();
        let log = temp.path().join("log");
        let options = options(Duration::from_mins(1), &Cancel::new(), &log);
        let outcome = self.executor.run(command, &options);
        let log = std::fs::read(log).map(|log| String::from_utf8_lossy(&log).into_owned());
        (outcome, log.unwrap_or_default())
    }

    /// What a script prints, which must end well.
    fn print(&self, script: &str) -> String {
        self.print_of(&self.command(script))
    }

    fn print_of(&self, command: &Command) -> String {
        let (outcome, log) = self.try_run(command);
        assert_eq!(outcome.unwrap().exit, Exit::Code(0), "{log}");
        log
    }

    /// The tree of the one output of a script.
    fn output(&self, script: &str) -> Tree {
        let mut command = self.command(script);
        command.outputs = vec![path("src/out")];
        let (outcome, log) = self.try_run(&command);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{log}");
        self.store.tree(&outcome.outputs[0]).unwrap()
    }
}

pub(crate) fn options(time_limit: Duration, cancel: &Cancel, log: &Path) -> RunOptions<'static> {
    RunOptions {
        name: "conformance".into(),
        slot: Digest::of(b"conformance"),
        time_limit,
        cancel: cancel.clone(),
        log: log.to_owned(),
        progress: &(),
    }
}

fn exit_codes(bench: &Bench<'_>) {
    for code in [0, 1, 42, 255] {
        let (outcome, _) = bench.try_run(&bench.command(&format!("exit {code}")));
        assert_eq!(outcome.unwrap().exit, Exit::Code(code));
    }
}

fn signals(bench: &Bench<'_>) {
    let (outcome, _) = bench.try_run(&bench.command("sh -c 'kill -9 $$'; exit $?"));
    assert_eq!(outcome.unwrap().exit, Exit::Code(128 + 9), "as the shell says it");
}

fn a_program_that_is_not_there(bench: &Bench<'_>) {
    let mut command = bench.command("");
    command.argv = vec!["/bin/nowhere".into()];
    let (outcome, _) = bench.try_run(&command);
    assert!(
        matches!(&outcome, Err(ExecError::Program { program, .. }) if program == "/bin/nowhere"),
        "{outcome:?}"
    );
}

fn limited(bench: &Bench<'_>, limit: Duration, cancel: &Cancel) -> (Exit, Duration) {
    let temp = bench.store.temp_dir().unwrap();
    let options = options(limit, cancel, &temp.path().join("log"));
    let begun = Instant::now();
    // A child that ignores what it can.
    let command = bench.command("trap '' TERM INT HUP; sleep 1000 & sleep 1000");
    let outcome = bench.executor.run(&command, &options).unwrap();
    (outcome.exit, begun.elapsed())
}

fn time_limit(bench: &Bench<'_>) {
    let (exit, took) = limited(bench, Duration::from_millis(300), &Cancel::new());
    assert_eq!(exit, Exit::TimedOut);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

fn cancelled(bench: &Bench<'_>) {
    let cancel = Cancel::new();
    let (exit, took) = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        });
        limited(bench, Duration::from_mins(10), &cancel)
    });
    assert_eq!(exit, Exit::Cancelled);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A step that ends well when it is told of a Ctrl-C, with half of its output, must not count as
/// done.
fn a_signal_for_the_terminal_is_not_for_the_step(bench: &Bench<'_>) {
    let cancel = Cancel::new();
    let temp = bench.store.temp_dir().unwrap();
    let log = temp.path().join("log");
    let options = options(Duration::from_mins(1), &cancel, &log);
    let mut command = bench.command(
        "trap 'exit 0' INT TERM; mkdir out; echo half > out/a; echo ready; sleep 20 & wait; echo whole > out/b",
    );
    command.outputs = vec![path("src/out")];
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until_ready(&log);
            // As a terminal does: everything in our process group is told, and so are we.
            for process in group() {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
            }
            std::thread::sleep(Duration::from_millis(100));
            cancel.cancel();
        });
        bench.executor.run(&command, &options).unwrap()
    });
    assert_eq!(outcome, Outcome { exit: Exit::Cancelled, outputs: Vec::new() });
}

/// Waits until a command has printed `ready`.
pub(crate) fn wait_until_ready(log: &Path) {
    let begun = Instant::now();
    while !std::fs::read_to_string(log).is_ok_and(|log| log.contains("ready")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never starts");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes below this one that are in its process group.
fn group() -> Vec<rustix::process::Pid> {
    let own = i32::try_from(std::process::id()).unwrap();
    let is_below = |mut number: i32| {
        while number > 1 && number != own {
            number = status(number, 1);
        }
        number == own
    };
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let below = numbers.filter(|number| *number != own && is_below(*number));
    let group = status(own, 2);
    below
        .filter(|number| status(*number, 2) == group)
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

/// A number in `/proc/NUMBER/stat`, behind the name: the parent is the first, the group the second.
fn status(number: i32, field: usize) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    rest.split_whitespace().nth(field).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn the_callers_umask_does_not_show(bench: &Bench<'_>) {
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let printed = std::panic::catch_unwind(AssertUnwindSafe(|| {
        bench.print("stat -c %a / /src /bin; mkdir a; stat -c %a a")
    }));
    rustix::process::umask(old);
    assert_eq!(printed.unwrap(), "755\n755\n755\n755\n");
}

/// Some tools take two names of one inode for one file, and refuse to copy one over the other.
fn files_with_the_same_content_are_two_files(bench: &Bench<'_>) {
    let same = || bench.file("same", 0o644);
    let first = bench.tree(&[("a", same()), ("b", same())]);
    let second = bench.tree(&[("c", same())]);
    let mut command = bench.command("stat -c %i a b c | while read x; do echo $x; done");
    command.mounts =
        vec![Mount { at: path("src"), tree: first }, Mount { at: path("src"), tree: second }];
    let printed = bench.print_of(&command);
    let mut inodes: Vec<&str> = printed.lines().collect();
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 3, "{printed}");
}

fn log(bench: &Bench<'_>) {
    assert_eq!(bench.print("echo out; echo err >&2; echo out"), "out\nerr\nout\n");
}

fn environment_is_all_given(bench: &Bench<'_>) {
    let mut command = bench.command("");
    command.argv = vec!["/bin/env".into()];
    command.env = BTreeMap::from([("A".into(), "1 =x".into()), ("B".into(), String::new())]);
    assert_eq!(bench.print_of(&command), "A=1 =x\nB=\n");
}

fn the_same_view_everywhere(bench: &Bench<'_>) {
    assert_eq!(
        bench.print("id -u; id -g; hostname; umask; pwd; ls /dev | while read x; do echo $x; done"),
        "0\n0\nexflow\n0022\n/src\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\n\
         tty\nurandom\nzero\n"
    );
    // Standard input is empty, and there is no terminal.
    assert_eq!(bench.print("cat; test -t 0 || test -t 1 || echo none"), "none\n");
}

fn inputs_are_laid_over_the_base(bench: &Bench<'_>) {
    let first = bench.tree(&[("a", bench.file("1", 0o644)), ("d/b", bench.file("1", 0o644))]);
    let second = bench.tree(&[("a", bench.file("2", 0o644)), ("d/c", bench.file("2", 0o755))]);
    let mut command = bench.command("cat /src/a /src/d/b /src/d/c; ls /src /src/d /bin/sh");
    command.mounts =
        vec![Mount { at: path("src"), tree: first }, Mount { at: path("src"), tree: second }];
    assert_eq!(bench.print_of(&command), "212/bin/sh\n\n/src:\na\nd\n\n/src/d:\nb\nc\n");
}

fn times_of_inputs_are_fixed(bench: &Bench<'_>) {
    let tree = bench.tree(&[("d/a", bench.file("1", 0o644))]);
    let mut command = bench.command("stat -c %Y /src/d/a /src/d /bin/busybox");
    command.mounts = vec![Mount { at: path("src"), tree }];
    let time = exflow_content::STEP_MTIME;
    assert_eq!(bench.print_of(&command), format!("{time}\n{time}\n{time}\n"));
}

fn outputs(bench: &Bench<'_>) {
    let tree = bench.output(
        "mkdir -p out/empty out/closed; cd out; printf x > plain; printf x > run; chmod 755 run; \
         ln -s ../anywhere link; ln plain hard; printf y > closed/file; chmod 000 closed/file closed; \
         chmod 4755 run; printf n > \"$(printf 'not\\377utf8')\"",
    );
    let x = bench.file("x", 0o644);
    assert_eq!(tree.get(&path("plain")), Some(&x));
    assert_eq!(tree.get(&path("hard")), Some(&x));
    assert_eq!(tree.get(&path("run")), Some(&bench.file("x", 0o4755)));
    assert_eq!(tree.get(&path("link")), Some(&Entry::Symlink { target: (*b"../anywhere").into() }));
    assert_eq!(tree.get(&path("empty")), Some(&Entry::Folder { mode: Mode::FOLDER }));
    assert_eq!(tree.get(&path("closed")), Some(&Entry::Folder { mode: Mode::new(0) }));
    assert_eq!(tree.get(&path("closed/file")), Some(&bench.file("y", 0)));
    let odd = RelPath::new(b"not\xffutf8").unwrap();
    assert_eq!(tree.get(&odd), Some(&bench.file("n", 0o644)));
    assert_eq!(tree.len(), 8);
}

fn an_output_that_is_a_file(bench: &Bench<'_>) {
    let mut command = bench.command("printf x > out");
    command.outputs = vec![path("src/out")];
    let (outcome, _) = bench.try_run(&command);
    assert!(matches!(&outcome, Err(ExecError::BadOutput { .. })), "{outcome:?}");
}

fn a_missing_output(bench: &Bench<'_>) {
    for script in ["true", "ln -s nowhere out", "ln -s out out"] {
        let mut command = bench.command(script);
        command.outputs = vec![path("src/out")];
        let (outcome, _) = bench.try_run(&command);
        assert!(
            matches!(&outcome, Err(ExecError::MissingOutput { output }) if *output == path("src/out")),
            "{script}: {outcome:?}"
        );
        // A step that fails is not asked for its outputs.
        let mut command = bench.command("exit 3");
        command.outputs = vec![path("src/out")];
        assert_eq!(bench.try_run(&command).0.unwrap().exit, Exit::Code(3));
    }
}

fn an_output_with_a_pipe(bench: &Bench<'_>) {
    let mut command = bench.command("mkdir out; mkfifo out/pipe");
    command.outputs = vec![path("src/out")];
    let (outcome, _) = bench.try_run(&command);
    let Err(ExecError::BadOutput { reason, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("pipe"), "{reason}");
}

fn an_output_behind_a_link_stays_inside(bench: &Bench<'_>) {
    let tree = bench.output("mkdir /etc; printf mine > /etc/passwd; ln -s ../../../../etc out");
    assert_eq!(tree.get(&path("passwd")), Some(&bench.file("mine", 0o644)));
    assert_eq!(tree.len(), 1);
}

fn what_is_written_elsewhere_is_dropped(bench: &Bench<'_>) {
    let tree = bench.output("mkdir out; printf x > out/a; printf x > /root/b; printf x > c");
    assert_eq!(tree.len(), 1);
    assert_eq!(bench.print("ls /root"), "");
}

fn inputs_and_base_are_never_changed(bench: &Bench<'_>) {
    let tree = bench.tree(&[("a", bench.file("input", 0o644))]);
    let mut command = bench.command(
        "printf changed > /src/a; printf changed > /bin/busybox2; rm /bin/env; chmod 777 /bin; \
         cat /src/a",
    );
    command.mounts = vec![Mount { at: path("src"), tree }];
    assert_eq!(bench.print_of(&command), "changed");
    command.argv[2] = "cat /src/a; test -e /bin/env; stat -c %a /bin".into();
    assert_eq!(bench.print_of(&command), "input755\n");
    let blob = bench.store.read_blob(&Digest::of(b"input"), 10).unwrap();
    assert_eq!(blob, b"input");
}

fn what_is_removed_is_gone_from_the_output(bench: &Bench<'_>) {
    let file = || bench.file("x", 0o644);
    let tree = bench.tree(&[
        ("out/kept", file()),
        ("out/removed", file()),
        ("out/folder/inner", file()),
        ("out/replaced/inner", file()),
    ]);
    let mut command = bench.command(
        "cd out; rm removed; rm -r folder; rm -r replaced; printf x > replaced; \
         mkdir folder; printf x > folder/new; mv kept moved",
    );
    command.mounts = vec![Mount { at: path("src"), tree }];
    command.outputs = vec![path("src/out")];
    let (outcome, log) = bench.try_run(&command);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.exit, Exit::Code(0), "{log}");
    let tree = bench.store.tree(&outcome.outputs[0]).unwrap();
    let found: Vec<_> = tree.entries().map(|(at, _)| at.to_string()).collect();
    assert_eq!(found, ["folder", "folder/new", "moved", "replaced"]);
}

fn no_network(bench: &Bench<'_>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "ip -o link | wc -l; ip route | wc -l; nc -w 2 127.0.0.1 {port} < /dev/null && echo reached \
         || echo unreachable"
    );
    let log = bench.print(&script);
    assert!(log.starts_with("1\n0\n"), "{log}");
    // `nc` is there and works, so that it is the network that is missing.
    assert!(log.ends_with("unreachable\n"), "{log}");
    let printed = bench.print("ip link; nc 2>&1 | grep -q -i usage && echo works");
    assert!(printed.contains("lo: <LOOPBACK>") && printed.ends_with("works\n"), "{printed}");
}

fn no_host_files(bench: &Bench<'_>) {
    let mine = bench.store.root().display().to_string();
    assert_eq!(bench.print(&format!("test -e '{mine}' && echo there || echo hidden")), "hidden\n");
    assert_eq!(
        bench.print("ls / | while read x; do echo $x; done"),
        "bin\ndev\nproc\nroot\nsrc\ntmp\n"
    );
    // Only its own processes.
    assert!(bench.print("ls -d /proc/[0-9]* | wc -l | cat").trim().parse::<u32>().unwrap() < 6);
}

fn no_process_is_left(bench: &Bench<'_>) {
    let marker = "987654321";
    assert_eq!(bench.print(&format!("sleep {marker} & echo started")), "started\n");
    let left = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .any(|line| line.windows(marker.len()).any(|part| part == marker.as_bytes()))
    };
    let begun = Instant::now();
    while left() {
        assert!(begun.elapsed() < Duration::from_secs(5), "a process is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn many_files_and_a_large_one(bench: &Bench<'_>) {
    let tree = bench.output(
        "mkdir out; cd out; for x in $(seq 2000); do printf $x > $x; done; \
         dd if=/dev/zero of=large bs=1048576 count=40 2>/dev/null",
    );
    assert_eq!(tree.len(), 2001);
    assert_eq!(tree.get(&path("1999")), Some(&bench.file("1999", 0o644)));
    let Some(Entry::File { size, .. }) = tree.get(&path("large")) else { panic!() };
    assert_eq!(*size, 40 << 20);
}
