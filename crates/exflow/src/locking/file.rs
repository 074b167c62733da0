//! `exflow.lock` on disk: read, and written at once where it is another.

use crate::files::{read_bounded, unreadable};
use crate::report::Failure;
use crate::session::Session;
use exflow_diagnostics::{Diagnostic, SourceName};
use exflow_image::ASSEMBLY_VERSION;
use exflow_lock::{Lock, MAX_BYTES, parse, print};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The name of the lock's file.
pub(crate) const LOCK: &str = "exflow.lock";

const ASSEMBLY: &str = "exflow::lock::other-assembly";
const NEWER: &str = "exflow::lock::newer-version";
const UNWRITABLE: &str = "exflow::lock::unwritable";

/// Reads the lock; an empty one where there is none.
pub(crate) fn read(session: &mut Session) -> Result<Lock, Failure> {
    Ok(read_with_text(session)?.0)
}

/// The text of the lock; none where there is none.
fn text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
        Ok(file) => read_bounded(file, path, MAX_BYTES).map(Some),
    }
}

/// The same as [`read`], with the text that it was read from.
fn read_with_text(session: &mut Session) -> Result<(Lock, Option<String>), Failure> {
    let Some(text) = text(&session.root.join(LOCK))? else {
        let lock = Lock { image_assembly: ASSEMBLY_VERSION, ..Lock::default() };
        return Ok((lock, None));
    };
    let source = SourceName::new(LOCK);
    session.texts.insert(source.clone(), text.clone());
    let lock = parse(&source, &text)?;
    if lock.image_assembly != ASSEMBLY_VERSION {
        let message = format!(
            "the lock was made for version {} of the image assembly, and this exflow has version \
             {ASSEMBLY_VERSION}",
            lock.image_assembly
        );
        return Err(Diagnostic::error(ASSEMBLY, message)
            .help("digests change with it: write the new version behind `image-assembly` in `exflow.lock`, on purpose, or use the exflow that made the lock")
            .into());
    }
    Ok((lock, Some(text)))
}

/// How often it is started over where someone else changes the lock meanwhile.
const TRIES: usize = 3;

/// Makes another lock of the one that is there, and writes it where it is another: both, and whether it was written.
pub(super) fn change(
    session: &mut Session,
    mut changed: impl FnMut(&mut Session, &Lock) -> Result<Lock, Failure>,
) -> Result<(Lock, Lock, bool), Failure> {
    for _ in 0..TRIES {
        let (old, before) = read_with_text(session)?;
        let lock = changed(session, &old)?;
        let path = session.root.join(LOCK);
        if lock == old && before.is_some() {
            return Ok((old, lock, false));
        }
        if let Some(unknown) = old.unknown.first() {
            let message = format!("`{LOCK}` has `{unknown}`, which a newer exflow has written");
            return Err(Diagnostic::error(NEWER, message)
                .help("update exflow to change the lock; `--locked` builds with it as it is")
                .into());
        }
        // Fetching indexes takes a while, in which it may have been edited, or pulled.
        if text(&path)? != before {
            session.ui.tell("again", &format!("`{LOCK}` was changed meanwhile"));
            continue;
        }
        write(&session.root, &lock)?;
        session.ui.tell("locked", LOCK);
        return Ok((old, lock, true));
    }
    Err(Diagnostic::error(UNWRITABLE, format!("`{LOCK}` is changed by someone else all the time"))
        .help("wait until nobody else locks this workspace, and run it again")
        .into())
}

/// Writes the lock at once: a reader sees the old one or the new one.
fn write(root: &Path, lock: &Lock) -> Result<(), Failure> {
    let path = root.join(LOCK);
    let temporary = root.join(format!(".{LOCK}.{}", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(print(lock).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Diagnostic::error(UNWRITABLE, format!("can't write `{}`: {source}", path.display()))
            .help("make the workspace's folder writable; or, where nothing has to be added, use `--locked`")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_can_not_be_written_is_shown() {
        let folder = exflow_testkit::Workspace::new("");
        let written = write(&folder.root().join("gone"), &Lock::default());
        let Err(Failure::Problems(problems)) = written else { panic!("it was written") };
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["exflow::lock::unwritable"]);
    }
}
