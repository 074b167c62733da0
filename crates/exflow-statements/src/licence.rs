//! Licences as SPDX expressions (SPDX specification 2.3, annex D).

use spdx::{Expression, ParseMode, license_id};
use std::collections::BTreeMap;

/// What stands for a licence that SPDX doesn't know, and what its source calls it.
pub(crate) type Others = BTreeMap<String, String>;

/// The expression that says that all of `found` hold; none where there are none. What SPDX doesn't know stands in it as
/// a reference, and is added to `others`.
pub(crate) fn expression(found: &[String], others: &mut Others) -> Option<String> {
    let found = found.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let mut terms: Vec<String> = found.map(|text| one_expression(text, others)).collect();
    terms.sort();
    terms.dedup();
    match terms.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        terms => {
            let enclosed = terms
                .iter()
                .map(|term| if term.contains(' ') { format!("({term})") } else { term.clone() });
            Some(enclosed.collect::<Vec<_>>().join(" AND "))
        }
    }
}

fn one_expression(text: &str, others: &mut Others) -> String {
    // A reference leads into a document that isn't here.
    let refers = text.contains("LicenseRef-") || text.contains("DocumentRef-");
    if !refers {
        let upper = in_capitals(text);
        if Expression::parse_mode(&upper, ParseMode::STRICT).is_ok() {
            return upper;
        }
        let mut more = others.clone();
        if let Some(translated) = of_debian(text, &mut more)
            && Expression::parse_mode(&translated, ParseMode::STRICT).is_ok()
        {
            *others = more;
            return translated;
        }
        // What people write by habit: `Apache 2.0`.
        if let Ok(Some(canonical)) = Expression::canonicalize(text)
            && let canonical = in_capitals(&canonical)
            && Expression::parse_mode(&canonical, ParseMode::STRICT).is_ok()
        {
            return canonical;
        }
    }
    reference(text, others)
}

/// With operators as the specification has them; some write them small.
fn in_capitals(text: &str) -> String {
    let words = text.split(' ').map(|word| match word {
        "and" => "AND",
        "or" => "OR",
        "with" => "WITH",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A licence that SPDX doesn't know.
fn reference(text: &str, others: &mut Others) -> String {
    let id: String = text
        .chars()
        .map(
            |letter| {
                if letter.is_ascii_alphanumeric() || ".-".contains(letter) { letter } else { '-' }
            },
        )
        .take(80)
        .collect();
    // Two that differ only in what can't stand there are told apart.
    let mut name = format!("LicenseRef-{id}");
    let mut number = 2;
    while others.get(&name).is_some_and(|other| other != text) {
        name = format!("LicenseRef-{id}-{number}");
        number += 1;
    }
    others.insert(name.clone(), text.to_owned());
    name
}

/// What Debian writes (`GPL-2+ or Artistic, and Expat`) as an expression: a comma binds looser than `and` and `or`.
fn of_debian(text: &str, others: &mut Others) -> Option<String> {
    // Exceptions of Debian's are not those of SPDX.
    if text.contains(" with ") {
        return None;
    }
    let mut expression = String::new();
    for (number, part) in text.split(", ").enumerate() {
        let part = part.trim_end_matches(',');
        let (operator, part) = match part.split_once(' ') {
            Some(("and", rest)) => (" AND ", rest),
            Some(("or", rest)) => (" OR ", rest),
            _ => (" AND ", part),
        };
        if number > 0 {
            expression += operator;
        }
        let mut words = part.split_whitespace();
        let mut inner = name(words.next()?, others);
        while let Some(word) = words.next() {
            let operator = match word {
                "and" => "AND",
                "or" => "OR",
                _ => return None,
            };
            inner += &format!(" {operator} {}", name(words.next()?, others));
        }
        let encloses = inner.contains(' ') && text.contains(',');
        expression += &if encloses { format!("({inner})") } else { inner };
    }
    Some(expression)
}

/// What SPDX calls a licence that Debian names so.
fn name(debian: &str, others: &mut Others) -> String {
    let known = match debian {
        "Expat" | "MIT/X11" => Some("MIT".to_owned()),
        "BSD-2-clause" => Some("BSD-2-Clause".to_owned()),
        "BSD-3-clause" => Some("BSD-3-Clause".to_owned()),
        "BSD-4-clause" => Some("BSD-4-Clause".to_owned()),
        "zlib" => Some("Zlib".to_owned()),
        _ => gnu(debian),
    };
    let known = known.unwrap_or_else(|| debian.to_owned());
    if license_id(&known).is_some() { known } else { reference(debian, others) }
}

/// `GPL-2+` is `GPL-2.0-or-later`.
fn gnu(debian: &str) -> Option<String> {
    let (family, version) = debian.split_once('-')?;
    if !["GPL", "LGPL", "AGPL", "GFDL"].contains(&family) {
        return None;
    }
    let (version, or_later) = match version.strip_suffix('+') {
        Some(version) => (version, "or-later"),
        None => (version, "only"),
    };
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    Some(format!("{family}-{version}-{or_later}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(found: &[&str]) -> (Option<String>, Vec<String>) {
        let mut others = Others::new();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expression = expression(&found, &mut others);
        (expression, others.into_values().collect())
    }

    #[test]
    fn what_spdx_knows_is_called_so() {
        for (found, expected) in [
            (&["Apache-2.0"][..], "Apache-2.0"),
            (&["MIT", "Apache-2.0", "MIT"], "Apache-2.0 AND MIT"),
            (&["MIT OR Apache-2.0", "ISC"], "ISC AND (MIT OR Apache-2.0)"),
            (&["MIT or Apache-2.0", "Zlib"], "(MIT OR Apache-2.0) AND Zlib"),
            (&["GPL-2+"], "GPL-2.0-or-later"),
            (&["LGPL-2.1"], "LGPL-2.1-only"),
            (&["Expat"], "MIT"),
            (&["MIT/X11"], "MIT"),
            (&["Apache 2.0"], "Apache-2.0"),
            (&["GPL-3+ and Expat"], "GPL-3.0-or-later AND MIT"),
            (&["BSD-3-clause or GPL-2+"], "BSD-3-Clause OR GPL-2.0-or-later"),
            (&["GPL-2+ or Expat, and ISC"], "(GPL-2.0-or-later OR MIT) AND ISC"),
            (
                &["GPL-2+ and Expat, and ISC", "GPL-2+ and BSD-3-clause, and ISC"],
                "((GPL-2.0-or-later AND BSD-3-Clause) AND ISC) AND ((GPL-2.0-or-later AND MIT) AND ISC)",
            ),
            (&["", " MIT "], "MIT"),
        ] {
            assert_eq!(said(found), (Some(expected.to_owned()), Vec::new()), "{found:?}");
        }
        assert_eq!(said(&[]), (None, Vec::new()));
        assert_eq!(said(&[" "]), (None, Vec::new()));
    }

    #[test]
    fn what_it_does_not_know_is_named_as_it_is() {
        let (expression, others) = said(&["public-domain", "GPL-2+ with OpenSSL exception"]);
        assert_eq!(
            expression.unwrap(),
            "LicenseRef-GPL-2--with-OpenSSL-exception AND LicenseRef-public-domain"
        );
        assert_eq!(others, ["GPL-2+ with OpenSSL exception", "public-domain"]);
        let (expression, others) = said(&["a b", "a/b"]);
        assert_eq!(expression.unwrap(), "LicenseRef-a-b AND LicenseRef-a-b-2");
        assert_eq!(others.len(), 2);
        let (expression, others) = said(&["LicenseRef-mine", "DocumentRef-x:LicenseRef-y"]);
        assert_eq!(
            expression.unwrap(),
            "LicenseRef-DocumentRef-x-LicenseRef-y AND LicenseRef-LicenseRef-mine"
        );
        assert_eq!(others.len(), 2);
    }

    proptest! {
        #[test]
        fn whatever_is_found_makes_an_expression_whose_references_are_explained(
            found in proptest::collection::vec(
                prop_oneof![
                    ".{1,30}",
                    "(MIT|GPL-2\\+|Expat|x)( (and|or|AND|OR|with|,) (ISC|LicenseRef-a|BSD-3-clause|\\(MIT\\)|GPL-3)){0,3}",
                ],
                1..4,
            ),
        ) {
            let mut others = Others::new();
            let Some(expression) = expression(&found, &mut others) else { return Ok(()) };
            let parsed = Expression::parse_mode(&expression, ParseMode::STRICT);
            prop_assert!(parsed.is_ok(), "{expression}");
            for word in expression.split([' ', '(', ')']).filter(|word| word.contains("Ref-")) {
                prop_assert!(others.contains_key(word), "{word} in {expression}");
            }
        }
    }
}
