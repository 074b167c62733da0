//! Versions and what is required of them, as Elixir's module `Version` has it.

use semver::Version;

/// Whether a version is what a requirement wants; none where either is written as Elixir doesn't write it,
/// which is Mix's to say.
pub fn fits(requirement: &str, version: &str) -> Option<bool> {
    let version = Version::parse(version).ok()?;
    let mut fits = false;
    for all in requirement.split(" or ") {
        let mut every = true;
        for one in all.split(" and ") {
            every &= fits_one(one.trim(), &version)?;
        }
        fits |= every;
    }
    Some(fits)
}

fn fits_one(requirement: &str, version: &Version) -> Option<bool> {
    let operators = ["~>", ">=", "<=", "==", "!=", ">", "<", "!"];
    let (operator, wanted) = operators
        .iter()
        .find_map(|operator| Some((*operator, requirement.strip_prefix(operator)?.trim())))
        .unwrap_or(("==", requirement));
    if operator == "~>" {
        return close_to(wanted, version);
    }
    let order = version.cmp_precedence(&Version::parse(wanted).ok()?);
    Some(match operator {
        ">=" => order.is_ge(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        "==" => order.is_eq(),
        _ => order.is_ne(),
    })
}

/// `~> 1.2` allows 1.2 up to, but not, 2.0; `~> 1.2.3` allows 1.2.3 up to, but not, 1.3.
fn close_to(wanted: &str, version: &Version) -> Option<bool> {
    let (numbers, pre) =
        wanted.split_once('-').map_or((wanted, ""), |(numbers, pre)| (numbers, pre));
    let is_short = numbers.split('.').count() == 2;
    let patch = if is_short { ".0" } else { "" };
    let dash = if pre.is_empty() { "" } else { "-" };
    let least = Version::parse(&format!("{numbers}{patch}{dash}{pre}")).ok()?;
    let is_near = version.major == least.major && (is_short || version.minor == least.minor);
    Some(is_near && version.cmp_precedence(&least).is_ge())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_elixir_has_it() {
        for (requirement, version, expected) in [
            ("~> 1.0", "1.9.3", Some(true)),
            ("~> 1.0", "2.0.0", Some(false)),
            ("~> 1.0", "2.0.0-rc.1", Some(false)),
            ("~> 1.2.3", "1.2.9", Some(true)),
            ("~> 1.2.3", "1.3.0", Some(false)),
            ("~> 1.2.3", "1.2.2", Some(false)),
            ("~> 1.0-rc.1", "1.0.0-rc.2", Some(true)),
            ("~> 1.0", "1.0.0-rc.2", Some(false)),
            (">= 0.0.0", "0.0.1", Some(true)),
            (">= 1.0.0 and < 2.0.0", "2.0.0", Some(false)),
            ("~> 1.0 or ~> 2.0", "2.5.0", Some(true)),
            ("== 1.0.0", "1.0.0+build", Some(true)),
            ("1.0.0", "1.0.1", Some(false)),
            ("!= 1.0.0", "1.0.1", Some(true)),
            ("~> 1", "1.0.0", None),
            ("whatever", "1.0.0", None),
            ("~> 1.0", "x", None),
        ] {
            assert_eq!(fits(requirement, version), expected, "{requirement} of {version}");
        }
    }
}
