use crate::cli::BuildArgs;
use crate::engine::{Built, Executed, execute};
use crate::events::{Event, Layer};
use crate::prepare::prepare;
use crate::report::Failure;
use crate::session::Session;
use crate::ui::size;
use crate::{interrupt, outputs};
use exflow_fetch::Cancel;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &BuildArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let prepared = prepare(session, &args.targets, &args.options, &cancel)?;
    let ready = outputs::check(&prepared, args)?;
    let Executed { built: images, failure, .. } =
        execute(session, &prepared, &args.options, &cancel)?;
    outputs::write(&session.ui, &prepared, &images, args, &ready, &cancel)?;
    for built in &images {
        let place = outputs::place(&prepared, built)?;
        if args.json {
            say_built(session, built, &place);
        } else {
            print(session, built, &place)?;
        }
    }
    // What is built is of use, whatever became of the rest.
    if let Some(failure) = failure {
        return Err(failure);
    }
    if images.is_empty() {
        session.ui.tell("done", "everything that was asked for; no image was");
    }
    Ok(ExitCode::SUCCESS)
}

fn say_built(session: &Session, built: &Built, place: &Path) {
    let packed = &built.packed;
    let layers = packed.layers.iter().map(|layer| Layer {
        name: &layer.name,
        size_bytes: layer.size_bytes,
        unpacked_bytes: layer.unpacked_bytes,
    });
    session.ui.event(&Event::Built {
        project: &built.project,
        digest: &packed.digest,
        size_bytes: packed.size_bytes,
        unpacked_bytes: packed.unpacked_bytes,
        layers: layers.collect(),
        steps_run: built.ran,
        steps_cached: built.cached,
        place: &place.to_string_lossy(),
    });
}

fn print(session: &Session, built: &Built, place: &Path) -> Result<(), Failure> {
    let packed = &built.packed;
    session.ui.tell(
        "built",
        &format!(
            "{}: {} unpacked, {} to send; {} steps run, {} known",
            built.project,
            size(packed.unpacked_bytes),
            size(packed.size_bytes),
            built.ran,
            built.cached,
        ),
    );
    let text = format!("{} {} {}\n", built.project, packed.digest, place.display());
    session.print(&text)
}
