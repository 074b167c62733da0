//! Who may say what is in an archive.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::Signature;
use pgp::types::VerifyingKey;

/// The keys of Debian's archives, as the package debian-archive-keyring has them.
const DEBIAN: &[&str] = &[
    include_str!("../../keys/debian-archive-bullseye-automatic.asc"),
    include_str!("../../keys/debian-archive-bullseye-security-automatic.asc"),
    include_str!("../../keys/debian-archive-bullseye-stable.asc"),
    include_str!("../../keys/debian-archive-bookworm-automatic.asc"),
    include_str!("../../keys/debian-archive-bookworm-security-automatic.asc"),
    include_str!("../../keys/debian-archive-bookworm-stable.asc"),
    include_str!("../../keys/debian-archive-trixie-automatic.asc"),
    include_str!("../../keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../../keys/debian-archive-trixie-stable.asc"),
];

/// Keys that are trusted to sign indexes.
#[derive(Debug)]
pub struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// The keys of Debian's own archives.
    pub fn debian() -> Self {
        let mut keyring = Self(Vec::new());
        for keys in DEBIAN {
            keyring.add(keys.as_bytes()).expect("the keys that ship with exflow are keys");
        }
        keyring
    }

    /// Adds the keys in `bytes`, ASCII-armoured or binary (RFC 9580).
    ///
    /// # Errors
    /// A phrase that says what is wrong with them.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        let armoured = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
        let keys: Vec<SignedPublicKey> = if armoured {
            SignedPublicKey::from_armor_many(bytes)
                .and_then(|(keys, _)| keys.collect::<Result<_, _>>())
        } else {
            SignedPublicKey::from_bytes_many(bytes).and_then(|keys| keys.collect::<Result<_, _>>())
        }
        .map_err(|error| error.to_string())?;
        if keys.is_empty() {
            return Err("there is no key in it".into());
        }
        self.0.extend(keys);
        Ok(())
    }

    /// The text that a trusted key has signed in a clear-signed message, and nothing around it.
    ///
    /// # Errors
    /// A phrase that says what is wrong with the signature.
    pub fn verify(&self, message: &[u8]) -> Result<String, String> {
        let message = std::str::from_utf8(message).map_err(|_| "it is not UTF-8".to_owned())?;
        if !message.trim_start().starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
            return Err("it has no signature".into());
        }
        let (message, _) =
            CleartextSignedMessage::from_string(message).map_err(|error| error.to_string())?;
        let text = message.signed_text();
        let trusted = message.signatures().iter().any(|signature| {
            is_strong(signature) && self.0.iter().any(|key| verifies(key, signature, &text))
        });
        if trusted {
            return Ok(text);
        }
        let signers: Vec<String> = message
            .signatures()
            .iter()
            .flat_map(Signature::issuer_key_id)
            .map(ToString::to_string)
            .collect();
        Err(match &signers[..] {
            [] => "its signatures name no key".into(),
            signers => format!("it is signed by {}", signers.join(", ")),
        })
    }
}

/// Not by a hash that is broken.
fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    )
}

fn verifies(key: &SignedPublicKey, signature: &Signature, text: &str) -> bool {
    fn by(key: &impl VerifyingKey, signature: &Signature, text: &str) -> bool {
        signature.issuer_key_id().contains(&&key.legacy_key_id())
            && signature.verify(key, text.as_bytes()).is_ok()
    }
    by(&key.primary_key, signature, text)
        || key.public_subkeys.iter().any(|subkey| by(&subkey.key, signature, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_keys_are_there() {
        assert_eq!(Keyring::debian().0.len(), DEBIAN.len());
    }

    #[test]
    fn what_is_not_signed_is_refused() {
        let keyring = Keyring::debian();
        for text in ["", "Suite: stable\n", "-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n"] {
            assert!(keyring.verify(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Keyring::debian().add(b"nonsense").is_err());
    }
}
