//! Control files: paragraphs of fields (deb822(5), Debian Policy 5.1).

use std::io::{self, BufRead};

/// The longest paragraph that is read, in bytes. The longest in Debian is some 100 kB.
const MAX_PARAGRAPH: usize = 4 << 20;

/// Why a text is not a control file.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A line is neither a field nor the continuation of one.
    #[error("line {0} is neither a field nor part of one")]
    Line(usize),
    /// It is not UTF-8.
    #[error("line {0} is not UTF-8")]
    Encoding(usize),
    /// A paragraph is too long.
    #[error("the paragraph before line {0} is longer than 4 MiB")]
    TooLong(usize),
    /// It could not be read.
    #[error("it could not be read: {0}")]
    Read(#[from] io::Error),
}

/// Reads the paragraphs of a control file one after the other, into the same memory.
#[derive(Debug)]
pub struct Paragraphs<R> {
    reader: R,
    paragraph: Paragraph,
    line: usize,
}

/// One paragraph: its fields in their order.
#[derive(Debug, Default)]
pub struct Paragraph {
    text: String,
    /// Start of the name, end of the name, end of the value.
    fields: Vec<(usize, usize, usize)>,
}

impl<R: BufRead> Paragraphs<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, paragraph: Paragraph::default(), line: 0 }
    }

    /// The next paragraph, until there is none.
    pub fn next_paragraph(&mut self) -> Result<Option<&Paragraph>, ControlError> {
        let paragraph = &mut self.paragraph;
        paragraph.fields.clear();
        let mut text = std::mem::take(&mut paragraph.text).into_bytes();
        text.clear();
        loop {
            let start = text.len();
            let read = (&mut self.reader).take_line(&mut text)?;
            self.line += 1;
            if text.len() > MAX_PARAGRAPH {
                return Err(ControlError::TooLong(self.line));
            }
            let line = text[start..].trim_ascii_end();
            if read == 0 || line.is_empty() {
                text.truncate(start);
                if read != 0 && paragraph.fields.is_empty() {
                    continue;
                }
                break;
            }
            match line[0] {
                // A comment. They stand in hand-written files only, and end no field.
                b'#' => text.truncate(start),
                b' ' | b'\t' => {
                    let end = start + line.len();
                    let Some(field) = paragraph.fields.last_mut() else {
                        return Err(ControlError::Line(self.line));
                    };
                    field.2 = end;
                }
                _ => {
                    let colon = line.iter().position(|byte| *byte == b':');
                    let Some(colon) = colon.filter(|colon| *colon > 0) else {
                        return Err(ControlError::Line(self.line));
                    };
                    paragraph.fields.push((start, start + colon, start + line.len()));
                }
            }
        }
        paragraph.text = String::from_utf8(text).map_err(|_| ControlError::Encoding(self.line))?;
        Ok((!paragraph.fields.is_empty()).then_some(&self.paragraph))
    }
}

/// Reading a line without an end to its length being a way to fill the memory.
trait TakeLine {
    fn take_line(self, text: &mut Vec<u8>) -> io::Result<usize>;
}

impl<R: BufRead> TakeLine for &mut R {
    fn take_line(self, text: &mut Vec<u8>) -> io::Result<usize> {
        io::Read::take(self, MAX_PARAGRAPH as u64 + 1).read_until(b'\n', text)
    }
}

impl Paragraph {
    /// Its lines, as they stand in the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of a field, white space around it taken off. Names are compared without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values. A value of several lines holds the line ends.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(start, colon, end)| {
            (&self.text[*start..*colon], self.text[colon + 1..*end].trim())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<Vec<Vec<(String, String)>>, ControlError> {
        let mut paragraphs = Paragraphs::new(text);
        let mut all = Vec::new();
        while let Some(paragraph) = paragraphs.next_paragraph()? {
            all.push(paragraph.fields().map(|(name, value)| (name.into(), value.into())).collect());
        }
        Ok(all)
    }

    #[test]
    fn paragraphs_and_fields() {
        let text = b"\n\nPackage: a\nDepends: b,\n c\n# comment\nX: \n\n\nPackage: d\n";
        let all = read(text).expect("a control file");
        assert_eq!(all.len(), 2);
        assert_eq!(all[0][1], ("Depends".into(), "b,\n c".into()));
        assert_eq!(all[0][2], ("X".into(), String::new()));
        assert_eq!(all[1], [("Package".into(), "d".into())]);
    }

    #[test]
    fn says_which_line_is_wrong() {
        assert!(matches!(read(b"A: b\nnonsense\n"), Err(ControlError::Line(2))));
        assert!(matches!(read(b" x\n"), Err(ControlError::Line(1))));
        assert!(matches!(read(b": x\n"), Err(ControlError::Line(1))));
        assert!(matches!(read(b"A: \xff\n"), Err(ControlError::Encoding(_))));
        let long = [b"A: ".as_slice(), &vec![b'x'; MAX_PARAGRAPH + 10]].concat();
        assert!(matches!(read(&long), Err(ControlError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&text);
        }
    }
}
