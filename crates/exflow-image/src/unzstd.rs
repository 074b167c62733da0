use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Read};

/// The largest window that a frame may ask for, in bytes: 8 MiB are the most that `zstd -19` takes.
const WINDOW: u64 = 64 << 20;

/// Decodes all frames of a stream, one after the other, and passes over what is for others (RFC 8878,
/// section 3.1.2).
pub(crate) struct Unzstd<R: Read> {
    reader: BufReader<R>,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: Read> Unzstd<R> {
    pub(crate) fn new(reader: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { reader: BufReader::with_capacity(64 << 10, reader), decoder, is_in_frame: false }
    }

    /// Goes to the next frame; whether there is one.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.reader.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.reader) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.reader).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Unzstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame {
                self.is_in_frame = self.next_frame()?;
                if !self.is_in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.reader, one).map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.is_in_frame = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn all(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Unzstd::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_follow_one_another() {
        let frame = |text: &[u8]| compress_to_vec(text, CompressionLevel::Fastest);
        let (one, two) = (frame(&vec![b'a'; 300_000]), frame(b"b"));
        // Magic number, length and content of one that is for others.
        let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        let text = all(&[&one[..], &skipped, &two].concat()).unwrap();
        assert_eq!(text.len(), 300_001);
        assert_eq!(text.last(), Some(&b'b'));
        assert!(all(b"").unwrap().is_empty());
        for end in 1..one.len() {
            assert!(all(&one[..end]).is_err(), "cut at {end}");
        }
        assert!(all(b"no such thing").is_err());
        assert!(all(&[&one[..], b"x"].concat()).is_err());
    }
}
