//! Provenance (SLSA provenance 1.0) as an in-toto statement (in-toto attestation framework 1.0, "Statement").

use crate::{HOME, VERSION, printed};
use exflow_content::{Digest, Sha256};
use exflow_lock::Platform;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the statement says something of.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// How an image is built, and what its parameters mean: docs/statements.md.
pub const BUILD_TYPE: &str =
    "https://github.com/exflow/exflow/blob/main/docs/statements.md#build-type-1";
/// The media type of such a statement.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// What an image was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Whose image it is.
    pub project: String,
    /// The digest of its manifest.
    pub image: Sha256,
    /// What it is for.
    pub platform: Platform,
    /// The version of the image assembly.
    pub assembly: u32,
    /// The key of the image: of its settings, its base and its release.
    pub key: Digest,
    /// Everything that it was made of. Sorted, each once: see [`Provenance::print`].
    pub materials: Vec<Material>,
}

/// Something that an image was made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    /// What it is: a package URL, or an address of another kind.
    pub uri: String,
    /// What it is called: `base:builder`, for a package of it.
    pub name: String,
    /// Its digests, by their algorithm (in-toto, "DigestSet").
    pub digests: BTreeMap<String, String>,
}

impl Material {
    /// A material with one digest.
    pub fn new(
        name: impl Into<String>,
        uri: impl Into<String>,
        algorithm: &str,
        digest: &impl ToString,
    ) -> Self {
        let digests = [(algorithm.to_owned(), digest.to_string())].into();
        Self { uri: uri.into(), name: name.into(), digests }
    }
}

impl Provenance {
    /// The statement, in JSON. It has no times: the same image from the same materials has the same one.
    pub fn print(&self) -> String {
        let mut materials = self.materials.clone();
        materials.sort();
        materials.dedup();
        let dependencies: Vec<Value> = materials
            .iter()
            .map(|material| {
                json!({ "uri": material.uri, "name": material.name, "digest": material.digests })
            })
            .collect();
        printed(&json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": self.project, "digest": { "sha256": self.image.to_string() } }],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "project": self.project,
                        "platform": self.platform.to_string(),
                    },
                    "internalParameters": {
                        "imageAssembly": self.assembly,
                        "image": self.key.to_string(),
                    },
                    "resolvedDependencies": dependencies,
                },
                "runDetails": {
                    "builder": { "id": HOME, "version": { "exflow": VERSION } },
                },
            },
        }))
    }
}
