//! Where the daemon is: as `docker` finds it, so that exflow talks to the one that its user means.

use crate::DockerError;
use exflow_content::Sha256;
use serde::Deserialize;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the daemon is when nothing says so.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Where a daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address: `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host`.
    pub host: String,
    /// How both sides prove who they are, over TCP.
    pub tls: Option<Tls>,
    /// Whether someone said so: `DOCKER_HOST`, or a context that isn't the default.
    pub is_chosen: bool,
}

/// The files that are needed for TLS, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Who signs the daemon's certificate.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Docker's own configuration, as far as it says where the daemon is.
#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// The metadata of a context.
#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: Option<String>,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// Where the daemon is: what `DOCKER_HOST` says, or else the context that `DOCKER_CONTEXT` or
/// Docker's configuration names, or else the usual place. `variable` gives the environment.
pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Endpoint, DockerError> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
    let folder = variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")));
    if let Some(host) = text("DOCKER_HOST") {
        // As `docker` has it: any value but none switches it on.
        let certificates = variable("DOCKER_CERT_PATH").map(PathBuf::from).or(folder);
        let tls = variable("DOCKER_TLS_VERIFY").and(certificates).map(|path| tls(&path));
        return Ok(Endpoint { host, tls, is_chosen: true });
    }
    let default = Endpoint { host: DEFAULT.to_owned(), tls: None, is_chosen: false };
    let Some(folder) = folder else { return Ok(default) };
    let named = match text("DOCKER_CONTEXT") {
        Some(name) => Some(name),
        None => match fs::read(folder.join("config.json")) {
            // One that can't be read says nothing, as for `docker` itself.
            Ok(bytes) => serde_json::from_slice::<Config>(&bytes)
                .ok()
                .and_then(|config| config.current_context),
            Err(_) => None,
        },
    };
    match named.filter(|name| !name.is_empty() && name != "default") {
        Some(name) => context(&folder, &name),
        None => Ok(default),
    }
}

fn tls(folder: &Path) -> Tls {
    Tls { ca: folder.join("ca.pem"), cert: folder.join("cert.pem"), key: folder.join("key.pem") }
}

fn context(folder: &Path, name: &str) -> Result<Endpoint, DockerError> {
    let wrong = |reason: String| DockerError::Configuration {
        reason: format!("context `{name}`: {reason}"),
    };
    let id = Sha256::of(name.as_bytes()).to_string();
    let contexts = folder.join("contexts");
    let bytes = fs::read(contexts.join("meta").join(&id).join("meta.json"))
        .map_err(|error| wrong(format!("there is none of that name ({error})")))?;
    let context: Context =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let endpoint = context.endpoints.docker;
    let endpoint = endpoint.ok_or_else(|| wrong("it has no Docker endpoint".to_owned()))?;
    if endpoint.skip_tls_verify {
        return Err(wrong(
            "it skips the check of certificates, which exflow never does".to_owned(),
        ));
    }
    let certificates = contexts.join("tls").join(&id).join("docker");
    let host = endpoint.host.filter(|host| !host.is_empty());
    Ok(Endpoint {
        host: host.unwrap_or_else(|| DEFAULT.to_owned()),
        tls: certificates.is_dir().then(|| tls(&certificates)),
        is_chosen: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, variables: &[(&str, &str)]) -> Result<Endpoint, String> {
        let find = find(|name| {
            let value = variables.iter().find(|(known, _)| *known == name);
            match value {
                Some((_, value)) => Some((*value).into()),
                None if name == "DOCKER_CONFIG" => Some(folder.into()),
                None => None,
            }
        });
        find.map_err(|error| error.to_string())
    }

    fn put_context(folder: &Path, name: &str, text: &str) {
        let meta = folder.join("contexts/meta").join(Sha256::of(name.as_bytes()).to_string());
        fs::create_dir_all(&meta).unwrap();
        fs::write(meta.join("meta.json"), text).unwrap();
    }

    #[test]
    fn finds_what_docker_finds() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let host =
            |host: &str, is_chosen| Ok(Endpoint { host: host.to_owned(), tls: None, is_chosen });
        assert_eq!(found(folder, &[]), host(DEFAULT, false));
        assert_eq!(found(folder, &[("DOCKER_HOST", "tcp://a:1")]), host("tcp://a:1", true));
        put_context(
            folder,
            "far",
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://me@far"}}}"#,
        );
        assert_eq!(found(folder, &[("DOCKER_CONTEXT", "far")]), host("ssh://me@far", true));
        fs::write(folder.join("config.json"), r#"{"auths":{},"currentContext":"far"}"#).unwrap();
        assert_eq!(found(folder, &[]), host("ssh://me@far", true));
        assert_eq!(found(folder, &[("DOCKER_CONTEXT", "default")]), host(DEFAULT, false));
        assert_eq!(found(folder, &[("DOCKER_HOST", "tcp://a:1")]), host("tcp://a:1", true));
        fs::write(folder.join("config.json"), "{").unwrap();
        assert_eq!(found(folder, &[]), host(DEFAULT, false));
    }

    #[test]
    fn certificates() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let variables = [("DOCKER_HOST", "tcp://a:1"), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(found(folder, &variables).unwrap().tls, Some(tls(folder)));
        let at = [variables[0], variables[1], ("DOCKER_CERT_PATH", "/certs")];
        assert_eq!(found(folder, &at).unwrap().tls, Some(tls(Path::new("/certs"))));
        put_context(folder, "far", r#"{"Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#);
        let certificates =
            folder.join("contexts/tls").join(Sha256::of(b"far").to_string()).join("docker");
        fs::create_dir_all(&certificates).unwrap();
        let found = found(folder, &[("DOCKER_CONTEXT", "far")]).unwrap();
        assert_eq!(found.tls, Some(tls(&certificates)));
    }

    #[test]
    fn contexts_that_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (text, reason) in [
            ("", "EOF"),
            (r#"{"Endpoints":{}}"#, "no Docker endpoint"),
            (r#"{"Endpoints":{"docker":{"Host":"tcp://a","SkipTLSVerify":true}}}"#, "skips"),
        ] {
            put_context(folder, "far", text);
            let error = found(folder, &[("DOCKER_CONTEXT", "far")]).unwrap_err();
            assert!(error.contains("`far`") && error.contains(reason), "{error}");
        }
        let error = found(folder, &[("DOCKER_CONTEXT", "none")]).unwrap_err();
        assert!(error.contains("none of that name"), "{error}");
    }
}
