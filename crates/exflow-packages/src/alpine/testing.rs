//! Packages and indexes that are made up, for the tests beside the code.

use super::{Checksum, Keys};
pub(super) use crate::testing::{entry, gz};
use exflow_content::Sha256;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;

/// The name of the key that all is signed with.
pub(super) const KEY: &str = "test@localhost-1.rsa.pub";

pub(super) fn key() -> RsaPrivateKey {
    let number = |digits| BigUint::parse_bytes(digits, 16).unwrap();
    RsaPrivateKey::from_p_q(number(P), number(Q), BigUint::from(65_537_u32)).unwrap()
}

pub(super) fn pem() -> String {
    key().to_public_key().to_public_key_pem(LineEnding::LF).unwrap()
}

pub(super) fn keys() -> Keys {
    let mut keys = Keys::new();
    keys.add(KEY, pem().as_bytes()).unwrap();
    keys
}

/// The primes of a key that is good for tests only: everybody knows it.
const P: &[u8] =
    b"ca542775caa147499fa3d4fc733270ada551bb28b9abdbc2af7cd568b5763921df8f04e1ab845178\
    45b0aa0fc57093927eda255700035b940db67c6cf84bd8ac5740f2737c4bb29cccc24ba7a2c2abfb\
    47cd9f56a8e6e70c815f279202dc4758cb1e3178d1d3e0ac48e1fb2e88d59a12295c5d0bc7581697\
    2859eb17f758184b";
const Q: &[u8] =
    b"c4321ecf4e7e062c8c0814ef8bc376dee571d2f68770f8235d2feb65c648ca45dea3238b634bbabe\
    761c3de12eef6f41f453c0951ca16f18358794bc32fcd71e3ef88144427fad53f2cea099d5e80027\
    abcc44df39c72504f3b3258e1ea9326dcbdffe7187a3a74aadf2cc96c6039f9ea8b77a9a84d03a41\
    5eb4baa6735f3bef";

pub(super) fn file(path: &str, content: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Regular, "", 0o644, content.as_bytes())
}

pub(super) fn folder(path: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Directory, "", 0o755, b"")
}

/// The segment that signs `signed`.
pub(super) fn signature(name: &str, signed: &[u8]) -> Vec<u8> {
    let bytes = if name.starts_with(".SIGN.RSA256.") {
        let digest = Sha256::of(signed);
        key().sign(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), digest.as_bytes())
    } else {
        key().sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(signed))
    };
    gz(&entry(name, tar::EntryType::Regular, "", 0o644, &bytes.unwrap()))
}

pub(super) fn signed(signed: &[u8]) -> Vec<u8> {
    [&signature(&format!(".SIGN.RSA.{KEY}"), signed)[..], signed].concat()
}

/// A package of these files, with these lines in its description, and what its index calls it by.
pub(super) fn apk(info: &str, scripts: &[Vec<u8>], files: &[Vec<u8>]) -> (Vec<u8>, Checksum) {
    let mut data = files.concat();
    data.resize(data.len() + 1024, 0);
    let data = gz(&data);
    let mut info = info.to_owned();
    let _ = writeln!(info, "datahash = {}", Sha256::of(&data));
    let control = gz(&[file(".PKGINFO", &info), scripts.concat()].concat());
    apk_of(&control, &data)
}

pub(super) fn apk_of(control: &[u8], data: &[u8]) -> (Vec<u8>, Checksum) {
    ([&signed(control)[..], data].concat(), Checksum::of(control))
}
