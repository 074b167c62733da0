//! Package URLs (the purl specification 1.0, and its types).

use exflow_content::Sha256;
use exflow_lock::Platform;
use exflow_packages::git::GitSource;
use exflow_packages::hex::HexPackage;
use exflow_packages::without_secrets;
use purl::GenericPurlBuilder;

/// A package URL; none where a part of it can't stand in one, as an empty name.
fn built(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> Option<String> {
    let mut builder = GenericPurlBuilder::new(kind.to_owned(), name)
        .with_namespace(namespace)
        .with_version(version);
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        builder = builder.with_qualifier(*key, *value).ok()?;
    }
    // The specification has it encoded, wherever it stands; the library leaves it.
    builder.build().ok().map(|purl| purl.to_string().replace('+', "%2B"))
}

/// A package of Debian's: `pkg:deb/debian/dash@0.5.12-2?arch=amd64&distro=bookworm`.
pub fn debian(name: &str, version: &str, architecture: &str, suite: &str) -> Option<String> {
    built("deb", "debian", name, version, &[("arch", architecture), ("distro", suite)])
}

/// A package of Alpine's: `pkg:apk/alpine/busybox@1.37.0-r12?arch=x86_64`.
pub fn alpine(name: &str, version: &str, architecture: &str) -> Option<String> {
    built("apk", "alpine", name, version, &[("arch", architecture)])
}

/// A package of Hex's: `pkg:hex/jason@1.4.4`, of an organisation `pkg:hex/acme/secret@1.0.0`.
pub fn hex(package: &HexPackage) -> Option<String> {
    let repository = match package.repo.as_str() {
        "hexpm" => "",
        repo if package.organisation().is_some() => repo,
        // One of the user's own, of which nobody else knows where it is.
        _ => {
            return built(
                "hex",
                "",
                &package.name,
                &package.version,
                &[("repository", &package.repo)],
            );
        }
    };
    let organisation = repository.split_once(':').map_or("", |(_, name)| name);
    built("hex", organisation, &package.name, &package.version, &[])
}

/// A revision of a repository: `pkg:github/team/tool@…` where it is there, or else `pkg:generic/…`, with where it is.
pub fn git(name: &str, source: &GitSource) -> Option<String> {
    let url = source.url.trim_end_matches('/').trim_end_matches(".git");
    for (host, kind) in [("github.com", "github"), ("bitbucket.org", "bitbucket")] {
        let rest = ["https://", "ssh://git@", "git://", "git@"].iter().find_map(|scheme| {
            let rest = url.strip_prefix(scheme)?.strip_prefix(host)?;
            rest.strip_prefix(['/', ':'])
        });
        if let Some((owner, repository)) = rest.and_then(|rest| rest.split_once('/')) {
            let (owner, repository) = (owner.to_lowercase(), repository.to_lowercase());
            return built(kind, &owner, &repository, &source.revision, &[]);
        }
    }
    let at = format!("git+{}@{}", without_secrets(&source.url), source.revision);
    built("generic", "", name, &source.revision, &[("vcs_url", &at)])
}

/// An application of Erlang/OTP or Elixir: `pkg:otp/kernel@10.3`.
pub fn otp(name: &str, version: &str) -> Option<String> {
    built("otp", "", &name.to_lowercase(), version, &[])
}

/// An image by the digest of its manifest: `pkg:oci/shop@sha256:…?arch=amd64`. `repository` may be a name alone, or where
/// it is: `docker.io/library/debian`.
pub fn image(repository: &str, digest: &Sha256, platform: &Platform) -> Option<String> {
    let repository = repository.to_lowercase();
    let last = repository.rsplit('/').next().unwrap_or_default();
    let whole = if last.len() == repository.len() { "" } else { repository.as_str() };
    let qualifiers = [("arch", platform.oci_architecture()), ("repository_url", whole)];
    built("oci", "", last, &format!("sha256:{digest}"), &qualifiers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_package(repo: &str) -> HexPackage {
        HexPackage {
            repo: repo.to_owned(),
            name: "jason".to_owned(),
            version: "1.4.4".to_owned(),
            inner: None,
            outer: None,
            managers: Vec::new(),
        }
    }

    #[test]
    fn names_as_their_types_have_them() {
        let said = |purl: Option<String>| purl.unwrap_or_default();
        assert_eq!(
            said(debian("libstdc++6", "1:12.2.0-14+deb12u1", "amd64", "bookworm")),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm"
        );
        assert_eq!(
            said(alpine("musl", "1.2.5-r9", "x86_64")),
            "pkg:apk/alpine/musl@1.2.5-r9?arch=x86_64"
        );
        assert_eq!(said(hex(&hex_package("hexpm"))), "pkg:hex/jason@1.4.4");
        assert_eq!(said(hex(&hex_package("hexpm:acme"))), "pkg:hex/acme/jason@1.4.4");
        assert_eq!(said(hex(&hex_package("own"))), "pkg:hex/jason@1.4.4?repository=own");
        assert_eq!(said(otp("Kernel", "10.3")), "pkg:otp/kernel@10.3");
        assert_eq!(said(otp("", "1")), "");
        let digest = Sha256::of(b"x");
        let at = |name: &str| image(name, &digest, &Platform::LinuxAmd64).unwrap();
        assert_eq!(at("shop"), format!("pkg:oci/shop@sha256:{digest}?arch=amd64"));
        assert_eq!(
            at("registry.example:5000/Team/base"),
            format!(
                "pkg:oci/base@sha256:{digest}?arch=amd64&repository_url=registry.example:5000/team/base"
            )
        );
    }

    #[test]
    fn repositories_are_named_without_who_asks() {
        let source = |url: &str| GitSource {
            url: url.to_owned(),
            revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            submodules: false,
            sparse: None,
            tree: None,
        };
        for url in [
            "https://github.com/Team/Tool.git",
            "git@github.com:team/tool.git",
            "ssh://git@github.com/team/tool",
        ] {
            assert_eq!(
                git("tool", &source(url)).unwrap(),
                "pkg:github/team/tool@0123456789abcdef0123456789abcdef01234567"
            );
        }
        let purl = git("tool", &source("https://me:secret@git.example/tool.git")).unwrap();
        assert!(purl.starts_with("pkg:generic/tool@0123"), "{purl}");
        assert!(purl.contains("git.example") && !purl.contains("secret"), "{purl}");
    }
}
