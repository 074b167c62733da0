//! The part of the file that is about images.

use super::{WireRequested, WireRoot, Wrong, json, lower_debian, print_debian, print_list};
use crate::{
    AddedPackages, Compression, ImageDefaults, ImageSource, LocalImage, LockedAlpine, LockedApk,
    LockedImage, LockedLayer, MAX_LAYER_SIZE, MAX_LAYERS, RequestedImage,
};
use exflow_content::{RelPath, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Defaults"))]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct WireDefaults {
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::unique")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::unique")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Layer"))]
#[serde(rename_all = "kebab-case")]
pub(super) struct WireLayer {
    digest: String,
    diff_id: String,
    size: u64,
    compression: WireCompression,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Compression"))]
#[serde(rename_all = "kebab-case")]
enum WireCompression {
    None,
    Gzip,
    Zstd,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Apk"))]
pub(super) struct WireApk {
    name: String,
    version: String,
    architecture: String,
    repository: String,
    size: u64,
    sha256: String,
    checksum: String,
}

pub(super) fn requested(image: &RequestedImage) -> WireRequested {
    let packages = image.packages.clone();
    let wire = WireRequested { packages, ..WireRequested::default() };
    match image.source.clone() {
        ImageSource::Registry(reference) => WireRequested { image: Some(reference), ..wire },
        ImageSource::Layout(LocalImage { path, name }) => {
            WireRequested { layout: Some(path), name, ..wire }
        }
        ImageSource::Archive(LocalImage { path, name }) => {
            WireRequested { archive: Some(path), name, ..wire }
        }
        ImageSource::Daemon(name) => WireRequested { daemon: Some(name), ..wire },
    }
}

/// What a locked image looks like in the file: everything between the braces.
pub(super) fn print(out: &mut String, image: &LockedImage) {
    let oci = |digest: &Sha256| json(&format!("sha256:{digest}"));
    if let Some(index) = &image.index {
        let _ = writeln!(out, "          \"index\": {},", oci(index));
    }
    if let Some(manifest) = &image.manifest {
        let _ = writeln!(out, "          \"manifest\": {},", oci(manifest));
    }
    let _ = writeln!(out, "          \"config\": {},", oci(&image.config));
    let ImageDefaults { env, user, ports, volumes, labels, stop_signal } = image.defaults.clone();
    let defaults = WireDefaults { env, user, ports, volumes, labels, stop_signal };
    let _ = writeln!(out, "          \"defaults\": {},", json(&defaults));
    let layers = image.layers.iter().map(|layer| {
        json(&WireLayer {
            digest: format!("sha256:{}", layer.digest),
            diff_id: format!("sha256:{}", layer.diff_id),
            size: layer.size,
            compression: match layer.compression {
                Compression::None => WireCompression::None,
                Compression::Gzip => WireCompression::Gzip,
                Compression::Zstd => WireCompression::Zstd,
            },
        })
    });
    print_list(out, "layers", layers);
    match &image.packages {
        AddedPackages::None => {}
        AddedPackages::Debian(debian) => {
            out.push_str(",\n");
            print_debian(out, debian);
        }
        AddedPackages::Alpine(alpine) => {
            out.push_str(",\n");
            let apks = alpine.packages.iter().cloned().map(|apk| {
                let LockedApk { name, version, architecture, repository, size, sha256, checksum } =
                    apk;
                let sha256 = sha256.to_string();
                json(&WireApk { name, version, architecture, repository, size, sha256, checksum })
            });
            print_list(out, "apks", apks);
        }
    }
}

pub(super) fn lower_requested(base: &str, wire: WireRequested) -> Result<RequestedImage, Wrong> {
    let wrong = || Wrong {
        message: format!("base `{base}` is requested as nothing, or as several things"),
        value: base.to_owned(),
    };
    let WireRequested { debian: None, slim: None, image, layout, archive, daemon, name, packages } =
        wire
    else {
        return Err(wrong());
    };
    let local = |path: String| match RelPath::new(&path) {
        Ok(_) => Ok(LocalImage { path, name: name.clone() }),
        Err(error) => Err(Wrong { message: error.to_string(), value: path }),
    };
    let source = match (image, layout, archive, daemon) {
        (Some(reference), None, None, None) if name.is_none() => ImageSource::Registry(reference),
        (None, Some(path), None, None) => ImageSource::Layout(local(path)?),
        (None, None, Some(path), None) => ImageSource::Archive(local(path)?),
        (None, None, None, Some(image)) if name.is_none() => ImageSource::Daemon(image),
        _ => return Err(wrong()),
    };
    Ok(RequestedImage { source, packages })
}

pub(super) fn lower(base: &str, root: WireRoot) -> Result<LockedImage, Wrong> {
    let wrong = |message: String| Wrong { message, value: base.to_owned() };
    let WireRoot { index, manifest, config, defaults, layers, snapshot, packages, apks } = root;
    let (Some(config), Some(defaults), Some(layers)) = (config, defaults, layers) else {
        return Err(wrong(format!("base `{base}` is not locked as what is requested")));
    };
    if layers.len() > MAX_LAYERS {
        return Err(wrong(format!("base `{base}` has more than {MAX_LAYERS} layers")));
    }
    let WireDefaults { env, user, ports, volumes, labels, stop_signal } = defaults;
    let packages = match (snapshot, packages, apks) {
        (None, None, None) => AddedPackages::None,
        (Some(snapshot), Some(packages), None) => {
            AddedPackages::Debian(lower_debian(snapshot, packages)?)
        }
        (None, None, Some(apks)) => AddedPackages::Alpine(lower_apks(apks)?),
        (_, _, Some(_)) => {
            return Err(wrong(format!("base `{base}` has packages of two kinds")));
        }
        (_, _, None) => {
            let message =
                format!("base `{base}` has one of `snapshot` and `packages`, and not both");
            return Err(wrong(message));
        }
    };
    Ok(LockedImage {
        index: index.map(oci).transpose()?,
        manifest: manifest.map(oci).transpose()?,
        config: oci(config)?,
        defaults: ImageDefaults { env, user, ports, volumes, labels, stop_signal },
        layers: layers.into_iter().map(lower_layer).collect::<Result<_, _>>()?,
        packages,
    })
}

fn oci(text: String) -> Result<Sha256, Wrong> {
    Sha256::from_oci(&text).ok_or_else(|| Wrong {
        message: format!("`{text}` is not a digest such as `sha256:…`, with 64 hexadecimal digits"),
        value: text,
    })
}

fn lower_layer(layer: WireLayer) -> Result<LockedLayer, Wrong> {
    let WireLayer { digest, diff_id, size, compression } = layer;
    if size > MAX_LAYER_SIZE {
        let message = format!("layer {digest} has {size} bytes, and no layer has so many");
        return Err(Wrong { message, value: digest });
    }
    Ok(LockedLayer {
        digest: oci(digest)?,
        diff_id: oci(diff_id)?,
        size,
        compression: match compression {
            WireCompression::None => Compression::None,
            WireCompression::Gzip => Compression::Gzip,
            WireCompression::Zstd => Compression::Zstd,
        },
    })
}

fn lower_apks(wire: Vec<WireApk>) -> Result<LockedAlpine, Wrong> {
    let mut packages: Vec<LockedApk> = Vec::with_capacity(wire.len().min(4096));
    for apk in wire {
        let WireApk { name, version, architecture, repository, size, sha256, checksum } = apk;
        // They become parts of addresses and of lines of a database.
        for (field, value) in [
            ("name", &name),
            ("version", &version),
            ("architecture", &architecture),
            ("repository", &repository),
            ("checksum", &checksum),
        ] {
            let is_plain = !value.is_empty()
                && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
                && (field == "repository" || field == "checksum" || !value.contains('/'));
            if !is_plain {
                let message = format!("package `{name}` has the {field} `{value}`, which is none");
                return Err(Wrong { message, value: name.clone() });
            }
        }
        if let Err(error) = RelPath::new(&repository) {
            return Err(Wrong { message: error.to_string(), value: repository });
        }
        let sha256 =
            sha256.parse().map_err(|error| Wrong { message: format!("{error}"), value: sha256 })?;
        if packages.last().is_some_and(|last| last.name >= name) {
            let message = format!("package `{name}` stands twice, or out of order");
            return Err(Wrong { message, value: name });
        }
        packages.push(LockedApk {
            name,
            version,
            architecture,
            repository,
            size,
            sha256,
            checksum,
        });
    }
    Ok(LockedAlpine { packages })
}
