use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Counts what is read, and ends in an error where the allowance is used up and there is more.
///
/// `Read::take` ends there as if all had been read, so that what is too long seems to be whole.
#[derive(Debug)]
pub struct Metered<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R> Metered<R> {
    /// Reads at most so many bytes.
    pub fn new(inner: R, allowance: u64) -> Self {
        Self { inner, allowance: Rc::new(Cell::new(allowance)) }
    }

    /// How many bytes may still be read, to be looked at and set meanwhile.
    pub(crate) fn allowance(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.allowance)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.get();
        if allowed == 0 && !buffer.is_empty() {
            // The end may lie just here.
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")),
            };
        }
        let length = buffer.len().min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..length])?;
        self.allowance.set(allowed - read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_no_shorter_file() {
        let read = |allowance| io::read_to_string(Metered::new(&b"12345"[..], allowance));
        assert_eq!(read(5).unwrap(), "12345");
        assert_eq!(read(6).unwrap(), "12345");
        assert_eq!(read(4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
