//! An archive of made-up packages, in the formats of Debian's own.

use exflow_content::Sha256;
use flate2::Compression;
use flate2::write::GzEncoder;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey,
};
use pgp::types::Password;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// A package that is made up.
#[derive(Debug, Clone)]
pub struct Package {
    name: String,
    version: String,
    fields: Vec<(String, String)>,
    entries: Vec<Vec<u8>>,
    control: Vec<Vec<u8>>,
    raw: Option<Vec<u8>>,
    only_for: Option<String>,
}

impl Package {
    /// A package without files.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            fields: Vec::new(),
            entries: Vec::new(),
            control: Vec::new(),
            raw: None,
            only_for: None,
        }
    }

    /// Listed for this architecture alone.
    #[must_use]
    pub fn only_for(mut self, architecture: &str) -> Self {
        self.only_for = Some(architecture.into());
        self
    }

    /// With another field of its control file: `Depends`, `Essential`.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With a file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entries.push(entry(path, tar::EntryType::Regular, "", mode, content));
        self
    }

    /// With a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.entries.push(entry(path, tar::EntryType::Symlink, target, 0o777, b""));
        self
    }

    /// With an entry of a tar archive, whatever it is: see [`entry`].
    #[must_use]
    pub fn raw_entry(mut self, entry: Vec<u8>) -> Self {
        self.entries.push(entry);
        self
    }

    /// With a control file besides `control`.
    #[must_use]
    pub fn control_file(mut self, name: &str, content: &str) -> Self {
        self.control.push(entry(name, tar::EntryType::Regular, "", 0o644, content.as_bytes()));
        self
    }

    /// With these bytes instead of an archive of its files.
    #[must_use]
    pub fn raw(mut self, bytes: Vec<u8>) -> Self {
        self.raw = Some(bytes);
        self
    }

    fn path(&self) -> String {
        format!("pool/{}_{}_all.deb", self.name, self.version)
    }

    fn fields(&self) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: nobody\n",
            self.name, self.version
        );
        for (name, value) in &self.fields {
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let control =
            entry("control", tar::EntryType::Regular, "", 0o644, self.fields().as_bytes());
        let control: Vec<Vec<u8>> = [control].into_iter().chain(self.control.clone()).collect();
        deb_of(&[
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", gz(&tar_of(&control))),
            ("data.tar.gz", gz(&tar_of(&self.entries))),
        ])
    }
}

/// A signed archive: a suite with packages.
#[derive(Debug)]
pub struct Archive {
    suite: String,
    packages: Vec<Package>,
    key: SignedSecretKey,
    release_fields: Vec<(String, String)>,
}

impl Archive {
    /// An empty archive with a key of its own.
    pub fn new(suite: &str) -> Self {
        Self {
            suite: suite.into(),
            packages: Vec::new(),
            key: new_key(),
            release_fields: vec![("Date".into(), "Sun, 01 Nov 2026 12:00:00 UTC".into())],
        }
    }

    /// With a package.
    #[must_use]
    pub fn package(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    /// With a field of its `Release` file, in place of one of the same name.
    #[must_use]
    pub fn release_field(mut self, name: &str, value: &str) -> Self {
        self.release_fields.retain(|(known, _)| known != name);
        self.release_fields.push((name.into(), value.into()));
        self
    }

    /// The public key that its indexes are signed with, armoured.
    pub fn keyring(&self) -> Vec<u8> {
        SignedPublicKey::from(self.key.clone()).to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// Its files, by path below the archive's root.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut indexes = [("amd64", String::new()), ("arm64", String::new())];
        for package in &self.packages {
            let bytes = package.bytes();
            let paragraph = format!(
                "{}Filename: {}\nSize: {}\nSHA256: {}\n\n",
                package.fields(),
                package.path(),
                bytes.len(),
                Sha256::of(&bytes)
            );
            for (architecture, index) in &mut indexes {
                if package.only_for.as_ref().is_none_or(|only| only == architecture) {
                    *index += &paragraph;
                }
            }
            files.insert(package.path(), bytes);
        }
        let mut release = format!("Suite: {0}\nCodename: {0}\n", self.suite);
        for (name, value) in &self.release_fields {
            let _ = writeln!(release, "{name}: {value}");
        }
        release += "SHA256:\n";
        for (architecture, index) in indexes {
            let index = gz(index.as_bytes());
            let path = format!("main/binary-{architecture}/Packages.gz");
            let _ = writeln!(release, " {} {} {path}", Sha256::of(&index), index.len());
            files.insert(format!("dists/{}/{path}", self.suite), index);
        }
        let key = &self.key.primary_key;
        let signed =
            CleartextSignedMessage::sign(rand::thread_rng(), &release, key, &Password::empty())
                .unwrap();
        let signed = signed.to_armored_bytes(ArmorOptions::default()).unwrap();
        files.insert(format!("dists/{}/InRelease", self.suite), signed);
        files
    }
}

fn new_key() -> SignedSecretKey {
    let parameters = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .primary_user_id("a test <test@localhost>".into())
        .build()
        .unwrap();
    parameters.generate(rand::thread_rng()).unwrap()
}

/// One entry of a tar archive, its path and its link written as they are.
pub fn entry(path: &str, kind: tar::EntryType, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A tar archive of these entries.
pub fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A binary package of these members.
pub fn deb_of(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, content) in members {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        builder.append(&header, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
