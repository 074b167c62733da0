//! A base: packages laid out together as if they had been installed, without running any of their
//! scripts.
//!
//! What dpkg and the maintainer scripts of the packages would have done, and every program counts
//! on, is done here as a pure function of the packages:
//!
//! * `/bin`, `/sbin`, `/lib` and their like are links into `/usr` (merged /usr), and what packages
//!   ship below them goes there;
//! * alternatives (`cc`, `awk`) lead to the package with the highest priority;
//! * the files that scripts copy from `/usr/share` into `/etc` are copied: users and groups,
//!   shells, the name service switch;
//! * the CA bundle is put together;
//! * `/var/lib/dpkg` says what is installed, for scanners and for dpkg itself.
//!
//! Not done: `ld.so.cache` (Debian's dynamic loader knows the library folders by itself), caches
//! of icons, fonts and the like, services, users of services.
//!
//! A slim base is left without [`SLIM_DROPS`].

use super::alternatives::{self, Alternative, Link};
use super::deb::Control;
use super::relation::parse_relations;
use exflow_content::{Digest, Encoder, Entry, Mode, RelPath, Tree};
use exflow_lock::{LockedDebian, LockedPackage, Platform};
use std::collections::BTreeMap;

/// A package that has been unpacked into a store.
#[derive(Debug, Clone)]
pub struct UnpackedPackage {
    /// Which package.
    pub locked: LockedPackage,
    /// What describes it.
    pub control: Control,
    /// Its files.
    pub tree: Tree,
}

/// A base, and the files that were made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The root file system.
    pub tree: Tree,
    /// Contents that the tree names and that no package has.
    pub new_blobs: Vec<Vec<u8>>,
}

/// Why packages can't be laid out together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Two packages have a file in common, and neither replaces the other.
    #[error("packages `{first}` and `{second}` both have `/{path}`")]
    Overlap {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// Which file.
        path: RelPath,
    },
    /// A path of a package can't be laid out.
    #[error("`/{path}` of package `{package}` goes through something that is not a folder")]
    Path {
        /// Which package.
        package: String,
        /// Which path.
        path: RelPath,
    },
}

/// What a slim base is left without: folders, by their beginning.
pub const SLIM_DROPS: &[&str] = &[
    "usr/share/bug",      // scripts for bug reports
    "usr/share/doc-base", // an index of documentation
    "usr/share/groff",    // typesetting of manual pages
    "usr/share/info",     // documentation
    "usr/share/linda",    // notes for a checker of packages
    "usr/share/lintian",  // notes for a checker of packages
    "usr/share/locale",   // translations
    "usr/share/man",      // documentation
    "usr/share/i18n",     // sources of locales
    "usr/share/doc",      // documentation; the copyright files stay
    "usr/lib/locale",     // compiled locales, but for the one that stays: see `KEPT_LOCALE`
    "usr/share/bash-completion",
    "usr/share/zsh",
];

/// The locale that a slim base keeps: UTF-8 without a language.
const KEPT_LOCALE: &str = "usr/lib/locale/C.utf8";

/// The folders that are links into /usr, and whether they exist on every architecture.
const MERGED: &[(&str, bool)] = &[
    ("bin", true),
    ("lib", true),
    ("sbin", true),
    ("lib64", false),
    ("lib32", false),
    ("libx32", false),
    ("libo32", false),
];

/// The key of a base: the digest of everything that can affect its tree.
///
/// # Encoding
/// Tag `exflow debian base 1`; slim; platform; the list of packages by name: name, sha256.
pub fn base_key(locked: &LockedDebian, slim: bool, platform: &Platform) -> Digest {
    let mut encoder = Encoder::new("exflow debian base 1");
    encoder.flag(slim).text(&platform.to_string());
    encoder.list(locked.packages.iter(), |encoder, package| {
        encoder.text(&package.name).sha256(&package.sha256);
    });
    encoder.digest_of()
}

/// Lays packages out together. `read` gives the content of a blob, where it has no more than
/// 4 MiB; only few and small ones are asked for.
///
/// The same packages give the same tree, in whatever order they come.
pub fn assemble(
    mut packages: Vec<UnpackedPackage>,
    slim: bool,
    platform: &Platform,
    read: &dyn Fn(&Digest) -> Option<Vec<u8>>,
) -> Result<Assembled, BaseError> {
    packages.sort_by(|a, b| a.locked.name.cmp(&b.locked.name));
    let mut base = Base { tree: Tree::new(), owners: BTreeMap::new(), new_blobs: Vec::new(), read };
    base.lay_out_root(platform);
    for number in 0..packages.len() {
        base.lay_out(number, &packages, slim)?;
    }
    base.install_alternatives(&packages);
    base.copy_configuration();
    base.bundle_certificates();
    base.say_what_is_installed(&packages, platform, slim);
    let mut new_blobs = base.new_blobs;
    new_blobs.sort();
    new_blobs.dedup();
    Ok(Assembled { tree: base.tree, new_blobs })
}

struct Base<'a> {
    tree: Tree,
    /// Which package each file came from, by number.
    owners: BTreeMap<RelPath, usize>,
    new_blobs: Vec<Vec<u8>>,
    read: &'a dyn Fn(&Digest) -> Option<Vec<u8>>,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a clean literal")
}

impl Base<'_> {
    fn put(&mut self, at: &RelPath, entry: Entry) {
        self.tree.insert(at.clone(), entry).expect("folders of the base are folders");
    }

    fn put_file(&mut self, at: &str, content: Vec<u8>) {
        let entry = Entry::File {
            mode: Mode::FILE,
            blob: Digest::of(&content),
            size: content.len() as u64,
        };
        self.new_blobs.push(content);
        self.put(&path(at), entry);
    }

    fn put_link(&mut self, at: &str, target: &str) {
        self.put(&path(at), Entry::Symlink { target: target.as_bytes().into() });
    }

    /// The content of a file, its links followed.
    fn content(&self, at: &str) -> Option<Vec<u8>> {
        match self.tree.get(&self.tree.resolve(&path(at))?)? {
            Entry::File { blob, .. } => (self.read)(blob),
            _ => None,
        }
    }

    /// What is there before any package: the folders that everything counts on, and the links of
    /// the merged /usr.
    fn lay_out_root(&mut self, platform: &Platform) {
        for (name, everywhere) in MERGED {
            let has_it = *everywhere || (*name == "lib64" && *platform == Platform::LinuxAmd64);
            if has_it {
                self.put(&path(&format!("usr/{name}")), Entry::Folder { mode: Mode::FOLDER });
                self.put_link(name, &format!("usr/{name}"));
            }
        }
        for (name, mode) in [
            ("dev", 0o755),
            ("etc", 0o755),
            ("home", 0o755),
            ("proc", 0o755),
            ("root", 0o700),
            ("run", 0o755),
            ("sys", 0o755),
            ("tmp", 0o1777),
            ("var", 0o755),
            ("var/lib/dpkg", 0o755),
            ("var/log", 0o755),
            ("var/tmp", 0o1777),
        ] {
            self.put(&path(name), Entry::Folder { mode: Mode::new(mode) });
        }
    }

    fn lay_out(
        &mut self,
        number: usize,
        packages: &[UnpackedPackage],
        slim: bool,
    ) -> Result<(), BaseError> {
        let package = &packages[number];
        for (at, entry) in package.tree.entries() {
            let at = self.merged(at);
            if slim && is_dropped(&at) {
                continue;
            }
            let there = self.tree.get(&at);
            if matches!(entry, Entry::Folder { .. }) {
                // A folder that is already there, or a link to one, stays as it is.
                if there.is_none() {
                    self.insert(package, at, entry.clone())?;
                }
                continue;
            }
            if let (Some(there), Some(&owner)) = (there, self.owners.get(&at)) {
                let other = &packages[owner];
                if there == entry || replaces(other, package) {
                    continue;
                }
                if !replaces(package, other) {
                    return Err(BaseError::Overlap {
                        first: other.locked.name.clone(),
                        second: package.locked.name.clone(),
                        path: at,
                    });
                }
            }
            self.insert(package, at.clone(), entry.clone())?;
            self.owners.insert(at, number);
        }
        Ok(())
    }

    fn insert(
        &mut self,
        package: &UnpackedPackage,
        at: RelPath,
        entry: Entry,
    ) -> Result<(), BaseError> {
        // A package may ship a file in a folder that another package has as a link.
        let at = match at.parent() {
            Some(parent) if !parent.is_root() => {
                let name = RelPath::new(at.name().unwrap_or_default()).unwrap_or_default();
                self.tree.resolve(&parent).map_or(at, |parent| parent.join(&name))
            }
            _ => at,
        };
        self.tree
            .insert(at.clone(), entry)
            .map_err(|_| BaseError::Path { package: package.locked.name.clone(), path: at })
    }

    /// Where a path of a package is in a system with a merged /usr.
    fn merged(&self, at: &RelPath) -> RelPath {
        let first = at.names().next().unwrap_or_default();
        if MERGED.iter().any(|(name, _)| name.as_bytes() == first) {
            return path("usr").join(at);
        }
        at.clone()
    }

    fn install_alternatives(&mut self, packages: &[UnpackedPackage]) {
        let mut best: BTreeMap<String, Alternative> = BTreeMap::new();
        for package in packages {
            let Some(script) = package.control.files.get("postinst") else { continue };
            for found in alternatives::in_script(&String::from_utf8_lossy(script)) {
                let better = best.get(&found.main.name).is_none_or(|other| {
                    (found.priority, &other.main.path) > (other.priority, &found.main.path)
                });
                if better {
                    best.insert(found.main.name.clone(), found);
                }
            }
        }
        for alternative in best.values() {
            for link in std::iter::once(&alternative.main).chain(&alternative.followers) {
                self.install_link(link);
            }
        }
    }

    fn install_link(&mut self, link: &Link) {
        let Link { link, name, path: target } = link;
        let (Ok(at), Ok(target_path)) = (RelPath::new(&link[1..]), RelPath::new(&target[1..]))
        else {
            return;
        };
        let Ok(registered) = RelPath::new(format!("etc/alternatives/{name}")) else { return };
        // What a slim base is left without needs no link.
        if self.tree.resolve(&target_path).is_none() {
            return;
        }
        let at = self.merged(&at);
        if self.tree.get(&at).is_some() {
            return;
        }
        let entry = |target: &str| Entry::Symlink { target: target.as_bytes().into() };
        let installed = self
            .tree
            .insert(registered.clone(), entry(target))
            .and_then(|()| self.tree.insert(at, entry(&format!("/{registered}"))));
        debug_assert!(installed.is_ok(), "folders of the base are folders");
    }

    /// What the scripts of base-files, base-passwd, debianutils and libc-bin copy into /etc.
    fn copy_configuration(&mut self) {
        for (from, to) in [
            ("usr/share/base-passwd/passwd.master", "etc/passwd"),
            ("usr/share/base-passwd/group.master", "etc/group"),
            ("usr/share/debianutils/shells", "etc/shells"),
            ("usr/share/base-files/nsswitch.conf", "etc/nsswitch.conf"),
            ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
            ("usr/share/base-files/profile", "etc/profile"),
        ] {
            if self.tree.get(&path(to)).is_none()
                && let Some(content) = self.content(from)
            {
                self.put_file(to, content);
            }
        }
        if self.tree.get(&path("etc/passwd")).is_none() {
            let passwd = "root:x:0:0:root:/root:/bin/sh\n\
                          nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
            self.put_file("etc/passwd", passwd.into());
        }
        if self.tree.get(&path("etc/group")).is_none() {
            self.put_file("etc/group", "root:x:0:\nnogroup:x:65534:\n".into());
        }
        if self.tree.get(&path("etc/nsswitch.conf")).is_none() {
            let switch = "passwd: files\ngroup: files\nhosts: files dns\n";
            self.put_file("etc/nsswitch.conf", switch.into());
        }
    }

    /// What `update-ca-certificates` does: all certificates that ca-certificates ships, in one
    /// file. The links by hash are left out: whatever reads them reads the bundle too.
    fn bundle_certificates(&mut self) {
        let certificates: Vec<(RelPath, Entry)> = self
            .tree
            .within(&path("usr/share/ca-certificates"))
            .filter(|(at, _)| at.as_bytes().ends_with(b".crt"))
            .map(|(at, entry)| (at.clone(), entry.clone()))
            .collect();
        let mut bundle = Vec::new();
        let mut names = String::new();
        let folder = path("usr/share/ca-certificates");
        for (at, entry) in certificates {
            let Entry::File { blob, .. } = entry else { continue };
            let Some(certificate) = (self.read)(&blob) else { continue };
            bundle.extend_from_slice(certificate.trim_ascii_end());
            bundle.push(b'\n');
            names += &format!("{}\n", at.strip(&folder).unwrap_or_default());
        }
        if !bundle.is_empty() {
            self.put_file("etc/ssl/certs/ca-certificates.crt", bundle);
            self.put_file("etc/ca-certificates.conf", names.into());
        }
    }

    /// dpkg's own database. `dpkg-query` and scanners read it.
    fn say_what_is_installed(
        &mut self,
        packages: &[UnpackedPackage],
        platform: &Platform,
        slim: bool,
    ) {
        let mut status = String::new();
        for package in packages {
            let fields = package.control.fields.trim();
            let (first, rest) = fields.split_once('\n').unwrap_or((fields, ""));
            status += &format!("{first}\nStatus: install ok installed\n{rest}\n\n");
        }
        self.put_file("var/lib/dpkg/status", status.into());
        self.put_file("var/lib/dpkg/available", Vec::new());
        if slim {
            self.say_which_system(packages);
        }
        for package in packages {
            let multiarch =
                package.control.field("Multi-Arch").is_some_and(|value| value == "same");
            let name = &package.locked.name;
            let stem = if multiarch {
                format!("var/lib/dpkg/info/{name}:{}", platform.debian_architecture())
            } else {
                format!("var/lib/dpkg/info/{name}")
            };
            let mut list = String::from("/.\n");
            for (at, _) in package.tree.entries() {
                list += &format!("/{at}\n");
            }
            self.put_file(&format!("{stem}.list"), list.into());
            for (file, content) in &package.control.files {
                // In a slim base, only what a scanner compares files with.
                let wanted = matches!(&file[..], "md5sums") || !slim && file == "conffiles";
                if wanted && RelPath::new(file).is_ok() {
                    self.put_file(&format!("{stem}.{file}"), content.clone());
                }
            }
        }
    }

    /// os-release, where base-files is not among the packages: scanners tell by it which
    /// distribution, and so which vulnerabilities, they are looking at.
    fn say_which_system(&mut self, packages: &[UnpackedPackage]) {
        if self.tree.get(&path("usr/lib/os-release")).is_some() {
            return;
        }
        // libc6 has the version of the suite that it was built for: 2.36 is bookworm's.
        let libc = packages.iter().find(|package| package.locked.name == "libc6");
        let release = libc.and_then(|package| match package.locked.version.get(..4)? {
            "2.28" => Some(("10", "buster")),
            "2.31" => Some(("11", "bullseye")),
            "2.36" => Some(("12", "bookworm")),
            "2.41" => Some(("13", "trixie")),
            _ => None,
        });
        let mut text =
            String::from("PRETTY_NAME=\"Debian GNU/Linux\"\nNAME=\"Debian GNU/Linux\"\n");
        if let Some((number, codename)) = release {
            text += &format!("VERSION_ID=\"{number}\"\nVERSION_CODENAME={codename}\n");
        }
        text += "ID=debian\n";
        self.put_file("usr/lib/os-release", text.into());
        self.put_link("etc/os-release", "../usr/lib/os-release");
    }
}

fn is_dropped(at: &RelPath) -> bool {
    let is_below = |folder: &str| at.is_within(&path(folder));
    if is_below("usr/share/doc") && at.name() == Some(b"copyright") {
        return false;
    }
    if path(KEPT_LOCALE).is_within(at) || is_below(KEPT_LOCALE) {
        return false;
    }
    // Converters between character sets, 8 MB of them in libc6. The BEAM brings its own.
    let mut names = at.names().skip(2);
    let is_gconv =
        at.is_within(&path("usr/lib")) && names.next().is_some() && names.next() == Some(b"gconv");
    is_gconv || SLIM_DROPS.iter().any(|folder| is_below(folder))
}

fn replaces(package: &UnpackedPackage, other: &UnpackedPackage) -> bool {
    let Some(field) = package.control.field("Replaces") else { return false };
    parse_relations(&field).iter().flat_map(|relation| &relation.0).any(|named| {
        named.name == other.locked.name
            && named.constraint.is_none_or(|allowed| allowed.allows(&other.locked.version))
    })
}

#[cfg(test)]
mod tests;
