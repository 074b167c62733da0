//! Plugins that are fetched: what they are today, and what was locked.

use crate::places::{Places, http};
use crate::report::Failure;
use crate::session::Session;
use crate::ui::{Shown, Ui};
use exflow_content::{Digest, Sha256};
use exflow_diagnostics::Site;
use exflow_fetch::{Cancel, Client, ComponentPlace, FetchError};
use exflow_lock::{LockedPlugin, RequestedPlugin};
use exflow_manifest::Workspace;
use exflow_plugin_host::MAX_COMPONENT;
use exflow_registry::{BaseReference, Login};
use exflow_store::Store;
use std::path::PathBuf;

/// Fetches components. Nothing is asked before something is to be fetched.
pub(crate) struct Components<'a> {
    client: Client,
    login: Login,
    places: Places,
    store: Store,
    ui: &'a Ui,
}

impl<'a> Components<'a> {
    pub(crate) fn new(
        session: &'a Session,
        store: Store,
        workspace: &Workspace,
        offline: bool,
        cancel: &Cancel,
    ) -> Self {
        let places = Places::of(workspace, &session.root);
        let options = http(offline);
        Self {
            client: Client::new(options, cancel.clone()),
            login: Login::new(places.registries(), cancel.clone()),
            places,
            store,
            ui: &session.ui,
        }
    }

    /// What would be locked of a plugin now, which is asked for at `site`; none where it isn't one that is fetched.
    pub(crate) fn find(
        &self,
        name: &str,
        requested: &RequestedPlugin,
        site: Option<&Site>,
    ) -> Option<Result<LockedPlugin, Failure>> {
        let place = self.place(requested)?;
        let found = place.and_then(|place| {
            let bytes = place.find(&self.client, &self.store, MAX_COMPONENT, &Shown(self.ui))?;
            Ok(LockedPlugin {
                requested: requested.clone(),
                blake3: Digest::of(&bytes),
                size: bytes.len() as u64,
                sha256: Some(Sha256::of(&bytes)),
            })
        });
        Some(found.map_err(|error| failure(error, name, site)))
    }

    /// The file of a plugin that was locked; none where it isn't one that is fetched.
    pub(crate) fn fetch(
        &self,
        name: &str,
        locked: &LockedPlugin,
        site: Option<&Site>,
    ) -> Option<Result<PathBuf, Failure>> {
        let sha256 = locked.sha256?;
        let place = self.place(&locked.requested)?;
        let fetched = place.and_then(|place| {
            place.fetch(&self.client, &self.store, sha256, locked.size, &Shown(self.ui))
        });
        Some(fetched.map_err(|error| failure(error, name, site)))
    }

    fn place<'r>(
        &'r self,
        requested: &'r RequestedPlugin,
    ) -> Option<Result<ComponentPlace<'r>, FetchError>> {
        match requested {
            RequestedPlugin::Builtin | RequestedPlugin::Path(_) => None,
            RequestedPlugin::Url(url) => Some(Ok(ComponentPlace::Address(url))),
            RequestedPlugin::Oci(name) => Some(self.repository(name)),
        }
    }

    fn repository<'r>(&'r self, name: &'r str) -> Result<ComponentPlace<'r>, FetchError> {
        let reference: BaseReference = name.parse().map_err(|error| FetchError::Unreachable {
            url: format!("oci://{name}"),
            reason: format!("it is no reference to an artifact: {error}"),
        })?;
        let repository = self.places.repository(&reference, &self.login);
        Ok(ComponentPlace::Registry(repository, reference.version().to_owned()))
    }
}

/// Why a plugin wasn't fetched.
fn failure(error: FetchError, name: &str, site: Option<&Site>) -> Failure {
    match error.of_plugin(name) {
        FetchError::Cancelled => Failure::Interrupted,
        error => exflow_fetch::diagnose(&error, site).into(),
    }
}
