use std::cmp::Ordering;

/// Compares two versions as apk does (apk-package(5), "version"):
/// `number{.number}…{letter}{_suffix{number}}…{~hash}{-r#}`.
///
/// Any two texts can be compared. What is not a version ends where it stops being one, and sorts
/// before what goes on there.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    compare(a, b, false)
}

/// Compares two versions, where `a` counts as equal when it only goes on behind the end of `b`:
/// `3.6.1` is equal to `3.6`, as the operator `~` has it.
pub(super) fn compare_prefix(a: &str, b: &str) -> Ordering {
    compare(a, b, true)
}

/// Whether a text is a version.
#[cfg(test)]
fn is_version(text: &str) -> bool {
    let mut pieces = Pieces::new(text);
    loop {
        match pieces.next_piece() {
            Piece::End => return true,
            Piece::Invalid => return false,
            _ => {}
        }
    }
}

fn compare(a: &str, b: &str, prefix: bool) -> Ordering {
    let (mut a, mut b) = (Pieces::new(a), Pieces::new(b));
    loop {
        let (x, y) = (a.next_piece(), b.next_piece());
        if prefix && matches!(y, Piece::End) {
            return Ordering::Equal;
        }
        let order = x.compare(&y);
        if order.is_ne() || matches!(x, Piece::End | Piece::Invalid) {
            return order;
        }
    }
}

/// One piece of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    /// The digits that it begins with.
    First(&'a [u8]),
    /// The digits behind a dot.
    Number(&'a [u8]),
    Letter(u8),
    Suffix(Suffix),
    /// The digits behind a suffix.
    SuffixNumber(&'a [u8]),
    /// A commit, in hexadecimal digits.
    Hash(&'a [u8]),
    /// The digits of `-r1`.
    Build(&'a [u8]),
    End,
    Invalid,
}

/// The suffixes, in their order. A version without one stands between [`Suffix::Rc`] and
/// [`Suffix::Cvs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suffix {
    Alpha,
    Beta,
    Pre,
    Rc,
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

impl Suffix {
    fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"alpha" => Self::Alpha,
            b"beta" => Self::Beta,
            b"pre" => Self::Pre,
            b"rc" => Self::Rc,
            b"cvs" => Self::Cvs,
            b"svn" => Self::Svn,
            b"git" => Self::Git,
            b"hg" => Self::Hg,
            b"p" => Self::P,
            _ => return None,
        })
    }
}

impl Piece<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Numbers behind a dot are compared as text where one begins with a zero, as
            // decimals are: 1.05 is less than 1.1.
            (Self::Number(a), Self::Number(b)) if a[0] == b'0' || b[0] == b'0' => a.cmp(b),
            (Self::First(a), Self::First(b))
            | (Self::Number(a), Self::Number(b))
            | (Self::SuffixNumber(a), Self::SuffixNumber(b))
            | (Self::Build(a), Self::Build(b)) => {
                let (a, b) = (without_zeros(a), without_zeros(b));
                // As text, because they may be more than any number type holds.
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            (Self::Letter(a), Self::Letter(b)) => a.cmp(b),
            (Self::Suffix(a), Self::Suffix(b)) => a.cmp(b),
            (Self::Hash(a), Self::Hash(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Which kind of piece makes the greater version, where all before is the same.
    fn rank(&self) -> u8 {
        match self {
            Self::Suffix(suffix) if *suffix <= Suffix::Rc => 0,
            Self::Invalid => 1,
            Self::End => 2,
            Self::Build(_) => 3,
            Self::Hash(_) => 4,
            Self::SuffixNumber(_) => 5,
            Self::Suffix(_) => 6,
            Self::Letter(_) => 7,
            Self::Number(_) => 8,
            Self::First(_) => 9,
        }
    }
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

/// Reads a version piece by piece.
struct Pieces<'a> {
    rest: &'a [u8],
    /// The piece before, which decides what may follow.
    last: Option<Piece<'a>>,
}

impl<'a> Pieces<'a> {
    fn new(version: &'a str) -> Self {
        Self { rest: version.as_bytes(), last: None }
    }

    fn next_piece(&mut self) -> Piece<'a> {
        let piece = self.read();
        self.last = Some(piece);
        piece
    }

    fn read(&mut self) -> Piece<'a> {
        let Some(last) = self.last else {
            return self.digits().map_or(Piece::Invalid, Piece::First);
        };
        let in_numbers = matches!(last, Piece::First(_) | Piece::Number(_));
        let before_hash = in_numbers
            || matches!(last, Piece::Letter(_) | Piece::Suffix(_) | Piece::SuffixNumber(_));
        let Some((&first, rest)) = self.rest.split_first() else { return Piece::End };
        let piece = match first {
            b'a'..=b'z' if in_numbers => {
                self.rest = rest;
                Some(Piece::Letter(first))
            }
            b'.' if in_numbers => {
                self.rest = rest;
                self.digits().map(Piece::Number)
            }
            b'0'..=b'9' if matches!(last, Piece::Suffix(_)) => {
                self.digits().map(Piece::SuffixNumber)
            }
            b'_' if before_hash => {
                self.rest = rest;
                Suffix::parse(self.take(u8::is_ascii_lowercase)).map(Piece::Suffix)
            }
            b'~' if before_hash => {
                self.rest = rest;
                let hash = self.take(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                (!hash.is_empty()).then_some(Piece::Hash(hash))
            }
            b'-' if (before_hash || matches!(last, Piece::Hash(_)))
                && rest.first() == Some(&b'r') =>
            {
                self.rest = &rest[1..];
                self.digits().map(Piece::Build)
            }
            _ => None,
        };
        piece.unwrap_or(Piece::Invalid)
    }

    fn digits(&mut self) -> Option<&'a [u8]> {
        let digits = self.take(u8::is_ascii_digit);
        (!digits.is_empty()).then_some(digits)
    }

    fn take(&mut self, wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !wanted(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests;
