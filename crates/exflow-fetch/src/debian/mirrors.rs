//! Where Debian's archives are served.

use exflow_packages::debian::{parse_snapshot_stamp, snapshot_stamp};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The snapshot archive of Debian: every package that was ever in an archive, by date. It is the
/// last resort, because it is slow and everybody's.
pub const SNAPSHOT: &str = "https://snapshot.debian.org";

/// The suites that tell that a source in apt's configuration is Debian's own archive, rather than
/// that of some vendor.
const CODENAMES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// One source of apt's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// Where it is.
    pub uris: Vec<String>,
    /// Which suites it serves.
    pub suites: Vec<String>,
}

/// Where the archives of Debian are, the best place first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirrors {
    /// The main archive: `http://…/debian`.
    pub debian: Vec<String>,
    /// The security archive: `http://…/debian-security`.
    pub security: Vec<String>,
    /// The snapshot archive, if it may be used.
    pub snapshot: Option<String>,
}

impl Mirrors {
    /// Where a file of `archive` is. `stamp` is when the index was published that names it.
    ///
    /// The snapshot archive looks at an archive some times a day, and for a time between answers
    /// with what it saw before. An index is thus found there after it was published: a day later
    /// surely, unless what it names was replaced within that day; some hours later most likely.
    pub fn urls(&self, archive: &str, path: &str, stamp: &str) -> Vec<String> {
        let mirrors = if archive == "debian" { &self.debian } else { &self.security };
        let mut urls: Vec<String> =
            mirrors.iter().map(|mirror| join(mirror.trim_end_matches('/'), path)).collect();
        if let (Some(snapshot), Some(time)) = (&self.snapshot, parse_snapshot_stamp(stamp)) {
            let snapshot = snapshot.trim_end_matches('/');
            urls.extend([86_400, 6 * 3_600, 0].map(|later| {
                let stamp = snapshot_stamp(time + later);
                join(&format!("{snapshot}/archive/{archive}/{stamp}"), path)
            }));
        }
        urls
    }

    /// Where the snapshot archive says, for machines, what the files of a binary package are (its documentation, "Machine
    /// readable output"); and where a file is by its SHA-1.
    pub(crate) fn by_hash(&self, name: &str, version: &str) -> Option<(String, String)> {
        let snapshot = self.snapshot.as_ref()?.trim_end_matches('/');
        let path = format!("mr/binary/{name}/{version}/binfiles");
        Some((join(snapshot, &path), format!("{snapshot}/file/")))
    }
}

/// The address of the file at `path` below `root`.
///
/// Versions have a `+` now and then, which some servers (Amazon's S3 among them) take for a space
/// unless it is encoded; and a path is a path, whatever else is in it.
fn join(root: &str, path: &str) -> String {
    if root.starts_with("file://") {
        return format!("{root}/{path}");
    }
    let mut url = format!("{root}/");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:@!$&'()*,;=".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Whether Debian itself has a suite of this name that gets security updates.
pub(super) fn has_security_updates(suite: &str) -> bool {
    CODENAMES.contains(&suite) && !matches!(suite, "sid" | "unstable")
}

/// Mirrors that someone has named.
#[derive(Debug, Clone, Copy, Default)]
pub struct NamedMirrors<'a> {
    /// Of the main archive.
    pub debian: Option<&'a str>,
    /// Of the security archive.
    pub security: Option<&'a str>,
}

/// Decides where the archives are, for each of the two: as the manifest says, else as the
/// environment says (`EXFLOW_DEBIAN_MIRROR`, `EXFLOW_DEBIAN_SECURITY_MIRROR`), else as the host's
/// own apt does, else in the snapshot archive.
pub fn find_mirrors(
    manifest: NamedMirrors<'_>,
    environment: NamedMirrors<'_>,
    apt: &[AptSource],
    snapshot: Option<&str>,
) -> Mirrors {
    let mut mirrors = of_apt(apt);
    mirrors.snapshot = snapshot.map(str::to_owned);
    if let Some(mirror) = manifest.debian.or(environment.debian) {
        mirrors.debian = vec![mirror.to_owned()];
    }
    if let Some(mirror) = manifest.security.or(environment.security) {
        mirrors.security = vec![mirror.to_owned()];
    }
    mirrors
}

/// Debian's own archives among the sources of apt.
fn of_apt(apt: &[AptSource]) -> Mirrors {
    let mut mirrors = Mirrors::default();
    for source in apt {
        for suite in &source.suites {
            let (codename, rest) = suite.split_once(['-', '/']).unwrap_or((suite, ""));
            if !CODENAMES.contains(&codename) {
                continue;
            }
            let list = match rest {
                "" | "updates" if !suite.contains('/') => &mut mirrors.debian,
                "security" | "updates" => &mut mirrors.security,
                _ => continue,
            };
            for uri in &source.uris {
                if !list.contains(uri) {
                    list.push(uri.clone());
                }
            }
        }
    }
    mirrors
}

/// The sources that apt is configured with on this host; none where there is no apt.
pub fn apt_sources(etc_apt: &Path) -> Vec<AptSource> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc_apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let deb822 = match file.extension()?.to_str()? {
                "list" => false,
                "sources" => true,
                _ => return None,
            };
            Some(parse_apt_sources(&fs::read_to_string(file).ok()?, deb822))
        })
        .flatten()
        .collect()
}

/// Parses apt's configuration (sources.list(5)): its one-line style, or its deb822 style.
pub fn parse_apt_sources(text: &str, deb822: bool) -> Vec<AptSource> {
    let sources =
        if deb822 { parse_deb822(text) } else { text.lines().filter_map(parse_line).collect() };
    sources
        .into_iter()
        .map(|mut source: AptSource| {
            // Other methods (cdrom, mirror lists, tor) need apt itself.
            source.uris.retain(|uri| {
                ["http://", "https://", "file://"].iter().any(|scheme| uri.starts_with(scheme))
            });
            source
        })
        .filter(|source| !source.uris.is_empty())
        .collect()
}

fn parse_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb ").or_else(|| line.strip_prefix("deb\t"))?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_ascii_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    Some(AptSource { uris: vec![uri.to_owned()], suites: vec![suite.to_owned()] })
}

fn parse_deb822(text: &str) -> Vec<AptSource> {
    let mut paragraphs = exflow_packages::debian::Paragraphs::new(text.as_bytes());
    let mut sources = Vec::new();
    while let Ok(Some(paragraph)) = paragraphs.next_paragraph() {
        let words = |name: &str| -> Vec<String> {
            let value = paragraph.get(name).unwrap_or_default();
            value.split_ascii_whitespace().map(str::to_owned).collect()
        };
        let enabled = !matches!(paragraph.get("Enabled"), Some("no" | "false" | "0"));
        if enabled && words("Types").iter().any(|kind| kind == "deb") {
            sources.push(AptSource { uris: words("URIs"), suites: words("Suites") });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "# comment\nTypes: deb deb-src\nURIs: http://a.test/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main\n\n\
        Types: deb\nURIs: http://a.test/debian-security\nSuites: bookworm-security\n\n\
        Types: deb\nURIs: https://vendor.test/node\nSuites: nodistro\n\n\
        Types: deb\nEnabled: no\nURIs: http://off.test\nSuites: bookworm\n";

    #[test]
    fn takes_debian_and_nothing_else_from_apt() {
        let list = "deb [arch=amd64 signed-by=/x] http://b.test/debian bookworm main # comment\n\
                    # deb http://off.test bookworm main\ndeb-src http://off.test bookworm main\n\
                    deb https://vendor.test/sdk cloud-sdk-bookworm main\n\
                    deb cdrom:[x]/ bookworm main\n";
        let mut sources = parse_apt_sources(DEB822, true);
        sources.extend(parse_apt_sources(list, false));
        let nothing = NamedMirrors::default();
        let mirrors = find_mirrors(nothing, nothing, &sources, None);
        assert_eq!(mirrors.debian, ["http://a.test/debian", "http://b.test/debian"]);
        assert_eq!(mirrors.security, ["http://a.test/debian-security"]);
    }

    #[test]
    fn the_manifest_goes_before_the_environment_before_apt() {
        let apt = parse_apt_sources(DEB822, true);
        let first = |manifest, environment| {
            let named = |debian| NamedMirrors { debian, security: None };
            let found = find_mirrors(named(manifest), named(environment), &apt, Some(SNAPSHOT));
            // Whoever names a mirror of one archive still gets security updates.
            assert_eq!(found.security, ["http://a.test/debian-security"]);
            found.debian[0].clone()
        };
        assert_eq!(first(Some("http://m"), Some("http://e")), "http://m");
        assert_eq!(first(None, Some("http://e")), "http://e");
        assert_eq!(first(None, None), "http://a.test/debian");
        let named = NamedMirrors { security: Some("http://s"), ..NamedMirrors::default() };
        assert_eq!(find_mirrors(named, named, &apt, None).security, ["http://s"]);
        let nothing = NamedMirrors::default();
        let none = find_mirrors(nothing, nothing, &[], Some(SNAPSHOT));
        assert_eq!(
            none.urls("debian", "pool/a.deb", "20260101T000000Z"),
            [
                format!("{SNAPSHOT}/archive/debian/20260102T000000Z/pool/a.deb"),
                format!("{SNAPSHOT}/archive/debian/20260101T060000Z/pool/a.deb"),
                format!("{SNAPSHOT}/archive/debian/20260101T000000Z/pool/a.deb"),
            ]
        );
        assert_eq!(none.urls("debian", "pool/a.deb", "../x"), [""; 0]);
    }

    #[test]
    fn paths_are_encoded_in_addresses() {
        let mirrors = Mirrors {
            debian: vec!["http://m/d+e/".into(), "file:///m".into()],
            ..Mirrors::default()
        };
        assert_eq!(
            mirrors.urls("debian", "pool/c++_1.0~1+b1%3a?#.deb", ""),
            [
                "http://m/d+e/pool/c%2B%2B_1.0~1%2Bb1%253a%3F%23.deb",
                "file:///m/pool/c++_1.0~1+b1%3a?#.deb"
            ]
        );
    }

    #[test]
    fn suites_with_security_updates() {
        for (suite, expected) in [
            ("bookworm", true),
            ("testing", true),
            ("sid", false),
            ("unstable", false),
            ("experimental", false),
            ("made-up", false),
            ("bookworm-backports", false),
        ] {
            assert_eq!(has_security_updates(suite), expected, "{suite}");
        }
    }
}
