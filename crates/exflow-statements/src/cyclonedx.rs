//! CycloneDX documents (CycloneDX specification 1.6, in JSON).

use crate::bill::{Bill, Component, Role};
use crate::licence::{Others, expression};
use crate::{VERSION, printed};
use exflow_content::Sha256;
use serde_json::{Value, json};

/// The media type of such a document.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// The bill as a CycloneDX document.
pub fn cyclonedx(bill: &Bill) -> String {
    let image = bill.purl();
    let named: Vec<(String, &Component)> = bill
        .components
        .iter()
        .enumerate()
        .map(|(number, component)| (format!("component-{number}"), component))
        .collect();
    let inside = named.iter().filter(|(_, component)| component.role.is_inside());
    let depends: Vec<&str> = inside.map(|(reference, _)| &**reference).collect();
    let components: Vec<Value> =
        named.iter().map(|(reference, component)| one(reference, component)).collect();
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": bill.project,
                "version": format!("sha256:{}", bill.image),
                "purl": image,
                "hashes": [hash(&bill.image)],
            },
            "tools": { "components": [{ "type": "application", "name": "exflow", "version": VERSION }] },
        },
        "components": components,
        "dependencies": [{ "ref": image, "dependsOn": depends }],
        "compositions": [{
            "aggregate": if bill.is_complete { "complete" } else { "incomplete" },
            "assemblies": [image],
        }],
    });
    document["serialNumber"] = serial_number(&printed(&document)).into();
    printed(&document)
}

fn one(reference: &str, component: &Component) -> Value {
    let kind = match component.role {
        Role::BaseImage => "container",
        Role::OtpApplication | Role::HexPackage | Role::GitSource | Role::SystemPackage => {
            "library"
        }
        Role::Application | Role::Plugin => "application",
    };
    let mut value = json!({ "type": kind, "bom-ref": reference, "name": component.name });
    if !component.version.is_empty() {
        value["version"] = component.version.as_str().into();
    }
    if let Some(purl) = &component.purl {
        value["purl"] = purl.as_str().into();
    }
    if let Some(sha256) = &component.sha256 {
        value["hashes"] = json!([hash(sha256)]);
    }
    let mut others = Others::new();
    if let Some(expression) = expression(&component.licences, &mut others) {
        // It has no place to say what a reference means: then each is named as its source names it.
        value["licenses"] = if others.is_empty() {
            json!([{ "expression": expression }])
        } else {
            let names =
                component.licences.iter().map(|name| json!({ "license": { "name": name } }));
            names.collect::<Vec<_>>().into()
        };
    }
    if let Some(url) = &component.url {
        value["externalReferences"] = json!([{ "type": "distribution", "url": url }]);
    }
    if !component.role.is_inside() {
        value["scope"] = "excluded".into();
    }
    value
}

fn hash(sha256: &Sha256) -> Value {
    json!({ "alg": "SHA-256", "content": sha256.to_string() })
}

/// A UUID of the document's digest (RFC 9562, version 8): another document has another one.
fn serial_number(document: &str) -> String {
    let digest = Sha256::of(document.as_bytes()).to_string();
    let variant = ['8', '9', 'a', 'b'][usize::from(digest.as_bytes()[16] % 4)];
    format!(
        "urn:uuid:{}-{}-8{}-{variant}{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32],
    )
}
