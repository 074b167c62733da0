use super::*;
use pgp::composed::{
    ArmorOptions, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::packet::{KeyFlags, SignatureConfig, Subpacket};
use pgp::types::{Password, SigningKey};
use std::time::Instant;

const TEXT: &str = "Suite: stable\nCodename: bookworm\n";
const DAY: u32 = 86_400;

/// A key, with a subkey that may sign.
fn key() -> SignedSecretKey {
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .primary_user_id("a test <test@localhost>".into())
        .subkey(subkey)
        .build()
        .unwrap()
        .generate(rand::thread_rng())
        .unwrap()
}

fn config(key: &impl SigningKey, kind: SignatureType, more: Vec<SubpacketData>) -> SignatureConfig {
    let mut config = SignatureConfig::from_key(rand::thread_rng(), key, kind).unwrap();
    config.hashed_subpackets = [
        SubpacketData::SignatureCreationTime(Timestamp::now()),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ]
    .into_iter()
    .chain(more)
    .map(|data| Subpacket::regular(data).unwrap())
    .collect();
    config
}

/// A signature of another kind beside the text. Those of these kinds cover its first byte alone, so
/// that whoever has one could put any text before it.
fn beside(key: &pgp::packet::SecretKey, kind: SignatureType) -> Vec<u8> {
    let config = config(key, kind, vec![]);
    let mut hasher = config.hash_alg.new_hasher().unwrap();
    config.hash_data_to_sign(&mut hasher, TEXT.as_bytes()).unwrap();
    let length = config.hash_signature_data(&mut hasher).unwrap();
    hasher.update(&config.trailer(length).unwrap());
    let hash = hasher.finalize();
    let bytes = key.sign(&Password::empty(), config.hash_alg, &hash).unwrap();
    let signature = Signature::from_config(config, [hash[0], hash[1]], bytes).unwrap();
    assert!(signature.verify(key.public_key(), "Something else".as_bytes()).is_ok());
    let message = CleartextSignedMessage::new_many(TEXT, |_| Ok(vec![signature])).unwrap();
    message.to_armored_bytes(ArmorOptions::default()).unwrap()
}

/// The text, signed by a key in this way.
fn sign(key: &impl SigningKey, kind: SignatureType, more: Vec<SubpacketData>) -> Vec<u8> {
    let message =
        CleartextSignedMessage::new(TEXT, config(key, kind, more), key, &Password::empty())
            .unwrap();
    message.to_armored_bytes(ArmorOptions::default()).unwrap()
}

fn now() -> u64 {
    Timestamp::now().as_secs().into()
}

fn keyring(key: &SignedPublicKey) -> Keyring {
    let mut keyring = Keyring(Vec::new());
    keyring.add(&key.to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap();
    keyring
}

fn check(key: &SignedPublicKey, message: &[u8], expected: &str) {
    check_at(key, message, now(), expected);
}

/// `expected` is a part of the reason, or nothing where the message is believed.
fn check_at(key: &SignedPublicKey, message: &[u8], now: u64, expected: &str) {
    match keyring(key).verify(message, now) {
        Ok(text) => {
            assert_eq!(expected, "");
            assert_eq!(text.replace("\r\n", "\n").trim_end(), TEXT.trim_end());
        }
        Err(reason) => assert!(!expected.is_empty() && reason.contains(expected), "{reason}"),
    }
}

#[test]
fn debians_keys_are_there() {
    let keyring = Keyring::debian();
    assert_eq!(keyring.0.len(), DEBIAN.len());
    // In November 2026 all of them are valid. In 2040 none of them will be.
    let valid = |now| keyring.0.iter().filter(|key| check_primary(key, now).is_ok()).count();
    assert_eq!(valid(1_795_000_000), DEBIAN.len());
    assert_eq!(valid(2_210_000_000), 0);
    for key in &keyring.0 {
        for subkey in &key.public_subkeys {
            assert_eq!(check_subkey(key, subkey, 1_795_000_000), Ok(()));
        }
    }
}

#[test]
fn what_is_not_signed_is_refused() {
    let keyring = Keyring::debian();
    for text in ["", "Suite: stable\n", "-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n"] {
        assert!(keyring.verify(text.as_bytes(), now()).is_err(), "{text:?}");
    }
    assert!(Keyring::debian().add(b"nonsense").is_err());
}

#[test]
fn only_signatures_of_texts_count() {
    let secret = key();
    let public = SignedPublicKey::from(secret.clone());
    for kind in [SignatureType::Text, SignatureType::Binary] {
        check(&public, &sign(&secret.primary_key, kind, vec![]), "");
        check(&public, &sign(&secret.secret_subkeys[0].key, kind, vec![]), "");
    }
    for kind in [SignatureType::Standalone, SignatureType::Timestamp] {
        check(&public, &beside(&secret.primary_key, kind), "not one of a text");
    }
    // Another's signature, and another text.
    check(
        &SignedPublicKey::from(key()),
        &sign(&secret.primary_key, SignatureType::Text, vec![]),
        "signed",
    );
    let message = sign(&secret.primary_key, SignatureType::Text, vec![]);
    let changed = String::from_utf8(message).unwrap().replace("bookworm", "bookwurm");
    check(&public, changed.as_bytes(), "not right");
}

#[test]
fn signatures_end() {
    let secret = key();
    let public = SignedPublicKey::from(secret.clone());
    let ends = vec![SubpacketData::SignatureExpirationTime(Duration::from_secs(DAY))];
    let message = sign(&secret.primary_key, SignatureType::Text, ends);
    check(&public, &message, "");
    check_at(&public, &message, now() + 2 * u64::from(DAY), "its signature has expired");
}

#[test]
fn keys_end() {
    let secret = key();
    let mut public = SignedPublicKey::from(secret.clone());
    let user = &mut public.details.users[0];
    let flags = user.signatures[0].key_flags();
    let certify = |more| {
        config(&secret.primary_key, SignatureType::CertPositive, more)
            .sign_certification(
                &secret.primary_key,
                secret.primary_key.public_key(),
                &Password::empty(),
                Tag::UserId,
                &user.id,
            )
            .unwrap()
    };
    let ends = SubpacketData::KeyExpirationTime(Duration::from_secs(DAY));
    user.signatures = vec![certify(vec![ends, SubpacketData::KeyFlags(flags)])];
    for message in [
        sign(&secret.primary_key, SignatureType::Text, vec![]),
        sign(&secret.secret_subkeys[0].key, SignatureType::Text, vec![]),
    ] {
        check(&public, &message, "");
        check_at(&public, &message, now() + 2 * u64::from(DAY), "has expired");
    }
}

#[test]
fn a_key_for_something_else() {
    let secret = key();
    let mut public = SignedPublicKey::from(secret.clone());
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    let user = &mut public.details.users[0];
    user.signatures = vec![
        config(
            &secret.primary_key,
            SignatureType::CertPositive,
            vec![SubpacketData::KeyFlags(flags)],
        )
        .sign_certification(
            &secret.primary_key,
            secret.primary_key.public_key(),
            &Password::empty(),
            Tag::UserId,
            &user.id,
        )
        .unwrap(),
    ];
    check(&public, &sign(&secret.primary_key, SignatureType::Text, vec![]), "not for signing");
    // What it certifies is still so.
    check(&public, &sign(&secret.secret_subkeys[0].key, SignatureType::Text, vec![]), "");
}

#[test]
fn revoked_keys() {
    let secret = key();
    let mut public = SignedPublicKey::from(secret.clone());
    let by_key = sign(&secret.primary_key, SignatureType::Text, vec![]);
    let by_subkey = sign(&secret.secret_subkeys[0].key, SignatureType::Text, vec![]);
    let revocation = config(&secret.primary_key, SignatureType::SubkeyRevocation, vec![])
        .sign_subkey_binding(
            &secret.primary_key,
            secret.primary_key.public_key(),
            &Password::empty(),
            &public.public_subkeys[0].key,
        )
        .unwrap();
    public.public_subkeys[0].signatures.push(revocation);
    check(&public, &by_key, "");
    check(&public, &by_subkey, "has been revoked");
    // Nobody else can revoke a key.
    let other = key();
    let revoke = |by: &SignedSecretKey| {
        config(&by.primary_key, SignatureType::KeyRevocation, vec![])
            .sign_key(&by.primary_key, &Password::empty(), secret.primary_key.public_key())
            .unwrap()
    };
    public.details.revocation_signatures = vec![revoke(&other)];
    check(&public, &by_key, "");
    public.details.revocation_signatures = vec![revoke(&secret)];
    check(&public, &by_key, "has been revoked");
}

/// A subkey that stands beside a key is not that key's by that.
#[test]
fn subkeys_must_be_bound() {
    let (secret, other) = (key(), key());
    let mut public = SignedPublicKey::from(secret.clone());
    let theirs = SignedPublicKey::from(other.clone()).public_subkeys.remove(0);
    let message = sign(&other.secret_subkeys[0].key, SignatureType::Text, vec![]);
    public.public_subkeys.push(theirs.clone());
    check(&public, &message, "not bound");
    // Nor by being claimed: it has to agree.
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let claim = |flags| {
        config(
            &secret.primary_key,
            SignatureType::SubkeyBinding,
            vec![SubpacketData::KeyFlags(flags)],
        )
        .sign_subkey_binding(
            &secret.primary_key,
            secret.primary_key.public_key(),
            &Password::empty(),
            &theirs.key,
        )
        .unwrap()
    };
    public.public_subkeys[1].signatures = vec![claim(flags)];
    check(&public, &message, "not for signing");
    // Nor is a subkey for signing that its key has for something else.
    let own = &mut public.public_subkeys[0];
    own.signatures = vec![
        config(
            &secret.primary_key,
            SignatureType::SubkeyBinding,
            vec![SubpacketData::KeyFlags(KeyFlags::default())],
        )
        .sign_subkey_binding(
            &secret.primary_key,
            secret.primary_key.public_key(),
            &Password::empty(),
            &own.key,
        )
        .unwrap(),
    ];
    check(
        &public,
        &sign(&secret.secret_subkeys[0].key, SignatureType::Text, vec![]),
        "not for signing",
    );
}

/// Anyone on the way can send one, and the parser takes the square of the time that it is long.
#[test]
fn lines_without_end_are_refused_at_once() {
    let begun = Instant::now();
    let head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
    for text in [
        "\n".repeat(1 << 20),
        "-\n".repeat(1 << 19),
        format!("{}\n", "x".repeat(50)).repeat(19_990),
    ] {
        assert!(Keyring::debian().verify(format!("{head}{text}").as_bytes(), now()).is_err());
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
