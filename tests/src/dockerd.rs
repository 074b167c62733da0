//! A Docker daemon of a test's own.

use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon that ends with the test.
#[derive(Debug)]
pub struct Dockerd {
    folder: tempfile::TempDir,
    daemon: Child,
    /// A file system of its own that it keeps its data on.
    mounted: Option<PathBuf>,
}

impl Dockerd {
    /// Starts one, where this user may and the program is there. `arguments` are added to those that
    /// make it a daemon beside others; `room`, in MiB, is what it has for its data.
    pub fn start(arguments: &[&str], room: Option<u32>) -> Option<Self> {
        let is_there = Command::new("dockerd").arg("--version").output().is_ok();
        if !geteuid().is_root() || !is_there {
            return None;
        }
        // A path of a socket is short.
        let folder = tempfile::Builder::new().prefix("dockerd").tempdir_in("/tmp").unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("data")).unwrap();
        let mounted = room.map(|room| {
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={room}m"), "tmpfs"])
                .arg(at("data"))
                .status();
            assert!(mount.unwrap().success());
            at("data")
        });
        let log = File::create(at("log")).unwrap();
        let daemon = Command::new("dockerd")
            .arg("--host")
            .arg(format!("unix://{}", at("socket").display()))
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["--bridge", "none", "--iptables=false"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut started = Self { folder, daemon, mounted };
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(started.socket()).is_err() {
            let ended = started.daemon.try_wait().unwrap();
            let log = || std::fs::read_to_string(started.folder.path().join("log"));
            assert!(ended.is_none() && begun.elapsed() < Duration::from_mins(1), "{:?}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(started)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A folder that lives as long as it does.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it, as when a machine goes down.
    pub fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // It ends its own containerd, and takes its mounts away.
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let _ = self.daemon.wait();
        if let Some(mounted) = &self.mounted {
            let _ = Command::new("umount").arg("-l").arg(mounted).status();
        }
    }
}
