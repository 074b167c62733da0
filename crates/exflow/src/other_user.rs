//! Work as another user than the one who started exflow, where that is root.

use rustix::fs::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The other user: nobody, to whom no file belongs.
pub(crate) const NOBODY: u32 = 65_534;

/// Whether this process can be another user, too.
pub(crate) fn is_possible() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder of the other user's, which is removed when this is dropped.
pub(crate) struct OthersFolder(PathBuf);

impl OthersFolder {
    /// A new folder where the other user can get to: a user's store is closed, and mostly the folders above it are.
    pub(crate) fn new() -> io::Result<Self> {
        let parent = match std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            // On the disk, as a rule: a builder takes some room.
            None => PathBuf::from("/var/tmp"),
        };
        let path = parent.join(format!("exflow-verify-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        let folder = Self(path);
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o700))?;
        rustix::fs::chown(&folder.0, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OthersFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
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
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
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
