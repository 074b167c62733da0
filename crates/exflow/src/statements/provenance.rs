//! What an image was made of.

use super::image_purl;
use crate::engine::Built;
use crate::prepare::Prepared;
use crate::report::Failure;
use exflow_content::{RelPath, Tree};
use exflow_lock::{AddedPackages, LockedDebian, LockedImage, RequestedPlugin};
use exflow_packages::without_secrets;
use exflow_plan::{Action, MountSource, Origin, PlannedBase, PlannedRoot, PlannedRun};
use exflow_statements::{Material, Provenance, alpine, hex};

/// What an image was made of.
pub(crate) fn provenance(prepared: &Prepared, built: &Built) -> Result<Provenance, Failure> {
    let planned = &prepared.plan.images[built.image];
    let mut materials = Vec::new();
    let mut sources = Tree::new();
    for node in prepared.plan.closure([planned.base, planned.release.step]) {
        match &prepared.plan.steps[node].action {
            Action::Base(base) => materials.extend(materials_of_base(base)),
            Action::Fetch(origin) => materials.extend(material_of_origin(origin)),
            Action::Run(PlannedRun { mounts, .. }) => {
                for mount in mounts {
                    if let MountSource::Sources(tree) = &mount.source {
                        // The workspace's own files fit together.
                        let _ = sources.merge(&RelPath::root(), tree);
                    }
                }
            }
        }
    }
    materials.push(Material::new("sources", "file:.", "exflowTree1", &sources.digest()));
    if let Some(locked) = prepared.lock.plugins.get(&planned.plugin) {
        let uri = match &locked.requested {
            RequestedPlugin::Builtin => format!("exflow:plugin/{}", planned.plugin),
            RequestedPlugin::Path(path) => format!("file:{path}"),
            RequestedPlugin::Url(url) => without_secrets(url),
            RequestedPlugin::Oci(reference) => format!("oci://{reference}"),
        };
        let name = format!("plugin:{}", planned.plugin);
        let mut material = Material::new(name, uri, "blake3", &locked.blake3);
        if let Some(sha256) = &locked.sha256 {
            material.digests.insert("sha256".to_owned(), sha256.to_string());
        }
        materials.push(material);
    }
    Ok(Provenance {
        project: planned.project.clone(),
        image: built.digest()?,
        platform: planned.settings.platform.clone(),
        assembly: planned.settings.assembly,
        key: planned.settings.key(&built.base, &built.release),
        materials,
    })
}

fn materials_of_base(base: &PlannedBase) -> Vec<Material> {
    let name = format!("base:{}", base.name);
    let of_debian = |debian: &LockedDebian| -> Vec<Material> {
        let packages = debian.packages.iter();
        let material = packages.map(|package| {
            let uri = exflow_statements::debian(
                &package.name,
                &package.version,
                &package.architecture,
                "",
            );
            let uri = uri.unwrap_or_else(|| package.path.clone());
            Material::new(&name, uri, "sha256", &package.sha256)
        });
        material.collect()
    };
    match &base.root {
        PlannedRoot::Debian { debian, .. } => of_debian(debian),
        PlannedRoot::Image { image: locked, source, .. } => {
            let LockedImage { manifest, config, packages, .. } = &**locked;
            let digest = manifest.as_ref().unwrap_or(config);
            let uri = image_purl(source, locked, &base.platform);
            let uri = uri.unwrap_or_else(|| format!("oci-image:sha256:{digest}"));
            let mut materials = vec![Material::new(&name, uri, "sha256", digest)];
            materials.extend(match packages {
                AddedPackages::None => Vec::new(),
                AddedPackages::Debian(debian) => of_debian(debian),
                AddedPackages::Alpine(locked) => {
                    let packages = locked.packages.iter();
                    let material = packages.map(|apk| {
                        let uri = alpine(&apk.name, &apk.version, &apk.architecture);
                        let uri = uri.unwrap_or_else(|| apk.name.clone());
                        Material::new(&name, uri, "sha256", &apk.sha256)
                    });
                    material.collect()
                }
            });
            materials
        }
    }
}

fn material_of_origin(origin: &Origin) -> Option<Material> {
    match origin {
        Origin::Hex(package) => {
            let name = format!("hex:{}", package.name);
            // Old locks have the checksum of what is in the tarball, and nothing else.
            let (algorithm, digest) = match (&package.outer, &package.inner) {
                (Some(outer), _) => ("sha256", outer),
                (None, Some(inner)) => ("hexInnerSha256", inner),
                (None, None) => return None,
            };
            Some(Material::new(name, hex(package)?, algorithm, digest))
        }
        Origin::Git(source) => {
            let address = without_secrets(&source.url);
            let uri = format!("git+{address}@{}", source.revision);
            Some(Material::new(format!("git:{address}"), uri, "gitCommit", &source.revision))
        }
        Origin::File(file) => {
            let uri = without_secrets(&file.url);
            Some(Material::new(format!("file:{}", file.name), uri, "sha256", &file.sha256))
        }
    }
}
