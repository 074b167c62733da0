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
        if let Some(room) = room {
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={room}m"), "tmpfs"])
                .arg(at("data"))
                .status();
            assert!(mount.unwrap().success());
        }
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
        let mut started = Self { folder, daemon };
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
        // It ends its own containerd, and takes its mounts away; one that was killed does neither.
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let _ = self.daemon.wait();
        let own = self.folder.path().to_string_lossy().into_owned();
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let number = process.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(process) = number.and_then(Pid::from_raw)
                && String::from_utf8_lossy(&line).contains(&own)
            {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        // The last one first: it may be in another.
        for line in mounts.lines().rev() {
            if let Some(at) = line.split(' ').nth(1).filter(|at| at.starts_with(&own)) {
                let _ = Command::new("umount").arg("-l").arg(at).status();
            }
        }
    }
}
