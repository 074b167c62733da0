use crate::error::Context;
use crate::{Store, StoreError};
use exflow_content::{DecodeError, Decoder, Digest, Encoder};
use std::fs;
use std::io;

/// The tag and version of a record's encoding.
const TAG: &str = "exflow record 1";

/// What came out of the step with a key.
///
/// # Encoding
/// Tag `exflow record 1`; the list of tree digests; the data as a byte string; and last the
/// digest of the key and all that stands before, so that a record that was cut short, altered or
/// filed under another key is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The outputs, in the order of the step.
    pub trees: Vec<Digest>,
    /// Whatever else the one who wrote it wants to know again.
    pub data: Vec<u8>,
}

impl Record {
    fn encode(&self, key: &Digest) -> Vec<u8> {
        let mut encoder = Encoder::new(TAG);
        encoder.list(self.trees.iter(), |encoder, tree| {
            encoder.digest(tree);
        });
        encoder.bytes(&self.data);
        let seal = seal(key, &encoder.clone().finish());
        encoder.digest(&seal);
        encoder.finish()
    }

    fn decode(key: &Digest, bytes: &[u8]) -> Result<Self, DecodeError> {
        let sealed = bytes.len().saturating_sub(32);
        let mut decoder = Decoder::new(bytes, TAG)?;
        let mut record = Self::default();
        for _ in 0..decoder.number()? {
            record.trees.push(decoder.digest()?);
        }
        record.data = decoder.bytes()?.to_vec();
        if decoder.digest()? != seal(key, &bytes[..sealed]) {
            return Err(DecodeError::Field("seal"));
        }
        decoder.end()?;
        Ok(record)
    }
}

fn seal(key: &Digest, body: &[u8]) -> Digest {
    let mut encoder = Encoder::new(TAG);
    encoder.digest(key).bytes(body);
    encoder.digest_of()
}

impl Store {
    /// What was recorded under `key`. A damaged record is removed, and counts as none.
    pub fn record(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        let path = self.path("records", key);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.doing("read", &path)?,
        };
        let record = Record::decode(key, &bytes).ok();
        if record.is_none() {
            let _ = fs::remove_file(&path);
        }
        Ok(record)
    }

    /// Records `record` under `key`. What it names must be in the store, and on the disk too
    /// ([`Store::sync`]) where losing it would be noticed too late.
    pub fn put_record(&self, key: &Digest, record: &Record) -> Result<(), StoreError> {
        self.write_whole(&self.path("records", key), &record.encode(key))
    }

    /// Forgets what was recorded under `key`.
    pub fn forget(&self, key: &Digest) {
        let _ = fs::remove_file(self.path("records", key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Digest, Record) {
        let record = Record {
            trees: vec![Digest::of(b"one"), Digest::of(b"two")],
            data: b"known besides".to_vec(),
        };
        (Digest::of(b"key"), record)
    }

    /// Records are in users' stores. If this fails, the encoding has changed: give it a new version in
    /// `TAG`, and say so in the changelog.
    #[test]
    fn the_encoding_of_a_record_is_pinned() {
        let (key, record) = sample();
        let bytes = record.encode(&key);
        assert_eq!(
            Digest::of(&bytes).to_string(),
            "a1d4a669c7fe64a9e3f848d7c2cd929364cfb084935d0553814acedcad6e1d16"
        );
        assert_eq!(Record::decode(&key, &bytes), Ok(record));
    }

    #[test]
    fn a_record_that_was_altered_or_is_of_another_key_is_not_believed() {
        let (key, record) = sample();
        let good = record.encode(&key);
        assert!(Record::decode(&Digest::of(b"other"), &good).is_err());
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(Record::decode(&key, &bytes).is_err(), "byte {at}");
            assert!(Record::decode(&key, &good[..at]).is_err(), "cut at {at}");
        }
    }
}
