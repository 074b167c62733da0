//! The helper process: enters namespaces, mounts the root, runs the command, keeps the outputs.

use super::job::{ANSWER_FILE, Answer, JOB_FILE, Job};
use super::spec;
use crate::error::{NO_FOLDER, no_program, unsupported};
use crate::view::OPEN_FILES;
use exflow_content::{Digest, RelPath};
use exflow_store::{Store, StoreError, side_by_side};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::sys::signal::SigSet;
use rustix::fs::{CWD, FileType, Mode as FileMode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount,
    mount_bind_recursive, mount_change, move_mount, unmount,
};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getgid, getuid, kill_process, pivot_root,
    set_parent_process_death_signal, waitpid,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The first argument of a helper process. No command of exflow has this name.
pub(super) const HELPER: &str = "__exflow-sandbox";
/// The first argument of the process in the helper's pid namespace.
const INNER: &str = "__exflow-sandbox-inner";

/// Does the work of a sandbox's helper process, if this process is one: call it first of all in
/// `main`, and exit with the code that it gives.
pub fn sandbox_main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    let outer = first == HELPER;
    if !outer && first != INNER {
        return None;
    }
    let folder = PathBuf::from(arguments.next()?);
    // Whoever started exflow may have blocked some, and a step would inherit that.
    let _ = SigSet::empty().thread_set_mask();
    let result = if outer { enter_namespaces(&folder) } else { run(&folder, arguments.next()) };
    let answer = match result {
        Ok(Outer::Answered) => return Some(ExitCode::SUCCESS),
        Ok(Outer::DiskFull) => return Some(DISK_FULL.into()),
        Ok(Outer::Answer(answer)) => answer,
        Err(answer) => *answer,
    };
    Some(match fs::write(folder.join(ANSWER_FILE), answer.encode()) {
        Ok(()) => ExitCode::SUCCESS,
        // There is no room even for saying so.
        Err(error) if is_full(&error) => DISK_FULL.into(),
        Err(_) => ExitCode::FAILURE,
    })
}

/// The exit code of a helper process that had no room for its answer.
pub(super) const DISK_FULL: u8 = 28;

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How a process of the helper ends.
enum Outer {
    /// With this answer, which is yet to be written.
    Answer(Answer),
    /// The inner process has written it.
    Answered,
    /// The inner process had no room for it.
    DiskFull,
}

type Result<T> = std::result::Result<T, Box<Answer>>;

/// Says what was tried, where that is something that a host may not be able to do.
trait Tried<T> {
    fn or_unsupported(self, action: &str) -> Result<T>;
    fn or_failed(self, action: &str) -> Result<T>;
}

impl<T, E: Into<io::Error>> Tried<T> for std::result::Result<T, E> {
    fn or_unsupported(self, action: &str) -> Result<T> {
        self.map_err(|error| {
            let errno = error.into().raw_os_error().unwrap_or(0);
            Box::new(Answer::Unsupported { action: action.to_owned(), errno })
        })
    }

    fn or_failed(self, action: &str) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            Box::new(match error.raw_os_error() {
                Some(errno) if is_full(&error) => Answer::Store { path: PathBuf::new(), errno },
                _ => Answer::Failed { action: action.to_owned(), reason: error.to_string() },
            })
        })
    }
}

/// Enters a user, a mount and a pid namespace, and goes on in a child, since a process's own pid
/// never changes.
fn enter_namespaces(folder: &Path) -> Result<Outer> {
    set_parent_process_death_signal(Some(Signal::KILL)).or_failed("watch the parent process")?;
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    #[expect(
        unsafe_code,
        reason = "unshares neither file descriptors nor memory, which is what \
                                    could surprise other code of this process"
    )]
    // SAFETY: of the flags, none changes what file descriptors or memory mean.
    unsafe { unshare_unsafe(flags) }.or_unsupported("make a user namespace")?;
    fs::write("/proc/self/setgroups", "deny").or_unsupported("set up a user namespace")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))
        .or_unsupported("set up a user namespace")?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
        .or_unsupported("set up a user namespace")?;
    // The child's lifeline: it ends when the writing end is closed, which is with this process.
    // A signal on the parent's death would not do: the first process of a pid namespace ignores it.
    let (lifeline, _held) = io::pipe().or_failed("make a pipe")?;
    fcntl_setfd(&lifeline, FdFlags::empty()).or_failed("keep a pipe open")?;
    let job = read_job(folder)?;
    let signals = Passed::new(&job)?;
    let child = Command::new("/proc/self/exe")
        .arg(INNER)
        .arg(folder)
        .arg(lifeline.as_raw_fd().to_string())
        .spawn()
        .or_failed("start a process in a pid namespace")?;
    let status = wait_for(Pid::from_child(&child), signals)?;
    match status.exit_status() {
        Some(0) => Ok(Outer::Answered),
        Some(code) if code == i32::from(DISK_FULL) => Ok(Outer::DiskFull),
        _ => {
            let reason = format!("its helper process ended with {status:?}");
            Ok(Outer::Answer(Answer::Failed { action: "run the command".into(), reason }))
        }
    }
}

fn read_job(folder: &Path) -> Result<Job> {
    let job = fs::read(folder.join(JOB_FILE)).or_failed("read the job")?;
    Job::decode(&job).map_err(io::Error::other).or_failed("read the job")
}

/// Ends this process, the first of its pid namespace, and so all others in it, when its parent ends.
fn watch_parent(lifeline: Option<OsString>) -> Result<()> {
    let number = lifeline.unwrap_or_default();
    let mut lifeline = File::open(Path::new("/proc/self/fd").join(number))
        .or_failed("watch the parent process")?;
    std::thread::spawn(move || {
        let _ = lifeline.read(&mut [0]);
        std::process::exit(1)
    });
    Ok(())
}

fn run(folder: &Path, lifeline: Option<OsString>) -> Result<Outer> {
    watch_parent(lifeline)?;
    let job = read_job(folder)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .or_unsupported("keep mounts to itself")?;
    leave_host(&job.store, folder)?;
    let root = mount_root(&job, folder)?;
    limit_files();
    let status = run_container(&job, folder, &root)?;
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, signal) => {
            return Ok(Outer::Answer(Answer::Killed { signal: signal.unwrap_or(0) }));
        }
    };
    let mut outputs = Vec::new();
    if code == 0 && !job.outputs.is_empty() {
        let store = Store::open(&job.store).map_err(store_failed)?;
        let kept = side_by_side(&job.outputs, |output| keep(&store, &root, output));
        outputs = kept.into_iter().collect::<Result<_>>()?;
    }
    Ok(Outer::Answer(Answer::Exited { code, outputs }))
}

/// Moves to a root of its own, which holds the store, the devices and `/proc`, and nothing else of
/// the host: no program of the host's can be run by mistake, and libcontainer finds no control
/// groups. It would put every container into one, which an ordinary user may not make, and the
/// sandbox needs none: it limits time, and its processes end with their pid namespace.
fn leave_host(store: &Path, folder: &Path) -> Result<()> {
    let top = folder.join("host");
    let inside = |path: &Path| top.join(path.strip_prefix("/").unwrap_or(path));
    let bind = |path: &Path, kind: &str| {
        let at = inside(path);
        fs::create_dir_all(&at).or_failed("make a folder")?;
        mount_bind_recursive(path, &at).or_unsupported(kind)
    };
    fs::create_dir(&top).or_failed("make a folder")?;
    mount("tmpfs", &top, "tmpfs", MountFlags::NOSUID, None).or_unsupported("mount a tmpfs")?;
    bind(Path::new("/dev"), "mount /dev")?;
    bind(store, "mount the store")?;
    let proc = inside(Path::new("/proc"));
    fs::create_dir(&proc).or_failed("make a folder")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // The view of this pid namespace, which libcontainer reads.
    mount("proc", &proc, "proc", flags, None).or_unsupported("mount /proc")?;
    for folder in ["/sys/fs/cgroup", "/tmp", "/run"] {
        fs::create_dir_all(inside(Path::new(folder))).or_failed("make a folder")?;
    }
    let cgroup = inside(Path::new("/sys/fs/cgroup"));
    mount("tmpfs", &cgroup, "tmpfs", MountFlags::NOSUID, None).or_unsupported("mount a tmpfs")?;
    std::env::set_current_dir(&top).or_failed("go to a folder")?;
    pivot_root(".", ".").or_unsupported("change the root")?;
    // The old root is on top of the new one now.
    unmount(".", UnmountFlags::DETACH).or_unsupported("leave the old root")?;
    std::env::set_current_dir("/").or_failed("go to a folder")
}

/// Mounts the root file system: an overlay of the layers, with an empty folder on top.
fn mount_root(job: &Job, folder: &Path) -> Result<PathBuf> {
    let (upper, work, root) = (folder.join("upper"), folder.join("work"), folder.join("root"));
    for folder in [&upper, &work, &root] {
        fs::create_dir(folder).or_failed("make a folder")?;
    }
    // The command's `/` has the mode of this one, whatever the umask of whoever started us.
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).or_failed("set a mode")?;
    // An option takes 255 bytes at most, and the store may be anywhere: from within it, paths are
    // short.
    std::env::set_current_dir(&job.store).or_failed("go to a folder")?;
    let short = |path: &Path| path.strip_prefix(&job.store).unwrap_or(path).to_owned();
    let (upper, work) = (short(&upper), short(&work));
    let overlay = || -> std::result::Result<OwnedFd, Errno> {
        let filesystem = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let filesystem = filesystem.as_fd();
        // One at a time, because the options of mount(2) end at a page. The highest first.
        for layer in job.layers.iter().rev() {
            fsconfig_set_string(filesystem, "lowerdir+", short(layer).as_path())?;
        }
        fsconfig_set_string(filesystem, "upperdir", upper.as_path())?;
        fsconfig_set_string(filesystem, "workdir", work.as_path())?;
        // An ordinary user's marks of what was removed.
        fsconfig_set_flag(filesystem, "userxattr")?;
        fsconfig_create(filesystem)?;
        fsmount(filesystem, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    let mounted = overlay().or_unsupported("mount an overlay file system")?;
    move_mount(mounted.as_fd(), "", CWD, &root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .or_unsupported("mount an overlay file system")?;
    std::env::set_current_dir("/").or_failed("go to a folder")?;
    Ok(root)
}

fn limit_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES)));
    let _ = setrlimit(Resource::Nofile, limit);
}

fn run_container(job: &Job, folder: &Path, root: &Path) -> Result<WaitStatus> {
    let container = |error: &dyn std::error::Error| {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            reason = format!("{reason}: {error}");
            source = error.source();
        }
        Box::new(Answer::Failed { action: "make a container".into(), reason })
    };
    let program = find_program(job, root)?;
    let spec = spec::container(job, root).map_err(|error| container(&error))?;
    let bundle = folder.join("bundle");
    fs::create_dir(&bundle).or_failed("make a folder")?;
    spec.save(bundle.join("config.json")).map_err(|error| container(&error))?;
    let duplicate = |fd: std::os::fd::BorrowedFd<'_>| {
        fd.try_clone_to_owned().or_failed("copy a file descriptor")
    };
    let stdin = if job.interactive {
        duplicate(io::stdin().as_fd())?
    } else {
        openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, FileMode::empty())
            .or_failed("open /dev/null")?
    };
    let signals = Passed::new(job)?;
    let mut container_process = ContainerBuilder::new("step".into(), SyscallType::default())
        .with_executor(Program { path: program, env: job.env.clone() })
        .with_root_path(folder.join("state"))
        .map_err(|error| container(&error))?
        .with_stdin(stdin)
        .with_stdout(duplicate(io::stdout().as_fd())?)
        .with_stderr(duplicate(io::stderr().as_fd())?)
        .as_init(&bundle)
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(|error| container(&error))?;
    let pid = container_process
        .pid()
        .and_then(|pid| Pid::from_raw(pid.as_raw()))
        .ok_or_else(|| io::Error::other("it has no process"))
        .or_failed("make a container")?;
    container_process.start().map_err(|error| container(&error))?;
    wait_for(pid, signals)
}

/// Starts the command with the environment that it was given and nothing else.
#[derive(Clone)]
struct Program {
    path: PathBuf,
    env: BTreeMap<String, String>,
}

impl Executor for Program {
    fn exec(&self, spec: &Spec) -> std::result::Result<(), ExecutorError> {
        let argv = spec.process().as_ref().and_then(|process| process.args().as_ref());
        let [name, arguments @ ..] = argv.ok_or(ExecutorError::InvalidArg)?.as_slice() else {
            return Err(ExecutorError::InvalidArg);
        };
        let error =
            Command::new(&self.path).arg0(name).args(arguments).env_clear().envs(&self.env).exec();
        // It is in the log then, and the exit code is the one that shells give.
        let reason = format!("exflow: `{}` can't be started: {error}\n", self.path.display());
        let _ = io::stderr().write_all(reason.as_bytes());
        std::process::exit(126)
    }

    fn validate(&self, _: &Spec) -> std::result::Result<(), ExecutorValidationError> {
        Ok(())
    }
}

/// Opens `path` with `root` as the root, so that no link leads out of it.
fn open_within(root: &impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    loop {
        match openat2(root, path, flags, FileMode::empty(), ResolveFlags::IN_ROOT) {
            // The kernel can't rule out that a `..` led outside when anything on the machine was
            // renamed or mounted meanwhile (openat2(2)).
            Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// The path of the command's program, found as a shell would, in the root file system.
fn find_program(job: &Job, root: &Path) -> Result<PathBuf> {
    let name = job.argv.first().map(String::as_str).unwrap_or_default();
    let top = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY, FileMode::empty())
        .or_failed("open the root")?;
    let is_program = |path: &Path| {
        let path = Path::new("/").join(job.workdir.as_str().unwrap_or_default()).join(path);
        open_within(&top, &path).and_then(rustix::fs::fstat).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && stat.st_mode & 0o111 != 0
        })
    };
    let path = job.env.get("PATH").map_or("", String::as_str);
    let mut places: Vec<PathBuf> = if name.contains('/') {
        vec![name.into()]
    } else {
        path.split(':').map(|folder| Path::new(folder).join(name)).collect()
    };
    places.retain(|place| is_program(place));
    let reason = no_program(name, path);
    places.into_iter().next().ok_or_else(|| Box::new(Answer::Program { reason }))
}

/// What a process is told by its parent's signals, it passes on to its child.
const PASSED_ON: [i32; 7] = {
    use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]
};

/// The signals that are passed on. A step has none passed on: who stops a build kills its helper
/// process, and a step that is told of it could still end well, half done.
struct Passed(Option<Signals>);

impl Passed {
    /// Listens from now on: before the child is started, so that none is missed.
    fn new(job: &Job) -> Result<Self> {
        let signals = job.interactive.then(|| Signals::new(PASSED_ON)).transpose();
        signals.map(Self).or_failed("listen to signals")
    }
}

/// Waits for a child, and passes signals on to it meanwhile. No thread does it: a process that has
/// unshared its pid namespace can start none.
fn wait_for(child: Pid, passed: Passed) -> Result<WaitStatus> {
    let options = if passed.0.is_some() { WaitOptions::NOHANG } else { WaitOptions::empty() };
    let mut signals = passed.0;
    loop {
        match waitpid(Some(child), options) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).or_failed("wait for a process"),
        }
        for number in signals.iter_mut().flat_map(Signals::wait) {
            if number == signal_hook::consts::SIGCHLD {
                continue;
            }
            if let Some(signal) = Signal::from_named_raw(number) {
                let _ = kill_process(child, signal);
            }
        }
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "boxed, as all errors of this module")]
fn store_failed(error: StoreError) -> Box<Answer> {
    match error {
        StoreError::Io { path, source, .. } => {
            Box::new(Answer::Store { path, errno: source.raw_os_error().unwrap_or(0) })
        }
        other => {
            Box::new(Answer::Failed { action: "keep an output".into(), reason: other.to_string() })
        }
    }
}

/// Keeps an output as the command left it, links on the way to it followed within the root.
fn keep(store: &Store, root: &Path, output: &RelPath) -> Result<Digest> {
    let missing = || Box::new(Answer::MissingOutput { output: output.clone() });
    let bad = |error: StoreError| match error {
        StoreError::Unsupported { path, kind } => {
            let inside = path
                .strip_prefix("/proc/self/fd")
                .map_or(path.clone(), |inside| inside.components().skip(1).collect());
            let reason = unsupported(&inside.to_string_lossy(), kind);
            Box::new(Answer::BadOutput { output: output.clone(), reason })
        }
        other => store_failed(other),
    };
    let top = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY, FileMode::empty())
        .or_failed("open the root")?;
    let path = Path::new(std::ffi::OsStr::from_bytes(output.as_bytes()));
    let found = match open_within(&top, path) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(missing()),
        other => other.or_failed("open an output")?,
    };
    // A path to exactly what was opened, whatever its name leads to by now.
    let path = PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()));
    let metadata = fs::metadata(&path).map_err(|_| missing())?;
    let tree = if metadata.is_dir() {
        store.check_in(&path).map_err(bad)?
    } else {
        let reason = NO_FOLDER.to_owned();
        return Err(Box::new(Answer::BadOutput { output: output.clone(), reason }));
    };
    store.put_tree(&tree).map_err(store_failed)
}
