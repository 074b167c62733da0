//! A file of the web, as something that is fetched.

use exflow_content::{Digest, Encoder, Mode, RelPath, Sha256};

/// The largest one in bytes.
pub const MAX_REMOTE_FILE: u64 = 256 << 20;

/// One file, known by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Where it is. Beside the digest: never in its key.
    pub url: String,
    /// The sha256 of its bytes.
    pub sha256: Sha256,
    /// What it is called in its tree, of which it is all there is.
    pub name: RelPath,
    /// Whether it can be run.
    pub is_executable: bool,
}

impl RemoteFile {
    /// Whether an address is one that is asked: of HTTP or HTTPS.
    pub fn is_address(url: &str) -> bool {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Its permissions.
    pub fn mode(&self) -> Mode {
        if self.is_executable { Mode::EXECUTABLE } else { Mode::FILE }
    }

    /// The key of its tree. The content is the identity: where it comes from is not in it.
    ///
    /// # Encoding
    /// Tag `exflow remote file 1`; the sha256; the name; whether it can be run.
    pub fn key(&self) -> Digest {
        let mut encoder = Encoder::new("exflow remote file 1");
        encoder.sha256(&self.sha256).bytes(self.name.as_bytes()).flag(self.is_executable);
        encoder.digest_of()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> RemoteFile {
        RemoteFile {
            url: "https://example.org/tool-1.0".into(),
            sha256: Sha256::of(b"tool"),
            name: RelPath::new("tool").unwrap(),
            is_executable: true,
        }
    }

    /// Keys are in users' stores. If this fails, the encoding has changed: give it a new version.
    #[test]
    fn the_key_is_pinned() {
        assert_eq!(
            file().key().to_string(),
            "eb30a36a58738dd43a42d8dc7a473d850da010129c035a64c5ee6b891de5af7c"
        );
    }

    #[test]
    fn what_is_in_the_key() {
        let mut keys = vec![file().key()];
        keys.push(RemoteFile { sha256: Sha256::of(b"other"), ..file() }.key());
        keys.push(RemoteFile { name: RelPath::new("other").unwrap(), ..file() }.key());
        keys.push(RemoteFile { is_executable: false, ..file() }.key());
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        assert_eq!(RemoteFile { url: "http://mirror".into(), ..file() }.key(), file().key());
    }

    #[test]
    fn addresses() {
        for (url, expected) in [
            ("https://example.org/a?b=c", true),
            ("http://localhost:80/a", true),
            ("https://", false),
            ("https:///a", false),
            ("file:///etc/passwd", false),
            ("example.org/a", false),
            ("https://example.org/a b", false),
            ("https://example.org/\n", false),
        ] {
            assert_eq!(RemoteFile::is_address(url), expected, "{url}");
        }
    }
}
