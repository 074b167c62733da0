use exflow_content::Sha256;
use oci_client::Reference;
use std::fmt;
use std::str::FromStr;

/// Where an image is, or goes: `registry.example/team/shop:1.2`. Without a registry it is Docker Hub,
/// as for `docker`; without a tag, `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference(pub(crate) Reference);

/// Why a text is no [`ImageReference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReferenceError(String);

impl ImageReference {
    /// The registry's host, and its port if it has one.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The repository in the registry.
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        self.0.tag().unwrap_or("latest")
    }

    /// The same repository, with another tag.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        let (registry, repository) = (self.registry().to_owned(), self.repository().to_owned());
        Self(Reference::with_tag(registry, repository, tag.to_owned()))
    }
}

impl ImageReference {
    /// What has this digest in the same repository: at the same address as a tag would have. For the library it is one,
    /// because it panics at registries that don't say where a manifest without a tag is.
    pub(crate) fn with_digest(&self, digest: &Sha256) -> Self {
        self.with_tag(&format!("sha256:{digest}"))
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: Reference = text
            .parse()
            .map_err(|error: oci_client::ParseError| ReferenceError(error.to_string()))?;
        if reference.digest().is_some() {
            let reason = "it has a digest, and what is pushed gets a tag";
            return Err(ReferenceError(reason.to_owned()));
        }
        let tag = reference.tag().unwrap_or("latest").to_owned();
        Ok(Self(reference).with_tag(&tag))
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.registry(), self.repository(), self.tag())
    }
}

/// An image in a registry that something stands on: `debian:bookworm`, or with a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseReference(Reference);

impl BaseReference {
    /// The registry, as images are named by it: `docker.io`.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The host that a registry of this name has its API at.
    pub fn api_host(registry: &str) -> &str {
        if registry == "docker.io" { crate::credentials::HUB_API } else { registry }
    }

    /// The repository in the registry: `library/debian`.
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The digest, or else the tag.
    pub fn version(&self) -> &str {
        self.0.digest().or(self.0.tag()).unwrap_or("latest")
    }
}

impl FromStr for BaseReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference: Reference = text
            .parse()
            .map_err(|error: oci_client::ParseError| ReferenceError(error.to_string()))?;
        // Nothing else is checked, and what isn't checked pins nothing.
        if reference.digest().is_some_and(|digest| !digest.starts_with("sha256:")) {
            return Err(ReferenceError("its digest is not one of sha256".to_owned()));
        }
        Ok(Self(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, whole) in [
            ("shop", "docker.io/library/shop:latest"),
            ("team/shop:1", "docker.io/team/shop:1"),
            ("localhost:5000/shop", "localhost:5000/shop:latest"),
            ("registry.example/a/b/c:V_1.2-x", "registry.example/a/b/c:V_1.2-x"),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap().to_string(), whole);
        }
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for text in ["", "A", "a:", "a b", "a//b", &digest] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn references_of_bases() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, registry, repository, version) in [
            ("debian", "docker.io", "library/debian", "latest"),
            ("hexpm/elixir:1.18", "docker.io", "hexpm/elixir", "1.18"),
            (&format!("localhost:5000/a/b:1@{digest}"), "localhost:5000", "a/b", &digest),
        ] {
            let reference: BaseReference = text.parse().unwrap();
            assert_eq!(
                (reference.registry(), reference.repository(), reference.version()),
                (registry, repository, version)
            );
        }
        assert_eq!(BaseReference::api_host("docker.io"), "registry-1.docker.io");
        assert!("A B".parse::<BaseReference>().is_err());
        let digest = format!("a@sha512:{}", "0".repeat(128));
        assert!(digest.parse::<BaseReference>().is_err());
    }
}
