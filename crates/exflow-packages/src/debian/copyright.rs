//! Licences of Debian packages, as their copyright files say ("Machine-readable debian/copyright file", version 1.0).

use super::control::Paragraphs;
use std::collections::BTreeSet;

/// The longest copyright file that is read, in bytes.
pub const MAX_COPYRIGHT: u64 = 4 << 20;

/// The licences that a copyright file names, each as it stands there: `GPL-2+ or Artistic`. None where the file isn't
/// written for machines.
pub fn licences(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut paragraphs = Paragraphs::new(text.as_bytes());
    let mut is_first = true;
    while let Ok(Some(paragraph)) = paragraphs.next_paragraph() {
        if std::mem::take(&mut is_first) {
            let format = paragraph.get("Format").unwrap_or_default();
            if !format.contains("copyright-format/1.0") {
                break;
            }
        } else if paragraph.get("Files").is_none() {
            // The text of a licence that files are under.
            continue;
        }
        let name = paragraph.get("License").and_then(|licence| licence.lines().next());
        found.extend(name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_of_files_are_found_and_nothing_is_guessed() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                    Upstream-Name: shop\n\n\
                    Files: *\nCopyright: 1 A\nLicense: GPL-2+ or Artistic\n\n\
                    Files: b/*\nCopyright: 2 B\nLicense: Expat\n Permission is hereby granted\n\n\
                    License: GPL-2+\n Long text.\n";
        let found: Vec<String> = licences(text).into_iter().collect();
        assert_eq!(found, ["Expat", "GPL-2+ or Artistic"]);
        assert!(licences("This is free software.\nLicense: GPL-2\n").is_empty());
        assert!(licences("").is_empty());
        assert!(licences(&text.replace("Format: ", "Format ")).is_empty());
    }
}
