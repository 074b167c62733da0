//! `sbom` and `provenance`: what is said of an image.

use crate::cli::{BuildOptions, ProvenanceArgs, SbomArgs, SbomFormat};
use crate::engine::{Built, execute_one};
use crate::interrupt;
use crate::outputs::write_whole;
use crate::prepare::{Prepared, prepare};
use crate::report::{Failure, io_failed};
use crate::session::Session;
use crate::statements::{self, bill};
use exflow_fetch::Cancel;
use exflow_statements::{cyclonedx, spdx};
use std::path::Path;
use std::process::ExitCode;

/// Prints the bill of materials of an image.
pub(crate) fn sbom(session: &mut Session, args: &SbomArgs) -> Result<ExitCode, Failure> {
    let (prepared, built) = build(session, args.project.as_ref(), &args.options)?;
    let bill = bill(&prepared, &built)?;
    if !bill.is_complete {
        session.ui.tell(
            "note",
            "what is installed in its base can't be told: its packages are not listed",
        );
    }
    let text = match args.format {
        SbomFormat::Spdx => spdx(&bill),
        SbomFormat::Cyclonedx => cyclonedx(&bill),
    };
    say(session, &text, args.output.as_deref())
}

/// Prints what an image was made of.
pub(crate) fn provenance(
    session: &mut Session,
    args: &ProvenanceArgs,
) -> Result<ExitCode, Failure> {
    let (prepared, built) = build(session, args.project.as_ref(), &args.options)?;
    let text = statements::provenance(&prepared, &built)?.print();
    say(session, &text, args.output.as_deref())
}

/// Builds the one image that is asked for.
fn build(
    session: &mut Session,
    project: Option<&String>,
    options: &BuildOptions,
) -> Result<(Prepared, Built), Failure> {
    let targets: Vec<String> = project.into_iter().cloned().collect();
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let prepared = prepare(session, &targets, options, &cancel)?;
    let built = execute_one(session, &prepared, options, &cancel, "describe")?;
    Ok((prepared, built))
}

fn say(session: &Session, text: &str, output: Option<&Path>) -> Result<ExitCode, Failure> {
    match output {
        None => session.print(text)?,
        Some(path) => {
            let written = write_whole(path, |out| out.write_all(text.as_bytes()));
            written.map_err(|error| io_failed("write", path, &error))?;
            session.ui.tell("written", &path.display().to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}
