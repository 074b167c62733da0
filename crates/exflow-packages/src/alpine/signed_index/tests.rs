use super::*;
use crate::alpine::testing::{KEY, entry, file, gz, keys, pem, signature, signed};
use proptest::prelude::*;

fn content(index: &str) -> Vec<u8> {
    gz(&[file("DESCRIPTION", "v1"), file("APKINDEX", index), vec![0; 1024]].concat())
}

#[test]
fn a_signed_index_is_read() {
    let content = content("P:aa\n");
    assert_eq!(read_index(&signed(&content), &keys()).unwrap(), "P:aa\n");
    let other = signature(&format!(".SIGN.RSA256.{KEY}"), &content);
    let index = [&other[..], &content].concat();
    assert_eq!(read_index(&index, &keys()).unwrap(), "P:aa\n");
}

#[test]
fn who_is_not_trusted_signs_nothing() {
    let content = content("P:aa\n");
    let index = signed(&content);
    let error = read_index(&index, &Keys::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("it is signed by none of the trusted keys, but with: {KEY}")
    );
    // Kinds that nobody knows any more, or yet.
    let name = format!(".SIGN.DSA.{KEY}");
    let index = [gz(&file(&name, "x")), content.clone()].concat();
    let error = read_index(&index, &keys()).unwrap_err();
    assert!(matches!(error, IndexError::Signature(SignatureError::Untrusted(_))), "{error}");
    // One signature that is trusted will do, wherever it stands.
    let made = signature(&format!(".SIGN.RSA.{KEY}"), &content);
    let mut both = file(".SIGN.RSA.other", "x");
    flate2::read::GzDecoder::new(&made[..]).read_to_end(&mut both).unwrap();
    assert!(read_index(&[gz(&both), content].concat(), &keys()).is_ok());
}

#[test]
fn what_was_changed_is_refused() {
    let index = signed(&content("P:aa\n"));
    let segment = signature(&format!(".SIGN.RSA.{KEY}"), b"").len();
    let mut wrong = index.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let error = read_index(&wrong, &keys()).unwrap_err();
    assert_eq!(error.to_string(), format!("its signature by `{KEY}` is not valid"));
    for end in 0..index.len() {
        assert!(read_index(&index[..end], &keys()).is_err(), "cut at {end} of {}", index.len());
    }
    let longer = [&index[..], b"x"].concat();
    assert!(read_index(&longer, &keys()).is_err());
    // Another's signature, and one for the other digest.
    let other = content("P:bb\n");
    assert!(read_index(&[&index[..segment], &other].concat(), &keys()).is_err());
    let renamed = gz(&file(&format!(".SIGN.RSA256.{KEY}"), "x"));
    assert!(read_index(&[renamed, other].concat(), &keys()).is_err());
}

#[test]
fn what_is_no_index_is_refused() {
    for (bytes, expected) in [
        (b"".to_vec(), "can't be read"),
        (b"P:aa\n".to_vec(), "can't be read"),
        (content("P:aa\n"), "it doesn't begin with a signature, but with `DESCRIPTION`"),
        (gz(&[0; 1024]), "it doesn't begin with a signature"),
        (
            gz(&entry(".SIGN.RSA.a", tar::EntryType::Symlink, "b", 0o644, b"")),
            "but with `.SIGN.RSA.a`",
        ),
        (signed(b""), "can't be read"),
        (signed(b"junk"), "can't be read"),
        (signed(&gz(&file("DESCRIPTION", "x"))), "it is not an index: it has no list of packages"),
        (signed(&gz(&[file("APKINDEX", "a"), file("APKINDEX", "b")].concat())), "two lists"),
        (
            signed(&gz(&entry("APKINDEX", tar::EntryType::Regular, "", 0o644, b"\xff"))),
            "its list of packages is not UTF-8",
        ),
    ] {
        let error = read_index(&bytes, &keys()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn a_bomb_is_bounded() {
    let large = vec![0; 1 << 20];
    let signature = gz(&entry(".SIGN.RSA.a", tar::EntryType::Regular, "", 0o644, &large));
    let error = read_index(&signature, &keys()).unwrap_err().to_string();
    assert!(error.contains("more than 262144 bytes"), "{error}");
    let many: Vec<u8> = (0..33).flat_map(|at| file(&format!(".SIGN.RSA.{at}"), "")).collect();
    let error = read_index(&gz(&many), &keys()).unwrap_err().to_string();
    assert!(error.contains("more than 32 files"), "{error}");
    // What stands behind the end of the archive, too.
    let behind = gz(&[file(".SIGN.RSA.a", "x"), vec![0; 8 << 20]].concat());
    let error = read_index(&behind, &keys()).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn keys_are_public_keys_in_pem() {
    let mut keys = Keys::new();
    let pem = pem();
    assert!(keys.is_empty());
    for wrong in ["", "junk", &pem[..pem.len() / 2], &pem.replace("PUBLIC", "PRIVATE")] {
        let error = keys.add("a.rsa.pub", wrong.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "`a.rsa.pub` is not an RSA public key in PEM");
    }
    keys.add("a.rsa.pub", format!("\n{pem}\n").as_bytes()).unwrap();
    assert!(!keys.is_empty());
}

proptest! {
    #[test]
    fn an_altered_byte_is_refused(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut index = signed(&content("P:aa\n"));
        let at = at.index(index.len());
        index[at] ^= change;
        // Some bytes of the signature's own segment mean nothing.
        if let Ok(text) = read_index(&index, &keys()) {
            prop_assert_eq!(text, "P:aa\n");
        }
    }
}
