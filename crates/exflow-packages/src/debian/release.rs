use super::control::{ControlError, Paragraphs};
use exflow_content::{RelPath, Sha256};
use std::collections::BTreeMap;

/// The `Release` file of a suite: what indexes there are, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `stable`.
    pub suite: String,
    /// `bookworm`.
    pub codename: String,
    /// When it was published, in seconds of Unix time.
    pub date: u64,
    /// When it should no longer be believed, in seconds of Unix time.
    pub valid_until: Option<u64>,
    /// Whether indexes can be fetched by their digest.
    pub by_hash: bool,
    /// The indexes, by their path below the suite's folder.
    pub files: BTreeMap<String, IndexFile>,
}

/// An index, by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// Its digest.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

/// Why a text is not a `Release` file.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is not a control file.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A field is missing or makes no sense.
    #[error("its field `{0}` is missing or makes no sense")]
    Field(&'static str),
}

impl Release {
    /// Parses a `Release` file whose signature has been checked.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut paragraphs = Paragraphs::new(text.as_bytes());
        let paragraph = paragraphs.next_paragraph()?.ok_or(ReleaseError::Field("Codename"))?;
        let field = |name: &'static str| paragraph.get(name).ok_or(ReleaseError::Field(name));
        let date = |name: &'static str| {
            paragraph
                .get(name)
                .map(|text| parse_date(text).ok_or(ReleaseError::Field(name)))
                .transpose()
        };
        let mut files = BTreeMap::new();
        for line in field("SHA256")?.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_ascii_whitespace();
            let (Some(sha256), Some(size), Some(path), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(ReleaseError::Field("SHA256"));
            };
            let (Ok(sha256), Ok(size), Ok(_)) = (sha256.parse(), size.parse(), RelPath::new(path))
            else {
                return Err(ReleaseError::Field("SHA256"));
            };
            files.insert(path.to_owned(), IndexFile { sha256, size });
        }
        Ok(Self {
            suite: paragraph.get("Suite").unwrap_or_default().to_owned(),
            codename: field("Codename")?.to_owned(),
            date: date("Date")?.ok_or(ReleaseError::Field("Date"))?,
            valid_until: date("Valid-Until")?,
            by_hash: paragraph.get("Acquire-By-Hash") == Some("yes"),
            files,
        })
    }

    /// The date as the snapshot archive writes it: `20261101T120000Z`.
    pub fn snapshot(&self) -> String {
        snapshot_stamp(self.date)
    }
}

/// A time, in seconds of Unix time, as the snapshot archive writes it: `20261101T120000Z`.
pub fn snapshot_stamp(time: u64) -> String {
    let (days, rest) = (time / 86_400, time % 86_400);
    // The civil calendar from a count of days, by the algorithm in Howard Hinnant's
    // "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// The time, in seconds of Unix time, that a stamp of the snapshot archive names.
pub fn parse_snapshot_stamp(stamp: &str) -> Option<u64> {
    let (date, clock) = stamp.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || clock.len() != 6 || !stamp.is_ascii() {
        return None;
    }
    let number = |digits: &str| {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let days = days(number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?)?;
    let (hour, minute, second) =
        (number(&clock[..2])?, number(&clock[2..4])?, number(&clock[4..])?);
    (hour < 24 && minute < 60 && second <= 60)
        .then_some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The days from 1 January 1970 to a date: `days_from_civil`, from the same source as above.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// `Sat, 11 Jan 2026 09:30:00 UTC`, as apt-ftparchive writes it: always UTC.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_once(',')?.1.split_ascii_whitespace().collect();
    let [day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let days = days(year.parse().ok()?, month, day.parse().ok()?)?;
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, time, stamp) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0, "19700101T000000Z"),
            ("Sat, 29 Feb 2020 23:59:59 UTC", 1_583_020_799, "20200229T235959Z"),
            ("Tue,  1 Sep 2026 08:05:09 UTC", 1_788_249_909, "20260901T080509Z"),
        ] {
            assert_eq!(parse_date(text), Some(time), "{text}");
            assert_eq!(snapshot_stamp(time), stamp);
            assert_eq!(parse_snapshot_stamp(stamp), Some(time));
        }
        for stamp in [
            "",
            "20260901",
            "20260901T080509",
            "20261301T080509Z",
            "20260901T240509Z",
            "2026090aT080509Z",
            "+0260901T080509Z",
            "20260901T0805 9Z",
            "../../../../../Z",
        ] {
            assert_eq!(parse_snapshot_stamp(stamp), None, "{stamp}");
        }
        for text in
            ["", "x, 1 Sep 2026", "Tue, 1 Sep 2026 25:00:00 UTC", "Tue, 1 Foo 2026 1:1:1 UTC"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn files_by_content() {
        let digest = Sha256::of(b"");
        let text = format!(
            "Suite: stable\nCodename: bookworm\nDate: Thu, 01 Jan 1970 00:00:01 UTC\n\
             Acquire-By-Hash: yes\nSHA256:\n {digest} 0 main/binary-amd64/Packages.xz\n"
        );
        let release = Release::parse(&text).expect("a release");
        assert_eq!(release.files["main/binary-amd64/Packages.xz"].sha256, digest);
        assert!(release.by_hash);
        for (from, to) in [("main/", "../"), (" 0 ", " x "), ("Codename", "Other")] {
            assert!(Release::parse(&text.replace(from, to)).is_err(), "{from}");
        }
    }
}
