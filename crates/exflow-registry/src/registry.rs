use crate::RegistryError;
use crate::error::Tried;
use exflow_fetch::Cancel;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a registry may be silent.
const SILENCE: Duration = Duration::from_mins(1);
/// How long it may take to reach one.
const CONNECT: Duration = Duration::from_secs(15);
/// How often something is tried.
const TRIES: u32 = 4;

/// How registries are talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The registries, by host and port, that have no TLS. All others must have it.
    pub plain_http: BTreeSet<String>,
    /// How long it is waited before something is tried again; twice as long each time.
    pub pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { plain_http: BTreeSet::new(), pause: Duration::from_secs(1) }
    }
}

/// A connection to registries.
pub struct Registry {
    pub(crate) client: Client,
    pub(crate) runtime: Runtime,
    pub(crate) cancel: Cancel,
    pause: Duration,
}

impl Registry {
    /// One that stops when `cancel` says so.
    ///
    /// # Errors
    /// Where this process can start no threads.
    pub fn new(settings: &Settings, cancel: Cancel) -> std::io::Result<Self> {
        // Several clients of this process may say so; the first is as good as any.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = settings.plain_http.iter().cloned().collect();
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("exflow/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self { client: Client::new(config), runtime, cancel, pause: settings.pause })
    }

    /// Tries something, and again where that may help.
    pub(crate) async fn try_to<T, F: Future<Output = Result<T, OciDistributionError>>>(
        &self,
        registry: &str,
        action: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut pause = self.pause;
        for number in 1.. {
            let error = match attempt().await {
                Ok(result) => return Ok(result),
                Err(error) => Tried::of(registry, action, error),
            };
            if self.cancel.is_cancelled() {
                return Err(RegistryError::Cancelled);
            }
            if !error.may_pass || number == TRIES {
                return Err(error.error);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("it ends with the last try")
    }
}
