//! SPDX documents (SPDX specification 2.3, in JSON).

use crate::bill::{Bill, Component, Role};
use crate::licence::{Others, expression};
use crate::{HOME, VERSION, printed};
use exflow_content::Sha256;
use serde_json::{Value, json};

/// The media type of such a document.
pub const MEDIA_TYPE: &str = "application/spdx+json";

/// When everything of exflow's was made: the time that its files have.
const CREATED: &str = "1980-01-01T00:00:00Z";
const IMAGE: &str = "SPDXRef-image";

/// The bill as an SPDX document.
pub fn spdx(bill: &Bill) -> String {
    let mut others = Others::new();
    let mut packages = vec![json!({
        "SPDXID": IMAGE,
        "name": bill.project,
        "versionInfo": format!("sha256:{}", bill.image),
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "checksums": [checksum(&bill.image)],
        "externalRefs": [purl(&bill.purl())],
    })];
    let mut relationships = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for (number, component) in bill.components.iter().enumerate() {
        let id = format!("SPDXRef-{number}");
        relationships.push(match component.role {
            Role::Plugin => relation(&id, "BUILD_TOOL_OF", IMAGE),
            Role::BaseImage => relation(IMAGE, "DESCENDANT_OF", &id),
            _ => relation(IMAGE, "CONTAINS", &id),
        });
        packages.push(package(&id, component, &mut others));
    }
    let licences: Vec<Value> = others
        .iter()
        .map(|(id, name)| {
            let text = format!("{name}: its text is in the package.");
            json!({ "licenseId": id, "name": name, "extractedText": text })
        })
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.project,
        "creationInfo": { "created": CREATED, "creators": [format!("Tool: exflow-{VERSION}")] },
        "packages": packages,
        "relationships": relationships,
    });
    if !licences.is_empty() {
        document["hasExtractedLicensingInfos"] = licences.into();
    }
    if !bill.is_complete {
        let comment =
            "The packages of the operating system are not listed: what is installed can't be told.";
        document["comment"] = comment.into();
    }
    // Another document has another one (6.5).
    let digest = Sha256::of(printed(&document).as_bytes());
    document["documentNamespace"] = format!("{HOME}/spdx/{digest}").into();
    printed(&document)
}

fn package(id: &str, component: &Component, others: &mut Others) -> Value {
    let purpose = match component.role {
        Role::BaseImage => "CONTAINER",
        Role::OtpApplication | Role::HexPackage | Role::GitSource | Role::SystemPackage => {
            "LIBRARY"
        }
        Role::Application | Role::Plugin => "APPLICATION",
    };
    let licence = expression(&component.licences, others);
    let mut package = json!({
        "SPDXID": id,
        "name": component.name,
        "primaryPackagePurpose": purpose,
        "downloadLocation": component.url.as_deref().unwrap_or("NOASSERTION"),
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence.as_deref().unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
    });
    if !component.version.is_empty() {
        package["versionInfo"] = component.version.as_str().into();
    }
    if let Some(sha256) = &component.sha256 {
        package["checksums"] = json!([checksum(sha256)]);
    }
    if let Some(name) = &component.purl {
        package["externalRefs"] = json!([purl(name)]);
    }
    package
}

fn checksum(sha256: &Sha256) -> Value {
    json!({ "algorithm": "SHA256", "checksumValue": sha256.to_string() })
}

fn purl(purl: &str) -> Value {
    json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}
