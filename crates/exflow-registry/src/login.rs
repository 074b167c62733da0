use crate::{Registry, Settings, credentials};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use exflow_fetch::{Cancel, Credentials, FetchError};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Tells registries who we are when something is pulled. Nothing is looked up, and no connection is made,
/// before a registry wants to know.
pub struct Login {
    settings: Settings,
    cancel: Cancel,
    /// The connection, and what was accepted last, by host and repository.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registry: Option<Registry>,
    headers: BTreeMap<(String, String), String>,
}

impl Login {
    /// One that stops when `cancel` says so.
    pub fn new(settings: Settings, cancel: Cancel) -> Self {
        Self { settings, cancel, state: Mutex::default() }
    }

    /// Asks a registry how it wants to be told who we are, and does so: the header for it.
    fn ask(
        &self,
        state: &mut State,
        host: &str,
        repository: &str,
    ) -> Result<Option<String>, FetchError> {
        let url = format!("https://{host}/v2/{repository}");
        let denied = |reason: String| FetchError::Denied { url: url.clone(), reason };
        let credentials = credentials::of(host).map_err(|error| denied(error.to_string()))?;
        let registry = match &mut state.registry {
            Some(registry) => registry,
            none => none.insert(Registry::new(&self.settings, self.cancel.clone()).map_err(
                |error| FetchError::Unreachable { url: url.clone(), reason: error.to_string() },
            )?),
        };
        let reference = Reference::with_tag(host.to_owned(), repository.to_owned(), "x".to_owned());
        let token = registry.runtime.block_on(registry.client.auth(
            &reference,
            &credentials,
            RegistryOperation::Pull,
        ));
        match (token, credentials) {
            (Ok(Some(token)), _) => Ok(Some(format!("Bearer {token}"))),
            (Ok(None), RegistryAuth::Basic(user, password)) => {
                Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))))
            }
            (Ok(None), _) => Ok(None),
            (Err(OciDistributionError::RequestError(error)), _) => {
                // Without its address, which may hold a token.
                let reason = error.without_url().to_string();
                Err(FetchError::Unreachable { url, reason })
            }
            (Err(error), _) => {
                let reason: String = error.to_string().chars().take(300).collect();
                Err(denied(reason))
            }
        }
    }
}

impl Credentials for Login {
    fn authorization(
        &self,
        url: &str,
        refused: Option<Option<&str>>,
    ) -> Result<Option<String>, FetchError> {
        let Some((host, repository)) = parts(url) else { return Ok(None) };
        let key = (host.to_owned(), repository.to_owned());
        // While one asks, the others wait: what it is told is for them, too.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.headers.get(&key).cloned();
        match refused {
            Some(refused) if known.as_deref() == refused => {}
            _ => return Ok(known),
        }
        let header = self.ask(&mut state, host, repository)?;
        match &header {
            Some(header) => drop(state.headers.insert(key, header.clone())),
            None => drop(state.headers.remove(&key)),
        }
        Ok(header)
    }
}

/// The host and the repository of an address in a registry (OCI distribution specification 1.1,
/// "Endpoints").
fn parts(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once("/v2/")?;
    let kinds = ["/manifests/", "/blobs/", "/referrers/"];
    let end = kinds.iter().find_map(|kind| path.rfind(kind))?;
    Some((host, &path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_repository() {
        let url = "https://registry.example:5000/v2/a/b/manifests/1";
        assert_eq!(parts(url), Some(("registry.example:5000", "a/b")));
        let url = "http://x/v2/blobs/blobs/blobs/sha256:00";
        assert_eq!(parts(url), Some(("x", "blobs/blobs")));
        let url = "https://x/v2/a/b/referrers/sha256:00";
        assert_eq!(parts(url), Some(("x", "a/b")));
        assert_eq!(parts("https://x/y"), None);
    }

    #[test]
    fn nobody_is_told_who_we_are_before_they_ask() {
        let login = Login::new(Settings::default(), Cancel::new());
        let url = "https://registry.example/v2/a/manifests/1";
        assert_eq!(login.authorization(url, None).unwrap(), None);
        assert!(login.state.lock().unwrap().registry.is_none());
    }
}
