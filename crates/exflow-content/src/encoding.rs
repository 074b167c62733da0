//! The canonical encoding: how a value becomes the bytes that are hashed.
//!
//! Every encoding begins with a tag that names the kind of value and the version of its encoding
//! (`exflow tree 1`), so that values of two kinds never share a digest, and a change of an
//! encoding changes every digest made with it. After the tag come the fields, in the order that
//! the value's own page gives:
//!
//! | field | bytes |
//! |---|---|
//! | number, length | unsigned, 64 bits, little-endian |
//! | byte string, text | its length, then its bytes |
//! | digest | its 32 bytes |
//! | list | the number of items, then the items |
//! | optional | 0, or 1 and the value |
//! | variant | a byte that names it, then its fields |
//!
//! Lengths stand before what they measure, so the encoding is injective: two different values
//! never share their bytes. Maps are lists sorted by key.

use crate::{Digest, Hasher, Sha256};

/// Builds the canonical encoding of one value.
#[derive(Debug, Clone)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Begins the encoding of the kind and version that `tag` names.
    pub fn new(tag: &str) -> Self {
        let mut encoder = Self(Vec::with_capacity(256));
        encoder.text(tag);
        encoder
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// Adds a byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.extend_from_slice(digest.as_bytes());
        self
    }

    /// Adds a sha256 digest.
    pub fn sha256(&mut self, digest: &Sha256) -> &mut Self {
        self.0.extend_from_slice(digest.as_bytes());
        self
    }

    /// Adds the byte that names a variant.
    pub fn variant(&mut self, variant: u8) -> &mut Self {
        self.0.push(variant);
        self
    }

    /// Adds a truth value, as a variant.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.variant(u8::from(flag))
    }

    /// Adds a list: its length, then each item by `item`.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.number(items.len() as u64);
        for value in items {
            item(self, value);
        }
        self
    }

    /// Adds an optional value.
    pub fn optional<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.flag(value.is_some());
        if let Some(value) = value {
            some(self, value);
        }
        self
    }

    /// The encoding.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// The digest of the encoding.
    pub fn digest_of(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(&self.0);
        hasher.finish()
    }
}

/// Why bytes are not a canonical encoding of what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("it ends after {0} bytes, in the middle of a value")]
    Truncated(usize),
    /// The tag is another one.
    #[error("it is not a `{0}`")]
    Tag(String),
    /// A field has a value that the encoding never gives it.
    #[error("its {0} is not valid")]
    Field(&'static str),
    /// Something follows the value.
    #[error("{0} bytes follow its end")]
    Trailing(usize),
}

/// Reads a canonical encoding back.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    read: usize,
}

impl<'a> Decoder<'a> {
    /// Begins to read `bytes`, which must carry `tag`.
    pub fn new(bytes: &'a [u8], tag: &str) -> Result<Self, DecodeError> {
        let mut decoder = Self { rest: bytes, read: 0 };
        if decoder.bytes().ok() != Some(tag.as_bytes()) {
            return Err(DecodeError::Tag(tag.to_owned()));
        }
        Ok(decoder)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(DecodeError::Truncated(self.read + self.rest.len()));
        };
        self.rest = rest;
        self.read += length;
        Ok(taken)
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<u64, DecodeError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("took eight bytes")))
    }

    /// Reads a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.number()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Reads a text.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Field("text"))
    }

    /// Reads a digest.
    pub fn digest(&mut self) -> Result<Digest, DecodeError> {
        let bytes = self.take(32)?;
        Ok(Digest::from_bytes(bytes.try_into().expect("took 32 bytes")))
    }

    /// Reads a sha256 digest.
    pub fn sha256(&mut self) -> Result<Sha256, DecodeError> {
        let bytes = self.take(32)?;
        Ok(Sha256::from_bytes(bytes.try_into().expect("took 32 bytes")))
    }

    /// Reads the byte that names a variant.
    pub fn variant(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// Ends the reading; nothing may follow.
    pub fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            rest => Err(DecodeError::Trailing(rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_pinned() {
        let mut encoder = Encoder::new("t 1");
        encoder.number(258).text("é").flag(true).optional(None::<u64>, |_, _| {});
        encoder.list([1u64, 2].into_iter(), |encoder, item| {
            encoder.number(item);
        });
        let expected: &[u8] = &[
            3, 0, 0, 0, 0, 0, 0, 0, b't', b' ', b'1', // tag
            2, 1, 0, 0, 0, 0, 0, 0, // 258
            2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9, // text
            1,    // true
            0,    // none
            2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(encoder.finish(), expected);
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error() {
        let bytes = u64::MAX.to_le_bytes();
        assert!(Decoder::new(&bytes, "t 1").is_err());
        let mut encoder = Encoder::new("t 1");
        encoder.number(u64::MAX);
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes, "t 1").expect("tag");
        assert_eq!(decoder.bytes(), Err(DecodeError::Truncated(19)));
    }
}
