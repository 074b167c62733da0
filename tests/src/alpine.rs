//! A repository of made-up packages, in the formats of Alpine's own, and what an image of Alpine has.

use exflow_content::Sha256;
use exflow_packages::alpine::Checksum;
use flate2::Compression;
use flate2::write::GzEncoder;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// When all packages were built, in seconds of Unix time.
const BUILT: u64 = 1_700_000_000;
/// The repository that packages are in where nothing else is said.
const MAIN: &str = "v3.21/main";

/// The primes of the key that all is signed with, which is good for tests only: everybody knows it.
const P: &[u8] =
    b"ca542775caa147499fa3d4fc733270ada551bb28b9abdbc2af7cd568b5763921df8f04e1ab845178\
    45b0aa0fc57093927eda255700035b940db67c6cf84bd8ac5740f2737c4bb29cccc24ba7a2c2abfb\
    47cd9f56a8e6e70c815f279202dc4758cb1e3178d1d3e0ac48e1fb2e88d59a12295c5d0bc7581697\
    2859eb17f758184b";
const Q: &[u8] =
    b"c4321ecf4e7e062c8c0814ef8bc376dee571d2f68770f8235d2feb65c648ca45dea3238b634bbabe\
    761c3de12eef6f41f453c0951ca16f18358794bc32fcd71e3ef88144427fad53f2cea099d5e80027\
    abcc44df39c72504f3b3258e1ea9326dcbdffe7187a3a74aadf2cc96c6039f9ea8b77a9a84d03a41\
    5eb4baa6735f3bef";

/// The architecture of this machine, as Alpine calls it.
pub const ALPINE_ARCHITECTURE: &str =
    if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// A package of Alpine's that is made up.
#[derive(Debug, Clone)]
pub struct AlpinePackage {
    name: String,
    version: String,
    fields: Vec<(String, String)>,
    entries: BTreeMap<String, Found>,
    scripts: Vec<(String, String)>,
}

/// What a package has at a path.
#[derive(Debug, Clone)]
struct Found {
    kind: tar::EntryType,
    mode: u32,
    /// Of a link, where it leads.
    content: Vec<u8>,
}

impl AlpinePackage {
    /// A package without files.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            fields: Vec::new(),
            entries: BTreeMap::new(),
            scripts: Vec::new(),
        }
    }

    /// With another field of its description: `depend`, `provides`, `replaces`. Some may be there more
    /// than once.
    #[must_use]
    pub fn field(mut self, key: &str, value: &str) -> Self {
        self.fields.push((key.into(), value.into()));
        self
    }

    /// With a file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        let content = content.to_vec();
        self.entries.insert(path.into(), Found { kind: tar::EntryType::Regular, mode, content });
        self
    }

    /// With a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        let content = target.as_bytes().to_vec();
        self.entries
            .insert(path.into(), Found { kind: tar::EntryType::Symlink, mode: 0o777, content });
        self
    }

    /// With a folder. Those above its files are there anyway.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32) -> Self {
        let content = Vec::new();
        self.entries.insert(path.into(), Found { kind: tar::EntryType::Directory, mode, content });
        self
    }

    /// With a script: `post-install`.
    #[must_use]
    pub fn script(mut self, name: &str, content: &str) -> Self {
        self.scripts.push((name.into(), content.into()));
        self
    }

    fn values(&self, key: &str) -> String {
        let values = self.fields.iter().filter(|(known, _)| known == key);
        values.map(|(_, value)| &**value).collect::<Vec<_>>().join(" ")
    }

    /// Its size when it is installed. With none, apk takes it for a package without files.
    fn installed_size(&self) -> usize {
        self.entries.values().map(|found| found.content.len()).sum::<usize>().max(1)
    }

    /// Everything that it has, and the folders above.
    fn all(&self) -> BTreeMap<String, Found> {
        let mut all = self.entries.clone();
        for path in self.entries.keys() {
            for (end, _) in path.match_indices('/') {
                let folder =
                    Found { kind: tar::EntryType::Directory, mode: 0o755, content: Vec::new() };
                all.entry(path[..end].to_owned()).or_insert(folder);
            }
        }
        all
    }

    /// The last segment: its files, each with the checksum of its content, or of where it leads.
    fn data(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (path, found) in self.all() {
            if found.kind == tar::EntryType::Directory {
                archive.extend(entry(&format!("{path}/"), found.kind, "", found.mode, b""));
                continue;
            }
            let mut hexadecimal = String::new();
            for byte in Checksum::of(&found.content).as_bytes() {
                let _ = write!(hexadecimal, "{byte:02x}");
            }
            let record = format!("68 APK-TOOLS.checksum.SHA1={hexadecimal}\n");
            archive.extend(entry(&path, tar::EntryType::XHeader, "", 0o644, record.as_bytes()));
            if found.kind == tar::EntryType::Symlink {
                let target = String::from_utf8(found.content).unwrap();
                archive.extend(entry(&path, found.kind, &target, found.mode, b""));
            } else {
                archive.extend(entry(&path, found.kind, "", found.mode, &found.content));
            }
        }
        archive.resize(archive.len() + 1024, 0);
        gz(&archive)
    }

    /// The segment in the middle: its description and its scripts. A piece of an archive, whose end is
    /// that of the next one.
    fn control(&self, data: &[u8]) -> Vec<u8> {
        let mut info = format!(
            "# Generated for a test\npkgname = {0}\npkgver = {1}\npkgdesc = A package called {0}\n\
             url = https://localhost/{0}\nbuilddate = {BUILT}\npackager = nobody\nsize = {2}\n\
             arch = {ALPINE_ARCHITECTURE}\norigin = {0}\nlicense = MIT\n",
            self.name,
            self.version,
            self.installed_size()
        );
        for (key, value) in &self.fields {
            let _ = writeln!(info, "{key} = {value}");
        }
        let _ = writeln!(info, "datahash = {}", Sha256::of(data));
        let mut archive = entry(".PKGINFO", tar::EntryType::Regular, "", 0o644, info.as_bytes());
        for (name, content) in &self.scripts {
            let kind = tar::EntryType::Regular;
            archive.extend(entry(&format!(".{name}"), kind, "", 0o755, content.as_bytes()));
        }
        gz(&archive)
    }

    /// What stands of it in an index, and at the beginning of its entry in the list of what is installed.
    fn index_entry(&self, control: &[u8], size: usize) -> String {
        let mut text = format!(
            "C:{checksum}\nP:{name}\nV:{version}\nA:{ALPINE_ARCHITECTURE}\nS:{size}\nI:{installed}\n\
             T:A package called {name}\nU:https://localhost/{name}\nL:MIT\no:{name}\nt:{BUILT}\n",
            checksum = Checksum::of(control),
            name = self.name,
            version = self.version,
            installed = self.installed_size(),
        );
        for (field, key) in
            [('k', "provider_priority"), ('D', "depend"), ('p', "provides"), ('i', "install_if")]
        {
            let values = self.values(key);
            if !values.is_empty() {
                let _ = writeln!(text, "{field}:{values}");
            }
        }
        text
    }

    fn installed_entry(&self) -> String {
        let data = self.data();
        let control = self.control(&data);
        let mut text = self.index_entry(&control, signed(&control).len() + data.len());
        let replaces = self.values("replaces");
        if !replaces.is_empty() {
            let _ = writeln!(text, "r:{replaces}");
        }
        let all = self.all();
        let folders: BTreeSet<&str> =
            all.keys().map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
        let empty = all.iter().filter(|(_, found)| found.kind == tar::EntryType::Directory);
        let folders: BTreeSet<&str> =
            folders.into_iter().chain(empty.map(|(path, _)| &**path)).collect();
        for folder in folders {
            let _ = writeln!(text, "F:{folder}");
            if let Some(found) = all.get(folder).filter(|found| found.mode != 0o755) {
                let _ = writeln!(text, "M:0:0:{:o}", found.mode);
            }
            for (path, found) in &all {
                let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
                if above != folder || found.kind == tar::EntryType::Directory {
                    continue;
                }
                let _ = writeln!(text, "R:{name}");
                if found.mode != 0o644 {
                    let _ = writeln!(text, "a:0:0:{:o}", found.mode);
                }
                let _ = writeln!(text, "Z:{}", Checksum::of(&found.content));
            }
        }
        text + "\n"
    }
}

/// Signed repositories with packages, as Alpine's mirrors have them.
#[derive(Debug, Clone, Default)]
pub struct AlpineRepository {
    packages: BTreeMap<String, Vec<AlpinePackage>>,
}

impl AlpineRepository {
    /// The name of the file in `/etc/apk/keys` that has the public key.
    pub const KEY_NAME: &str = "test@localhost-1.rsa.pub";

    /// An empty repository, `v3.21/main`.
    pub fn new() -> Self {
        Self { packages: BTreeMap::from([(MAIN.to_owned(), Vec::new())]) }
    }

    /// With a package.
    #[must_use]
    pub fn package(self, package: AlpinePackage) -> Self {
        self.package_in(MAIN, package)
    }

    /// With a package in another repository, such as `v3.21/community`.
    #[must_use]
    pub fn package_in(mut self, repository: &str, package: AlpinePackage) -> Self {
        self.packages.entry(repository.into()).or_default().push(package);
        self
    }

    /// The public key that all is signed with, in PEM.
    pub fn public_key() -> String {
        key().to_public_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    /// Its files, by path below the mirror's root: indexes and packages.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for (repository, packages) in &self.packages {
            let folder = format!("{repository}/{ALPINE_ARCHITECTURE}");
            let mut index = String::new();
            for package in packages {
                let data = package.data();
                let control = package.control(&data);
                let bytes = [signed(&control), data].concat();
                index += &package.index_entry(&control, bytes.len());
                index += "\n";
                files.insert(format!("{folder}/{}-{}.apk", package.name, package.version), bytes);
            }
            let kind = tar::EntryType::Regular;
            let mut archive = entry("DESCRIPTION", kind, "", 0o644, b"made up");
            archive.extend(entry("APKINDEX", kind, "", 0o644, index.as_bytes()));
            archive.resize(archive.len() + 1024, 0);
            files.insert(format!("{folder}/APKINDEX.tar.gz"), signed(&gz(&archive)));
        }
        files
    }

    /// Writes its files below `folder`.
    pub fn write_to(&self, folder: &Path) {
        for (path, content) in self.files() {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// What an image of Alpine has that trusts the key and takes packages from `mirror`: paths, modes
    /// and contents of its files. `installed` are there, but for what of them are links and
    /// empty folders, and all of them were asked for.
    pub fn rootfs(&self, mirror: &str, installed: &[AlpinePackage]) -> Vec<(String, u32, Vec<u8>)> {
        let mut repositories = String::new();
        for repository in self.packages.keys() {
            let _ = writeln!(repositories, "{mirror}/{repository}");
        }
        let names: BTreeSet<&str> = installed.iter().map(|package| &*package.name).collect();
        let mut world = String::new();
        for name in names {
            let _ = writeln!(world, "{name}");
        }
        let list: String = installed.iter().map(AlpinePackage::installed_entry).collect();
        let release = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.21.0\n\
                       PRETTY_NAME=\"Alpine Linux v3.21\"\n";
        let mut files = vec![
            ("etc/os-release".to_owned(), 0o644, release.into()),
            (format!("etc/apk/keys/{}", Self::KEY_NAME), 0o644, Self::public_key().into_bytes()),
            ("etc/apk/repositories".to_owned(), 0o644, repositories.into_bytes()),
            ("etc/apk/world".to_owned(), 0o644, world.into_bytes()),
            ("etc/apk/arch".to_owned(), 0o644, format!("{ALPINE_ARCHITECTURE}\n").into_bytes()),
            ("lib/apk/db/installed".to_owned(), 0o644, list.into_bytes()),
        ];
        for package in installed {
            for (path, found) in &package.entries {
                if found.kind == tar::EntryType::Regular {
                    files.push((path.clone(), found.mode, found.content.clone()));
                }
            }
        }
        files
    }
}

fn key() -> RsaPrivateKey {
    let number = |digits| BigUint::parse_bytes(digits, 16).unwrap();
    RsaPrivateKey::from_p_q(number(P), number(Q), BigUint::from(65_537_u32)).unwrap()
}

/// `segment` behind the segment that signs it.
fn signed(segment: &[u8]) -> Vec<u8> {
    let signature = key().sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(segment)).unwrap();
    let name = format!(".SIGN.RSA.{}", AlpineRepository::KEY_NAME);
    let archive = entry(&name, tar::EntryType::Regular, "", 0o644, &signature);
    [&gz(&archive)[..], segment].concat()
}

/// One entry of a tar archive, of root's, as apk wants them.
fn entry(path: &str, kind: tar::EntryType, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root").unwrap();
    header.set_groupname("root").unwrap();
    header.set_mtime(BUILT);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
