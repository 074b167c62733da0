//! The process that becomes the step.

use crate::protocol::{Frame, Request};
use crate::{Failure, ROOT, Tried};
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, symlink, utimensat};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_move, mount_remount,
};
use rustix::process::{
    Resource, Rlimit, chroot, getegid, geteuid, getrlimit, setrlimit, setsid, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    unshare_unsafe,
};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What the step's root user may do: the same as in exflow's own sandbox.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_CHROOT);

/// Parts of `/proc` that a step must not see.
const MASKED: [&str; 6] =
    ["proc/acpi", "proc/kcore", "proc/keys", "proc/timer_list", "proc/scsi", "proc/latency_stats"];
/// Parts of `/proc` that a step must not write to: they are the whole machine's.
const READ_ONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Makes this process the step. What goes wrong before it is the step is written to the file
/// descriptor that is named by `failed`, which ends when the step begins.
pub(crate) fn become_step(failed: Option<OsString>) -> ExitCode {
    let number = failed.unwrap_or_default();
    let Ok(mut failed) = File::options().write(true).open(Path::new("/proc/self/fd").join(&number))
    else {
        return ExitCode::FAILURE;
    };
    close(&number);
    let frame = match prepare() {
        Ok((request, Some(program))) => {
            let error = command(&request, &program).exec();
            // It is in the log then, and the exit code is the one that shells give.
            let reason = format!("exflow: `{}` can't be started: {error}\n", program.display());
            let _ = io::stderr().write_all(reason.as_bytes());
            return ExitCode::from(126);
        }
        Ok((_, None)) => Frame::NoProgram,
        Err(failure) => {
            Frame::Failed { action: failure.action.to_owned(), reason: failure.error.to_string() }
        }
    };
    let _ = frame.write(&mut failed);
    ExitCode::FAILURE
}

/// The one that was inherited would stay open in the step.
fn close(number: &OsStr) {
    use std::os::fd::BorrowedFd;
    if let Some(number) = number.to_str().and_then(|number| number.parse().ok()) {
        #[expect(unsafe_code, reason = "the number is that of an open file: it was just opened")]
        // SAFETY: as the reason says, and this process has one thread.
        let inherited = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(inherited, FdFlags::CLOEXEC);
    }
}

/// Everything but the program itself; what is to be run, and the program if there is one.
fn prepare() -> Result<(Request, Option<PathBuf>), Failure> {
    let request = Request::read(&mut io::stdin().lock()).tried("read the request")?;
    // Before the root is there, so that its folders can be written to.
    make_workdir(&request).tried("make the working folder")?;
    enter_root()?;
    let workdir = Path::new("/").join(OsStr::from_bytes(&request.workdir));
    std::env::set_current_dir(&workdir).tried("go to the working folder")?;
    umask(Mode::from_raw_mode(0o022));
    limit_files(request.open_files);
    let _ = setsid();
    // Docker gives every process the group of its user once more.
    let _ = set_thread_groups(&[]);
    enter_user_namespace()?;
    drop_capabilities().tried("drop rights")?;
    let program = find_program(&request);
    Ok((request, program))
}

fn command(request: &Request, program: &Path) -> Command {
    let mut command = Command::new(program);
    let mut arguments = request.argv.iter().map(|argument| OsStr::from_bytes(argument));
    command.arg0(arguments.next().unwrap_or_default()).args(arguments).env_clear();
    for pair in request.env.chunks_exact(2) {
        command.env(OsStr::from_bytes(&pair[0]), OsStr::from_bytes(&pair[1]));
    }
    command.stdin(Stdio::null());
    command
}

/// Makes the working folder and those above it where they are missing, as inputs are: with their
/// mode, and with the time of all inputs.
fn make_workdir(request: &Request) -> io::Result<()> {
    let mut path = PathBuf::from(ROOT);
    let time = Timespec { tv_sec: request.mtime.cast_signed(), tv_nsec: 0 };
    for name in request.workdir.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        path.push(OsStr::from_bytes(name));
        match fs::symlink_metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                utimensat(
                    CWD,
                    &path,
                    &Timestamps { last_access: time, last_modification: time },
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the step's root this process's root, with a `/proc` and a `/dev`.
fn enter_root() -> Result<(), Failure> {
    #[expect(unsafe_code, reason = "unshares neither file descriptors nor memory")]
    // SAFETY: the flags change only which mounts and networks this process sees.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }
        .tried("make a mount and a network namespace")?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .tried("keep mounts to itself")?;
    mount_bind(ROOT, ROOT).tried("mount the root")?;
    std::env::set_current_dir(ROOT).tried("go to the root")?;
    for folder in ["proc", "dev"] {
        match fs::symlink_metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(io::Error::from(io::ErrorKind::NotADirectory)).tried("mount /proc");
            }
            Err(_) => {
                fs::create_dir(folder).tried("make a folder")?;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
                    .tried("make a folder")?;
            }
        }
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "proc", "proc", flags, None).tried("mount /proc")?;
    mask_proc()?;
    make_devices()?;
    // Over the old root, which is then out of reach: Docker's system call filter has no pivot_root(2)
    // for containers.
    mount_move(".", "/").tried("change the root")?;
    chroot(".").tried("change the root")?;
    std::env::set_current_dir("/").tried("go to the root")
}

fn mask_proc() -> Result<(), Failure> {
    for path in MASKED {
        let Ok(found) = fs::symlink_metadata(path) else { continue };
        if found.is_dir() {
            mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, None).tried("mask parts of /proc")?;
        } else {
            mount_bind("/dev/null", path).tried("mask parts of /proc")?;
        }
    }
    for path in READ_ONLY {
        if fs::symlink_metadata(path).is_err() {
            continue;
        }
        mount_bind(path, path).tried("protect parts of /proc")?;
        let flags = MountFlags::BIND
            | MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC;
        mount_remount(path, flags, c"").tried("protect parts of /proc")?;
    }
    Ok(())
}

/// The devices that every step sees. Those of the container are bound, because making any needs a
/// right that root of a user namespace doesn't have.
fn make_devices() -> Result<(), Failure> {
    let options = |text| Some(text);
    let flags = MountFlags::NOSUID | MountFlags::STRICTATIME;
    mount("tmpfs", "dev", "tmpfs", flags, options(c"mode=755,size=65536k")).tried("mount /dev")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let at = Path::new("dev").join(name);
        File::create(&at).tried("make a device")?;
        mount_bind(Path::new("/dev").join(name), &at).tried("make a device")?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, Path::new("dev").join(name)).tried("make a device")?;
    }
    for folder in ["dev/pts", "dev/shm"] {
        fs::create_dir(folder).tried("make a device")?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", "dev/pts", "devpts", flags, options(c"newinstance,ptmxmode=0666,mode=0620"))
        .tried("mount /dev/pts")?;
    let flags = flags | MountFlags::NODEV;
    mount("shm", "dev/shm", "tmpfs", flags, options(c"mode=1777,size=65536k"))
        .tried("mount /dev/shm")
}

/// A user namespace with a single user, as in exflow's own sandbox, so that changing to another
/// user fails in both. A daemon's host may not allow it, and then the step has the users of its
/// container. The mounts were made outside of it, so it can't undo them.
fn enter_user_namespace() -> Result<(), Failure> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    #[expect(unsafe_code, reason = "unshares neither file descriptors nor memory")]
    // SAFETY: the flag changes only who this process is.
    if unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.is_err() {
        return Ok(());
    }
    fs::write("/proc/self/setgroups", "deny").tried("set up a user namespace")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1")).tried("set up a user namespace")?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1")).tried("set up a user namespace")
}

fn drop_capabilities() -> io::Result<()> {
    set_no_new_privs(true)?;
    for capability in CapabilitySet::all().difference(CAPABILITIES).iter() {
        // An older kernel doesn't know the newest.
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    clear_ambient_capability_set()?;
    let sets = CapabilitySets {
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

fn limit_files(open_files: u64) {
    let mut limit: Rlimit = getrlimit(Resource::Nofile);
    limit.current = Some(limit.maximum.map_or(open_files, |maximum| maximum.min(open_files)));
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The program, found as a shell would.
fn find_program(request: &Request) -> Option<PathBuf> {
    let name = OsStr::from_bytes(request.argv.first()?);
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    let path = request.env.chunks_exact(2).find(|pair| pair[0] == b"PATH").map(|pair| &pair[1]);
    let folders = path.into_iter().flat_map(|path| path.split(|byte| *byte == b':'));
    folders.map(|folder| Path::new(OsStr::from_bytes(folder)).join(name)).find(is_program)
}
