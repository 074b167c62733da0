//! Who may say what is in an archive.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{Duration, KeyDetails, Tag, Timestamp, VerifyingKey};

/// The most lines of a message that is read. Debian's indexes have some 4,000.
const MAX_LINES: usize = 20_000;
/// How many signatures of a message are looked at. Debian's indexes have up to four.
const MAX_SIGNATURES: usize = 16;

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
            SignedPublicKey::from_bytes_many(bytes).and_then(Iterator::collect)
        }
        .map_err(|error| error.to_string())?;
        if keys.is_empty() {
            return Err("there is no key in it".into());
        }
        self.0.extend(keys);
        Ok(())
    }

    /// The text that a trusted key has signed in a clear-signed message, and nothing around it.
    /// Keys and signatures count as they are at `now`, in seconds of Unix time.
    ///
    /// # Errors
    /// A phrase that says what is wrong with the signature.
    pub fn verify(&self, message: &[u8], now: u64) -> Result<String, String> {
        // The parser takes a time that grows with the square of it.
        if message.split(|byte| *byte == b'\n').nth(MAX_LINES).is_some() {
            return Err(format!("it has more than {MAX_LINES} lines"));
        }
        let message = std::str::from_utf8(message).map_err(|_| "it is not UTF-8".to_owned())?;
        if !message.trim_start().starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
            return Err("it has no signature".into());
        }
        let (message, _) =
            CleartextSignedMessage::from_string(message).map_err(|error| error.to_string())?;
        let text = message.signed_text();
        let mut reasons = Vec::new();
        for signature in message.signatures().iter().take(MAX_SIGNATURES) {
            match self.check(signature, &text, now) {
                Ok(()) => return Ok(text),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(if reasons.is_empty() { "it has no signature".into() } else { reasons.join("; ") })
    }

    /// Whether a trusted key has made this signature of `text`.
    fn check(&self, signature: &Signature, text: &str, now: u64) -> Result<(), String> {
        // A signature of something else, a key or a name, must not be taken for one of a text.
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err("its signature is not one of a text".into());
        }
        if !is_strong(signature) {
            return Err("its signature uses a hash that is broken".into());
        }
        if has_expired(signature, now) {
            return Err("its signature has expired".into());
        }
        let mut reason = None;
        for key in &self.0 {
            let primary = std::iter::once((&key.primary_key as &dyn Signer, None));
            let subkeys = key.public_subkeys.iter().map(|sub| (&sub.key as &dyn Signer, Some(sub)));
            for (signer, subkey) in primary.chain(subkeys) {
                if !signer.is_named_by(signature) {
                    continue;
                }
                let trusted = match subkey {
                    None => check_primary(key, now),
                    Some(subkey) => check_subkey(key, subkey, now),
                };
                match trusted {
                    Ok(()) if signer.has_signed(signature, text) => return Ok(()),
                    Ok(()) => reason = Some("its signature is not right".to_owned()),
                    Err(wrong) => reason = Some(format!("it is signed by a key that {wrong}")),
                }
            }
        }
        let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        Err(reason.unwrap_or_else(|| match (ids.first(), prints.first()) {
            (Some(signer), _) => format!("it is signed by {signer}"),
            (None, Some(signer)) => format!("it is signed by {signer}"),
            (None, None) => "its signature names no key".into(),
        }))
    }
}

/// A primary key or a subkey.
trait Signer {
    fn is_named_by(&self, signature: &Signature) -> bool;
    fn has_signed(&self, signature: &Signature, text: &str) -> bool;
}

impl<K: VerifyingKey> Signer for K {
    fn is_named_by(&self, signature: &Signature) -> bool {
        signature.issuer_key_id().contains(&&self.legacy_key_id())
            || signature.issuer_fingerprint().contains(&&self.fingerprint())
    }

    fn has_signed(&self, signature: &Signature, text: &str) -> bool {
        signature.verify(self, text.as_bytes()).is_ok()
    }
}

/// Not by a hash that is broken.
fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    )
}

fn has_expired(signature: &Signature, now: u64) -> bool {
    signature
        .created()
        .is_none_or(|created| is_over(created, signature.signature_expiration_time(), now))
}

/// Whether a time since `from` is over. None, and none at all, never is.
fn is_over(from: Timestamp, duration: Option<Duration>, now: u64) -> bool {
    duration.is_some_and(|duration| {
        duration.as_secs() != 0 && u64::from(from.as_secs()) + u64::from(duration.as_secs()) <= now
    })
}

/// The newest of these signatures that counts today: what a key says about itself is what it said
/// last.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, now: u64) -> Option<&'a Signature> {
    signatures
        .filter(|signature| is_strong(signature) && !has_expired(signature, now))
        .max_by_key(|signature| signature.created().map_or(0, Timestamp::as_secs))
}

/// Whether a key may sign today.
///
/// # Errors
/// What is wrong with it: a phrase that follows "a key that".
fn check_primary(key: &SignedPublicKey, now: u64) -> Result<(), &'static str> {
    let names_uses = |signature: &Signature| {
        signature.config().is_some_and(|config| {
            config.hashed_subpackets().any(|part| matches!(part.data, SubpacketData::KeyFlags(_)))
        })
    };
    let statements = check_certificate(key, now)?;
    if statements.iter().any(|latest| names_uses(latest) && !latest.key_flags().sign()) {
        return Err("is not for signing");
    }
    Ok(())
}

/// What a key last said about itself, where it is neither revoked nor expired: about the key, and
/// about whose it is. Either may say how long it is valid and what for, or leave it to the other.
fn check_certificate(key: &SignedPublicKey, now: u64) -> Result<Vec<&Signature>, &'static str> {
    let (primary, details) = (&key.primary_key, &key.details);
    let revoked = details.revocation_signatures.iter().any(|signature| {
        signature.typ() == Some(SignatureType::KeyRevocation)
            && signature.verify_key(primary).is_ok()
    });
    if revoked {
        return Err("has been revoked");
    }
    let direct = details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok()
    });
    let of_names = details.users.iter().filter_map(|user| {
        let valid = user.signatures.iter().filter(|signature| {
            signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        });
        newest(valid, now)
            .filter(|signature| signature.typ() != Some(SignatureType::CertRevocation))
    });
    let statements: Vec<&Signature> =
        newest(direct, now).into_iter().chain(newest(of_names, now)).collect();
    if statements.is_empty() {
        return Err("has no valid signature of its own");
    }
    let created = primary.created_at();
    if statements.iter().any(|latest| is_over(created, latest.key_expiration_time(), now)) {
        return Err("has expired");
    }
    Ok(statements)
}

/// Whether a subkey may sign today: its key says so, and it says that it is that key's.
fn check_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: u64,
) -> Result<(), &'static str> {
    check_certificate(key, now)?;
    let primary = &key.primary_key;
    let valid = |kind| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(kind)
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    if valid(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("has been revoked");
    }
    let binding = newest(valid(SignatureType::SubkeyBinding), now)
        .ok_or("is not bound to the key that it is listed with")?;
    if is_over(subkey.key.created_at(), binding.key_expiration_time(), now) {
        return Err("has expired");
    }
    let agrees = binding
        .embedded_signature()
        .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !binding.key_flags().sign() || !agrees {
        return Err("is not for signing");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
