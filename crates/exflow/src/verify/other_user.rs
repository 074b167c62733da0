//! Work as another user than the one who started exflow, where that is root.

use rustix::fs::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The other user: one whom nobody is, and to whom nothing belongs. From here on systemd gives no numbers away ("Users,
/// Groups, UIDs and GIDs on systemd Systems"), nor does anyone else.
pub(crate) const OTHER: u32 = 2_000_000_019;
/// What the other user's folders are called; behind it are the number of the process that uses one, and its own.
const PREFIX: &str = "exflow-verify-";

/// Whether this process can be another user, too: root may, unless it is kept from that, as in most containers.
pub(crate) fn is_possible() -> bool {
    rustix::process::geteuid().is_root()
        && OthersFolder::new().is_ok()
        && as_other_user(|| ()).is_ok()
}

/// Where the other user's folders are: where they can get to. A user's store is closed, and mostly the folders above it.
fn parent() -> PathBuf {
    match std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        // On the disk, as a rule: a builder takes some room.
        None => PathBuf::from("/var/tmp"),
    }
}

/// A folder of the other user's, which is removed when this is dropped.
pub(crate) struct OthersFolder(PathBuf);

impl OthersFolder {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        let parent = parent();
        sweep(&parent);
        let process = std::process::id();
        let mut made = Err(io::ErrorKind::AlreadyExists.into());
        for number in 0..100 {
            let path = parent.join(format!("{PREFIX}{process}-{number}"));
            made = fs::DirBuilder::new().mode(0o700).create(&path).map(|()| Self(path));
            if !matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        let folder = made.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("can't make a folder in {}: {error}", parent.display()),
            )
        })?;
        rustix::fs::chown(&folder.0, Some(Uid::from_raw(OTHER)), Some(Gid::from_raw(OTHER)))?;
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OthersFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what processes that have ended left behind.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        let is_over = process.is_some_and(|(process, _)| {
            process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists()
        });
        if is_over {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Does `work` in a thread that is the other user, as are the threads and programs that it starts. The thread can read
/// what root can: the user's store and workspace, where inputs come from. The programs can't.
///
/// Linux keeps credentials by thread (credentials(7)); other threads of this process stay what they are.
pub(crate) fn as_other_user<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_other()?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn become_other() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(OTHER), Gid::from_raw(OTHER));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    // Or reading would end with being root.
    set_keep_capabilities(true)?;
    set_thread_res_uid(user, user, user)?;
    let reads = CapabilitySet::DAC_READ_SEARCH;
    // A program keeps none of them: nothing is inherited.
    let sets =
        CapabilitySets { effective: reads, permitted: reads, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}
