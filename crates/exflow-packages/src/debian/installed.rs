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
}

/// A package of a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its version.
    pub version: String,
    /// What says so: a paragraph of the database, with a line's end.
    pub paragraph: String,
    /// Whether it may be there for several architectures, and its files are listed by them.
    pub is_multiarch: bool,
}

impl Installed {
    /// Adds what a database, or a file of one, says. Packages of other architectures are passed over,
    /// and so is what is configured no more.
    pub fn add(&mut self, database: &str, platform: &Platform) -> Result<(), ControlError> {
        let native = platform.debian_architecture();
        let mut paragraphs = Paragraphs::new(database.as_bytes());
        while let Some(paragraph) = paragraphs.next_paragraph()? {
            let get = |name: &str| paragraph.get(name).unwrap_or_default();
            let (name, architecture) = (get("Package"), get("Architecture"));
            let status = paragraph.get("Status");
            let is_there = status.is_none_or(|status| status.ends_with(" installed"));
            if !exflow_lock::is_debian_package(name)
                || !matches!(architecture, "all" | "") && architecture != native
                || !is_there
            {
                continue;
            }
            let package = InstalledPackage {
                version: get("Version").to_owned(),
                paragraph: format!("{}\n", paragraph.text().trim_end()),
                is_multiarch: get("Multi-Arch") == "same",
            };
            self.packages.insert(name.to_owned(), package);
        }
        Ok(())
    }

    /// The packages by name.
    pub fn packages(&self) -> &BTreeMap<String, InstalledPackage> {
        &self.packages
    }

    /// Where the files of a package are listed.
    pub(super) fn list_of(&self, name: &str, platform: &Platform) -> Option<RelPath> {
        let package = self.packages.get(name)?;
        let stem = if package.is_multiarch {
            format!("{name}:{}", platform.debian_architecture())
        } else {
            name.to_owned()
        };
        RelPath::new(format!("var/lib/dpkg/info/{stem}.list")).ok()
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
            Multi-Arch: same\nVersion: 2.36-9\nDescription: C library\n text\n .\n more\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
            Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 9\n\n\
            Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n";
        let mut installed = Installed::default();
        installed.add(database, &Platform::LinuxAmd64).unwrap();
        let names: Vec<&str> = installed.packages().keys().map(String::as_str).collect();
        assert_eq!(names, ["libc6", "tool"]);
        assert_eq!(installed.packages()["libc6"].version, "2.36-9");
        let list = |name: &str| {
            let list = installed.list_of(name, &Platform::LinuxAmd64);
            list.map(|path| path.to_string())
        };
        assert_eq!(list("libc6").as_deref(), Some("var/lib/dpkg/info/libc6:amd64.list"));
        assert_eq!(list("tool").as_deref(), Some("var/lib/dpkg/info/tool.list"));
        assert_eq!(list("gone"), None);
    }

    #[test]
    fn what_a_system_calls_itself() {
        let text = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME='bookworm'\n";
        assert_eq!(system(text), (Some("debian".into()), Some("bookworm".into())));
        assert_eq!(system("ID=\"\"\nVERSION_CODENAME\n"), (None, None));
    }
}
