//! The conformance suite of executors, run with Docker, and what only containers can get wrong.
#![expect(clippy::unwrap_used, reason = "a test ends where this panics")]

mod conformance;

use conformance::{base, options, wait_until_ready};
use exflow_content::{Digest, Entry, Mode, RelPath, Tree};
use exflow_docker::{Daemon, DockerError, Endpoint, Tls};
use exflow_exec::{DockerExecutor, ExecError, Executor, Exit, SandboxExecutor, sandbox_main};
use exflow_fetch::Cancel;
use exflow_lock::Platform;
use exflow_plan::{Command, Mount};
use exflow_store::Store;
use exflow_testkit::{Dockerd, Relay, busybox, missing};
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    if let Some(code) = sandbox_main() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One sets the umask, which is the whole process's.
    arguments.test_threads = Some(1);
    let found = exflow_docker::find(|name| std::env::var_os(name));
    let daemon = found.and_then(|endpoint| Daemon::connect(&endpoint));
    let Ok(daemon) = daemon else {
        missing("docker", "docker: the conformance suite");
        return ExitCode::SUCCESS;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let busybox = busybox(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian"));
    let executor = DockerExecutor::new(store.clone(), daemon, platform()).expect("an executor");
    let mut trials = conformance::trials(&Arc::new(executor), &store, &busybox);
    let bench = Arc::new(Docker { store: store.clone(), base: base(&store, &busybox) });
    let cases: &[(&str, Case)] = &[
        ("a_tree_is_sent_once", a_tree_is_sent_once),
        ("what_stays_goes_below_what_changes", what_stays_goes_below_what_changes),
        ("what_was_kept_for_a_step_is_replaced", what_was_kept_for_a_step_is_replaced),
        ("images_that_were_removed_are_sent_again", images_that_were_removed_are_sent_again),
        ("containers_that_were_left_are_removed", containers_that_were_left_are_removed),
        ("a_connection_that_is_cut", a_connection_that_is_cut),
        ("the_sandbox_gives_the_same_trees", the_sandbox_gives_the_same_trees),
        ("a_name_that_removes_another", a_name_that_removes_another),
        ("nothing_of_dockers_is_seen", nothing_of_dockers_is_seen),
        ("a_daemon_that_is_full", a_daemon_that_is_full),
        ("a_daemon_that_goes_away", a_daemon_that_goes_away),
        ("a_daemon_behind_tls", a_daemon_behind_tls),
    ];
    for (name, case) in cases {
        let (bench, case) = (bench.clone(), *case);
        trials.push(Trial::test(*name, move || {
            case(&bench);
            Ok(())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn platform() -> Platform {
    if cfg!(target_arch = "aarch64") { Platform::LinuxArm64 } else { Platform::LinuxAmd64 }
}

type Case = fn(&Docker);

struct Docker {
    store: Store,
    base: Digest,
}

impl Docker {
    fn daemon() -> Daemon {
        let endpoint = exflow_docker::find(|name| std::env::var_os(name)).unwrap();
        Daemon::connect(&endpoint).unwrap()
    }

    fn executor(&self) -> DockerExecutor {
        DockerExecutor::new(self.store.clone(), Self::daemon(), platform()).unwrap()
    }

    /// An executor that reaches the daemon through something that counts, and can be cut.
    fn behind(&self, relay: &Relay) -> DockerExecutor {
        self.on(&format!("unix://{}", relay.path().display()), None).unwrap()
    }

    /// An executor on another daemon.
    fn on(&self, host: &str, tls: Option<Tls>) -> Result<DockerExecutor, DockerError> {
        let endpoint = Endpoint { host: host.to_owned(), tls, is_chosen: true };
        DockerExecutor::new(self.store.clone(), Daemon::connect(&endpoint)?, platform())
    }

    /// A tree with one file of random bytes, so that no daemon has it yet.
    fn fresh(&self, name: &str, size: usize) -> Digest {
        let mut bytes = vec![0; size];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes)
            .unwrap();
        let blob = self.store.put_blob(&bytes).unwrap();
        let mut tree = Tree::new();
        let entry = Entry::File { mode: Mode::FILE, blob, size: size as u64 };
        tree.insert(path(name), entry).unwrap();
        self.store.put_tree(&tree).unwrap()
    }

    fn command(&self, script: &str, inputs: &[Digest]) -> Command {
        Command {
            base: self.base,
            mounts: inputs.iter().map(|tree| Mount { at: path("src"), tree: *tree }).collect(),
            argv: vec!["/bin/sh".into(), "-euc".into(), script.into()],
            env: BTreeMap::from([("PATH".into(), "/bin".into())]),
            workdir: path("src"),
            outputs: vec![path("src/out")],
        }
    }

    fn run(&self, executor: &dyn Executor, command: &Command, slot: &str) -> Vec<Digest> {
        let temp = self.store.temp_dir().unwrap();
        let log = temp.path().join("log");
        let mut options = options(Duration::from_mins(2), &Cancel::new(), &log);
        options.slot = Digest::of(slot.as_bytes());
        let outcome = executor.run(command, &options).unwrap();
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(outcome.exit, Exit::Code(0), "{log}");
        outcome.outputs
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn docker_host() -> std::path::PathBuf {
    let endpoint = exflow_docker::find(|name| std::env::var_os(name)).unwrap();
    endpoint.host.strip_prefix("unix://").expect("a daemon behind a socket").into()
}

const MIB: usize = 1 << 20;

/// Whichever step it is for, and also where the sources beside it have changed.
fn a_tree_is_sent_once(docker: &Docker) {
    let relay = Relay::new(&docker_host());
    let large = docker.fresh("large", 8 * MIB);
    let script = "mkdir out; wc -c < large > out/a";
    let run = |inputs: &[Digest], slot: &str| {
        // A new one each time, that knows only what the daemon says.
        let executor = docker.behind(&relay);
        let before = relay.sent();
        docker.run(&executor, &docker.command(script, inputs), slot);
        usize::try_from(relay.sent() - before).unwrap()
    };
    let first = run(&[docker.fresh("a", 100), large], "one");
    assert!(first > 8 * MIB, "{first}");
    let edited = run(&[docker.fresh("a", 100), large], "one");
    assert!(edited < 64 << 10, "{edited} bytes for an input of 100");
    let other = run(&[large, docker.fresh("b", 100)], "two");
    assert!(other < 64 << 10, "{other} bytes for another step on the same input");
    let again = run(&[large], "three");
    assert!(again < 64 << 10, "{again} bytes for nothing new");
}

/// Whatever is larger: what was there before goes below what is new.
fn what_stays_goes_below_what_changes(docker: &Docker) {
    let relay = Relay::new(&docker_host());
    let stays = docker.fresh("stays", 2 * MIB);
    let run = || {
        let executor = docker.behind(&relay);
        let before = relay.sent();
        let changes = docker.fresh("changes", 4 * MIB);
        let command = docker.command("mkdir out; wc -c < changes > out/a", &[changes, stays]);
        docker.run(&executor, &command, "stays");
        usize::try_from(relay.sent() - before).unwrap()
    };
    assert!(run() > 6 * MIB);
    // Once more at most, and from then on only what has changed.
    run();
    for _ in 0..2 {
        let sent = run();
        assert!(sent < 4 * MIB + (64 << 10), "{sent} bytes for an input of 4 MiB");
    }
}

/// Editing does not fill the daemon's disk.
fn what_was_kept_for_a_step_is_replaced(docker: &Docker) {
    let count = || Docker::daemon().images("exflow.layers").unwrap().len();
    let executor = docker.executor();
    let run = || {
        let input = docker.fresh("a", 100);
        docker.run(&executor, &docker.command("mkdir out", &[input]), "replaced");
    };
    run();
    let before = count();
    for _ in 0..3 {
        run();
    }
    assert_eq!(count(), before);
}

fn images_that_were_removed_are_sent_again(docker: &Docker) {
    let executor = docker.executor();
    let command = docker.command("mkdir out", &[docker.fresh("a", 100)]);
    docker.run(&executor, &command, "removed");
    let daemon = Docker::daemon();
    for image in daemon.images("exflow.layers").unwrap() {
        daemon.remove_image(&image.id);
    }
    docker.run(&executor, &command, "removed");
}

fn containers() -> Vec<exflow_docker::Leftover> {
    Docker::daemon().containers("exflow.step").unwrap()
}

fn wait_for_no_containers() {
    let begun = Instant::now();
    while !containers().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", containers());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn containers_that_were_left_are_removed(docker: &Docker) {
    wait_for_no_containers();
    let executor = docker.executor();
    let command = docker.command("mkdir out", &[]);
    docker.run(&executor, &command, "left");
    wait_for_no_containers();
    // One that was made and never started: its process is long gone.
    let images = Docker::daemon().images("exflow.layers").unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let created = std::process::Command::new("docker")
        .args(["create", "--label", "exflow.step=left", "--label"])
        .arg(format!("exflow.owner={} {}/1/1", boot.trim(), namespace.display()))
        .arg(&images[0].id)
        .output()
        .unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    assert_eq!(containers().len(), 1);
    docker.run(&docker.executor(), &command, "left");
    wait_for_no_containers();
}

/// As when the daemon goes away in the middle of a step, or exflow does.
fn a_connection_that_is_cut(docker: &Docker) {
    let relay = Relay::new(&docker_host());
    let executor = docker.behind(&relay);
    let temp = docker.store.temp_dir().unwrap();
    let log = temp.path().join("log");
    let options = options(Duration::from_mins(2), &Cancel::new(), &log);
    let command = docker.command("echo ready; sleep 1000", &[]);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until_ready(&log);
            relay.cut();
        });
        executor.run(&command, &options)
    });
    assert!(matches!(&outcome, Err(ExecError::Docker(_))), "{outcome:?}");
    // Nobody is left who could remove it: it ends with the connection.
    wait_for_no_containers();
}

/// What one executor made is what the other would have made.
fn the_sandbox_gives_the_same_trees(docker: &Docker) {
    let sandbox = SandboxExecutor::new(docker.store.clone(), "/proc/self/exe".into());
    let script = "mkdir -p out/d/e; cd out; printf x > a; ln a b; ln -s ../.. l; chmod 4711 a; \
                  chmod 0 d; stat -c '%n %a %Y %U' /src/large /bin/busybox /tmp > stat; id > id; env > env; \
                  ls -la /dev | while read mode rest; do echo $mode; done > dev; umask > umask; \
                  hostname > name; chown 5:5 a 2> chown || echo $? >> chown; \
                  test -e /.dockerenv && echo docker > docker; ls / > root; \
                  cat /proc/self/status | grep -E '^(Cap|NoNew)' > rights; wc -c < /src/large > size";
    let command = docker.command(script, &[docker.fresh("large", MIB)]);
    let ours = docker.run(&sandbox, &command, "same");
    let theirs = docker.run(&docker.executor(), &command, "same");
    let show = |digest: &Digest| {
        let tree = docker.store.tree(digest).unwrap();
        let entries = tree.entries().map(|(path, entry)| match entry {
            Entry::File { blob, mode, .. } => {
                let bytes = docker.store.read_blob(blob, 1 << 20).unwrap();
                format!("{path} {:o}\n{}", mode.bits(), String::from_utf8_lossy(&bytes))
            }
            other => format!("{path} {other:?}\n"),
        });
        entries.collect::<String>()
    };
    assert_eq!(show(&ours[0]), show(&theirs[0]));
    assert_eq!(ours, theirs);
}

fn a_name_that_removes_another(docker: &Docker) {
    let temp = docker.store.temp_dir().unwrap();
    let options = options(Duration::from_mins(1), &Cancel::new(), &temp.path().join("log"));
    let input = docker.fresh(".wh.a", 10);
    let outcome = docker.executor().run(&docker.command("mkdir out", &[input]), &options);
    let Err(ExecError::Container { reason, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("`.wh.a`"), "{reason}");
}

/// What Docker puts into every container is not in the step's.
fn nothing_of_dockers_is_seen(docker: &Docker) {
    let script = "mkdir out; ls -a / > out/root; ls /etc > out/etc 2>&1 || true; \
                  grep -c docker /proc/self/mountinfo > out/mounts || true";
    let output = docker.run(&docker.executor(), &docker.command(script, &[]), "seen");
    let tree = docker.store.tree(&output[0]).unwrap();
    let Some(Entry::File { blob, .. }) = tree.get(&path("root")) else { panic!() };
    let root = docker.store.read_blob(blob, 1000).unwrap();
    assert_eq!(String::from_utf8(root).unwrap(), ".\n..\nbin\ndev\nproc\nroot\nsrc\ntmp\n");
}

/// What is sent doesn't fit, and later it does.
fn a_daemon_that_is_full(docker: &Docker) {
    let Some(small) = Dockerd::start(&[], Some(24)) else {
        return missing("dockerd", "docker: a_daemon_that_is_full");
    };
    let executor = docker.on(&format!("unix://{}", small.socket().display()), None).unwrap();
    let temp = docker.store.temp_dir().unwrap();
    let options = options(Duration::from_mins(1), &Cancel::new(), &temp.path().join("log"));
    let large = docker.fresh("large", 40 * MIB);
    let outcome = executor.run(&docker.command("mkdir out", &[large]), &options);
    assert!(matches!(&outcome, Err(ExecError::Docker(DockerError::Full { .. }))), "{outcome:?}");
    docker.run(&executor, &docker.command("mkdir out", &[docker.fresh("a", 10)]), "fits");
}

/// The daemon's own end, not just that of a connection.
fn a_daemon_that_goes_away(docker: &Docker) {
    let Some(mut daemon) = Dockerd::start(&[], None) else {
        return missing("dockerd", "docker: a_daemon_that_goes_away");
    };
    let executor = docker.on(&format!("unix://{}", daemon.socket().display()), None).unwrap();
    let temp = docker.store.temp_dir().unwrap();
    let log = temp.path().join("log");
    let options = options(Duration::from_mins(2), &Cancel::new(), &log);
    let command = docker.command("echo ready; sleep 1000", &[]);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until_ready(&log);
            daemon.kill();
        });
        executor.run(&command, &options)
    });
    assert!(matches!(&outcome, Err(ExecError::Docker(DockerError::Lost { .. }))), "{outcome:?}");
    let outcome = executor.run(&command, &options);
    assert!(matches!(&outcome, Err(ExecError::Docker(DockerError::Lost { .. }))), "{outcome:?}");
}

/// Over TCP, where both sides prove who they are.
fn a_daemon_behind_tls(docker: &Docker) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let openssl = |arguments: &str| {
        let arguments =
            arguments.split(' ').map(|word| word.replace("AT/", &at("").to_string_lossy()));
        std::process::Command::new("openssl").args(arguments).output().is_ok_and(|ran| {
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            true
        })
    };
    std::fs::write(at("server.ext"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        .unwrap();
    std::fs::write(at("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    let made = openssl("req -x509 -newkey rsa:2048 -nodes -keyout AT/ca.key -out AT/ca.pem -subj /CN=ca -days 2")
        && ["server", "client"].into_iter().all(|name| {
            openssl(&format!("req -newkey rsa:2048 -nodes -keyout AT/{name}.key -out AT/{name}.csr -subj /CN={name}"))
                && openssl(&format!(
                    "x509 -req -in AT/{name}.csr -CA AT/ca.pem -CAkey AT/ca.key -CAcreateserial -out AT/{name}.pem -days 2 -extfile AT/{name}.ext"
                ))
        });
    if !made {
        return missing("openssl", "docker: a_daemon_behind_tls");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = |name: &str| at(name).to_string_lossy().into_owned();
    let host = format!("tcp://127.0.0.1:{port}");
    let (ca, cert, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    let arguments =
        ["--host", &host, "--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
    let Some(_daemon) = Dockerd::start(&arguments, None) else {
        return missing("dockerd", "docker: a_daemon_behind_tls");
    };
    let tls = Tls { ca: at("ca.pem"), cert: at("client.pem"), key: at("client.key") };
    let executor = docker.on(&host, Some(tls.clone())).unwrap();
    docker.run(&executor, &docker.command("mkdir out", &[]), "tls");
    // Neither without proof, nor with someone else's.
    for wrong in [None, Some(Tls { cert: at("server.pem"), ..tls })] {
        let refused = docker.on(&host, wrong);
        assert!(matches!(&refused, Err(DockerError::Unreachable { .. })), "{refused:?}");
    }
}
