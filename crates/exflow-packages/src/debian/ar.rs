//! The outermost archive of a package: the subset of ar(5) that deb(5) allows.

use super::deb::DebError;
use std::io::{self, Read};

const MAGIC: &[u8] = b"!<arch>\n";
/// Name, time, user, group and mode, which nobody needs, size, and two bytes at its end.
const HEADER: usize = 60;

/// The members of an archive, one after the other. What is read is the member that
/// [`Members::next_member`] came to last.
///
/// Names are plain ones: neither tables of long names nor names within the content, which other
/// systems' archives have, are understood, so no size in them can be believed by mistake.
pub(super) struct Members<R> {
    reader: R,
    begun: bool,
    /// What is left of this member, and whether a byte of padding follows it.
    left: u64,
    padded: bool,
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, begun: false, left: 0, padded: false }
    }

    /// Goes to the next member: its name.
    pub(super) fn next_member(&mut self) -> Result<Option<String>, DebError> {
        if self.begun {
            io::copy(self, &mut io::sink())?;
            // After the last member the padding may be missing.
            if self.padded && self.fill(&mut [0])? == 0 {
                return Ok(None);
            }
        } else {
            let mut magic = [0; MAGIC.len()];
            if self.fill(&mut magic)? != magic.len() || magic != MAGIC {
                return Err(DebError::Format("it is no archive".into()));
            }
            self.begun = true;
        }
        let mut header = [0; HEADER];
        match self.fill(&mut header)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
        let (fields, end) = header.split_at(HEADER - 2);
        if end != b"`\n" {
            return Err(DebError::Format(
                "a header in its archive doesn't end as it should".into(),
            ));
        }
        let name = fields[..16].trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
        let size = fields[48..].trim_ascii_end();
        if name.is_empty() || !name.iter().all(is_plain) {
            let shown = String::from_utf8_lossy(name);
            return Err(DebError::Format(format!("a member of its archive is called `{shown}`")));
        }
        if size.is_empty() || !size.iter().all(u8::is_ascii_digit) {
            return Err(DebError::Format(
                "the size of a member of its archive is no number".into(),
            ));
        }
        // Ten digits at most.
        self.left = size.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        self.padded = self.left % 2 == 1;
        Ok(Some(String::from_utf8_lossy(name).into_owned()))
    }

    /// Reads as much as fits, or as there is.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        match self.reader.read(&mut buffer[..length])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.left -= read as u64;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(name: &str, size: &str, content: &str) -> String {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n{content}", 0, 0, 0, 100_644)
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, DebError> {
        let mut members = Members::new(bytes);
        let mut all = Vec::new();
        while let Some(name) = members.next_member()? {
            let mut content = Vec::new();
            members.read_to_end(&mut content)?;
            all.push((name, content));
        }
        Ok(all)
    }

    #[test]
    fn plain_members() {
        let text = format!("!<arch>\n{}{}", member("odd/", "1", "a\n"), member("even", "2", "bc"));
        let all = read(text.as_bytes()).unwrap();
        assert_eq!(all, [("odd".into(), b"a".to_vec()), ("even".into(), b"bc".to_vec())]);
        assert_eq!(
            read(format!("!<arch>\n{}", member("x", "1", "a")).as_bytes()).unwrap().len(),
            1
        );
        assert!(read(b"!<arch>\n").unwrap().is_empty());
    }

    /// What other systems' archives have. The names of some were once read as sizes and places.
    #[test]
    fn other_members_are_refused() {
        for text in [
            member("/9999", "0", ""),
            member("//", "9999999999", ""),
            member("/", "4", "\0\0\0\x01"),
            member("#1/9999999999", "4", "name"),
            member("", "0", ""),
            member("a b", "0", ""),
            member("../x", "0", ""),
            member("x", "-1", ""),
            member("x", "0x1", ""),
            member("x", "", ""),
            member("x", "9999999999", "cut"),
            member("x", "0", "").replace('`', "'"),
            member("x", "0", "")[..40].to_owned(),
        ] {
            assert!(read(format!("!<arch>\n{text}").as_bytes()).is_err(), "{text:?}");
        }
        assert!(read(b"").is_err());
        assert!(read(b"!<arch>").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[/#1-9 a`\n]{0,200}") {
            let _ = read(format!("!<arch>\n{text}").as_bytes());
        }

        #[test]
        fn an_altered_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes =
                format!("!<arch>\n{}{}", member("a", "3", "xyz\n"), member("b", "0", "")).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(&bytes);
        }
    }
}
