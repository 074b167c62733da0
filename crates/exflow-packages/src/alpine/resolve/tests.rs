use super::super::parse_installed;
use super::*;
use exflow_content::Sha256;
use exflow_lock::LockedApk;
use std::fmt::Write as _;

/// A line for each package: `name version; D:…; p:…`.
fn index(lines: &str, list: bool) -> String {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) =
            parts.next().and_then(|head| head.split_once(' ')).expect("name and version");
        let checksum = Checksum::of(line.as_bytes());
        let _ = write!(text, "C:{checksum}\nP:{name}\nV:{version}\nA:x86_64\nS:1\n");
        for field in parts {
            let _ = writeln!(text, "{field}");
        }
        text += if list { "F:usr\n\n" } else { "\n" };
    }
    text
}

fn catalog(lines: &str) -> Catalog {
    let mut catalog = Catalog::new();
    catalog.add("v3.21/main", &index(lines, false)).expect("an index");
    catalog
}

fn solve(
    lines: &str,
    installed: &str,
    named: &str,
    locked: Option<&LockedAlpine>,
) -> Result<Vec<ChosenApk>, Unsolvable> {
    let installed = parse_installed(index(installed, true).as_bytes()).expect("a list");
    let named: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
    resolve(&named, &catalog(lines), &installed.packages, locked)
}

fn shown(found: &[ChosenApk]) -> String {
    let shown: Vec<_> = found.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
    shown.join(", ")
}

fn check_with(lines: &str, installed: &str, named: &str, expected: &str) {
    let found = match solve(lines, installed, named, None) {
        Ok(found) => shown(&found),
        Err(error) => panic!("{named} of {lines} is {error:?}"),
    };
    assert_eq!(found, expected, "{named} of {lines} with {installed}");
}

fn check(lines: &str, named: &str, expected: &str) {
    check_with(lines, "", named, expected);
}

fn problem(lines: &str, installed: &str, named: &str) -> String {
    let problem = solve(lines, installed, named, None).expect_err("unsolvable");
    let shown = diagnose(&problem, "v3.21", |_| None);
    let shown: Vec<_> = shown
        .iter()
        .map(|d| format!("{}: {}\nhelp: {}", d.code, d.message, d.help.as_deref().unwrap_or("")))
        .collect();
    shown.join("\n")
}

#[test]
fn takes_the_newest_that_fits() {
    check("aa 1_rc1\naa 1-r0\naa 1-r10\naa 1-r9\nbb 1; D:aa", "bb", "aa 1-r10, bb 1");
    check("aa 1\naa 2\nbb 1; D:aa<2", "bb", "aa 1, bb 1");
    check("aa 1\naa 2; D:cc\nbb 1; D:aa", "bb", "aa 1, bb 1");
    check("aa 1.1\naa 1.2\naa 2", "aa~1", "aa 1.2");
    check("aa 1\naa 2", "aa=1", "aa 1");
    check("aa 1; D:bb\nbb 1; D:aa", "aa", "aa 1, bb 1");
    // Of the same version in two repositories, the first is taken.
    let mut both = catalog("aa 1");
    both.add("v3.21/community", &index("aa 1", false)).unwrap();
    let found = resolve(&["aa".into()], &both, &[], None).unwrap();
    assert_eq!(found[0].repository, "v3.21/main");
    assert_eq!(found[0].file_name(), "aa-1.apk");
    assert_eq!(found[0].checksum, Checksum::of(b"aa 1"));
}

#[test]
fn what_is_installed_stays() {
    let index = "aa 1\naa 2\nbb 1; D:aa\nbb 2; D:aa>=2";
    check_with(index, "aa 1", "aa", "");
    check_with(index, "aa 1", "bb=1", "bb 1");
    // Something needs another version.
    check_with(index, "aa 1", "bb=2", "aa 2, bb 2");
    check_with(index, "aa 1", "aa>1", "aa 2");
    check_with(index, "aa 3", "aa<3", "aa 2");
    // It is in no index any more, or is there in the same version.
    check_with("bb 1; D:aa", "aa 7", "bb", "bb 1");
    check_with("aa 1; D:cc", "aa 1", "aa", "");
    // What it needs itself is there, and stays there.
    check_with("cc 1\ncc 2\nbb 1; D:cc", "aa 1; D:cc=1\ncc 1", "bb", "bb 1");
    let error = problem("bb 1; D:cc>1\ncc 2", "aa 1; D:cc=1\ncc 1", "bb");
    assert!(error.contains("unsolvable"), "{error}");
}

#[test]
fn what_is_locked_stays_as_long_as_it_can() {
    let locked = |found: Vec<ChosenApk>| LockedAlpine {
        packages: found
            .into_iter()
            .map(|package| LockedApk {
                name: package.name,
                version: package.version,
                architecture: package.architecture,
                repository: package.repository,
                size: package.size,
                sha256: Sha256::of(b""),
                checksum: package.checksum.to_string(),
            })
            .collect(),
    };
    let versions = |index: &str, installed: &str, old: &str, named: &str| {
        let old = locked(solve(old, "", "bb", None).expect("solvable"));
        shown(&solve(index, installed, named, Some(&old)).expect("solvable"))
    };
    let old = "aa 1\nbb 1; D:aa";
    // A newer one is there, too, and another package is asked for.
    assert_eq!(versions("aa 1\naa 2\nbb 1; D:aa\ncc 1", "", old, "bb cc"), "aa 1, bb 1, cc 1");
    // It doesn't fit any more, or is gone, or the image has another one.
    let needs = "aa 1\naa 2\nbb 1; D:aa\ncc 1; D:aa>=2";
    assert_eq!(versions(needs, "", old, "bb cc"), "aa 2, bb 1, cc 1");
    assert_eq!(versions("aa 3\nbb 1; D:aa", "", old, "bb"), "aa 3, bb 1");
    assert_eq!(versions("aa 1\naa 2\nbb 1; D:aa", "aa 2", old, "bb"), "bb 1");
    // It was chosen for what it provides.
    let old = "pp 1; p:cmd:x=1\nbb 1; D:cmd:x";
    assert_eq!(
        versions("pp 1; p:cmd:x=1\nqq 1; p:cmd:x=2\nbb 1; D:cmd:x", "", old, "bb"),
        "bb 1, pp 1"
    );
}

#[test]
fn what_packages_provide() {
    let so = "lib 1.2; p:so:lib.so.1=1.2\nbb 1; D:so:lib.so.1";
    check(so, "bb", "bb 1, lib 1.2");
    check(so, "so:lib.so.1", "lib 1.2");
    check_with(so, "lib 1.1; p:so:lib.so.1=1.1", "bb", "bb 1");
    // In the newest version of what is asked for.
    let cmd = "aa 9; p:cmd:x=1\nbb 1; p:cmd:x=2\ncc 1; D:cmd:x\ndd 1; D:cmd:x<2";
    check(cmd, "cc", "bb 1, cc 1");
    check(cmd, "dd", "aa 9, dd 1");
    check_with(cmd, "aa 9; p:cmd:x=1", "cc", "cc 1");
    check(cmd, "cc aa", "aa 9, cc 1");
    check("sh 1; p:/bin/sh; k:60\nbb 1; D:/bin/sh", "bb", "bb 1, sh 1");
    check("sh 1; p:/bin/sh; k:60\nzsh 1; p:/bin/sh; k:70\nbb 1; D:/bin/sh", "bb", "bb 1, zsh 1");
    // A package is there by its name, and another one instead of it.
    check("old 1\nnew 3; p:old=3\nbb 1; D:old>=2", "bb", "bb 1, new 3");
}

#[test]
fn what_is_provided_without_a_version() {
    let mail = "aa 1; p:mail\nbb 1; p:mail\ncc 1; D:mail\ndd 1; D:mail=1";
    let error = problem(mail, "", "cc");
    assert!(error.contains("mail (name one of those that provide it: aa, bb)"), "{error}");
    check(mail, "cc bb", "bb 1, cc 1");
    check_with(mail, "aa 1; p:mail", "cc", "cc 1");
    // Both may be there.
    check(mail, "cc aa bb", "aa 1, bb 1, cc 1");
    // It is no version at all.
    assert!(problem(mail, "", "dd aa").contains("mail = 1, for which no candidates were found"));
}

#[test]
fn conflicts_rule_packages_out() {
    check("aa 1; D:!bb<2\nbb 1\nbb 2", "aa bb", "aa 1, bb 2");
    assert!(problem("aa 1; D:!bb\nbb 1", "", "aa bb").contains("unsolvable"));
    assert!(problem("aa 1; D:!bb", "bb 1", "aa").contains("unsolvable"));
    // By what it provides; what has no version is not below one.
    assert!(problem("aa 1; D:!x\nbb 1; p:x", "", "aa bb").contains("unsolvable"));
    check("aa 1; D:!x<1\nbb 1; p:x", "aa bb", "aa 1, bb 1");
    check("aa 1; D:!x; p:x", "aa", "aa 1");
    // Only one can be what has a version.
    assert!(problem("aa 1; p:x=1\nbb 1; p:x=1", "", "aa bb").contains("unsolvable"));
    assert!(problem("aa 1; p:x=1\nbb 1; p:x", "", "aa bb").contains("unsolvable"));
    assert!(problem("aa 1; p:bb=1\nbb 2\ncc 1; D:bb>1", "", "aa cc").contains("unsolvable"));
    check("aa 1; p:bb=1\nbb 1", "aa bb", "aa 1");
    check("aa 1; p:x=1\nbb 1; p:x=1\ncc 1; D:x", "bb cc", "bb 1, cc 1");
}

#[test]
fn what_is_unknown_has_a_suggestion() {
    insta::assert_snapshot!(problem("elixir 1\nerlang 1", "", "elxir nonsense elixir@edge !erlang"), @"
    exflow::packages::unknown-package: `v3.21` has no package `elxir`
    help: did you mean `elixir`?
    exflow::packages::unknown-package: `v3.21` has no package `nonsense`
    help: packages are named as in `apk add`, without a repository's tag; names may differ from one release to the next
    exflow::packages::unknown-package: `v3.21` has no package `elixir@edge`
    help: did you mean `elixir`?
    exflow::packages::unknown-package: `v3.21` has no package `!erlang`
    help: did you mean `erlang`?
    ");
}

#[test]
fn a_conflict_is_explained() {
    insta::assert_snapshot!(problem("aa 1; D:bb>=2\nbb 1", "", "aa"));
    insta::assert_snapshot!(problem("aa 1; D:bb>=2\nbb 2; D:!cc\ncc 1", "cc 1", "aa"));
    insta::assert_snapshot!(problem("aa 1; p:so:x.so=1\nbb 1; p:so:x.so=2", "", "aa bb"));
}
