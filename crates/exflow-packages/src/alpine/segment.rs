//! Segments: what Alpine signs, and calls by checksum, is one member of gzip behind the other
//! (apk-v2(5)). Each is a piece of one tar archive, so only the last has the archive's end.

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use std::io::{self, BufRead, Read};

/// What is told all bytes that were read, compressed as they are.
pub(super) type Tap<'a> = &'a mut dyn FnMut(&[u8]);

/// A decoder of the segment that begins where `reader` is. At its end, `reader` is just behind it.
pub(super) fn segment<'a, R: BufRead>(reader: &'a mut R, tap: Tap<'a>) -> GzDecoder<Tapped<'a, R>> {
    GzDecoder::new(Tapped { inner: reader, tap })
}

/// A decoder of all that is left of `reader`: the last segment, which may have several members.
pub(super) fn last_segment<'a, R: BufRead>(
    reader: &'a mut R,
    tap: Tap<'a>,
) -> MultiGzDecoder<Tapped<'a, R>> {
    MultiGzDecoder::new(Tapped { inner: reader, tap })
}

/// Tells what is read, and no byte more: a decoder looks ahead, but takes only what it needs.
pub(super) struct Tapped<'a, R> {
    inner: &'a mut R,
    tap: Tap<'a>,
}

impl<R: BufRead> BufRead for Tapped<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        // What is consumed has been looked at, so it is there, and nothing is read for it.
        if length > 0
            && let Ok(buffer) = self.inner.fill_buf()
        {
            (self.tap)(&buffer[..length]);
        }
        self.inner.consume(length);
    }
}

impl<R: BufRead> Read for Tapped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alpine::testing::gz;
    use std::io::BufReader;

    #[test]
    fn a_segment_is_read_to_its_last_byte() {
        let (first, second) = (gz(b"one"), gz(b"two"));
        let whole = [&first[..], &second, &gz(b"three")].concat();
        for size in [1, 2, 7, 100, 10_000] {
            let mut reader = BufReader::with_capacity(size, &whole[..]);
            let mut seen = Vec::new();
            for (text, bytes) in [("one", &first), ("two", &second)] {
                seen.clear();
                let mut tap = |bytes: &[u8]| seen.extend_from_slice(bytes);
                let content = io::read_to_string(segment(&mut reader, &mut tap));
                assert_eq!(content.unwrap(), text);
                assert_eq!(&seen, bytes, "read {size} bytes at a time");
            }
        }
    }

    #[test]
    fn the_last_one_may_have_several_members() {
        let whole = [gz(b"one"), gz(b"two")].concat();
        let mut seen = Vec::new();
        let mut tap = |bytes: &[u8]| seen.extend_from_slice(bytes);
        let content = io::read_to_string(last_segment(&mut &whole[..], &mut tap));
        assert_eq!(content.unwrap(), "onetwo");
        assert_eq!(seen, whole);
    }
}
