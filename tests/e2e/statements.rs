//! What is said of images: bills of materials, and provenance.

use crate::deps;
use crate::hello::{built_in_the_sandbox, hello, sharing};
use exflow_testkit::{DockerRegistry, Workspace, missing};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn example() -> Workspace {
    built_in_the_sandbox();
    sharing().with_files_of(&hello())
}

fn said(workspace: &Workspace, arguments: &[&str]) -> Value {
    serde_json::from_str(&workspace.ok(arguments).stdout).unwrap()
}

/// The packages of an SPDX document by name.
fn packages(document: &Value) -> BTreeMap<String, Value> {
    let packages = document["packages"].as_array().unwrap().iter();
    packages.map(|it| (it["name"].as_str().unwrap().to_owned(), it.clone())).collect()
}

fn purl(package: &Value) -> &str {
    package["externalRefs"][0]["referenceLocator"].as_str().unwrap()
}

/// The packages that a base is locked to, by name.
fn locked(workspace: &Workspace, base: &str) -> BTreeMap<String, Value> {
    let lock: Value = serde_json::from_str(&workspace.read("exflow.lock")).unwrap();
    let platform = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    let packages = &lock["bases"][base]["locked"][platform]["packages"];
    let packages = packages.as_array().unwrap_or_else(|| panic!("{lock:#}")).iter();
    packages.map(|it| (it["name"].as_str().unwrap().to_owned(), it.clone())).collect()
}

#[test]
fn a_bill_has_what_is_in_the_image_and_nothing_else() {
    let workspace = example();
    let (_, digest) = built_in_the_sandbox();
    let spdx = said(&workspace, &["sbom"]);
    let packages = packages(&spdx);
    for (name, locked) in locked(&workspace, "runner") {
        let package = &packages[&name];
        assert_eq!(package["versionInfo"], locked["version"], "{name}");
        assert_eq!(package["checksums"][0]["checksumValue"], locked["sha256"], "{name}");
        assert!(purl(package).starts_with("pkg:deb/debian/"), "{name}");
    }
    let dash = packages["dash"]["licenseDeclared"].as_str().unwrap();
    assert!(dash.contains("BSD-3-Clause"), "{dash}");
    assert!(purl(&packages["kernel"]).starts_with("pkg:otp/kernel@"));
    assert_eq!(packages["kernel"]["primaryPackagePurpose"], "LIBRARY");
    assert_eq!(packages["hello"]["primaryPackagePurpose"], "APPLICATION");
    assert_eq!(packages["hello"]["versionInfo"], "0.1.0");
    // What builds it is not in it.
    assert!(!packages.contains_key("erlang-dev"));
    let described = &spdx["packages"][0];
    assert_eq!(described["versionInfo"], digest);
    let plugin = packages["mix-release"]["SPDXID"].as_str().unwrap();
    let relations = spdx["relationships"].as_array().unwrap();
    assert!(relations.contains(&json!({
        "spdxElementId": plugin,
        "relationshipType": "BUILD_TOOL_OF",
        "relatedSpdxElement": "SPDXRef-image",
    })));
    // The same in the other format.
    let cyclonedx = said(&workspace, &["sbom", "hello", "--format", "cyclonedx"]);
    let names: BTreeSet<&str> = cyclonedx["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    // The image itself is no component of its own, and has the name of the application.
    assert_eq!(names, packages.keys().map(String::as_str).collect());
    assert_eq!(cyclonedx["metadata"]["component"]["version"], digest);
}

#[test]
fn the_same_image_has_the_same_statements() {
    let (first, second) = (example(), example());
    for arguments in [&["sbom"][..], &["sbom", "--format", "cyclonedx"], &["provenance"]] {
        let printed = first.ok(arguments).stdout;
        assert_eq!(second.ok(arguments).stdout, printed);
        let to_file: Vec<&str> =
            arguments.iter().chain(&["-o", "statement.json"]).copied().collect();
        assert_eq!(second.ok(&to_file).stdout, "");
        assert_eq!(second.read("statement.json"), printed);
    }
    first.fails(&["sbom", "hallo"], 2).says(&["did you mean `hello`?"]);
    first.fails(&["sbom", "-o", "no/such/folder"], 1).says(&["exflow::output::failed"]);
}

#[test]
fn provenance_has_everything_that_went_in() {
    let workspace = example();
    let statement = said(&workspace, &["provenance"]);
    let (_, digest) = built_in_the_sandbox();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.trim_start_matches("sha256:"));
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let definition = &statement["predicate"]["buildDefinition"];
    let materials = definition["resolvedDependencies"].as_array().unwrap();
    for base in ["builder", "runner"] {
        let of_base = materials.iter().filter(|it| it["name"] == format!("base:{base}"));
        let found: BTreeSet<&str> =
            of_base.map(|it| it["digest"]["sha256"].as_str().unwrap()).collect();
        let locked = locked(&workspace, base);
        let expected: BTreeSet<&str> =
            locked.values().map(|it| it["sha256"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
    }
    let sources = |statement: &Value| {
        let materials = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
        let sources = materials.as_array().unwrap().iter().find(|it| it["name"] == "sources");
        sources.unwrap()["digest"]["exflowTree1"].as_str().unwrap().to_owned()
    };
    // What isn't built from changes nothing; what is does.
    workspace.write("NOTES", "x");
    assert_eq!(sources(&said(&workspace, &["provenance"])), sources(&statement));
    let source = workspace.read("lib/hello.ex");
    workspace.write("lib/hello.ex", &format!("{source}\n# more\n"));
    assert_ne!(sources(&said(&workspace, &["provenance"])), sources(&statement));
}

#[test]
fn packages_of_hex_are_named_as_others_know_them() {
    let workspace = deps::sharing("bookworm");
    let spdx = said(&workspace, &["sbom"]);
    let packages = packages(&spdx);
    let top = &packages["top"];
    assert_eq!(purl(top), "pkg:hex/top@1.0.0");
    assert_eq!(top["licenseDeclared"], "Apache-2.0");
    assert_eq!(top["downloadLocation"], "https://repo.hex.pm/tarballs/top-1.0.0.tar");
    let lock = workspace.read("mix.lock");
    let checksum = top["checksums"][0]["checksumValue"].as_str().unwrap();
    assert!(lock.contains(checksum), "{checksum}");
    assert!(!packages.contains_key("never"));
    let provenance = workspace.ok(&["provenance"]).stdout;
    assert!(provenance.contains("pkg:hex/top@1.0.0") && provenance.contains(checksum));
}

#[test]
fn statements_are_attached_and_change_no_digest() {
    let Some(registry) = DockerRegistry::start(false) else {
        return missing("docker-registry", "statements_are_attached_and_change_no_digest");
    };
    let (_, digest) = built_in_the_sandbox();
    let host = registry.host();
    let workspace = example().env("EXFLOW_PLAIN_HTTP_REGISTRIES", &host);
    let output = format!("registry={host}/team/hello:1");
    let list = digest.replace(':', "-");
    workspace.ok(&["build", "--output", &output, "--no-statements"]);
    assert_eq!(registry.tagged("team/hello", &list), None);
    workspace.ok(&["build", "--output", &output]).says(&["attached", "application/spdx+json"]);
    let image = registry.tagged("team/hello", "1").unwrap();
    assert_eq!(image, registry.blob(&digest).unwrap());
    // This registry doesn't list what refers to an image, so the list has a tag.
    let index = registry.tagged("team/hello", &list).unwrap();
    let listed = index["manifests"].as_array().unwrap();
    let kinds: Vec<&str> = listed.iter().map(|it| it["artifactType"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"]
    );
    for (entry, arguments) in
        listed.iter().zip([&["sbom"][..], &["sbom", "--format", "cyclonedx"], &["provenance"]])
    {
        let manifest = registry.blob(entry["digest"].as_str().unwrap()).unwrap();
        assert_eq!(manifest["subject"]["digest"], digest);
        assert_eq!(manifest["artifactType"], entry["artifactType"]);
        let statement = registry.blob(manifest["layers"][0]["digest"].as_str().unwrap()).unwrap();
        assert_eq!(statement, said(&workspace, arguments));
    }
    // Somebody uses the list's tag for something else.
    let taken = format!("registry={host}/team/taken:1");
    workspace.ok(&["build", "--output", &taken, "--tag", &list, "--no-statements"]);
    workspace.fails(&["build", "--output", &taken], 1).says(&[
        "exflow::registry::not-attached",
        "the image is in the registry, but not all that is said of it",
        "--no-statements",
    ]);
    // Once is enough.
    workspace.ok(&["build", "--output", &output]);
    assert_eq!(registry.tagged("team/hello", &list).unwrap(), index);
    let run = workspace.ok(&["build", "--json", "--output", &output]);
    let attached = run.events().iter().filter(|event| event["event"] == "attached").count();
    assert_eq!(attached, 3);
}
