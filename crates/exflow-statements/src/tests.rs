use super::*;
use exflow_content::{Digest, Sha256};
use exflow_lock::Platform;

fn component(role: Role, name: &str, version: &str) -> Component {
    Component {
        role,
        name: name.to_owned(),
        version: version.to_owned(),
        purl: otp(name, version),
        sha256: None,
        url: None,
        licences: Vec::new(),
    }
}

fn bill() -> Bill {
    let dash = Component {
        purl: debian("dash", "0.5.12-2", "amd64", "bookworm"),
        sha256: Some(Sha256::of(b"dash")),
        licences: vec!["BSD-3-clause".to_owned(), "Expat".to_owned(), "public-domain".to_owned()],
        ..component(Role::SystemPackage, "dash", "0.5.12-2")
    };
    let jason = Component {
        purl: Some("pkg:hex/jason@1.4.4".to_owned()),
        sha256: Some(Sha256::of(b"jason")),
        url: Some("https://repo.hex.pm/tarballs/jason-1.4.4.tar".to_owned()),
        licences: vec!["Apache-2.0".to_owned()],
        ..component(Role::HexPackage, "jason", "1.4.4")
    };
    let plugin = Component { purl: None, ..component(Role::Plugin, "mix-release", "") };
    let base = Component {
        purl: image("docker.io/library/debian", &Sha256::of(b"base"), &Platform::LinuxAmd64),
        ..component(Role::BaseImage, "debian:bookworm", "")
    };
    let components = vec![
        component(Role::Application, "shop", "0.1.0"),
        plugin,
        jason.clone(),
        jason,
        component(Role::OtpApplication, "kernel", "10.3"),
        dash,
        base,
    ];
    Bill::new("shop", Sha256::of(b"image"), Platform::LinuxAmd64, true, components)
}

#[test]
fn what_is_not_known_is_said() {
    let whole = bill();
    let part = Bill { is_complete: false, ..whole.clone() };
    assert!(
        cyclonedx(&part).contains("\"incomplete\"")
            && !cyclonedx(&whole).contains("\"incomplete\"")
    );
    assert!(spdx(&part).contains("not listed") && !spdx(&whole).contains("not listed"));
    // Another document has another name.
    let name = |text: String| text.split("documentNamespace").nth(1).unwrap()[..120].to_owned();
    assert_ne!(name(spdx(&part)), name(spdx(&whole)));
}

#[test]
fn as_spdx() {
    insta::assert_snapshot!(spdx(&bill()));
}

#[test]
fn as_cyclonedx() {
    insta::assert_snapshot!(cyclonedx(&bill()));
}

#[test]
fn as_provenance() {
    let sources = Material::new("sources", "file:.", "exflowTree1", &"abc");
    let package = Material::new("base:builder", "pkg:deb/debian/dash@1", "sha256", &"def");
    let mut provenance = Provenance {
        project: "shop".to_owned(),
        image: Sha256::of(b"image"),
        platform: Platform::LinuxArm64,
        assembly: 1,
        key: Digest::of(b"key"),
        materials: vec![sources.clone(), package.clone(), sources.clone()],
    };
    let printed = provenance.print();
    provenance.materials = vec![package, sources];
    assert_eq!(provenance.print(), printed);
    insta::assert_snapshot!(printed);
}
