use crate::error::chain;
use crate::{DockerError, Endpoint};
use bollard::Docker;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a daemon may take to say what it is.
const HELLO: Duration = Duration::from_secs(10);
/// How long it may take over anything that isn't expected to take long, in seconds.
const PATIENCE: u64 = 120;

/// A connection to a daemon that has answered.
#[derive(Debug)]
pub struct Daemon {
    pub(crate) docker: Docker,
    pub(crate) runtime: Runtime,
    host: String,
    version: Version,
}

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version of the engine: `28.2.2`.
    pub engine: String,
    /// The system and architecture that it runs, as OCI names them: `linux/amd64`.
    pub platform: String,
}

impl Daemon {
    /// Connects to a daemon, and asks what it is.
    pub fn connect(endpoint: &Endpoint) -> Result<Self, DockerError> {
        let unreachable =
            |reason: String| DockerError::Unreachable { host: endpoint.host.clone(), reason };
        // One thread is enough for what all steps together send and receive.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        let connected = runtime.block_on(
            async {
                let docker = client(endpoint)?.negotiate_version().await?;
                let version = docker.version().await?;
                Ok::<_, bollard::errors::Error>((docker, version))
            }
            .within(HELLO),
        );
        let (docker, version) = match connected {
            Some(Ok(connected)) => connected,
            Some(Err(error)) => return Err(unreachable(chain(&error))),
            None => return Err(unreachable(format!("no answer in {} s", HELLO.as_secs()))),
        };
        let version = Version {
            engine: version.version.unwrap_or_default(),
            platform: format!(
                "{}/{}",
                version.os.unwrap_or_default(),
                version.arch.unwrap_or_default()
            ),
        };
        Ok(Self { docker, runtime, host: endpoint.host.clone(), version })
    }

    /// Where it is.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it is.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Asks for something, and waits for the answer.
    pub(crate) fn ask<T>(
        &self,
        action: &'static str,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        let limit = Duration::from_secs(PATIENCE);
        match self.runtime.block_on(request.within(limit)) {
            Some(answer) => answer.map_err(|error| DockerError::of(action, error)),
            None => Err(DockerError::Lost {
                action,
                reason: format!("no answer in {} s", limit.as_secs()),
            }),
        }
    }
}

/// A client that has not talked to anyone yet.
fn client(endpoint: &Endpoint) -> Result<Docker, bollard::errors::Error> {
    let version = bollard::API_DEFAULT_VERSION;
    // A request may take as long as a large image takes; who asks has a limit of their own.
    let limit = u64::from(u32::MAX);
    match &endpoint.tls {
        Some(tls) if !endpoint.host.starts_with("unix:") && !endpoint.host.starts_with("ssh:") => {
            Docker::connect_with_ssl(&endpoint.host, &tls.key, &tls.cert, &tls.ca, limit, version)
        }
        _ => {
            let docker = Docker::connect_with_host(&endpoint.host)?;
            Ok(docker.with_timeout(Duration::from_secs(limit)))
        }
    }
}

/// A time limit, for what is waited for.
pub(crate) trait Within: Future + Sized {
    /// Its result; none where it takes longer.
    async fn within(self, limit: Duration) -> Option<Self::Output> {
        tokio::time::timeout(limit, self).await.ok()
    }
}

impl<F: Future> Within for F {}
