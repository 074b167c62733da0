//! Signatures, and the keys that an image trusts (apk-v2(5), "THE SIGNATURES"; apk-keys(5)).

use super::segment::segment;
use crate::archive::{ArchiveError, Bounds, EntryKind, each};
use exflow_content::Sha256;
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

/// The largest signature segment, unpacked, in bytes. Alpine's have one signature of 512 bytes.
const MAX_SEGMENT: u64 = 256 << 10;
/// How many signatures a segment may have.
const MAX_SIGNATURES: u64 = 32;

/// Public keys by the names of their files in `/etc/apk/keys`.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, RsaPublicKey>);

/// A signature, as a signature segment has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What is signed.
    pub algorithm: Algorithm,
    /// The name of the key's file: `alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub`.
    pub key: String,
    /// The signature itself.
    pub bytes: Vec<u8>,
}

/// What is signed: a digest, by RSA as PKCS #1 1.5 has it (RFC 8017, section 8.2).
///
/// SHA-1 is what Alpine's own repositories use. See [`Checksum`](super::Checksum) for what it still
/// is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `.SIGN.RSA.…`
    Sha1,
    /// `.SIGN.RSA256.…`
    Sha256,
}

/// Why something does not count as signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The segment is no archive, or a key's file is no key.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What should be a signature segment holds something else.
    #[error("it doesn't begin with a signature, but with `{0}`")]
    Unsigned(String),
    /// A key that is no key.
    #[error("`{0}` is not an RSA public key in PEM")]
    Key(String),
    /// None of the keys that signed it is trusted.
    #[error("it is signed by none of the trusted keys, but with: {}", .0.join(", "))]
    Untrusted(Vec<String>),
    /// A trusted key is said to have signed it, and has not.
    #[error("its signature by `{0}` is not valid")]
    Invalid(String),
}

impl Keys {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the key of a file of `/etc/apk/keys`: its name, and its content, which is a
    /// SubjectPublicKeyInfo in PEM.
    pub fn add(&mut self, name: &str, pem: &[u8]) -> Result<(), SignatureError> {
        let key = std::str::from_utf8(pem)
            .ok()
            .and_then(|pem| RsaPublicKey::from_public_key_pem(pem.trim()).ok())
            .ok_or_else(|| SignatureError::Key(name.chars().take(200).collect()))?;
        self.0.insert(name.to_owned(), key);
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that one of these keys signed `signed`. Of several signatures, the first by a key that
    /// is trusted decides, as with apk.
    pub fn verify(&self, signatures: &[Signature], signed: &[u8]) -> Result<(), SignatureError> {
        let known = signatures.iter().find_map(|found| Some((found, self.0.get(&found.key)?)));
        let Some((signature, key)) = known else {
            return Err(SignatureError::Untrusted(
                signatures.iter().map(|signature| signature.key.clone()).collect(),
            ));
        };
        let (scheme, digest) = match signature.algorithm {
            Algorithm::Sha1 => (Pkcs1v15Sign::new::<Sha1>(), Sha1::digest(signed).to_vec()),
            Algorithm::Sha256 => {
                (Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), Sha256::of(signed).as_bytes().to_vec())
            }
        };
        key.verify(scheme, &digest, &signature.bytes)
            .map_err(|_| SignatureError::Invalid(signature.key.clone()))
    }
}

/// Reads the signature segment that `reader` begins with. Signatures of a kind that is not known
/// are left out.
pub(super) fn read_signatures(reader: &mut impl BufRead) -> Result<Vec<Signature>, SignatureError> {
    let mut signatures = Vec::new();
    let bounds = Bounds { bytes: MAX_SEGMENT, entries: MAX_SIGNATURES, absolute: false };
    let mut found = false;
    each::<_, SignatureError>(segment(reader, &mut |_| {}), bounds, |mut item, _| {
        let shown = || item.path.to_string().chars().take(200).collect();
        let name = item.path.as_str().and_then(|name| name.strip_prefix(".SIGN."));
        let Some(name) = name.filter(|_| item.kind == EntryKind::File) else {
            return Err(SignatureError::Unsigned(shown()));
        };
        found = true;
        let (algorithm, key) = match name.split_once('.') {
            Some(("RSA", key)) => (Algorithm::Sha1, key.to_owned()),
            Some(("RSA256", key)) => (Algorithm::Sha256, key.to_owned()),
            _ => return Ok(0),
        };
        let mut bytes = Vec::new();
        item.content.read_to_end(&mut bytes).map_err(ArchiveError::from)?;
        let length = bytes.len() as u64;
        signatures.push(Signature { algorithm, key, bytes });
        Ok(length)
    })?;
    if found { Ok(signatures) } else { Err(SignatureError::Unsigned(String::new())) }
}
