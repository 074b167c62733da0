use super::*;
use crate::{HttpOptions, diagnose};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A folder with repositories, and a store.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgSign=false"])
        .args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// A repository with these files, and its only commit.
    fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        git(&path, &["init", "--quiet", "."]);
        self.commit(name, files)
    }

    fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        let path = self.path(name);
        for (file, content) in files {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), content).unwrap();
        }
        git(&path, &["add", "--all"]);
        git(&path, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        git(&path, &["rev-parse", "HEAD"])
    }

    fn source(&self, name: &str, revision: &str) -> GitSource {
        GitSource {
            url: self.url(name),
            revision: revision.to_owned(),
            submodules: false,
            sparse: None,
            tree: None,
        }
    }

    fn fetch(&self, source: &GitSource) -> Result<Tree, FetchError> {
        let tree = fetch_git(&client(false), &self.store, source, &())?;
        Ok(self.store.tree(&tree).unwrap())
    }

    /// What is at each path.
    fn shown(&self, source: &GitSource) -> Vec<String> {
        let tree = self.fetch(source).unwrap();
        let entries = tree.entries().map(|(path, entry)| match entry {
            Entry::Folder { .. } => format!("{path}/"),
            Entry::File { mode, blob, size } => {
                let content = self.store.read_blob(blob, *size).unwrap();
                format!("{path} {mode:?} {:?}", String::from_utf8_lossy(&content))
            }
            Entry::Symlink { target } => format!("{path} -> {}", String::from_utf8_lossy(target)),
        });
        entries.collect()
    }

    #[track_caller]
    fn fails(&self, source: &GitSource) -> (GitError, String) {
        match self.fetch(source) {
            Err(error @ FetchError::Git { .. }) => {
                let diagnostic = diagnose(&error, None);
                let text = format!("{} {}", diagnostic.code, error);
                let FetchError::Git { source, .. } = error else { unreachable!() };
                (source, text)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn client(offline: bool) -> Client {
    Client::new(HttpOptions { offline, ..HttpOptions::default() }, Cancel::new())
}

#[test]
fn files_are_what_the_revision_has() {
    let bench = Bench::new();
    let path = bench.path("a");
    fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "."]);
    fs::create_dir(path.join("bin")).unwrap();
    fs::write(path.join("bin/run"), "#!").unwrap();
    fs::set_permissions(path.join("bin/run"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("bin/run", path.join("run")).unwrap();
    symlink("/nowhere", path.join("out")).unwrap();
    // None of which is asked.
    let attributes = "*.txt text eol=crlf ident filter=harm\n*.bin filter=lfs\n";
    let revision = bench.commit(
        "a",
        &[(".gitattributes", attributes), ("a.txt", "$Id$\n"), ("b.bin", "oid"), ("é *", "")],
    );
    let source = bench.source("a", &revision);
    let shown = bench.shown(&source);
    assert_eq!(
        shown,
        [
            &format!(".gitattributes 0644 {attributes:?}"),
            "a.txt 0644 \"$Id$\\n\"",
            "b.bin 0644 \"oid\"",
            "bin/",
            "bin/run 0755 \"#!\"",
            "out -> /nowhere",
            "run -> bin/run",
            "é * 0644 \"\"",
        ]
    );
    // It is in the store now, and nobody is asked again.
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(bench.shown(&source), shown);
    let elsewhere = GitSource { url: "https://127.0.0.1:1/a".into(), ..source };
    assert!(fetch_git(&client(true), &bench.store, &elsewhere, &()).is_ok());
}

#[test]
fn an_old_revision_is_found() {
    let bench = Bench::new();
    let old = bench.repository("a", &[("a", "old")]);
    bench.commit("a", &[("a", "new")]);
    assert_eq!(bench.shown(&bench.source("a", &old)), ["a 0644 \"old\""]);
}

#[test]
fn a_repository_may_have_longer_names() {
    let bench = Bench::new();
    let path = bench.path("a");
    fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "--object-format=sha256", "."]);
    let revision = bench.commit("a", &[("a", "1")]);
    assert_eq!(revision.len(), 64);
    assert_eq!(bench.shown(&bench.source("a", &revision)), ["a 0644 \"1\""]);
}

/// A server that knows nothing of git gives away whole branches, or nothing.
#[test]
fn a_plain_server_will_do() {
    let bench = Bench::new();
    let old = bench.repository("a", &[("a", "old")]);
    bench.commit("a", &[("a", "new")]);
    git(&bench.path("a"), &["update-server-info"]);
    let url = serving(bench.path("a/.git"));
    let source = GitSource { url, ..bench.source("a", &old) };
    assert_eq!(bench.shown(&source), ["a 0644 \"old\""]);
    let missing = GitSource { revision: "0".repeat(40), ..source };
    let (error, text) = bench.fails(&missing);
    assert!(matches!(error, GitError::Revision { .. }), "{error}");
    assert!(text.contains("it has no revision 0000"), "{text}");
}

#[test]
fn a_folder_alone() {
    let bench = Bench::new();
    let files = [("a", "1"), ("lib/x/b", "2"), ("lib/c", "3"), ("lib2/d", "4"), ("l*/e", "5")];
    let revision = bench.repository("a", &files);
    let of = |folder: &str| GitSource {
        sparse: Some(folder.to_owned()),
        ..bench.source("a", &revision)
    };
    assert_eq!(
        bench.shown(&of("lib")),
        ["lib/", "lib/c 0644 \"3\"", "lib/x/", "lib/x/b 0644 \"2\""]
    );
    assert_eq!(bench.shown(&of("./lib/x/")), ["lib/", "lib/x/", "lib/x/b 0644 \"2\""]);
    assert_eq!(bench.shown(&of("l*")), ["l*/", "l*/e 0644 \"5\""]);
    for missing in ["nowhere", "a", "lib/c", "-x", ":(top)lib"] {
        let (error, text) = bench.fails(&of(missing));
        assert!(matches!(error, GitError::Folder(_)), "{error}");
        assert!(
            text.starts_with("exflow::fetch::bad-git-repository git repository `file:"),
            "{text}"
        );
    }
    assert!(matches!(bench.fails(&of("../a")).0, GitError::Path(_)));
}

#[test]
fn submodules_are_fetched_where_they_are_asked_for() {
    let bench = Bench::new();
    bench.repository("inner", &[("i", "inner")]);
    bench.repository("middle", &[("m", "middle")]);
    let middle = bench.path("middle");
    git(&middle, &["submodule", "--quiet", "add", "../inner", "deep/inner"]);
    bench.commit("middle", &[]);
    bench.repository("outer", &[("o", "outer")]);
    let outer = bench.path("outer");
    git(&outer, &["submodule", "--quiet", "add", &bench.url("middle"), "mid"]);
    let revision = bench.commit("outer", &[]);
    let without = bench.source("outer", &revision);
    let with = GitSource { submodules: true, ..without.clone() };
    let modules = |shown: Vec<String>| {
        shown.into_iter().filter(|line| !line.contains(".gitmodules")).collect::<Vec<_>>()
    };
    assert_eq!(modules(bench.shown(&without)), ["mid/", "o 0644 \"outer\""]);
    assert_eq!(
        modules(bench.shown(&with)),
        [
            "mid/",
            "mid/deep/",
            "mid/deep/inner/",
            "mid/deep/inner/i 0644 \"inner\"",
            "mid/m 0644 \"middle\"",
            "o 0644 \"outer\"",
        ]
    );
    // One that nobody can reach, and one that is nowhere.
    fs::remove_dir_all(bench.path("inner")).unwrap();
    let again = Bench::new();
    let error = fetch_git(&client(false), &again.store, &with, &()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("its submodule `mid`: its submodule `deep/inner`: git can't"), "{text}");
    assert_eq!(diagnose(&error, None).code.to_string(), "exflow::fetch::unreachable");
    git(&outer, &["rm", "--quiet", "-f", ".gitmodules"]);
    let revision = bench.commit("outer", &[]);
    let nowhere = GitSource { revision, ..with };
    let (error, _) = bench.fails(&nowhere);
    assert!(error.to_string().ends_with("`.gitmodules` says nothing of it"), "{error}");
}

#[test]
fn a_repository_does_not_open_files_of_this_host() {
    assert!(address::submodule("https://h/a", "/etc").is_err());
    let bench = Bench::new();
    bench.repository("a", &[("a", "")]);
    // A submodule whose address would run a program.
    let inner = git(&bench.path("a"), &["rev-parse", "HEAD"]);
    let modules = "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c touch%20/tmp/harm\n";
    fs::write(bench.path("a").join(".gitmodules"), modules).unwrap();
    let object = format!("160000,{inner},x");
    git(&bench.path("a"), &["add", ".gitmodules"]);
    git(&bench.path("a"), &["update-index", "--add", "--cacheinfo", &object]);
    git(&bench.path("a"), &["commit", "--quiet", "-m", "x"]);
    let revision = git(&bench.path("a"), &["rev-parse", "HEAD"]);
    let source = GitSource { submodules: true, ..bench.source("a", &revision) };
    let (error, _) = bench.fails(&source);
    assert!(error.to_string().contains("its address is not given to git"), "{error}");
}

#[test]
fn what_is_not_there() {
    let bench = Bench::new();
    let revision = bench.repository("a", &[("a", "1")]);
    let missing = bench.source("a", &"0".repeat(40));
    let (error, text) = bench.fails(&missing);
    assert!(matches!(error, GitError::Revision { .. }), "{error}");
    assert!(text.contains("exflow::fetch::not-found"), "{text}");
    // A tree or a tag is no commit, whatever it leads to.
    let tree = git(&bench.path("a"), &["rev-parse", "HEAD^{tree}"]);
    git(&bench.path("a"), &["tag", "-a", "-m", "x", "v1"]);
    let tag = git(&bench.path("a"), &["rev-parse", "v1"]);
    for other in [tree, tag, "HEAD".into(), "main".into(), "--all".into(), revision[..12].into()] {
        let (error, _) = bench.fails(&bench.source("a", &other));
        assert!(matches!(error, GitError::Revision { .. }), "{other}: {error}");
    }
    let (error, text) = bench.fails(&bench.source("nowhere", &revision));
    assert!(matches!(error, GitError::Unreachable(_)), "{error}");
    assert!(text.starts_with("exflow::fetch::unreachable git repository `file:///"), "{text}");
}

#[test]
fn addresses_are_not_options_and_show_no_password() {
    let bench = Bench::new();
    let with = |url: &str| GitSource { url: url.into(), ..bench.source("a", &"0".repeat(40)) };
    for url in ["--upload-pack=touch /tmp/harm", "ext::sh -c true", "-x", ""] {
        let (error, text) = bench.fails(&with(url));
        assert!(matches!(error, GitError::Address(_)), "{error}");
        assert!(text.starts_with("exflow::fetch::bad-git-repository"), "{text}");
    }
    // Nothing listens there.
    let (error, text) = bench.fails(&with("http://user:secret@127.0.0.1:1/a.git?token=secret"));
    assert!(matches!(error, GitError::Unreachable(_)), "{error}");
    assert!(!format!("{text} {error:?}").contains("secret"), "{text} {error:?}");
    assert!(text.contains("git repository `http://127.0.0.1:1/a.git`"), "{text}");
}

/// A server that answers each path with a status and a body.
fn server(answer: impl Fn(&str) -> (&'static str, Vec<u8>) + Send + 'static) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:secret@{}/a.git", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let path = first.split([' ', '?']).nth(1).unwrap_or_default();
            let (status, body) = answer(path);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nwww-authenticate: Basic realm=\"x\"\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&body);
        }
    });
    url
}

/// One that answers everything with this status.
fn answering(status: &'static str) -> String {
    server(move |_| (status, Vec::new()))
}

/// One that serves the files of a folder.
fn serving(folder: PathBuf) -> String {
    server(move |path| {
        let path = path.strip_prefix("/a.git/").unwrap_or_default();
        match fs::read(folder.join(path)) {
            Ok(bytes) => ("200 OK", bytes),
            Err(_) => ("404 Not Found", Vec::new()),
        }
    })
}

#[test]
fn what_a_server_refuses() {
    let bench = Bench::new();
    for (status, expected) in [
        ("401 Unauthorized", "exflow::fetch::denied"),
        ("403 Forbidden", "exflow::fetch::denied"),
        ("404 Not Found", "exflow::fetch::unreachable"),
        ("500 Broken", "exflow::fetch::unreachable"),
    ] {
        let url = answering(status);
        let source = GitSource { url, ..bench.source("a", &"0".repeat(40)) };
        let (error, text) = bench.fails(&source);
        assert!(text.starts_with(expected), "{status}: {text}");
        assert!(!format!("{text} {error:?}").contains("secret"), "{text} {error:?}");
    }
}

#[test]
fn offline_nothing_is_asked() {
    let bench = Bench::new();
    let revision = bench.repository("a", &[("a", "1")]);
    let local = bench.source("a", &revision);
    let remote = GitSource { url: "https://user:secret@h/a".into(), ..local.clone() };
    let error = fetch_git(&client(true), &bench.store, &remote, &()).unwrap_err();
    assert!(matches!(&error, FetchError::Offline { what } if what == "https://h/a"), "{error}");
    assert!(fetch_git(&client(true), &bench.store, &local, &()).is_ok());
}

#[test]
fn it_stops_when_someone_wishes_so() {
    let bench = Bench::new();
    // It takes connections, and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.git", listener.local_addr().unwrap());
    let source = GitSource { url, ..bench.source("a", &"0".repeat(40)) };
    let client = client(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch_git(&client, &bench.store, &source, &()));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!fetching.is_finished());
        client.cancel().cancel();
        let result = fetching.join().unwrap();
        assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_takes_too_much_is_given_up() {
    let bench = Bench::new();
    let big = "x".repeat(3 << 20);
    let revision = bench.repository("a", &[("a", &big), ("b", &big)]);
    let cancel = Cancel::new();
    let mut reader = Reader {
        store: &bench.store,
        cancel: &cancel,
        tree: Tree::new(),
        bytes: 4 << 20,
        entries: 100,
        submodules: 0,
        with_submodules: false,
    };
    let url = bench.url("a");
    let wanted = Wanted { url: &url, revision: &revision, at: RelPath::root() };
    let error = reader.read(&wanted, &RelPath::root(), 0).unwrap_err();
    assert!(matches!(error, GitError::TooLarge(_)), "{error}");
    let mut reader = Reader { tree: Tree::new(), bytes: 8 << 20, entries: 1, ..reader };
    let error = reader.read(&wanted, &RelPath::root(), 0).unwrap_err();
    assert!(matches!(error, GitError::TooMany), "{error}");
}

#[test]
fn one_fetches_for_all() {
    let bench = Bench::new();
    let revision = bench.repository("a", &[("a", "1")]);
    let source = bench.source("a", &revision);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(bench.store.root()).unwrap();
                fetch_git(&client(false), &store, &source, &()).unwrap();
            });
        }
    });
    assert!(bench.store.record(&source.key()).unwrap().is_some());
}

/// A list that git would never give.
#[test]
fn strange_lists_are_refused() {
    let object = "0".repeat(40);
    let line = |path: &str| format!("100644 blob {object}\t{path}").into_bytes();
    assert_eq!(listed(&line("a/b")).unwrap().path.to_string(), "a/b");
    for path in ["", "/a", "../a", "a//b", ".git/config", "a/.GIT/hooks/x"] {
        assert!(listed(&line(path)).is_err(), "{path}");
    }
    for line in ["", "\t", "100644 blob\ta", "x blob 0\ta", "100644 blob 0\ta"] {
        assert!(listed(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn a_host_without_git_is_told_so() {
    let error = FetchError::Git { url: "https://h/a".into(), source: GitError::Missing };
    let diagnostic = diagnose(&error, None);
    assert_eq!(diagnostic.code.to_string(), "exflow::fetch::no-git");
    assert_eq!(diagnostic.message, "git repository `https://h/a`: there is no program `git`");
}
