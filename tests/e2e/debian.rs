//! Bases of Debian's own packages, which must work as if they had been installed.

use crate::{EXFLOW, hello};
use exflow_testkit::{Workspace, missing};
use std::path::PathBuf;
use std::process::Command;

fn stage(base: &str, script: &str) -> Workspace {
    let workspace = hello::MIRROR
        .environment()
        .into_iter()
        .fold(Workspace::new(EXFLOW), |workspace, (name, value)| workspace.env(name, value));
    workspace.with(
        "exflow.kdl",
        &format!(
            "base \"builder\" {{ {base} }}\nproject \"made\" {{\n    stage \"one\" {{\n        run #\"\"\"\n{}\n        \
             \"\"\"#\n        output \"out\"\n    }}\n}}\n",
            script.lines().map(|line| format!("        {}", line.trim())).collect::<Vec<_>>().join("\n")
        ),
    )
}

/// The folders of the store that are bases.
fn bases(workspace: &Workspace) -> Vec<PathBuf> {
    let checkouts = std::fs::read_dir(workspace.store().join("checkouts")).unwrap();
    let paths = checkouts.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.join("var/lib/dpkg/status").is_file()).collect()
}

#[test]
fn a_full_base_works_as_if_installed() {
    let workspace = stage(
        "debian \"bookworm\"; packages \"gcc\" \"libc6-dev\" \"ca-certificates\" \"perl\"",
        r#"mkdir out
        printf '#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n' > a.c
        cc -o a a.c && ./a > out/a
        grep -q compiled out/a
        printf '1 2\n' | awk '{ print $1 + $2 }' > out/sum
        grep -q 3 out/sum
        grep -q 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt
        test -L /bin && test -L /lib && test -x /bin/sh && test -x /usr/bin/sh
        perl -e 'print "perl\n"' > out/perl
        dpkg-query -W gcc > out/installed
        dpkg -S /usr/bin/gcc-12 | grep -q gcc-12
        dpkg -L libc6 | grep -q /libc.so.6
        id -un > out/who && grep -q root out/who"#,
    );
    workspace.ok(&["build"]);
    // As a scanner reads it, from outside.
    let [base] = bases(&workspace).try_into().unwrap();
    let dpkg = Command::new("dpkg-query")
        .arg(format!("--admindir={}", base.join("var/lib/dpkg").display()))
        .args(["-W", "-f", "${Package} ${Status}\n"])
        .output();
    let Ok(dpkg) = dpkg else { return missing("dpkg", "a_full_base_works_as_if_installed") };
    let listed = String::from_utf8_lossy(&dpkg.stdout).into_owned();
    assert!(listed.contains("gcc install ok installed"), "{listed}");
    assert!(listed.lines().all(|line| line.ends_with("install ok installed")), "{listed}");
}

#[test]
fn a_full_base_of_the_next_release() {
    let workspace =
        stage("debian \"trixie\"", "mkdir out; sh -c 'cat /etc/os-release' | grep -q trixie");
    workspace.ok(&["build"]);
}
