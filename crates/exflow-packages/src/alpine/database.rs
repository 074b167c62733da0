//! What apk keeps of the packages that are installed, in the files of `lib/apk/db`.

use super::checksum::Checksum;
use super::install::UnpackedApk;
use exflow_content::{Entry, RelPath};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The entry of a package for `lib/apk/db/installed`. `owned` are those of its files that are its.
///
/// All belongs to user and group 0: that is what a tree says by saying nothing. `checksum`
/// gives the checksum of what has one.
pub(super) fn installed_entry(
    package: &UnpackedApk,
    owned: &BTreeSet<RelPath>,
    checksum: impl Fn(&Entry) -> Option<Checksum>,
) -> Vec<u8> {
    let info = &package.info;
    let locked = &package.locked;
    let mut head = String::new();
    let mut line = |field: char, value: &str| {
        let _ = writeln!(head, "{field}:{value}");
    };
    let field = |key| info.field(key).unwrap_or_default();
    line('C', &locked.checksum);
    line('P', &locked.name);
    line('V', &locked.version);
    line('A', &locked.architecture);
    line('S', &locked.size.to_string());
    line('I', info.field("size").unwrap_or("0"));
    line('T', field("pkgdesc"));
    line('U', field("url"));
    line('L', field("license"));
    for (name, key) in [
        ('o', "origin"),
        ('m', "maintainer"),
        ('t', "builddate"),
        ('c', "commit"),
        ('k', "provider_priority"),
    ] {
        // Numbers that are not there are zero for apk, and zero is not written.
        if let Some(value) = info.field(key).filter(|value| *value != "0") {
            line(name, value);
        }
    }
    for (name, key) in [('D', "depend"), ('p', "provides"), ('i', "install_if"), ('r', "replaces")]
    {
        let list = info.list(key);
        if !list.is_empty() {
            line(name, &list);
        }
    }
    if let Some(value) = info.field("replaces_priority").filter(|value| *value != "0") {
        line('q', value);
    }
    let mut entry = head.into_bytes();
    let mut folder = None;
    // Each folder is followed by its files, not by what is in the folders in it.
    let mut paths: Vec<(RelPath, &RelPath, &Entry)> = package
        .tree
        .entries()
        .filter_map(|(path, found)| match found {
            Entry::Folder { .. } => Some((path.clone(), path, found)),
            _ => owned.contains(path).then(|| (path.parent().unwrap_or_default(), path, found)),
        })
        .collect();
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    for (parent, path, found) in paths {
        if folder.as_ref() != Some(&parent) {
            entry.extend_from_slice(b"F:");
            entry.extend_from_slice(parent.as_bytes());
            entry.push(b'\n');
            folder = Some(parent);
        }
        let access = match found {
            Entry::Folder { mode } if mode.bits() == 0o755 => continue,
            Entry::Folder { mode } => {
                entry.extend_from_slice(format!("M:0:0:{:o}\n", mode.bits()).as_bytes());
                continue;
            }
            Entry::File { mode, .. } => mode.bits(),
            // Links have no mode of their own.
            Entry::Symlink { .. } => 0o777,
        };
        entry.extend_from_slice(b"R:");
        entry.extend_from_slice(path.name().unwrap_or_default());
        entry.push(b'\n');
        if access != 0o644 {
            entry.extend_from_slice(format!("a:0:0:{access:o}\n").as_bytes());
        }
        if let Some(checksum) = checksum(found) {
            entry.extend_from_slice(format!("Z:{checksum}\n").as_bytes());
        }
    }
    entry.push(b'\n');
    entry
}

/// The lines of packages for `lib/apk/db/triggers`: which folders their triggers watch.
pub(super) fn triggers(packages: &[UnpackedApk]) -> String {
    packages
        .iter()
        .filter_map(|package| {
            let watched = package.info.field("triggers")?;
            Some(format!("{} {watched}\n", package.locked.checksum))
        })
        .collect()
}

/// The archive `lib/apk/db/scripts.tar` with the scripts of more packages at its end, which apk runs
/// when it upgrades or removes them. None where `archive` is no archive.
pub(super) fn scripts(archive: &[u8], packages: &[UnpackedApk]) -> Option<Vec<u8>> {
    const KNOWN: &[&str] = &[
        "pre-install",
        "post-install",
        "pre-deinstall",
        "post-deinstall",
        "pre-upgrade",
        "post-upgrade",
        "trigger",
    ];
    let mut end: usize = 0;
    while let Some(header) = archive.get(end..).and_then(|rest| rest.get(..512)) {
        if header[0] == 0 {
            break;
        }
        let header = tar::Header::from_byte_slice(header);
        let length = usize::try_from(header.entry_size().ok()?).ok()?;
        end = end.checked_add(512)?.checked_add(length.checked_next_multiple_of(512)?)?;
    }
    let mut all = archive.get(..end)?.to_vec();
    for package in packages {
        let locked = &package.locked;
        for name in KNOWN {
            let Some(script) = package.scripts.get(*name) else { continue };
            let path = format!("{}-{}.{}.{name}", locked.name, locked.version, locked.checksum);
            let mut header = tar::Header::new_gnu();
            // apk has no way for longer names here either.
            let Some(place) = header.as_old_mut().name.get_mut(..path.len()) else { continue };
            place.copy_from_slice(path.as_bytes());
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_username("root").ok()?;
            header.set_groupname("root").ok()?;
            header.set_size(script.len() as u64);
            header.set_mtime(
                package.info.field("builddate").and_then(|time| time.parse().ok()).unwrap_or(0),
            );
            header.set_cksum();
            all.extend_from_slice(header.as_bytes());
            all.extend_from_slice(script);
            all.resize(all.len().next_multiple_of(512), 0);
        }
    }
    all.resize(all.len() + 1024, 0);
    Some(all)
}
