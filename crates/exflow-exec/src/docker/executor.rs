use super::answer::{Answers, outcome};
use super::layers::{self, INIT_PATH, Layers};
use super::protocol::Request;
use crate::log::Log;
use crate::view::{HOST_NAME, OPEN_FILES};
use crate::{ExecError, Executor, Exit, Outcome, RunOptions};
use exflow_content::STEP_MTIME;
use exflow_docker::{ContainerSpec, Daemon, DockerError, Leftover};
use exflow_lock::Platform;
use exflow_plan::Command;
use exflow_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The label of a step's container: its name.
const STEP_LABEL: &str = "exflow.step";
/// The label that says which process a container belongs to.
const OWNER_LABEL: &str = "exflow.owner";
/// A container of another machine's that has not been started for so long, in seconds, never will.
const ABANDONED: i64 = 3600;

/// Runs commands in containers.
#[derive(Debug)]
pub struct DockerExecutor {
    store: Store,
    daemon: Daemon,
    platform: Platform,
    name: String,
    layers: Layers,
    swept: OnceLock<()>,
}

impl DockerExecutor {
    /// An executor whose inputs and outputs are in `store`, and that runs what is for `platform`.
    ///
    /// # Errors
    /// Where the daemon runs containers for other machines.
    pub fn new(store: Store, daemon: Daemon, platform: Platform) -> Result<Self, DockerError> {
        let found = daemon.version().platform.clone();
        if found != platform.to_string() {
            return Err(DockerError::Platform { found, wanted: platform.to_string() });
        }
        let name = format!("Docker {} at {}", daemon.version().engine, daemon.host());
        let layers = Layers::new();
        Ok(Self { store, daemon, platform, name, layers, swept: OnceLock::new() })
    }

    /// The image with the files of `command`, which is made where the daemon has none.
    fn image(&self, command: &Command, options: &RunOptions<'_>) -> Result<String, ExecError> {
        let mut wanted = vec![
            layers::init(&self.store, &self.platform)?,
            layers::of_base(&self.store, &command.base)?,
        ];
        let fixed = wanted.len();
        let (inputs, any_order) = layers::of_inputs(&self.store, command)?;
        wanted.extend(inputs);
        let any_order_from = any_order.then_some(fixed);
        self.layers.image(
            &self.store,
            &self.daemon,
            &self.platform,
            wanted,
            any_order_from,
            options,
        )
    }

    /// Removes what processes of exflow that are gone have left behind. Their containers end by
    /// themselves; one that was made and never started does not.
    fn sweep(&self) {
        self.swept.get_or_init(|| {
            let Ok(found) = self.daemon.containers(STEP_LABEL) else { return };
            for container in found.iter().filter(|container| is_left_behind(container)) {
                self.daemon.remove_container(&container.id);
            }
        });
    }
}

impl Executor for DockerExecutor {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, command: &Command, options: &RunOptions<'_>) -> Result<Outcome, ExecError> {
        // Beside the work: nothing of it waits for what others have left.
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.sweep());
            let outcome = self.run_in_container(scope, &is_done, command, options);
            is_done.store(true, Ordering::SeqCst);
            outcome
        })
    }
}

impl DockerExecutor {
    fn run_in_container<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        is_done: &'scope AtomicBool,
        command: &Command,
        options: &RunOptions<'_>,
    ) -> Result<Outcome, ExecError> {
        let log = Log::create(&options.log).map_err(|source| {
            ExecError::Store(StoreError::Io { action: "write", path: options.log.clone(), source })
        })?;
        let end_of_log = mark().map_err(|source| {
            ExecError::Store(StoreError::Io { action: "read", path: RANDOM.into(), source })
        })?;
        let request =
            request(command, &end_of_log).encode().map_err(|error| ExecError::Container {
                action: "pass the command on".to_owned(),
                reason: error.to_string(),
            })?;
        let image = self.image(command, options)?;
        if options.cancel.is_cancelled() {
            return Ok(Outcome { exit: Exit::Cancelled, outputs: Vec::new() });
        }
        let running = match self.daemon.start(&spec(image, options), &request) {
            // Someone has removed it since it was looked for.
            Err(error) if error.is_not_found() => {
                self.layers.forget();
                let image = self.image(command, options)?;
                self.daemon.start(&spec(image, options), &request)
            }
            other => other,
        };
        let running = running?;
        scope.spawn(|| self.layers.remove_replaced(&self.daemon, is_done));
        outcome(&self.store, command, Answers::new(running, log, options, end_of_log))
    }
}

fn spec(image: String, options: &RunOptions<'_>) -> ContainerSpec {
    ContainerSpec {
        image,
        entrypoint: vec![INIT_PATH.to_owned()],
        host_name: HOST_NAME.to_owned(),
        labels: BTreeMap::from([
            (STEP_LABEL.to_owned(), options.name.clone()),
            (OWNER_LABEL.to_owned(), Owner::this().to_string()),
        ]),
    }
}

/// Where random bytes come from.
const RANDOM: &str = "/dev/urandom";

/// What no step can print, because it can't know it.
fn mark() -> std::io::Result<Vec<u8>> {
    let mut random = [0; 16];
    fs::File::open(RANDOM)?.read_exact(&mut random)?;
    Ok([&b"\0exflow"[..], &random].concat())
}

fn request(command: &Command, end_of_log: &[u8]) -> Request {
    let pairs = command.env.iter().flat_map(|(name, value)| [name, value]);
    Request {
        argv: command.argv.iter().map(|argument| argument.clone().into_bytes()).collect(),
        env: pairs.map(|text| text.clone().into_bytes()).collect(),
        workdir: command.workdir.as_bytes().to_vec(),
        outputs: command.outputs.iter().map(|output| output.as_bytes().to_vec()).collect(),
        mtime: STEP_MTIME,
        open_files: OPEN_FILES,
        end_of_log: end_of_log.to_vec(),
    }
}

/// A process, so that another one on the same machine can tell whether it is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    /// The machine since it was last started, and the pid namespace: elsewhere, the number means
    /// nothing.
    boot: String,
    process: u32,
    /// When it began, in ticks since then (proc(5), `/proc/pid/stat`).
    began: String,
}

impl Owner {
    fn this() -> Self {
        let process = std::process::id();
        Self { boot: boot(), process, began: began(process).unwrap_or_default() }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (boot, process, began) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { boot: boot.into(), process: process.parse().ok()?, began: began.into() })
    }

    /// Whether it is gone; none where that can't be told from here.
    fn is_gone(&self) -> Option<bool> {
        (self.boot == boot()).then(|| began(self.process).is_none_or(|began| began != self.began))
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.boot, self.process, self.began)
    }
}

fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

fn began(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

fn is_left_behind(container: &Leftover) -> bool {
    let owner = container.labels.get(OWNER_LABEL).and_then(|owner| Owner::parse(owner));
    owner.and_then(|owner| owner.is_gone()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().cast_signed());
        !container.is_running && now.saturating_sub(container.created) > ABANDONED
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(owner: &str, is_running: bool, created: i64) -> Leftover {
        let labels = BTreeMap::from([(OWNER_LABEL.to_owned(), owner.to_owned())]);
        Leftover { id: "x".into(), labels, is_running, created }
    }

    #[test]
    fn what_is_left_behind() {
        let this = Owner::this();
        let text = this.to_string();
        assert_eq!(Owner::parse(&text), Some(this.clone()));
        assert!(!is_left_behind(&container(&text, true, 0)), "ours");
        assert!(!is_left_behind(&container(&text, false, 0)), "ours, about to start");
        let other = Owner { began: "1".into(), ..this.clone() }.to_string();
        assert!(is_left_behind(&container(&other, true, i64::MAX)), "the number was used again");
        let far = Owner { boot: "far".into(), ..this }.to_string();
        assert!(!is_left_behind(&container(&far, true, 0)), "another machine's, and at work");
        assert!(is_left_behind(&container(&far, false, 0)), "another machine's, long ago");
        assert!(!is_left_behind(&container(&far, false, i64::MAX)), "another machine's, just now");
        assert!(is_left_behind(&container("?", false, 0)), "nobody's");
    }
}
