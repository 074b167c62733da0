use crate::daemon::Within;
use crate::filters::by_label;
use crate::{Daemon, DockerError};
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How many processes a container may have.
const MAX_PROCESSES: i64 = 16_384;

/// A container whose first process is a program of exflow's own: without a network, without what
/// Docker would keep of its output, and gone when that process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image, by its identifier or a name.
    pub image: String,
    /// The program and its arguments.
    pub entrypoint: Vec<String>,
    /// The name of the host that it sees.
    pub host_name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A container that runs.
pub struct Running<'a> {
    daemon: &'a Daemon,
    id: String,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    /// Held open for as long as the container is to run.
    input: Pin<Box<dyn AsyncWrite + Send>>,
    has_ended: bool,
}

/// What comes from a container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What it wrote to its standard output.
    Output(Bytes),
    /// What it wrote to its standard error.
    Error(Bytes),
    /// There was nothing.
    Nothing,
    /// It has closed both, which it does by ending.
    Ended,
}

/// A container of exflow's that someone left behind, or still uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is called by.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its process runs.
    pub is_running: bool,
    /// When it was made, in seconds since 1970 by the daemon's clock.
    pub created: i64,
}

impl Daemon {
    /// Starts a container, and writes `input` to its standard input, which then stays open until
    /// the [`Running`] is dropped.
    pub fn start(&self, spec: &ContainerSpec, input: &[u8]) -> Result<Running<'_>, DockerError> {
        let none = || Some(Vec::new());
        let host = HostConfig {
            network_mode: Some("none".into()),
            auto_remove: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            // For mounts in namespaces of its own. The step that it starts has lost it by then.
            cap_add: Some(vec!["SYS_ADMIN".into()]),
            security_opt: Some(vec!["apparmor=unconfined".into(), "label=disable".into()]),
            // A `/proc` of its own can only be mounted where the container's is whole.
            masked_paths: none(),
            readonly_paths: none(),
            pids_limit: Some(MAX_PROCESSES),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            entrypoint: Some(spec.entrypoint.clone()),
            cmd: none(),
            user: Some("0:0".into()),
            working_dir: Some("/".into()),
            hostname: Some(spec.host_name.clone()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            // The end of our connection is the end of its standard input.
            stdin_once: Some(true),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let created = self.docker.create_container(None, body);
        let id = self.ask("make a container", created)?.id;
        let started = self.begin(&id, input);
        started.inspect_err(|_| self.remove_container(&id))
    }

    fn begin(&self, id: &str, input: &[u8]) -> Result<Running<'_>, DockerError> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        // Before it starts, so that nothing is missed.
        let mut attached =
            self.ask("attach to a container", self.docker.attach_container(id, Some(options)))?;
        self.ask("start a container", self.docker.start_container(id, None))?;
        let written = async {
            attached.input.write_all(input).await?;
            attached.input.flush().await
        };
        self.runtime.block_on(written).map_err(|error| DockerError::Lost {
            action: "run a step",
            reason: error.to_string(),
        })?;
        Ok(Running {
            daemon: self,
            id: id.to_owned(),
            output: attached.output,
            input: attached.input,
            has_ended: false,
        })
    }

    /// Ends a container, and removes it. One that isn't there any more is left alone.
    pub fn remove_container(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let removed = self.docker.remove_container(id, Some(options));
        let _ = self.ask("remove a container", removed);
    }

    /// The containers that have a label.
    pub fn containers(&self, label: &str) -> Result<Vec<Leftover>, DockerError> {
        let options =
            ListContainersOptionsBuilder::default().all(true).filters(&by_label(label)).build();
        let found = self.ask("list its containers", self.docker.list_containers(Some(options)))?;
        let found = found.into_iter().map(|container| Leftover {
            id: container.id.unwrap_or_default(),
            labels: container.labels.unwrap_or_default().into_iter().collect(),
            is_running: container
                .state
                .is_some_and(|state| state == bollard::models::ContainerSummaryStateEnum::RUNNING),
            created: container.created.unwrap_or_default(),
        });
        Ok(found.collect())
    }
}

impl Running<'_> {
    /// What comes next, waited for so long at most.
    pub fn next(&mut self, wait: Duration) -> Result<Event, DockerError> {
        let next = self.daemon.runtime.block_on(self.output.next().within(wait));
        match next {
            None => Ok(Event::Nothing),
            Some(Some(Ok(LogOutput::StdErr { message }))) => Ok(Event::Error(message)),
            Some(Some(Ok(other))) => Ok(Event::Output(other.into_bytes())),
            Some(Some(Err(error))) => Err(DockerError::of("run a step", error)),
            Some(None) => {
                self.has_ended = true;
                Ok(Event::Ended)
            }
        }
    }
}

impl Running<'_> {
    /// Writes to its standard input.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DockerError> {
        let input = &mut self.input;
        let written = self.daemon.runtime.block_on(async {
            input.write_all(bytes).await?;
            input.flush().await
        });
        written
            .map_err(|error| DockerError::Lost { action: "run a step", reason: error.to_string() })
    }

    /// Leaves a container alone that is about to end by itself.
    pub fn leave(&mut self) {
        self.has_ended = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // One that has ended is removed by the daemon itself.
        if !self.has_ended {
            self.daemon.remove_container(&self.id);
        }
    }
}
