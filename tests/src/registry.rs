//! A registry: Debian's package `docker-registry`.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A registry on loopback, without TLS, that ends with the test.
#[derive(Debug)]
pub struct DockerRegistry {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
}

/// Who may write, where that is asked: the user and the password.
pub const USER: (&str, &str) = ("user", "secret");

impl DockerRegistry {
    /// Starts one, where the program is there. With `auth` it wants to know who writes.
    pub fn start(auth: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = |name: &str| folder.path().join(name).display().to_string();
        // bcrypt of `secret`.
        let hash = "$2b$04$QzgHQDAQtTXCRn9cuV8y4uEtwx6CqQeBN7yRUI3r4qRjsswVYXoTK";
        std::fs::write(at("htpasswd"), format!("{}:{hash}\n", USER.0)).unwrap();
        let auth = if auth {
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", at("htpasswd"))
        } else {
            String::new()
        };
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n{auth}",
            at("data")
        );
        std::fs::write(at("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut registry = Self { folder, process, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = registry.process.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(20), "no registry");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The document under a tag; none where there is none.
    pub fn tagged(&self, repository: &str, tag: &str) -> Option<serde_json::Value> {
        let v2 = self.folder.path().join("data/docker/registry/v2");
        let link = v2.join("repositories").join(repository);
        let link = link.join(format!("_manifests/tags/{tag}/current/link"));
        self.blob(&std::fs::read_to_string(link).ok()?)
    }

    /// A blob or a manifest, which is JSON, by its digest.
    pub fn blob(&self, digest: &str) -> Option<serde_json::Value> {
        let digest = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        let bytes = std::fs::read(blobs.join(&digest[..2]).join(digest).join("data")).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What it has by this name: a manifest by its tag or digest, or a blob.
    pub fn has(&self, repository: &str, kind: &str, name: &str) -> bool {
        let link = match kind {
            "tags" => format!("_manifests/tags/{name}/current/link"),
            other => format!("_{other}/sha256/{}/link", name.trim_start_matches("sha256:")),
        };
        let repositories = self.folder.path().join("data/docker/registry/v2/repositories");
        repositories.join(repository).join(link).is_file()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
