use crate::cli::FmtArgs;
use crate::files::read_text;
use crate::outputs::write_whole;
use crate::report::{Failure, PROBLEM, io_failed};
use crate::session::Session;
use exflow_diagnostics::{Diagnostics, SourceName};
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &FmtArgs) -> Result<ExitCode, Failure> {
    let files = if args.files.is_empty() { session.manifest_files()? } else { args.files.clone() };
    let mut problems = Diagnostics::new();
    let mut changed = 0;
    for file in &files {
        let text = read_text(file)?;
        let name = file.strip_prefix(&session.root).unwrap_or(file).display().to_string();
        let source = SourceName::new(name.clone());
        session.texts.insert(source.clone(), text.clone());
        match exflow_manifest::format(&source, &text) {
            Err(more) => problems.extend(more),
            Ok(new) if new == text => {}
            Ok(new) => {
                changed += 1;
                if args.check {
                    session.ui.tell("differs", &name);
                } else {
                    rewrite(file, &new).map_err(|error| io_failed("write", file, &error))?;
                    session.ui.tell("formatted", &name);
                }
            }
        }
    }
    let code = if args.check && changed > 0 { ExitCode::from(PROBLEM) } else { ExitCode::SUCCESS };
    Ok(problems.into_result(code)?)
}

/// Gives a file another content, at once: whatever happens, it has the old one or the new one.
fn rewrite(file: &Path, text: &str) -> io::Result<()> {
    // Where it is a link, what it leads to is written.
    let file = fs::canonicalize(file)?;
    let mode = fs::metadata(&file)?.permissions();
    write_whole(&file, |out| out.write_all(text.as_bytes()))?;
    fs::set_permissions(&file, mode)
}
