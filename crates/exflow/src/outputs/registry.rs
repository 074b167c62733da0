//! Images into a registry, only what the repository lacks of them, and what is said of them.

use super::Image;
use crate::artifact::{Parts, not_sent};
use crate::events::Event;
use crate::places::http;
use crate::prepare::Prepared;
use crate::report::{Failure, io_failed, store_failed};
use crate::statements::{bill, provenance};
use crate::ui::{Shown, Ui, size};
use exflow_content::{Digest, Encoder, Sha256};
use exflow_diagnostics::Diagnostic;
use exflow_fetch::image::Referrers;
use exflow_fetch::{Cancel, Client, FetchError};
use exflow_image::{
    EMPTY_CONFIG, INDEX_TYPE, MANIFEST_TYPE, Referrer, list_referrers, statement_manifest,
};
use exflow_registry::{BaseReference, ImageReference, Login, Push, Registry};
use exflow_statements::{CYCLONEDX_TYPE, IN_TOTO_TYPE, SPDX_TYPE, cyclonedx, spdx};
use exflow_store::Record;
use std::path::Path;

const NOT_ATTACHED: &str = "exflow::registry::not-attached";

/// Where an image goes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// The repository's name.
    pub(super) name: &'a str,
    pub(super) tags: &'a [String],
}

/// A registry that has an image.
pub(super) struct PushedTo {
    registry: Registry,
    to: ImageReference,
}

/// Pushes an image under its tags.
pub(super) fn push(
    ui: &Ui,
    prepared: &Prepared,
    image: &Image<'_>,
    Target { name, tags }: Target<'_>,
    cancel: &Cancel,
) -> Result<PushedTo, Failure> {
    let store = &prepared.store;
    let to: ImageReference = name.parse().map_err(|error| {
        Failure::Usage(format!("`{name}` is no name of an image in a registry: {error}"))
    })?;
    let registry = Registry::new(&prepared.places.registries(), cancel.clone())
        .map_err(|error| io_failed("push to", Path::new(name), &error))?;
    let parts = image.parts()?;
    let manifest =
        image.read_manifest().map_err(|error| io_failed("read", &image.layout, &error))?;
    let mut blobs: Vec<(Sha256, u64)> =
        parts.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    blobs.push((parts.config, parts.config_size));
    blobs.sort();
    blobs.dedup();
    let push = Push {
        manifest: &manifest,
        media_type: MANIFEST_TYPE,
        blobs: &blobs,
        open: &|digest| Ok(Box::new(image.open(digest)?)),
        elsewhere: &|digest| {
            let record = store.record(&pushed_key(to.registry(), digest)).ok()??;
            String::from_utf8(record.data).ok()
        },
    };
    let pushed = registry
        .push(&to, tags, &push, &Shown(ui))
        .map_err(|error| not_sent(&error, cancel, |problem| problem))?;
    for (digest, _) in &blobs {
        let data = to.repository().as_bytes().to_vec();
        let record = Record { trees: Vec::new(), data };
        store.put_record(&pushed_key(to.registry(), digest), &record).map_err(store_failed)?;
    }
    for tag in tags {
        let reference = to.with_tag(tag).to_string();
        let sent = size(pushed.sent);
        ui.tell("pushed", &format!("{reference}: {sent} sent"));
        ui.event(&Event::Pushed {
            project: &image.built.project,
            reference: &reference,
            digest: &image.built.packed.digest,
            sent_bytes: pushed.sent,
        });
    }
    Ok(PushedTo { registry, to })
}

/// Attaches to an image what is said of it: as artifacts that refer to it, so that neither its digest nor any index
/// changes.
pub(super) fn attach(
    ui: &Ui,
    prepared: &Prepared,
    image: &Image<'_>,
    pushed: &PushedTo,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let PushedTo { registry, to } = pushed;
    let bill = bill(prepared, image.built)?;
    if !bill.is_complete {
        let project = &image.built.project;
        let note = format!(
            "what is installed in the base of `{project}` can't be told: its packages are in no bill"
        );
        ui.tell("note", &note);
    }
    let provenance = provenance(prepared, image.built)?;
    let statements = [
        (SPDX_TYPE, spdx(&bill)),
        (CYCLONEDX_TYPE, cyclonedx(&bill)),
        (IN_TOTO_TYPE, provenance.print()),
    ];
    let mut referrers = Vec::new();
    for (kind, statement) in &statements {
        let subject = (&image.manifest, image.manifest_size());
        let manifest = statement_manifest(subject, kind, statement.as_bytes());
        let parts = Parts::new(&[EMPTY_CONFIG, statement.as_bytes()]);
        let push = Push {
            manifest: &manifest,
            media_type: MANIFEST_TYPE,
            blobs: parts.blobs(),
            open: &|digest| parts.open(digest),
            elsewhere: &|_| None,
        };
        registry
            .push_untagged(to, &push, &Shown(ui))
            .map_err(|error| not_sent(&error, cancel, not_attached))?;
        referrers.push(Referrer {
            digest: Sha256::of(&manifest),
            size: manifest.len() as u64,
            kind: (*kind).to_owned(),
        });
    }
    list(ui, prepared, image, pushed, &referrers, cancel)?;
    for Referrer { digest, kind, .. } in &referrers {
        ui.event(&Event::Attached {
            project: &image.built.project,
            subject: &image.built.packed.digest,
            r#type: kind,
            digest: format!("sha256:{digest}"),
        });
    }
    let names: Vec<&str> = statements.iter().map(|(kind, _)| *kind).collect();
    ui.tell("attached", &names.join(", "));
    Ok(())
}

/// How often the list is written where others write to it at the same time.
const TRIES: usize = 3;

/// Has what refers to an image listed, where the registry doesn't do that by itself.
fn list(
    ui: &Ui,
    prepared: &Prepared,
    image: &Image<'_>,
    PushedTo { registry, to }: &PushedTo,
    referrers: &[Referrer],
    cancel: &Cancel,
) -> Result<(), Failure> {
    let fetching = |error: FetchError| match error {
        FetchError::Cancelled => Failure::Interrupted,
        error => not_attached(exflow_fetch::diagnose(&error, None)).into(),
    };
    let places = &prepared.places;
    let name = format!("{}/{}", to.registry(), to.repository());
    let reference: BaseReference = name.parse().expect("a repository that was pushed to");
    let login = Login::new(places.registries(), cancel.clone());
    let client = Client::new(http(false), cancel.clone());
    let mut repository = places.repository(&reference, &login);
    // The registry itself: a mirror may be behind.
    repository.endpoints = repository.endpoints.pop().into_iter().collect();
    for _ in 0..TRIES {
        let before = match repository.referrers(&client, &image.manifest).map_err(fetching)? {
            Referrers::Listed => return Ok(()),
            Referrers::Tagged(before) => before,
        };
        let list = list_referrers(before.as_deref(), referrers).map_err(|error| {
            let message = format!("what is under the tag `sha256-{}`: {error}", image.manifest);
            not_attached(Diagnostic::error(NOT_ATTACHED, message))
        })?;
        let Some(list) = list else { return Ok(()) };
        let push = Push {
            manifest: &list,
            media_type: INDEX_TYPE,
            blobs: &[],
            open: &|_| Err(std::io::ErrorKind::NotFound.into()),
            elsewhere: &|_| None,
        };
        let tag = format!("sha256-{}", image.manifest);
        registry
            .push(to, &[tag], &push, &Shown(ui))
            .map_err(|error| not_sent(&error, cancel, not_attached))?;
        // Looked at once more: somebody may have written another list over it.
    }
    Err(not_attached(Diagnostic::error(NOT_ATTACHED, "others write to the list all the time"))
        .into())
}

fn not_attached(problem: Diagnostic) -> Diagnostic {
    let message = format!(
        "the image is in the registry, but not all that is said of it: {}",
        problem.message
    );
    let help = problem.help.map(|help| format!("{help}; or push"));
    let help = help.unwrap_or_else(|| "push again, or".to_owned());
    Diagnostic::error(NOT_ATTACHED, message).help(format!("{help} without it: `--no-statements`"))
}

/// Where a blob was pushed to, for the next repository of the same registry that wants it.
///
/// # Encoding
/// Tag `exflow pushed blob 1`; the registry; the blob's sha256.
fn pushed_key(registry: &str, digest: &Sha256) -> Digest {
    let mut encoder = Encoder::new("exflow pushed blob 1");
    encoder.text(registry).text(&digest.to_string());
    encoder.digest_of()
}
