//! The inputs of a workspace: what its manifests ask for, where they do, and how the command line names them.

use crate::report::Failure;
use exflow_content::{PatternSet, RelPath};
use exflow_diagnostics::{Site, did_you_mean};
use exflow_lock::{
    ImageSource, InputKind, InputName, LocalImage, Platform, RequestedBase, RequestedDebian,
    RequestedFetch, RequestedImage, RequestedPlugin, RequestedVersion, Wanted,
};
use exflow_manifest::{
    BaseImage, BaseSource, Fetched, ImageOrigin, Plugin, PluginSource, Workspace,
};
use std::collections::BTreeSet;

/// The platform that is built for: this machine's.
pub(crate) fn platform() -> Platform {
    if cfg!(target_arch = "aarch64") { Platform::LinuxArm64 } else { Platform::LinuxAmd64 }
}

/// What the lock has to answer.
pub(crate) fn wanted(workspace: &Workspace) -> Wanted {
    let bases = workspace.bases.iter().map(|(name, base)| {
        let mut packages: Vec<String> =
            base.packages.iter().map(|package| package.value.clone()).collect();
        packages.sort();
        packages.dedup();
        let requested = match &base.source {
            BaseSource::Debian { suite, slim } => {
                let suite = suite.value.clone();
                RequestedBase::Debian(RequestedDebian { suite, slim: *slim, packages })
            }
            BaseSource::Image(image) => {
                let source = image_source(image);
                RequestedBase::Image(RequestedImage { source, packages })
            }
        };
        (name.clone(), requested)
    });
    let tools = workspace.projects.iter().filter_map(|project| project.tool.as_ref());
    let plugins = tools.map(|tool| {
        let name = &tool.plugin.value;
        let requested = match workspace.plugins.get(name) {
            Some(plugin) => requested_plugin(plugin),
            None => RequestedPlugin::Builtin,
        };
        (name.clone(), requested)
    });
    let fetches = workspace.fetches.iter();
    let fetches = fetches.map(|(name, fetch)| (name.clone(), requested_fetch(&fetch.what)));
    Wanted {
        bases: bases.collect(),
        plugins: plugins.collect(),
        fetches: fetches.collect(),
        platform: platform(),
    }
}

fn image_source(image: &BaseImage) -> ImageSource {
    let place = image.place.value.clone();
    let local = || LocalImage { path: place.clone(), name: image.name.clone() };
    match image.from {
        ImageOrigin::Registry => ImageSource::Registry(place),
        ImageOrigin::Layout => ImageSource::Layout(local()),
        ImageOrigin::Archive => ImageSource::Archive(local()),
        ImageOrigin::Docker => ImageSource::Daemon(place),
    }
}

/// What is asked for by the declaration of a plugin.
pub(crate) fn requested_plugin(plugin: &Plugin) -> RequestedPlugin {
    match &plugin.source {
        PluginSource::Path(path) => RequestedPlugin::Path(path.value.to_string()),
        PluginSource::Url(url) => RequestedPlugin::Url(url.value.clone()),
        PluginSource::Oci(reference) => RequestedPlugin::Oci(reference.value.clone()),
    }
}

/// What is asked for by a node `fetch` or `git`.
pub(crate) fn requested_fetch(fetched: &Fetched) -> RequestedFetch {
    use exflow_manifest::GitVersion;
    match fetched {
        Fetched::File { url, sha256, .. } => {
            RequestedFetch::File { url: url.clone(), sha256: *sha256 }
        }
        Fetched::Git { url, version, folder, submodules } => RequestedFetch::Git {
            url: url.clone(),
            version: match version.clone() {
                GitVersion::Default => RequestedVersion::Default,
                GitVersion::Branch(name) => RequestedVersion::Branch(name),
                GitVersion::Tag(name) => RequestedVersion::Tag(name),
                GitVersion::Revision(name) => RequestedVersion::Revision(name),
            },
            folder: folder.as_ref().map(RelPath::to_string),
            submodules: *submodules,
        },
    }
}

/// Where an input is declared; a plugin, where it is asked for first.
pub(crate) fn site<'a>(workspace: &'a Workspace, input: &InputName) -> Option<&'a Site> {
    let name = &input.name;
    match input.kind {
        InputKind::Base => workspace.bases.get(name).map(|base| &base.site),
        InputKind::Plugin => {
            let mut tools = workspace.projects.iter().filter_map(|project| project.tool.as_ref());
            tools.find(|tool| tool.plugin.value == *name).map(|tool| &tool.plugin.site)
        }
        InputKind::Fetch => workspace.fetches.get(name).map(|fetch| &fetch.site),
    }
}

/// The inputs whose names fit one of `patterns`; all of them where there are none. A pattern that fits none is an
/// error. `base:NAME`, `plugin:NAME` and `fetch:NAME` name only such, where several have one of that name.
pub(crate) fn chosen(
    workspace: &Workspace,
    patterns: &[String],
) -> Result<BTreeSet<InputName>, Failure> {
    let all: BTreeSet<InputName> = wanted(workspace).inputs().collect();
    if patterns.is_empty() {
        return Ok(all);
    }
    let mut chosen = BTreeSet::new();
    for pattern in patterns {
        let (kind, name) = InputKind::split(pattern);
        let glob = PatternSet::new([name])
            .map_err(|error| Failure::Usage(format!("no input is called so: {error}")))?;
        let fits = |input: &&InputName| {
            kind.is_none_or(|kind| kind == input.kind)
                && RelPath::new(&input.name).is_ok_and(|name| glob.matches(&name))
        };
        let fitting: Vec<&InputName> = all.iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(unknown(pattern, kind, name, &all));
        }
        chosen.extend(fitting.into_iter().cloned());
    }
    Ok(chosen)
}

fn unknown(
    pattern: &str,
    kind: Option<InputKind>,
    name: &str,
    all: &BTreeSet<InputName>,
) -> Failure {
    let like = all.iter().filter(|input| kind.is_none_or(|kind| kind == input.kind));
    let help = if let Some(near) = did_you_mean(name, like.map(|input| &*input.name)) {
        format!("did you mean `{near}`?")
    } else {
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        format!("there are: {}", all.join(", "))
    };
    Failure::Usage(format!("nothing that the manifests ask for is called `{pattern}`: {help}"))
}
