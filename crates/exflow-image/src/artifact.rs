//! Artifacts in registries: components of plugins, and statements about images.
//!
//! A component: the "Wasm OCI Artifact Layout" of the CNCF's TAG Runtime. An
//! artifact has a manifest of an image's form, one layer, which is the component as it is, and a configuration that
//! says what it exports.

use crate::documents::{DocumentError, json, sha256};
use exflow_content::Sha256;
use oci_spec::image::ImageManifest;
use serde_json::{Value, json};

/// The media type of a manifest (OCI image specification 1.1, "Media Types").
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the configuration.
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the layer.
const LAYER_TYPE: &str = "application/wasm";
/// What tools from before the layout have called it.
const OLD_LAYER_TYPE: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// A component as it is pushed. The same component gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentArtifact {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The configuration.
    pub config: Vec<u8>,
}

impl ComponentArtifact {
    /// The artifact of a component, which exports these interfaces.
    pub fn of(component: &[u8], exports: &[String]) -> Self {
        let layer = Sha256::of(component).to_string();
        let config = json!({
            "architecture": "wasm",
            // Some readers want one. It is that of all files of exflow's, so that the same component gives the same.
            "created": "1980-01-01T00:00:00Z",
            // The layout knows two, and this is that of components; it needs nothing of it.
            "os": "wasip2",
            "layerDigests": [format!("sha256:{layer}")],
            "component": { "exports": exports, "imports": [] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, &config),
            "layers": [descriptor(LAYER_TYPE, component)],
        });
        Self { manifest: manifest.to_string().into_bytes(), config }
    }
}

/// What stands for a configuration where there is none (OCI image specification 1.1, "Guidance for an Empty
/// Descriptor").
pub const EMPTY_CONFIG: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The manifest of a statement about an image: an artifact of one layer that refers to the image (OCI image specification
/// 1.1, "Image Manifest": `subject`). Its configuration is [`EMPTY_CONFIG`].
///
/// `subject` is the digest and the length in bytes of the image's manifest, `kind` the media type of the statement.
pub fn statement_manifest(subject: (&Sha256, u64), kind: &str, statement: &[u8]) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": kind,
        "config": descriptor(EMPTY_TYPE, EMPTY_CONFIG),
        "layers": [descriptor(kind, statement)],
        "subject": {
            "mediaType": MANIFEST_TYPE,
            "digest": format!("sha256:{}", subject.0),
            "size": subject.1,
        },
    });
    manifest.to_string().into_bytes()
}

/// The media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// An artifact that refers to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The digest of its manifest.
    pub digest: Sha256,
    /// The length of its manifest in bytes.
    pub size: u64,
    /// What it is: a media type.
    pub kind: String,
}

/// The list of what refers to an image, for registries that keep none by themselves (OCI distribution specification 1.1,
/// "Referrers Tag Schema"): `before` is the list as it is, if there is one. None where all of `referrers` are in it. What
/// others have listed stays as it is.
pub fn list_referrers(
    before: Option<&[u8]>,
    referrers: &[Referrer],
) -> Result<Option<Vec<u8>>, DocumentError> {
    let mut index: Value = match before {
        Some(bytes) => json(bytes)?,
        None => json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [] }),
    };
    let Some(listed) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(DocumentError::Invalid("it is no index".to_owned()));
    };
    let length = listed.len();
    for Referrer { digest, size, kind } in referrers {
        let digest = format!("sha256:{digest}");
        if !listed.iter().any(|known| known["digest"] == digest.as_str()) {
            listed.push(json!({
                "mediaType": MANIFEST_TYPE,
                "digest": digest,
                "size": size,
                "artifactType": kind,
            }));
        }
    }
    let is_new = listed.len() > length;
    Ok(is_new.then(|| index.to_string().into_bytes()))
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": kind,
        "digest": format!("sha256:{}", Sha256::of(bytes)),
        "size": bytes.len(),
    })
}

/// Where the component of an artifact is: its digest, and its length in bytes.
///
/// # Errors
/// Where the manifest is that of something else.
pub fn component_of(manifest: &[u8]) -> Result<(Sha256, u64), DocumentError> {
    let invalid = |reason: String| DocumentError::Invalid(reason);
    if json::<Value>(manifest)?.get("manifests").is_some() {
        return Err(invalid("it is an index, and a component is in no index".to_owned()));
    }
    let manifest: ImageManifest = json(manifest)?;
    let [layer] = manifest.layers().as_slice() else {
        let reason = format!("it has {} layers, and a component is one", manifest.layers().len());
        return Err(invalid(reason));
    };
    let kind = layer.media_type().to_string();
    if kind != LAYER_TYPE && kind != OLD_LAYER_TYPE {
        let reason = format!("it is of the kind `{kind}`, and a component is `{LAYER_TYPE}`");
        return Err(invalid(reason));
    }
    Ok((sha256(layer.digest().as_ref())?, layer.size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read() {
        let artifact =
            ComponentArtifact::of(b"component", &["exflow:plugin/planner@0.2.1".to_owned()]);
        assert_eq!(component_of(&artifact.manifest), Ok((Sha256::of(b"component"), 9)));
        insta::assert_snapshot!(String::from_utf8(artifact.manifest).unwrap());
        insta::assert_snapshot!(String::from_utf8(artifact.config).unwrap());
    }

    #[test]
    fn a_statement_refers_to_its_image() {
        let manifest =
            statement_manifest((&Sha256::of(b"image"), 5), "application/spdx+json", b"statement");
        insta::assert_snapshot!(String::from_utf8(manifest).unwrap());
    }

    #[test]
    fn what_others_have_listed_stays() {
        let referrer = |text: &str| Referrer {
            digest: Sha256::of(text.as_bytes()),
            size: 7,
            kind: "application/spdx+json".to_owned(),
        };
        let (one, two) = (referrer("one"), referrer("two"));
        let first = list_referrers(None, std::slice::from_ref(&one)).unwrap().unwrap();
        let theirs = br#"{"schemaVersion":2,"manifests":[{"digest":"sha256:x","more":1}],"annotations":{"a":"b"}}"#;
        let both = list_referrers(Some(theirs), &[one.clone(), two.clone()]).unwrap().unwrap();
        let both: Value = serde_json::from_slice(&both).unwrap();
        assert_eq!(both["manifests"][0], json!({"digest": "sha256:x", "more": 1}));
        assert_eq!(both["annotations"], json!({"a": "b"}));
        assert_eq!(both["manifests"].as_array().unwrap().len(), 3);
        assert_eq!(list_referrers(Some(&first), &[one]), Ok(None));
        assert!(list_referrers(Some(&first), &[two]).unwrap().is_some());
        for bad in [&b"{}"[..], b"[]", b"<html>", b"{\"manifests\": 1}"] {
            assert!(list_referrers(Some(bad), &[]).is_err());
        }
    }

    #[test]
    fn what_is_no_component() {
        let manifest = String::from_utf8(ComponentArtifact::of(b"x", &[]).manifest).unwrap();
        let old = manifest.replace(LAYER_TYPE, OLD_LAYER_TYPE);
        component_of(old.as_bytes()).unwrap();
        let layer = manifest.split("\"layers\":").nth(1).unwrap().split(']').next().unwrap();
        for (changed, reason) in [
            (
                manifest.replace(LAYER_TYPE, "application/vnd.oci.image.layer.v1.tar+gzip"),
                "of the kind",
            ),
            (manifest.replace(layer, "["), "it has 0 layers"),
            (manifest.replace("sha256:", "md5:"), "md5"),
            ("{}".to_owned(), "not valid"),
            ("<html>".to_owned(), "not valid"),
        ] {
            let error = component_of(changed.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
