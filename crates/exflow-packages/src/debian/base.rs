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
use super::installed::{Installed, InstalledPackage};
use super::relation::parse_relations;
use exflow_content::{Digest, Encoder, Entry, Mode, RelPath, Tree};
use exflow_lock::{LockedDebian, LockedPackage, Platform};
use std::collections::BTreeMap;
use std::fmt::Write as _;

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
    /// A file that has to be looked into is larger than any of its kind.
    #[error("`/{path}` has {size} bytes, and no more than {MAX_READ} are read")]
    TooLarge {
        /// Which file.
        path: RelPath,
        /// How long it is.
        size: u64,
    },
    /// Something is a folder for one package, or for the base, and not for another.
    #[error(
        "`/{path}` of package `{package}` is a folder where others have none, or none where they have one"
    )]
    Path {
        /// Which package.
        package: String,
        /// Which path.
        path: RelPath,
    },
}

/// The largest file that is looked into, in bytes.
pub const MAX_READ: u64 = 4 << 20;

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

/// The folders that are links into /usr. All but the first three are there where they are needed.
const MERGED: &[&str] = &["bin", "lib", "sbin", "lib64", "lib32", "libx32", "libo32"];

/// The key of a base: the digest of everything that can affect its tree.
///
/// # Encoding
/// Tag `exflow debian base 3`; slim; platform; the list of packages by name: name, version, sha256.
pub fn base_key(locked: &LockedDebian, slim: bool, platform: &Platform) -> Digest {
    let mut encoder = Encoder::new("exflow debian base 3");
    encoder.flag(slim).text(&platform.to_string());
    encoder.list(locked.packages.iter(), |encoder, package| {
        encoder.text(&package.name).text(&package.version).sha256(&package.sha256);
    });
    encoder.digest_of()
}

/// Lays packages out together. `read` gives the content of a blob; only few are asked for, and none
/// that has more than [`MAX_READ`] bytes. Each of them is in a package: one that can't be read is
/// an error, and never counts as a file that isn't there.
///
/// The same packages give the same tree, in whatever order they come.
pub fn assemble<E: From<BaseError>>(
    mut packages: Vec<UnpackedPackage>,
    slim: bool,
    platform: &Platform,
    read: &dyn Fn(&Digest) -> Result<Vec<u8>, E>,
) -> Result<Assembled, E> {
    packages.sort_by(|a, b| a.locked.name.cmp(&b.locked.name));
    let mut base = Base {
        tree: Tree::new(),
        packages: &packages,
        owners: BTreeMap::new(),
        present: Present::default(),
        new_blobs: Vec::new(),
        read,
    };
    base.lay_out_root(platform)?;
    for number in 0..packages.len() {
        base.lay_out(number, slim)?;
    }
    base.install_alternatives()?;
    base.copy_configuration()?;
    base.bundle_certificates()?;
    base.say_what_is_installed(platform, slim)?;
    Ok(base.assembled())
}

/// Adds packages to a system: an image that has `installed`, by what its database says.
///
/// What a package had in another version is taken away first. A file that another package of the system
/// has may be replaced only by a package that declares that; a configuration file that is there stays.
/// Configuration that scripts would make is made only where there is none.
pub fn add_packages<E: From<BaseError>>(
    image: &Tree,
    installed: &Installed,
    mut packages: Vec<UnpackedPackage>,
    platform: &Platform,
    read: &dyn Fn(&Digest) -> Result<Vec<u8>, E>,
) -> Result<Assembled, E> {
    if packages.is_empty() {
        return Ok(Assembled { tree: image.clone(), new_blobs: Vec::new() });
    }
    packages.sort_by(|a, b| a.locked.name.cmp(&b.locked.name));
    let mut base = Base {
        tree: image.clone(),
        packages: &packages,
        owners: BTreeMap::new(),
        present: Present::default(),
        new_blobs: Vec::new(),
        read,
    };
    base.take_over(installed)?;
    base.lay_out_root(platform)?;
    for number in 0..packages.len() {
        base.lay_out(number, false)?;
    }
    base.install_alternatives()?;
    base.copy_configuration()?;
    let certificates = path("usr/share/ca-certificates");
    if packages.iter().any(|package| package.tree.get(&certificates).is_some()) {
        base.bundle_certificates()?;
    }
    base.say_what_is_installed(platform, false)?;
    Ok(base.assembled())
}

struct Base<'a, E> {
    tree: Tree,
    packages: &'a [UnpackedPackage],
    /// Which package each file came from, by number.
    owners: BTreeMap<RelPath, usize>,
    present: Present,
    new_blobs: Vec<Vec<u8>>,
    read: &'a dyn Fn(&Digest) -> Result<Vec<u8>, E>,
}

/// What was there before the packages.
#[derive(Default)]
struct Present {
    /// The paragraphs of dpkg's database that stay.
    status: String,
    /// Which package has a file, by its name and version.
    owners: BTreeMap<RelPath, (String, String)>,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a clean literal")
}

impl<E: From<BaseError>> Base<'_, E> {
    fn assembled(mut self) -> Assembled {
        self.new_blobs.sort();
        self.new_blobs.dedup();
        Assembled { tree: self.tree, new_blobs: self.new_blobs }
    }

    /// Notes what is installed, and takes away what a package had that comes in another version.
    fn take_over(&mut self, installed: &Installed) -> Result<(), E> {
        let others = installed.others().iter().map(|(name, package)| (name, package, false));
        let packages = installed.packages().iter().map(|(name, package)| (name, package, true));
        for (name, package, is_whole) in packages.chain(others) {
            let files = self.files_of(package)?;
            let is_replaced = self.packages.iter().any(|new| new.locked.name == *name);
            if is_replaced && is_whole {
                self.take_away(package, files);
                continue;
            }
            let owner = (name.clone(), package.version.clone());
            self.present.owners.extend(files.into_iter().map(|at| (at, owner.clone())));
            if package.alone.is_none() {
                self.present.status.push_str(&package.paragraph);
                self.present.status.push('\n');
            }
        }
        Ok(())
    }

    /// The files that a package of the system has, by its list, or where there is none, its checksums.
    fn files_of(&self, package: &InstalledPackage) -> Result<Vec<RelPath>, E> {
        let [list, sums] = &package.lists;
        let paths: Vec<RelPath> = match self.content(list)? {
            Some(list) => list
                .split(|byte| *byte == b'\n')
                .filter_map(|line| RelPath::new(line.strip_prefix(b"/")?).ok())
                .collect(),
            // md5sum(1): a digest, two spaces, a path without the `/` before it.
            None => self
                .content(sums)?
                .unwrap_or_default()
                .split(|byte| *byte == b'\n')
                .filter_map(|line| RelPath::new(line.get(34..)?).ok())
                .collect(),
        };
        Ok(paths.iter().map(|at| self.tree.place(&self.merged(at))).collect())
    }

    /// Takes away the files of a package, but for its configuration, and what the database has of it.
    fn take_away(&mut self, package: &InstalledPackage, files: Vec<RelPath>) {
        let conffiles: Vec<RelPath> =
            package.conffiles().iter().map(|at| self.tree.place(&self.merged(at))).collect();
        for at in files.into_iter().filter(|at| !conffiles.contains(at)) {
            if !matches!(self.tree.get(&at), None | Some(Entry::Folder { .. })) {
                self.tree.remove(&at);
            }
        }
        let list = package.lists[0].as_bytes();
        let stem = list.strip_suffix(b"list").unwrap_or(list).to_vec();
        let folder = path("var/lib/dpkg/info");
        let info = self.tree.within(&folder).map(|(at, _)| at);
        let mut gone: Vec<RelPath> =
            info.filter(|at| at.as_bytes().starts_with(&stem)).cloned().collect();
        if let Some(alone) = &package.alone {
            gone.extend([alone.clone(), package.lists[1].clone()]);
        }
        for at in gone {
            self.tree.remove(&at);
        }
    }

    /// Where a path of a package is in this system. One whose `/lib` is a folder of its own keeps it so.
    fn merged(&self, at: &RelPath) -> RelPath {
        let is_folder =
            |name: &str| matches!(self.tree.get(&path(name)), Some(Entry::Folder { .. }));
        match merged_folder(at) {
            Some(name) if is_folder(name) => at.clone(),
            _ => merged(at),
        }
    }

    /// Whether what the system has at `at` gives way to a file of a package.
    fn gives_way(
        &self,
        at: &RelPath,
        there: &Entry,
        entry: &Entry,
        package: &UnpackedPackage,
    ) -> Result<bool, BaseError> {
        if there == entry {
            return Ok(false);
        }
        if let Some((name, version)) = self.present.owners.get(at) {
            if !replaces(package, name, version) {
                return Err(BaseError::Overlap {
                    first: name.clone(),
                    second: package.locked.name.clone(),
                    path: at.clone(),
                });
            }
            return Ok(true);
        }
        // Someone has made it by hand, or a script has.
        let conffiles = package.control.files.get("conffiles").map_or(&[][..], Vec::as_slice);
        let is_configuration = conffiles
            .split(|byte| *byte == b'\n')
            .any(|line| line.trim_ascii().strip_prefix(b"/") == Some(at.as_bytes()));
        Ok(!is_configuration)
    }

    /// Puts what belongs to no package. A package may be in the way.
    fn put(&mut self, at: &RelPath, entry: Entry) -> Result<(), BaseError> {
        let place = self.tree.place(at);
        let is_folder = |entry: &Entry| matches!(entry, Entry::Folder { .. });
        if !is_folder(&entry) && self.tree.get(&place).is_some_and(is_folder) {
            return Err(self.in_the_way(place));
        }
        self.tree.insert(place.clone(), entry).map_err(|_| self.in_the_way(place))
    }

    /// Which package is to blame where nothing can be put at `at`.
    fn in_the_way(&self, at: RelPath) -> BaseError {
        let owner = at
            .parents()
            .find_map(|path| self.owners.get(&path).copied())
            .or_else(|| self.owners.get(&at).copied())
            // Folders are nobody's: then it is who has something below it, or has the folder.
            .or_else(|| self.tree.within(&at).find_map(|(path, _)| self.owners.get(path).copied()))
            .or_else(|| {
                let has_it = |package: &UnpackedPackage| {
                    package.tree.entries().any(|(path, _)| merged(path) == at)
                };
                self.packages.iter().position(has_it)
            });
        let package =
            owner.map_or_else(String::new, |owner| self.packages[owner].locked.name.clone());
        BaseError::Path { package, path: at }
    }

    fn put_file(&mut self, at: &RelPath, content: Vec<u8>) -> Result<(), BaseError> {
        let entry = Entry::File {
            mode: Mode::FILE,
            blob: Digest::of(&content),
            size: content.len() as u64,
        };
        self.new_blobs.push(content);
        self.put(at, entry)
    }

    fn put_link(&mut self, at: &str, target: &str) -> Result<(), BaseError> {
        self.put(&path(at), Entry::Symlink { target: target.as_bytes().into() })
    }

    /// The content of a file, its links followed; none where there is no file.
    fn content(&self, at: &RelPath) -> Result<Option<Vec<u8>>, E> {
        match self.tree.resolve(at).and_then(|at| self.tree.get(&at)) {
            Some(Entry::File { size, .. }) if *size > MAX_READ => {
                Err(BaseError::TooLarge { path: at.clone(), size: *size }.into())
            }
            Some(Entry::File { blob, .. }) => (self.read)(blob).map(Some),
            _ => Ok(None),
        }
    }

    /// What is there before any package: the folders that everything counts on, and the links of
    /// the merged /usr.
    fn lay_out_root(&mut self, platform: &Platform) -> Result<(), BaseError> {
        let lib64 = (*platform == Platform::LinuxAmd64).then_some("lib64");
        for name in ["bin", "lib", "sbin"].into_iter().chain(lib64) {
            self.merge_folder(name)?;
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
            if self.tree.get(&self.tree.place(&path(name))).is_none() {
                self.put(&path(name), Entry::Folder { mode: Mode::new(mode) })?;
            }
        }
        Ok(())
    }

    /// Makes `/NAME` a link to `/usr/NAME`, unless it is one.
    fn merge_folder(&mut self, name: &str) -> Result<(), BaseError> {
        if self.tree.get(&path(name)).is_some() {
            return Ok(());
        }
        self.put(&path(&format!("usr/{name}")), Entry::Folder { mode: Mode::FOLDER })?;
        self.put_link(name, &format!("usr/{name}"))
    }

    fn lay_out(&mut self, number: usize, slim: bool) -> Result<(), BaseError> {
        let package = &self.packages[number];
        for (at, entry) in package.tree.entries() {
            let wrong = |path| BaseError::Path { package: package.locked.name.clone(), path };
            if let Some(name) = merged_folder(at) {
                self.merge_folder(name)?;
                // base-files ships the links themselves. They are there, and what they lead to
                // is a folder that other packages fill.
                if at.parent().is_some_and(|parent| parent.is_root())
                    && matches!(entry, Entry::Symlink { .. })
                {
                    continue;
                }
            }
            let at = self.merged(at);
            if slim && is_dropped(&at) {
                continue;
            }
            // A package may ship a file in a folder that another package has as a link.
            let at = self.tree.place(&at);
            let there = self.tree.get(&at);
            match (entry, there) {
                // A folder that is already there, or a link to one, stays as it is.
                (Entry::Folder { .. }, Some(Entry::Folder { .. } | Entry::Symlink { .. }))
                // So does a folder where this package has a link: dpkg keeps it, too.
                | (Entry::Symlink { .. }, Some(Entry::Folder { .. })) => continue,
                (Entry::Folder { .. }, Some(Entry::File { .. }))
                | (Entry::File { .. }, Some(Entry::Folder { .. })) => return Err(wrong(at)),
                _ => {}
            }
            if let (Some(there), Some(&owner)) = (there, self.owners.get(&at)) {
                let other = &self.packages[owner].locked;
                let own = &package.locked;
                let is_replaced = replaces(&self.packages[owner], &own.name, &own.version);
                if there == entry || is_replaced {
                    continue;
                }
                if !replaces(package, &other.name, &other.version) {
                    return Err(BaseError::Overlap {
                        first: other.name.clone(),
                        second: own.name.clone(),
                        path: at,
                    });
                }
            } else if let Some(there) = there
                && !self.gives_way(&at, there, entry, package)?
            {
                continue;
            }
            self.tree.insert(at.clone(), entry.clone()).map_err(|_| wrong(at.clone()))?;
            if !matches!(entry, Entry::Folder { .. }) {
                self.owners.insert(at, number);
            }
        }
        Ok(())
    }

    fn install_alternatives(&mut self) -> Result<(), BaseError> {
        let mut best: BTreeMap<String, Alternative> = BTreeMap::new();
        for package in self.packages {
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
                self.install_link(link)?;
            }
        }
        Ok(())
    }

    fn install_link(&mut self, link: &Link) -> Result<(), BaseError> {
        let Link { at: link, name, path: target } = link;
        let (Ok(at), Ok(target_path)) = (RelPath::new(&link[1..]), RelPath::new(&target[1..]))
        else {
            return Ok(());
        };
        let Ok(registered) = RelPath::new(format!("etc/alternatives/{name}")) else {
            return Ok(());
        };
        // What a slim base is left without needs no link.
        if self.tree.resolve(&target_path).is_none() {
            return Ok(());
        }
        let at = self.merged(&at);
        if at.is_root() || self.tree.get(&self.tree.place(&at)).is_some() {
            return Ok(());
        }
        let entry = |target: &str| Entry::Symlink { target: target.as_bytes().into() };
        self.put(&registered, entry(target))?;
        self.put(&at, entry(&format!("/{registered}")))
    }

    /// What the scripts of base-files, base-passwd, debianutils and libc-bin copy into /etc.
    fn copy_configuration(&mut self) -> Result<(), E> {
        for (from, to) in [
            ("usr/share/base-passwd/passwd.master", "etc/passwd"),
            ("usr/share/base-passwd/group.master", "etc/group"),
            ("usr/share/debianutils/shells", "etc/shells"),
            ("usr/share/base-files/nsswitch.conf", "etc/nsswitch.conf"),
            ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
            ("usr/share/base-files/profile", "etc/profile"),
        ] {
            if self.tree.get(&path(to)).is_none()
                && let Some(content) = self.content(&path(from))?
            {
                self.put_file(&path(to), content)?;
            }
        }
        if self.tree.get(&path("etc/passwd")).is_none() {
            let passwd = "root:x:0:0:root:/root:/bin/sh\n\
                          nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
            self.put_file(&path("etc/passwd"), passwd.into())?;
        }
        if self.tree.get(&path("etc/group")).is_none() {
            self.put_file(&path("etc/group"), "root:x:0:\nnogroup:x:65534:\n".into())?;
        }
        if self.tree.get(&path("etc/nsswitch.conf")).is_none() {
            let switch = "passwd: files\ngroup: files\nhosts: files dns\n";
            self.put_file(&path("etc/nsswitch.conf"), switch.into())?;
        }
        Ok(())
    }

    /// What `update-ca-certificates` does: all certificates that ca-certificates ships, in one
    /// file. The links by hash are left out: whatever reads them reads the bundle too.
    fn bundle_certificates(&mut self) -> Result<(), E> {
        let mut bundle = Vec::new();
        let mut names = String::new();
        let folder = path("usr/share/ca-certificates");
        for (at, entry) in self.tree.within(&folder) {
            if !matches!(entry, Entry::File { .. }) || !at.as_bytes().ends_with(b".crt") {
                continue;
            }
            let Some(certificate) = self.content(at)? else { continue };
            bundle.extend_from_slice(certificate.trim_ascii_end());
            bundle.push(b'\n');
            let _ = writeln!(names, "{}", at.strip(&folder).unwrap_or_default());
        }
        if !bundle.is_empty() {
            self.put_file(&path("etc/ssl/certs/ca-certificates.crt"), bundle)?;
            self.put_file(&path("etc/ca-certificates.conf"), names.into())?;
        }
        Ok(())
    }

    /// dpkg's own database. `dpkg-query` and scanners read it.
    fn say_what_is_installed(&mut self, platform: &Platform, slim: bool) -> Result<(), BaseError> {
        let mut status = std::mem::take(&mut self.present.status);
        for package in self.packages {
            let fields = package.control.fields.trim();
            let (first, rest) = fields.split_once('\n').unwrap_or((fields, ""));
            let _ = write!(status, "{first}\nStatus: install ok installed\n{rest}\n\n");
        }
        self.put_file(&path("var/lib/dpkg/status"), status.into())?;
        // Without its format, dpkg takes the folder for one of before multiarch, and finds no
        // `x:amd64.list`.
        for (file, content) in [("available", ""), ("info/format", "1\n")] {
            let at = path(&format!("var/lib/dpkg/{file}"));
            if self.tree.get(&self.tree.place(&at)).is_none() {
                self.put_file(&at, content.into())?;
            }
        }
        if slim {
            self.say_which_system()?;
        }
        for package in self.packages {
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
                let _ = writeln!(list, "/{at}");
            }
            let info = |kind: &str| {
                RelPath::new(format!("{stem}.{kind}")).map_err(|_| BaseError::Path {
                    package: name.clone(),
                    path: path("var/lib/dpkg/info"),
                })
            };
            self.put_file(&info("list")?, list.into())?;
            for (file, content) in &package.control.files {
                // In a slim base, only what a scanner compares files with.
                let wanted = matches!(&file[..], "md5sums") || !slim && file == "conffiles";
                if wanted {
                    self.put_file(&info(file)?, content.clone())?;
                }
            }
        }
        Ok(())
    }

    /// os-release, where base-files is not among the packages: scanners tell by it which
    /// distribution, and so which vulnerabilities, they are looking at.
    fn say_which_system(&mut self) -> Result<(), BaseError> {
        if self.tree.get(&path("usr/lib/os-release")).is_some() {
            return Ok(());
        }
        // libc6 has the version of the suite that it was built for: 2.36 is bookworm's.
        let libc = self.packages.iter().find(|package| package.locked.name == "libc6");
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
            let _ = writeln!(text, "VERSION_ID=\"{number}\"\nVERSION_CODENAME={codename}");
        }
        text += "ID=debian\n";
        self.put_file(&path("usr/lib/os-release"), text.into())?;
        self.put_link("etc/os-release", "../usr/lib/os-release")
    }
}

/// Which of the folders that are links into /usr a path is, or is below.
fn merged_folder(at: &RelPath) -> Option<&'static str> {
    let first = at.names().next()?;
    MERGED.iter().copied().find(|name| name.as_bytes() == first)
}

/// Where a path of a package is in a system with a merged /usr.
fn merged(at: &RelPath) -> RelPath {
    if merged_folder(at).is_some() { path("usr").join(at) } else { at.clone() }
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

/// Whether a package declares that it takes over files of another one.
fn replaces(package: &UnpackedPackage, name: &str, version: &str) -> bool {
    let Some(field) = package.control.field("Replaces") else { return false };
    parse_relations(&field).iter().flat_map(|relation| &relation.0).any(|named| {
        named.name == name && named.constraint.is_none_or(|allowed| allowed.allows(version))
    })
}

#[cfg(test)]
mod tests;
