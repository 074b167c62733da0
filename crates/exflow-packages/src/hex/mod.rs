//! Packages of Hex's: their tarballs, and what a user has configured for it.

mod config;
mod etf;
mod tarball;
mod terms;

pub use config::{HexKey, HexRepository, read_hex_config};
pub use tarball::{Limits, TarballError, UnpackedHex, read_tarball};
pub use terms::{Term, TermError, parse_terms};

use exflow_content::{Digest, Encoder, Sha256};
use std::fmt;

/// A package of Hex's, as mix.lock pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexPackage {
    /// The repository: `hexpm`, `hexpm:ORGANISATION`, or what the user calls one of their own.
    pub repo: String,
    /// What the package is called there. The application in it may have another name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The sha256 of what is in its tarball, which is all that old locks have.
    pub inner: Option<Sha256>,
    /// The sha256 of its tarball.
    pub outer: Option<Sha256>,
    /// What it can be built with: `mix`, `rebar3`, `make`.
    pub managers: Vec<String>,
}

impl HexPackage {
    /// The key of its tree. All of it is in the tree, in the file that Mix compares with the lock.
    ///
    /// # Encoding
    /// Tag `exflow hex package 1`; repository; name; version; optional, the inner checksum; optional,
    /// the outer one; the list of managers.
    pub fn key(&self) -> Digest {
        let mut encoder = Encoder::new("exflow hex package 1");
        encoder.text(&self.repo).text(&self.name).text(&self.version);
        for checksum in [&self.inner, &self.outer] {
            encoder.optional(checksum.as_ref(), |encoder, checksum| {
                encoder.sha256(checksum);
            });
        }
        encoder.list(self.managers.iter(), |encoder, manager| {
            encoder.text(manager);
        });
        encoder.digest_of()
    }

    /// The organisation of hex.pm's that it is private to.
    pub fn organisation(&self) -> Option<&str> {
        self.repo.strip_prefix("hexpm:")
    }
}

/// `jason 1.4.4`, and where it isn't a public one of hex.pm's, `hexpm:acme/secret 1.0.0`.
impl fmt::Display for HexPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repo != "hexpm" {
            write!(f, "{}/", self.repo)?;
        }
        write!(f, "{} {}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> HexPackage {
        HexPackage {
            repo: "hexpm".into(),
            name: "jason".into(),
            version: "1.4.4".into(),
            inner: Some(Sha256::of(b"inner")),
            outer: Some(Sha256::of(b"outer")),
            managers: vec!["mix".into()],
        }
    }

    /// Keys are in users' stores. If this fails, the encoding has changed, or the tree that is made of a
    /// package: give it a new version.
    #[test]
    fn the_key_is_pinned() {
        assert_eq!(
            package().key().to_string(),
            "d626685e78f41f0b218201da1d23af184f6ae69c281f690ef204fe42aa63ae0b"
        );
    }

    #[test]
    fn all_of_it_is_in_the_key() {
        let one = package();
        let others = [
            HexPackage { repo: "hexpm:acme".into(), ..one.clone() },
            HexPackage { name: "jaso".into(), ..one.clone() },
            HexPackage { version: "1.4.5".into(), ..one.clone() },
            HexPackage { inner: None, ..one.clone() },
            HexPackage { outer: None, ..one.clone() },
            HexPackage { outer: one.inner, inner: None, ..one.clone() },
            HexPackage { inner: one.outer, outer: None, ..one.clone() },
            HexPackage { managers: vec![], ..one.clone() },
            HexPackage { managers: vec!["mix".into(), "make".into()], ..one.clone() },
        ];
        let mut keys: Vec<Digest> = others.iter().map(HexPackage::key).collect();
        keys.push(one.key());
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
    }

    #[test]
    fn what_it_is_called() {
        let one = package();
        assert_eq!((one.to_string().as_str(), one.organisation()), ("jason 1.4.4", None));
        let private = HexPackage { repo: "hexpm:acme".into(), ..one };
        assert_eq!(private.to_string(), "hexpm:acme/jason 1.4.4");
        assert_eq!(private.organisation(), Some("acme"));
    }
}
