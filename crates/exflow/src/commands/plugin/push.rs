use super::inspect;
use crate::artifact::{Parts, not_sent};
use crate::cli::PluginPushArgs;
use crate::interrupt;
use crate::places::Places;
use crate::report::{Failure, io_failed};
use crate::session::Session;
use crate::ui::{Shown, size};
use exflow_content::{Digest, Sha256};
use exflow_fetch::Cancel;
use exflow_image::{ComponentArtifact, MANIFEST_TYPE};
use exflow_plugin_host::{Host, Limits, Plugin, diagnose};
use exflow_registry::{ImageReference, Push, Registry};
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &PluginPushArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let name = args.reference.strip_prefix("oci://").unwrap_or(&args.reference);
    let to: ImageReference = name.parse().map_err(|error| {
        Failure::Usage(format!("`{name}` is no name of an artifact in a registry: {error}"))
    })?;
    let file = args.file.display().to_string();
    let (_, bytes, place) = inspect::read(&file, args.file.clone())?;
    let plugin = Plugin { name: file.clone(), digest: Digest::of(&bytes), bytes: place };
    let host = Host::new(session.store()?, Limits::default()).telling(session.ui.compiling());
    // What nobody could use isn't sent.
    let inspected = host.inspect(&plugin).map_err(|error| diagnose(&error, &file, None))?;
    let interface = |name: &str| format!("exflow:plugin/{name}@{}", inspected.contract);
    let mut exports = vec![interface("planner")];
    exports.extend(inspected.settings.is_some().then(|| interface("settings")));
    let artifact = ComponentArtifact::of(&bytes, &exports);
    let parts = Parts::new(&[&bytes, &artifact.config]);
    let push = Push {
        manifest: &artifact.manifest,
        media_type: MANIFEST_TYPE,
        blobs: parts.blobs(),
        open: &|digest| parts.open(digest),
        elsewhere: &|_| None,
    };
    // A plugin is pushed from its own folder, too.
    let places = if Session::has_manifest() {
        Places::of(&session.workspace()?, &session.root)
    } else {
        Places::of(&exflow_manifest::Workspace::default(), Path::new(""))
    };
    let registry = Registry::new(&places.registries(), cancel.clone())
        .map_err(|error| io_failed("push to", Path::new(name), &error))?;
    let tags = [to.tag().to_owned()];
    let pushed = registry
        .push(&to, &tags, &push, &Shown(&session.ui))
        .map_err(|error| not_sent(&error, &cancel, |problem| problem))?;
    let digest = Sha256::of(&artifact.manifest);
    session.ui.tell("pushed", &format!("{to}: {} sent", size(pushed.sent)));
    session.ui.say(&format!(
        "\nName it in a manifest, and use it as `release-tool`:\n\n    plugin \"NAME\" source=\"oci://{to}\"\n"
    ));
    session.print(&format!("{}/{}@sha256:{digest}\n", to.registry(), to.repository()))?;
    Ok(ExitCode::SUCCESS)
}
