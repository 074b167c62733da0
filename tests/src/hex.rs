//! Packages of Hex's that are made up, and a mirror of them.

use crate::{Server, entry, tar_of};
use exflow_content::Sha256;
use exflow_packages::hex::{HexPackage, Term};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// What a package needs.
#[derive(Debug, Clone)]
struct Requirement {
    name: String,
    versions: String,
    is_optional: bool,
}

/// A package that is made up.
#[derive(Debug, Clone)]
pub struct HexFixture {
    name: String,
    version: String,
    app: String,
    repo: String,
    build_tools: Vec<String>,
    requirements: Vec<Requirement>,
    files: Vec<String>,
    entries: Vec<Vec<u8>>,
}

impl HexFixture {
    /// A package of hex.pm's without files, whose application is called as it is, and which Mix builds.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            app: name.into(),
            repo: "hexpm".into(),
            build_tools: vec!["mix".into()],
            requirements: Vec::new(),
            files: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// With an application of another name.
    #[must_use]
    pub fn app(mut self, app: &str) -> Self {
        self.app = app.into();
        self
    }

    /// In another repository: `hexpm:acme`.
    #[must_use]
    pub fn repo(mut self, repo: &str) -> Self {
        self.repo = repo.into();
        self
    }

    /// Built by these, one of which is enough.
    #[must_use]
    pub fn build_tools(mut self, tools: &[&str]) -> Self {
        self.build_tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        self
    }

    /// With another package of the same repository that it needs.
    #[must_use]
    pub fn requires(self, name: &str, requirement: &str) -> Self {
        self.requirement(name, requirement, false)
    }

    /// With another package that it uses where it is there.
    #[must_use]
    pub fn likes(self, name: &str, requirement: &str) -> Self {
        self.requirement(name, requirement, true)
    }

    fn requirement(mut self, name: &str, versions: &str, is_optional: bool) -> Self {
        let (name, versions) = (name.to_owned(), versions.to_owned());
        self.requirements.push(Requirement { name, versions, is_optional });
        self
    }

    /// With the files of a folder.
    #[must_use]
    pub fn files_of(self, folder: &Path) -> Self {
        self.files_that(folder, |_| true)
    }

    /// With what of a folder is called so, and below that.
    #[must_use]
    pub fn files_called(self, folder: &Path, names: &[&str]) -> Self {
        let first = |path: &str| path.split('/').next().is_some_and(|name| names.contains(&name));
        self.files_that(folder, first)
    }

    fn files_that(mut self, folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Self {
        let mut names = Vec::new();
        files_below(folder, Path::new(""), &mut names);
        names.retain(|name| is_wanted(name));
        names.sort();
        for name in names {
            let content = std::fs::read(folder.join(&name)).unwrap();
            self = self.file(&name, 0o644, &content);
        }
        self
    }

    /// With a file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.files.push(path.into());
        self.entries.push(entry(path, tar::EntryType::Regular, "", mode, content));
        self
    }

    /// With a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.files.push(path.into());
        self.entries.push(entry(path, tar::EntryType::Symlink, target, 0o777, b""));
        self
    }

    /// With an entry of a tar archive, whatever it is: see [`entry`].
    #[must_use]
    pub fn raw_entry(mut self, entry: Vec<u8>) -> Self {
        self.entries.push(entry);
        self
    }

    /// What describes it, as Hex writes it: a pair a term.
    fn metadata(&self) -> String {
        let requirements = self.requirements.iter().map(|needed| {
            let settings = [
                ("app", binary(&needed.name)),
                ("name", binary(&needed.name)),
                ("optional", Term::Atom(needed.is_optional.to_string())),
                ("requirement", binary(&needed.versions)),
                ("repository", binary("hexpm")),
            ];
            Term::List(settings.into_iter().map(|(key, value)| pair(key, value)).collect())
        });
        let list = |items: &[String]| Term::List(items.iter().map(|item| binary(item)).collect());
        let terms = [
            pair("app", binary(&self.app)),
            pair("build_tools", list(&self.build_tools)),
            pair("description", binary("Made up — for tests")),
            pair("elixir", binary("~> 1.14")),
            pair("files", list(&self.files)),
            pair("licenses", list(&["Apache-2.0".to_owned()])),
            pair("name", binary(&self.name)),
            pair("requirements", Term::List(requirements.collect())),
            pair("version", binary(&self.version)),
        ];
        let mut text = String::new();
        for term in terms {
            let _ = writeln!(text, "{term}.");
        }
        text
    }

    /// The parts of its tarball, in Hex's order, and its inner checksum.
    fn parts(&self) -> (Vec<(&'static str, Vec<u8>)>, Sha256) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&tar_of(&self.entries)).unwrap();
        let contents = encoder.finish().unwrap();
        let metadata = self.metadata().into_bytes();
        let inner = Sha256::of(&[b"3", &metadata[..], &contents].concat());
        let parts = vec![
            ("VERSION", b"3".to_vec()),
            ("CHECKSUM", inner.to_string().to_ascii_uppercase().into_bytes()),
            ("metadata.config", metadata),
            ("contents.tar.gz", contents),
        ];
        (parts, inner)
    }

    /// Its tarball.
    pub fn tarball(&self) -> Vec<u8> {
        let (parts, _) = self.parts();
        let parts: Vec<_> = parts
            .iter()
            .map(|(name, content)| entry(name, tar::EntryType::Regular, "", 0o644, content))
            .collect();
        tar_of(&parts)
    }

    /// The checksum of what is in its tarball.
    pub fn inner(&self) -> Sha256 {
        self.parts().1
    }

    /// The checksum of its tarball.
    pub fn outer(&self) -> Sha256 {
        Sha256::of(&self.tarball())
    }

    /// What mix.lock pins of it.
    pub fn package(&self) -> HexPackage {
        HexPackage {
            repo: self.repo.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            inner: Some(self.inner()),
            outer: Some(self.outer()),
            managers: self.build_tools.clone(),
        }
    }

    /// Its line in mix.lock.
    pub fn lock_entry(&self) -> String {
        let Self { app, name, version, repo, .. } = self;
        let atoms = |items: &[String]| {
            items.iter().map(|item| format!(":{item}")).collect::<Vec<_>>().join(", ")
        };
        let needs: Vec<String> = self
            .requirements
            .iter()
            .map(|Requirement { name, versions, is_optional }| {
                format!(
                    "{{:{name}, \"{versions}\", [hex: :{name}, repo: \"hexpm\", optional: {is_optional}]}}"
                )
            })
            .collect();
        format!(
            "  \"{app}\": {{:hex, :{name}, \"{version}\", \"{}\", [{}], [{}], \"{repo}\", \"{}\"}},\n",
            self.inner(),
            atoms(&self.build_tools),
            needs.join(", "),
            self.outer()
        )
    }

    /// A mix.lock with these packages.
    pub fn lock(packages: &[Self]) -> String {
        let mut entries: Vec<String> = packages.iter().map(Self::lock_entry).collect();
        entries.sort();
        format!("%{{\n{}}}\n", entries.concat())
    }

    /// Where its tarball is below the root of a mirror.
    pub fn path(&self) -> String {
        let folder = match self.repo.split_once(':') {
            Some((_, organisation)) => format!("repos/{organisation}/"),
            None => String::new(),
        };
        format!("{folder}tarballs/{}-{}.tar", self.name, self.version)
    }
}

/// The paths of the files below a folder.
fn files_below(folder: &Path, below: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files_below(folder, &path, names);
        } else {
            names.push(path.to_str().unwrap().to_owned());
        }
    }
}

fn binary(text: &str) -> Term {
    Term::Binary(text.as_bytes().to_vec())
}

fn pair(key: &str, value: Term) -> Term {
    Term::Tuple(vec![binary(key), value])
}

/// A mirror of hex.pm on loopback with made-up packages, until it is dropped.
#[derive(Debug)]
pub struct HexMirror {
    server: Server,
}

impl HexMirror {
    /// A mirror with these packages, each where its repository is.
    pub fn new(packages: &[HexFixture]) -> Self {
        let files = packages.iter().map(|package| (package.path(), package.tarball()));
        Self { server: Server::new(files.collect::<BTreeMap<_, _>>()) }
    }

    /// From now on, it wants this key for packages of an organisation.
    pub fn want_key(&self, organisation: &str, key: &str) {
        self.server.want_key(&format!("repos/{organisation}/"), key);
    }

    /// What to set so that exflow uses this mirror and no other, and finds nothing of this host's own.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("EXFLOW_HEX_MIRROR", self.server.url()),
            ("EXFLOW_HEX_TRUSTED_MIRROR", String::new()),
            ("HEX_HOME", "/nowhere".to_owned()),
        ]
    }

    /// The server behind it.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exflow_fetch::{Cancel, Client, FetchError, HexPlaces, HttpOptions, fetch_hex};
    use exflow_packages::hex::{HexKey, parse_terms};
    use exflow_store::Store;
    use std::process::{Command, Stdio};

    fn sample() -> HexFixture {
        HexFixture::new("demo", "1.2.3")
            .app("demo_app")
            .build_tools(&["mix", "make"])
            .requires("jason", "~> 1.0")
            .file("mix.exs", 0o644, b"project")
            .file("bin/run", 0o755, b"#!")
            .link("lib/run", "../bin/run")
    }

    fn fetch(package: &HexPackage, places: &HexPlaces) -> Result<Vec<String>, FetchError> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let client = Client::new(HttpOptions::default(), Cancel::new());
        let tree = store.tree(&fetch_hex(&client, &store, package, places, &())?).unwrap();
        Ok(tree.entries().map(|(path, _)| path.to_string()).collect())
    }

    #[test]
    fn the_product_reads_what_is_made_up() {
        let mirror = HexMirror::new(&[sample()]);
        let places = HexPlaces { mirror: Some(mirror.server().url()), ..HexPlaces::default() };
        assert_eq!(
            fetch(&sample().package(), &places).unwrap(),
            [".hex", "bin", "bin/run", "hex_metadata.config", "lib", "lib/run", "mix.exs"]
        );
        assert_eq!(mirror.server().requests(), ["GET tarballs/demo-1.2.3.tar"]);
        let terms = parse_terms(sample().metadata().as_bytes()).unwrap();
        assert_eq!(terms.len(), 9);
    }

    #[test]
    fn an_organisation_wants_a_key() {
        let package = sample().repo("hexpm:acme");
        let mirror = HexMirror::new(std::slice::from_ref(&package));
        mirror.want_key("acme", "secret");
        let trusted = |key: &str| HexPlaces {
            trusted_mirror: Some(mirror.server().url()),
            keys: HexKey::new(key)
                .map(|key| ("EXFLOW_HEX_KEY_ACME".to_owned(), key))
                .into_iter()
                .collect(),
            ..HexPlaces::default()
        };
        fetch(&package.package(), &trusted("secret")).unwrap();
        assert_eq!(mirror.server().shown(), ["secret"]);
        assert!(fetch(&package.package(), &trusted("")).is_err());
    }

    #[test]
    fn a_line_of_the_lock() {
        let sample = sample();
        let expected = format!(
            "%{{\n  \"demo_app\": {{:hex, :demo, \"1.2.3\", \"{}\", [:mix, :make], \
             [{{:jason, \"~> 1.0\", [hex: :jason, repo: \"hexpm\", optional: false]}}], \"hexpm\", \
             \"{}\"}},\n}}\n",
            sample.inner(),
            sample.outer()
        );
        assert_eq!(HexFixture::lock(&[sample]), expected);
    }

    /// Others read it, too.
    #[test]
    fn tar_reads_what_is_made_up() {
        let folder = tempfile::tempdir().unwrap();
        let tar = |arguments: &[&str]| {
            let output = Command::new("tar")
                .args(arguments)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        std::fs::write(folder.path().join("a.tar"), sample().tarball()).unwrap();
        assert_eq!(tar(&["-tf", "a.tar"]), "VERSION\nCHECKSUM\nmetadata.config\ncontents.tar.gz\n");
        tar(&["-xf", "a.tar"]);
        assert_eq!(tar(&["-tzf", "contents.tar.gz"]), "mix.exs\nbin/run\nlib/run\n");
    }
}
