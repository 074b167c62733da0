//! The chunks of BEAM files (the Erlang/OTP documentation's "BEAM File Format": an IFF form of the type `BEAM`).

use exflow_content::Digest;
use std::collections::BTreeMap;
use std::io::Read;

/// The longest BEAM file that is read, in bytes, compressed or not.
const MAX_BYTES: u64 = 64 << 20;

/// Why bytes are no BEAM file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeamError {
    /// It doesn't begin as one.
    #[error("it is not an IFF form of the type BEAM")]
    Form,
    /// Something ends before it should.
    #[error("it ends within {0}")]
    Short(&'static str),
    /// It is longer than any module.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    /// It is compressed, and that is damaged.
    #[error("it can't be decompressed: {0}")]
    Gzip(String),
}

/// The digest of each chunk of a BEAM file, by its name. Where a name stands twice, the first counts, as for Erlang.
///
/// A file that is compressed as a whole, as the option `compressed` of Erlang's compiler and `beam_lib:strip/1` do it, is
/// decompressed first.
pub fn chunks(bytes: &[u8]) -> Result<BTreeMap<String, Digest>, BeamError> {
    let mut inflated = Vec::new();
    let mut rest = bytes;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(bytes)
            .take(MAX_BYTES + 1)
            .read_to_end(&mut inflated)
            .map_err(|error| BeamError::Gzip(error.to_string()))?;
        rest = &inflated;
    }
    if rest.len() as u64 > MAX_BYTES {
        return Err(BeamError::TooLong);
    }
    if take(&mut rest, 4) != Some(b"FOR1") {
        return Err(BeamError::Form);
    }
    let length = number(&mut rest).ok_or(BeamError::Short("its header"))?;
    let mut form = take(&mut rest, length).ok_or(BeamError::Short("its form"))?;
    if take(&mut form, 4) != Some(b"BEAM") {
        return Err(BeamError::Form);
    }
    let mut chunks = BTreeMap::new();
    while !form.is_empty() {
        let name = take(&mut form, 4).ok_or(BeamError::Short("the name of a chunk"))?;
        let name = name.escape_ascii().to_string();
        let length = number(&mut form).ok_or(BeamError::Short("the length of a chunk"))?;
        let data = take(&mut form, length).ok_or(BeamError::Short("a chunk"))?;
        // Each begins at a multiple of four; what fills the last one may be left out.
        let padding = (4 - length % 4) % 4;
        form = form.get(padding..).unwrap_or_default();
        chunks.entry(name).or_insert_with(|| Digest::of(data));
    }
    Ok(chunks)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, 4)?;
    usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
}

/// The names of the chunks in which two BEAM files differ, sorted. None of them differs where they are only compressed in
/// another way, or their chunks stand in another order.
///
/// # Errors
/// Where one of them is no BEAM file.
pub fn differing_chunks(first: &[u8], second: &[u8]) -> Result<Vec<String>, BeamError> {
    let (first, second) = (chunks(first)?, chunks(second)?);
    let all = first.keys().chain(second.keys().filter(|name| !first.contains_key(*name)));
    let mut names: Vec<String> =
        all.filter(|name| first.get(*name) != second.get(*name)).cloned().collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    pub(crate) fn beam(chunks: &[(&str, &[u8])]) -> Vec<u8> {
        let mut form = b"BEAM".to_vec();
        for (name, data) in chunks {
            form.extend_from_slice(name.as_bytes());
            form.extend_from_slice(&(data.len() as u32).to_be_bytes());
            form.extend_from_slice(data);
            form.resize(form.len().next_multiple_of(4), 0);
        }
        let mut bytes = b"FOR1".to_vec();
        bytes.extend_from_slice(&(form.len() as u32).to_be_bytes());
        bytes.extend(form);
        bytes
    }

    pub(crate) fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder =
            flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_chunks_that_differ_are_named() {
        let first = beam(&[("AtU8", b"atoms"), ("Code", b"one"), ("Line", b"1")]);
        let second = beam(&[("AtU8", b"atoms"), ("Code", b"two"), ("Docs", b"x")]);
        assert_eq!(differing_chunks(&first, &first), Ok(Vec::new()));
        assert_eq!(differing_chunks(&first, &second).unwrap(), ["Code", "Docs", "Line"]);
        assert_eq!(differing_chunks(&gzip(&first, 9), &second).unwrap().len(), 3);
        assert_eq!(differing_chunks(&gzip(&first, 9), &gzip(&first, 0)), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_module() {
        let good = beam(&[("Code", b"one")]);
        assert_eq!(chunks(b"FOR1"), Err(BeamError::Short("its header")));
        assert_eq!(chunks(b"\x7fELF"), Err(BeamError::Form));
        assert_eq!(chunks(&good[..good.len() - 1]), Err(BeamError::Short("its form")));
        let mut long = good.clone();
        long[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(chunks(&long), Err(BeamError::Short("a chunk")));
        let cut = gzip(&good, 6);
        assert!(matches!(chunks(&cut[..cut.len() - 9]), Err(BeamError::Gzip(_))));
        // What takes little room, and much when it is decompressed.
        let bomb = gzip(&vec![0; (MAX_BYTES + 1) as usize], 9);
        assert_eq!(chunks(&bomb), Err(BeamError::TooLong));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = chunks(&bytes);
            let mut framed = b"FOR1".to_vec();
            framed.extend_from_slice(&(bytes.len() as u32 + 4).to_be_bytes());
            framed.extend_from_slice(b"BEAM");
            framed.extend(bytes);
            let _ = chunks(&framed);
        }

        #[test]
        fn as_many_chunks_as_were_written(
            written in proptest::collection::btree_map("[A-Z]{4}", "[a-z]{0,9}", 0..5),
        ) {
            let list: Vec<(&str, &[u8])> =
                written.iter().map(|(name, data)| (&**name, data.as_bytes())).collect();
            let read = chunks(&beam(&list)).unwrap();
            prop_assert_eq!(read.len(), written.len());
            for (name, data) in &written {
                prop_assert_eq!(read[name], Digest::of(data.as_bytes()));
            }
        }
    }
}
