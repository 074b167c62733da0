//! An image that someone else has built, compared with what is built here.

use super::listing::{list, say_verified};
use super::rebuild::changed_files;
use crate::cli::{BuildOptions, VerifiedImage};
use crate::engine::execute_one;
use crate::images::OpenImage;
use crate::inputs::platform;
use crate::outputs::Image;
use crate::places::http;
use crate::prepare::Prepared;
use crate::report::{Failure, store_failed};
use crate::session::Session;
use crate::ui::Shown;
use exflow_content::{RelPath, Sha256};
use exflow_diagnostics::Diagnostic;
use exflow_fetch::image::fetch_image;
use exflow_fetch::{Cancel, Client, FetchError};
use exflow_image::{Configuration, DocumentError, image_name};
use exflow_lock::{ImageDefaults, ImageSource, LocalImage, LockedImage};
use exflow_registry::Login;
use std::process::ExitCode;

const DIFFERENT_IMAGE: &str = "exflow::verify::different-image";

/// Compares the image at `theirs` with the one image of what was prepared.
pub(crate) fn compare_image(
    session: &mut Session,
    prepared: &Prepared,
    theirs: &VerifiedImage,
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<ExitCode, Failure> {
    let built = &execute_one(session, prepared, options, cancel, "compare")?;
    let VerifiedImage(source) = theirs;
    let name = source.to_string();
    let site = prepared.plan.images[built.image].site.as_ref();
    let failed = |error: FetchError| match error {
        FetchError::Cancelled => Failure::Interrupted,
        error => exflow_fetch::diagnose(&error.of_image(name.clone()), site).into(),
    };
    let client = Client::new(http(options.offline), cancel.clone());
    let login = Login::new(prepared.places.registries(), cancel.clone());
    let find = |source: &ImageSource| {
        let open = OpenImage::open(source, &prepared.places, &login, None)?;
        let found = open.find(&client, &prepared.store, &platform(), None)?;
        Ok::<_, FetchError>((open, found))
    };
    let found = match find(source) {
        // As a build of several projects writes them.
        Err(FetchError::Document { source: DocumentError::Ambiguous(_), .. }) => {
            find(&of_project(source, &built.project))
        }
        found => found,
    };
    let (open, found) = found.map_err(failed)?;
    let ours = Image::new(prepared, built)?.parts()?;
    let is_ours =
        found.manifest.is_some_and(|manifest| format!("sha256:{manifest}") == built.packed.digest);
    let progress = Shown(&session.ui);
    // Whoever has our manifest has our layers. Otherwise each is read: a configuration says which layers there are, and a
    // manifest may name others.
    let mut fetched = None;
    if !is_ours {
        let read = fetch_image(&client, &prepared.store, &found, &open, &progress);
        fetched = Some(read.map_err(failed)?);
    }
    let Some(fetched) = fetched.filter(|_| found.config != ours.config) else {
        if !is_ours {
            let note = "its layers are compressed in another way: what is in them is the same";
            session.ui.tell("note", note);
        }
        say_verified(session, built, Some(&name))?;
        session.ui.tell("verified", &format!("`{name}` is what this commit gives"));
        return Ok(ExitCode::SUCCESS);
    };
    let store = &prepared.store;
    let whole = built.files(prepared).map_err(store_failed)?;
    let files = changed_files((store, &whole), (store, &fetched.tree), &RelPath::root())
        .map_err(store_failed)?;
    list(session, &name, "built by someone else", &files)?;
    let what = match files.as_slice() {
        [] => settings(&ours.configuration, &found),
        [file] => format!("`/{}` {}", file.path, file.how),
        files => format!("{} files differ", files.len()),
    };
    let message = format!("`{name}` is not what this commit gives: {what}");
    let (theirs, here) = match found.manifest {
        Some(manifest) => (format!("sha256:{manifest}"), built.packed.digest.clone()),
        None => (format!("sha256:{}", found.config), format!("sha256:{}", ours.config)),
    };
    Err(Diagnostic::error(DIFFERENT_IMAGE, message)
        .at_known(site, "what it is compared with")
        .help(format!(
            "it is {theirs}, and here {here} is built: look whether it was built from this commit, with the same version of \
             exflow; `exflow verify` shows whether a build here is always the same"
        ))
        .into())
}

/// The image of a project, of several in a layout or an archive.
fn of_project(source: &ImageSource, project: &str) -> ImageSource {
    let named = |image: &LocalImage, name: String| LocalImage {
        path: image.path.clone(),
        name: Some(name),
    };
    match source {
        ImageSource::Layout(image) => ImageSource::Layout(named(image, project.to_owned())),
        ImageSource::Archive(image) => ImageSource::Archive(named(image, image_name(project))),
        other => other.clone(),
    }
}

/// In what two images differ whose files are the same.
fn settings(ours: &Configuration, theirs: &LockedImage) -> String {
    let ImageDefaults { env, user, ports, volumes, labels, stop_signal } = &ours.defaults;
    let other = &theirs.defaults;
    let differing = [
        ("environment", *env != other.env),
        ("user", *user != other.user),
        ("ports", *ports != other.ports),
        ("volumes", *volumes != other.volumes),
        ("labels", *labels != other.labels),
        ("stop signal", *stop_signal != other.stop_signal),
    ];
    let differing = differing.iter().filter(|(_, differs)| *differs);
    let names: Vec<&str> = differing.map(|(name, _)| *name).collect();
    let diff_ids: Vec<Sha256> = theirs.layers.iter().map(|layer| layer.diff_id).collect();
    if !names.is_empty() {
        format!("its files are the same, but not its {}", names.join(", "))
    } else if diff_ids == ours.diff_ids {
        "its files are the same, but not its command, its working folder or its history".to_owned()
    } else {
        "its files are the same, but in other layers".to_owned()
    }
}
