use super::*;
use exflow_content::Sha256;
use std::fmt::Write as _;

/// `index` has a line for each package: `name version; Field: value; …`.
fn catalog(index: &str) -> Catalog {
    let mut text = String::new();
    for line in index.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) =
            parts.next().and_then(|head| head.split_once(' ')).expect("name and version");
        let _ = write!(
            text,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n\
             Filename: pool/{name}_{version}.deb\nSize: 1\nSHA256: {}\n",
            Sha256::of(line.as_bytes())
        );
        for field in parts {
            let _ = writeln!(text, "{field}");
        }
        text += "\n";
    }
    let mut catalog = Catalog::new();
    catalog.add("debian", "20260101T000000Z", text.as_bytes()).expect("an index");
    catalog
}

fn request(packages: &str, slim: bool) -> RequestedDebian {
    RequestedDebian {
        suite: "bookworm".into(),
        slim,
        packages: packages.split(' ').map(str::to_owned).collect(),
    }
}

fn check_with(index: &str, packages: &str, slim: bool, expected: &str) {
    let found = resolve(&request(packages, slim), &catalog(index), None).expect("solvable");
    let found: Vec<_> =
        found.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
    assert_eq!(found.join(", "), expected, "{packages} of {index}");
}

fn check(index: &str, packages: &str, expected: &str) {
    check_with(index, packages, true, expected);
}

fn problem(index: &str, packages: &str) -> String {
    let problem = resolve(&request(packages, true), &catalog(index), None).expect_err("unsolvable");
    let shown = diagnose(&problem, "bookworm", |_| None);
    let shown: Vec<_> = shown
        .iter()
        .map(|d| format!("{}: {}\nhelp: {}", d.code, d.message, d.help.as_deref().unwrap_or("")))
        .collect();
    shown.join("\n")
}

#[test]
fn what_is_locked_stays_as_long_as_it_can() {
    let versions = |index: &str, old: &str, packages: &str| {
        let old = resolve(&request("bb", true), &catalog(old), None).expect("solvable");
        let new = resolve(&request(packages, true), &catalog(index), Some(&old)).expect("solvable");
        let shown: Vec<_> =
            new.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        shown.join(", ")
    };
    let old = "aa 1\nbb 1; Depends: aa";
    // A newer one is there, too, and another package is asked for.
    assert_eq!(versions("aa 1\naa 2\nbb 1; Depends: aa\ncc 1", old, "bb cc"), "aa 1, bb 1, cc 1");
    // It doesn't fit any more, or is gone.
    let needs = "aa 1\naa 2\nbb 1; Depends: aa\ncc 1; Depends: aa (>= 2)";
    assert_eq!(versions(needs, old, "bb cc"), "aa 2, bb 1, cc 1");
    assert_eq!(versions("aa 3\nbb 1; Depends: aa", old, "bb"), "aa 3, bb 1");
}

#[test]
fn takes_the_newest_that_fits() {
    check("aa 1\naa 2~rc\naa 2\nbb 1; Depends: aa", "bb", "aa 2, bb 1");
    check("aa 1\naa 2\nbb 1; Depends: aa (<< 2)", "bb", "aa 1, bb 1");
    check("aa 1\naa 2; Depends: cc\nbb 1; Depends: aa", "bb", "aa 1, bb 1");
}

#[test]
fn takes_the_first_alternative() {
    check("aa 1\nbb 1\ncc 1; Depends: bb | aa", "cc", "bb 1, cc 1");
    check("aa 1\ncc 1; Depends: bb | aa", "cc", "aa 1, cc 1");
}

#[test]
fn virtual_packages() {
    let index = "mawk 1; Provides: awk; Priority: required\noriginal-awk 1; Provides: awk\n\
                 gawk 1; Provides: awk; Priority: optional\nxx 1; Depends: awk";
    check(index, "xx", "mawk 1, xx 1");
    check(index, "xx gawk", "gawk 1, xx 1");
    check("pp 1; Provides: vv (= 2)\nxx 1; Depends: vv (>= 2)", "xx", "pp 1, xx 1");
    assert!(problem("pp 1; Provides: vv\nxx 1; Depends: vv (>= 2)", "xx").contains("vv"));
}

#[test]
fn conflicts_rule_versions_out() {
    check("aa 1; Breaks: bb (<< 2)\nbb 1\nbb 2", "aa bb", "aa 1, bb 2");
    let index = "aa 1; Conflicts: vv; Provides: vv\nbb 1; Provides: vv";
    check(index, "aa", "aa 1");
    assert!(problem(index, "aa bb").contains("unsolvable"));
}

#[test]
fn cycles_are_no_problem() {
    check("aa 1; Depends: bb\nbb 1; Depends: aa", "aa", "aa 1, bb 1");
}

#[test]
fn a_full_base_has_what_is_essential() {
    let index = "sh 1; Essential: yes\nbb 1; Depends: debconf | debconf-2.0\ndebconf 1";
    check_with(index, "bb", false, "bb 1, debconf 1, sh 1");
    check_with(index, "bb", true, "bb 1");
    check_with(index, "bb debconf", true, "bb 1, debconf 1");
}

#[test]
fn an_unknown_package_has_a_suggestion() {
    insta::assert_snapshot!(problem("elixir 1\nerlang 1", "elxir nonsense"), @"
    exflow::packages::unknown-package: `bookworm` has no package `elxir`
    help: did you mean `elixir`?
    exflow::packages::unknown-package: `bookworm` has no package `nonsense`
    help: packages are named as in `apt-get install`; names may differ from one suite to the next
    ");
}

#[test]
fn a_conflict_is_explained() {
    insta::assert_snapshot!(problem("aa 1; Depends: bb (>= 2)\nbb 1", "aa"));
    insta::assert_snapshot!(problem("aa 1; Conflicts: bb\nbb 1", "aa bb"));
}

/// `status` has a line for each installed package, as an index of [`catalog`] has.
fn added(index: &str, status: &str, packages: &str) -> Result<String, Unsolvable> {
    let mut text = String::new();
    for line in status.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let _ = writeln!(text, "Package: {name}\nVersion: {version}\nArchitecture: amd64");
        for field in parts {
            let _ = writeln!(text, "{field}");
        }
        text += "Status: install ok installed\n\n";
    }
    let mut installed = Installed::default();
    installed.add(&text, None, &exflow_lock::Platform::LinuxAmd64).unwrap();
    let mut catalog = catalog(index);
    catalog.add_installed(&installed).unwrap();
    let packages: Vec<String> = packages.split(' ').map(str::to_owned).collect();
    let added = resolve_added(&packages, &catalog, &installed, None)?;
    let shown: Vec<_> =
        added.packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
    Ok(shown.join(", "))
}

#[test]
fn what_is_installed_stays_unless_something_needs_another_version() {
    let index = "aa 2\nbb 1; Depends: aa\ncc 1; Depends: aa (>= 2)\ndd 1; Conflicts: ee\nee 1";
    let found = |status: &str, packages: &str| added(index, status, packages).unwrap();
    assert_eq!(found("aa 1", "bb"), "bb 1");
    assert_eq!(found("aa 1", "aa bb"), "bb 1", "what is asked for is there already");
    assert_eq!(found("aa 1", "aa"), "");
    assert_eq!(found("aa 1", "cc"), "aa 2, cc 1");
    assert_eq!(found("", "cc"), "aa 2, cc 1");
    // What needs the old version goes along, or stands in the way.
    let old = "aa 1\nold 1; Depends: aa (= 1)";
    assert!(matches!(added(index, old, "cc"), Err(Unsolvable::Conflict(_))));
    assert_eq!(
        added(&format!("{index}\nold 2; Depends: aa (= 2)"), old, "cc").unwrap(),
        "aa 2, cc 1, old 2"
    );
    assert!(matches!(added(index, "ee 1", "dd"), Err(Unsolvable::Conflict(_))));
    assert!(matches!(added(index, "aa 1", "zz"), Err(Unsolvable::Unknown(_))));
    // What the image lacks itself, it goes on lacking.
    assert_eq!(found("half 1; Depends: nothing\naa 1", "bb"), "bb 1");
}

#[test]
fn without_dpkg_no_script_ever_ran() {
    let index = "aa 1; Depends: adduser, bb\nbb 1\nadduser 1\ndpkg 1";
    assert_eq!(added(index, "", "aa").unwrap(), "aa 1, bb 1");
    assert_eq!(added(index, "dpkg 1", "aa").unwrap(), "aa 1, adduser 1, bb 1");
}
