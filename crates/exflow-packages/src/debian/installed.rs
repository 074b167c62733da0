//! What a system has installed, as dpkg's database says (dpkg(1), "Files").

use super::control::{ControlError, Paragraphs};
use exflow_content::RelPath;
use exflow_lock::Platform;
use std::collections::BTreeMap;

/// Where dpkg says what is installed.
pub const STATUS: &str = "var/lib/dpkg/status";
/// Where images without dpkg say it: a file for each package.
pub const STATUS_FOLDER: &str = "var/lib/dpkg/status.d";

/// The packages of a system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    packages: BTreeMap<String, InstalledPackage>,
    /// What else its database says: of packages of other architectures, and of those that are not wholly
    /// there. Their names and paragraphs.
    others: Vec<(String, InstalledPackage)>,
}

/// A package of a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its version.
    pub version: String,
    /// What says so: a paragraph of the database, with a line's end.
    pub paragraph: String,
    /// The files that say which files it has: that of dpkg, or where there is none, its checksums.
    pub(super) lists: [RelPath; 2],
    /// Where it has a file of the database for itself: that.
    pub(super) alone: Option<RelPath>,
}

impl Installed {
    /// Adds what the database says, or with `alone` a file of it that is about one package. Only what is
    /// wholly there and for this platform can meet what others need.
    pub fn add(
        &mut self,
        database: &str,
        alone: Option<&RelPath>,
        platform: &Platform,
    ) -> Result<(), ControlError> {
        let native = platform.debian_architecture();
        let mut paragraphs = Paragraphs::new(database.as_bytes());
        while let Some(paragraph) = paragraphs.next_paragraph()? {
            let get = |name: &str| paragraph.get(name).unwrap_or_default();
            let (name, architecture) = (get("Package"), get("Architecture"));
            if !exflow_lock::is_debian_package(name) {
                continue;
            }
            let is_native = matches!(architecture, "all" | "") || architecture == native;
            let is_there = paragraph.get("Status").is_none_or(|it| it.ends_with(" installed"));
            let stem = if get("Multi-Arch") == "same" || !is_native {
                format!("{name}:{architecture}")
            } else {
                name.to_owned()
            };
            let info = |kind: &str| RelPath::new(format!("var/lib/dpkg/info/{stem}.{kind}"));
            let sums = match alone {
                Some(alone) => RelPath::new(format!("{alone}.md5sums")),
                None => info("md5sums"),
            };
            // An architecture may be anything.
            let (Ok(list), Ok(sums)) = (info("list"), sums) else { continue };
            let package = InstalledPackage {
                version: get("Version").to_owned(),
                paragraph: format!("{}\n", paragraph.text().trim_end()),
                lists: [list, sums],
                alone: alone.cloned(),
            };
            if is_native && is_there {
                self.packages.insert(name.to_owned(), package);
            } else {
                self.others.push((name.to_owned(), package));
            }
        }
        Ok(())
    }

    /// The packages by name.
    pub fn packages(&self) -> &BTreeMap<String, InstalledPackage> {
        &self.packages
    }

    /// What else there is: see [`Installed`].
    pub(super) fn others(&self) -> &[(String, InstalledPackage)] {
        &self.others
    }
}

impl InstalledPackage {
    /// Its configuration files, as dpkg lists them.
    pub(super) fn conffiles(&self) -> Vec<RelPath> {
        let mut paragraphs = Paragraphs::new(self.paragraph.as_bytes());
        let Ok(Some(paragraph)) = paragraphs.next_paragraph() else { return Vec::new() };
        let listed = paragraph.get("Conffiles").unwrap_or_default();
        let paths = listed.lines().filter_map(|line| line.split_whitespace().next());
        paths.filter_map(|path| RelPath::new(path.strip_prefix('/')?).ok()).collect()
    }
}

/// What a system calls itself: `ID` and `VERSION_CODENAME` (os-release(5)).
pub fn system(os_release: &str) -> (Option<String>, Option<String>) {
    let field = |wanted: &str| {
        let line = os_release.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().trim_matches(['"', '\'']))
        });
        line.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    (field("ID"), field("VERSION_CODENAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed() {
        let database = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n\
            Multi-Arch: same\nVersion: 2.36-9\nConffiles:\n /etc/ld.so.conf 12\n /etc/x 34 obsolete\n\
            Description: C library\n text\n .\n more\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
            Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 9\n\n\
            Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n\n\
            Package: ../x\nArchitecture: all\nVersion: 2\n";
        let mut installed = Installed::default();
        installed.add(database, None, &Platform::LinuxAmd64).unwrap();
        let names: Vec<&str> = installed.packages().keys().map(String::as_str).collect();
        assert_eq!(names, ["libc6", "tool"]);
        let libc = &installed.packages()["libc6"];
        assert_eq!(libc.version, "2.36-9");
        let paths = |paths: &[RelPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(paths(&libc.lists)[0], "var/lib/dpkg/info/libc6:amd64.list");
        assert_eq!(paths(&libc.conffiles()), ["etc/ld.so.conf", "etc/x"]);
        let tool = &installed.packages()["tool"];
        assert_eq!(paths(&tool.lists)[0], "var/lib/dpkg/info/tool.list");
        let others: Vec<&str> = installed.others().iter().map(|(name, _)| &**name).collect();
        assert_eq!(others, ["gone", "libc6"]);
        assert_eq!(paths(&installed.others()[1].1.lists)[0], "var/lib/dpkg/info/libc6:i386.list");
        // As images without dpkg say it.
        let alone = RelPath::new("var/lib/dpkg/status.d/base").unwrap();
        let text = "Package: base-files\nVersion: 12\nArchitecture: amd64\n";
        installed.add(text, Some(&alone), &Platform::LinuxAmd64).unwrap();
        let base = &installed.packages()["base-files"];
        assert_eq!(paths(&base.lists)[1], "var/lib/dpkg/status.d/base.md5sums");
    }

    #[test]
    fn what_a_system_calls_itself() {
        let text = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME='bookworm'\n";
        assert_eq!(system(text), (Some("debian".into()), Some("bookworm".into())));
        assert_eq!(system("ID=\"\"\nVERSION_CODENAME\n"), (None, None));
    }
}
