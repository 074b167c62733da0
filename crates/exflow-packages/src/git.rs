//! A revision of a git repository, as something that is fetched.

use exflow_content::{Digest, Encoder};

/// A revision of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// Where it is. Beside the revision: never in its key.
    pub url: String,
    /// Its whole digest: 40 or 64 hexadecimal digits.
    pub revision: String,
    /// Whether what `.gitmodules` names is fetched, too.
    pub submodules: bool,
    /// The only folder that is wanted.
    pub sparse: Option<String>,
    /// The digest of the tree that comes of it, where that is known: a revision is a digest of SHA-1, as a rule.
    pub tree: Option<Digest>,
}

impl GitSource {
    /// The key of its tree. The content is the identity: where it comes from is not in it.
    ///
    /// # Encoding
    /// Tag `exflow git source 1`, or where the tree is known `exflow git source 2`; the revision; whether with submodules;
    /// optional, the folder; the tree, where it is known.
    pub fn key(&self) -> Digest {
        let tag = if self.tree.is_some() { "exflow git source 2" } else { "exflow git source 1" };
        let mut encoder = Encoder::new(tag);
        encoder.text(&self.revision).flag(self.submodules);
        encoder.optional(self.sparse.as_ref(), |encoder, folder| {
            encoder.text(folder);
        });
        if let Some(tree) = &self.tree {
            encoder.digest(tree);
        }
        encoder.digest_of()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> GitSource {
        GitSource {
            url: "https://example.org/tool.git".into(),
            revision: "0123456789abcdef0123456789abcdef01234567".into(),
            submodules: false,
            sparse: None,
            tree: None,
        }
    }

    #[test]
    fn the_key_is_pinned() {
        assert_eq!(
            source().key().to_string(),
            "e10a160dfd85b6b608354e0fe2febd98fda30e6a61f09b1c418eb7be69771350"
        );
    }

    #[test]
    fn what_is_in_the_key() {
        let mut keys = vec![source().key()];
        keys.push(GitSource { submodules: true, ..source() }.key());
        keys.push(GitSource { sparse: Some("lib".into()), ..source() }.key());
        keys.push(GitSource { revision: "f".repeat(40), ..source() }.key());
        keys.push(GitSource { tree: Some(Digest::of(b"files")), ..source() }.key());
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        // Where it comes from is not.
        assert_eq!(GitSource { url: "file:///mirror".into(), ..source() }.key(), source().key());
    }
}
