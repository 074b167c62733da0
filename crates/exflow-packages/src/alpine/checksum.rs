use base64ct::{Base64, Encoding};
use sha1::{Digest, Sha1};
use std::fmt;
use std::str::FromStr;

/// What apk calls a package, and the content of a file, by: a SHA-1 digest, written as `Q1` and
/// base64.
///
/// SHA-1 is what Alpine has. Collisions of it can be made, so whoever makes a package could make
/// two that are called the same; another package for one that exists, nobody can make.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 20]);

/// A text that should be a checksum and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a checksum: expected `Q1` and a SHA-1 digest in base64")]
pub struct ParseChecksumError(String);

impl Checksum {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha1::digest(bytes).into())
    }

    /// The checksum that is this digest.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 28];
        write!(f, "Q1{}", Base64::encode(&self.0, &mut buffer).unwrap_or_default())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

impl FromStr for Checksum {
    type Err = ParseChecksumError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 20];
        text.strip_prefix("Q1")
            .and_then(|encoded| Base64::decode(encoded, &mut digest).ok())
            .filter(|decoded| decoded.len() == 20)
            .ok_or_else(|| ParseChecksumError(text.chars().take(80).collect()))?;
        Ok(Self(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_apk_does() {
        let empty = Checksum::of(b"");
        assert_eq!(empty.to_string(), "Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=");
        assert_eq!("Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=".parse(), Ok(empty));
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "Q1",
            "Q2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            "Q12jmj7l5rSw0yVb/vlWAYkK/YBwk",
            "Q12jmj7l5rSw0yVb/vlWAYkK/YBwkAA=",
            "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        ] {
            assert!(text.parse::<Checksum>().is_err(), "{text}");
        }
    }
}
