//! Asking a plugin, with its answers kept.

use crate::contract_0_2::{Answer, MadeFile};
use crate::plugin::Plugin;
use crate::question::{MAX_SHOWN, Shown, Subject, question, request, text};
use crate::runtime::{Limits, Linked, Runtime};
use crate::settings::{self, SettingSchema};
use crate::{PluginError, convert};
use exflow_content::{Digest, Encoder, RelPath, Tree};
use exflow_diagnostics::Diagnostics;
use exflow_plan::Proposal;
use exflow_store::{Record, Store};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

/// How often a plugin may ask for more.
const MAX_ROUNDS: usize = 32;
/// A component that is longer than this takes its time to be compiled, in bytes.
const SLOW: usize = 1 << 20;
/// What a plugin says about a project.
#[derive(Debug)]
pub enum Proposed {
    /// This is to be done.
    Ready(Box<Proposal>),
    /// The user has to mend this before.
    Refused(Diagnostics),
}

/// An answer, and what it took.
#[derive(Debug)]
pub struct Asked {
    /// The answer.
    pub proposed: Proposed,
    /// How often the plugin was called; not at all where all answers were known.
    pub calls: usize,
}

/// What is done for a plugin while it is asked.
pub trait World {
    /// The bytes of a file of the workspace; of one that is longer than `limit`, no more than so many, which aren't what is
    /// known of it.
    ///
    /// # Errors
    /// Where it can't be read.
    fn read(&self, path: &RelPath, limit: u64) -> io::Result<Vec<u8>>;

    /// Does what a plugin wants done before it can say more; the tree that came of each fetch, and of
    /// each step's first output, by name. None where that failed, and the user is told why otherwise.
    fn make(&self, proposal: &Proposal) -> Option<BTreeMap<String, Digest>>;
}

/// What is there, without anything that would have to be made.
struct Unmade<'a>(&'a dyn World);

impl World for Unmade<'_> {
    fn read(&self, path: &RelPath, limit: u64) -> io::Result<Vec<u8>> {
        self.0.read(path, limit)
    }

    fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
        None
    }
}

/// What is known of a plugin before it is asked anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The version of the contract that it is for.
    pub contract: String,
    /// The settings that it declares; none where only it knows them.
    pub settings: Option<Vec<SettingSchema>>,
}

/// Is told the name and the size of a plugin.
type Tell = Box<dyn Fn(&str, u64) + Send + Sync>;

/// Asks plugins, and keeps their answers in a store.
pub struct Host {
    store: Store,
    limits: Limits,
    /// For each that takes its time to be compiled, before it is.
    tell: Tell,
    runtime: OnceLock<Runtime>,
    components: Mutex<BTreeMap<Digest, Linked>>,
    declared: Mutex<BTreeMap<Digest, Option<Vec<SettingSchema>>>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Host {
    /// A host that keeps answers and compiled components in `store`. Nothing is started yet.
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            limits,
            tell: Box::new(|_, _| {}),
            runtime: OnceLock::new(),
            components: Mutex::default(),
            declared: Mutex::default(),
        }
    }

    /// Tells the name and the size of each plugin that takes its time to be compiled. What is compiled is kept.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&str, u64) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), ..self }
    }

    /// Asks `plugin` about `project`, until it has all that it wants to see.
    pub fn propose(
        &self,
        plugin: &Plugin,
        project: &Subject<'_>,
        world: &dyn World,
    ) -> Result<Asked, PluginError> {
        let Some(declared) = self.declared(plugin)? else {
            return self.ask(plugin, project, world);
        };
        let mut problems = settings::check(&declared, &plugin.name, project.settings, project.site);
        if problems.is_empty() {
            return self.ask(plugin, project, world);
        }
        // What another component than the locked one declares is another matter. Where all is well, it isn't
        // looked at.
        plugin.load()?;
        let mut calls = 0;
        // Without what it doesn't know it may find more that is wrong, and all is shown at once.
        if problems.iter().all(settings::is_unknown) {
            let mut known = project.settings.clone();
            known.retain(|name, _| declared.iter().any(|setting| setting.name == *name));
            let project = Subject { settings: &known, ..project.clone() };
            if let Ok(asked) = self.ask(plugin, &project, &Unmade(world)) {
                calls = asked.calls;
                if let Proposed::Refused(more) = asked.proposed {
                    problems.extend(more);
                }
            }
        }
        Ok(Asked { proposed: Proposed::Refused(problems), calls })
    }

    /// Asks, with settings that are known.
    fn ask(
        &self,
        plugin: &Plugin,
        project: &Subject<'_>,
        world: &dyn World,
    ) -> Result<Asked, PluginError> {
        let mut shown = Shown::default();
        let mut calls = 0;
        for _ in 0..MAX_ROUNDS {
            let key = question(plugin, project, &shown);
            let known = self
                .store
                .record(&key)?
                .and_then(|record| serde_json::from_slice(&record.data).ok());
            let answer = if let Some(answer) = known {
                answer
            } else {
                calls += 1;
                let answer = self.call(plugin, project, &shown, world)?;
                // Before it is kept, so that what can't be used is never kept.
                convert::check(&answer, project.folder)?;
                let data = serde_json::to_vec(&answer).map_err(io::Error::other);
                let data =
                    data.map_err(|error| PluginError::Invalid { reason: error.to_string() })?;
                self.store.put_record(&key, &Record { trees: Vec::new(), data })?;
                answer
            };
            match answer {
                Answer::Need(needs) => {
                    let asked = shown.len();
                    for path in &needs.files {
                        shown.files.insert(convert::path(path, "a file")?);
                    }
                    for path in &needs.folders {
                        shown.folders.insert(convert::path(path, "a folder")?);
                    }
                    if !needs.looks.is_empty() {
                        let (proposal, looks) = convert::looks(needs, project)?;
                        self.look(&proposal, looks, world, &mut shown)?;
                    }
                    if shown.len() == asked {
                        return Err(PluginError::Invalid {
                            reason: "it asks for what it was shown already".to_owned(),
                        });
                    }
                }
                Answer::Ready(proposal) => {
                    let proposal = convert::proposal(proposal, plugin, project)?;
                    return Ok(Asked { proposed: Proposed::Ready(Box::new(proposal)), calls });
                }
                Answer::Refused(problems) => {
                    let problems = convert::problems(problems, plugin, project);
                    return Ok(Asked { proposed: Proposed::Refused(problems), calls });
                }
            }
        }
        Err(PluginError::Insatiable { rounds: MAX_ROUNDS })
    }

    /// What there is to know of a plugin, whether or not any project asks for it. A component that can't be
    /// used is an error.
    pub fn inspect(&self, plugin: &Plugin) -> Result<Inspected, PluginError> {
        let contract = self.linked(plugin)?.contract;
        Ok(Inspected { contract, settings: self.declared(plugin)? })
    }

    /// The settings that a plugin declares, from the store where it was asked before.
    fn declared(&self, plugin: &Plugin) -> Result<Option<Vec<SettingSchema>>, PluginError> {
        // A panic elsewhere does not make a table of settings wrong.
        let mut known = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(declared) = known.get(&plugin.digest) {
            return Ok(declared.clone());
        }
        let key = settings_key(&plugin.digest);
        let kept = self.store.record(&key)?;
        let kept = kept.and_then(|record| serde_json::from_slice(&record.data).ok());
        let declared = if let Some(declared) = kept {
            declared
        } else {
            let component = self.linked(plugin)?;
            let described = self.runtime()?.describe(&component, &self.limits)?;
            let declared = described.map(settings::declared).transpose()?;
            let data = serde_json::to_vec(&declared).map_err(io::Error::other);
            let data = data.map_err(|error| PluginError::Invalid { reason: error.to_string() })?;
            self.store.put_record(&key, &Record { trees: Vec::new(), data })?;
            declared
        };
        known.insert(plugin.digest, declared.clone());
        Ok(declared)
    }

    fn runtime(&self) -> Result<&Runtime, PluginError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Runtime::new()?;
        Ok(self.runtime.get_or_init(|| made))
    }

    /// The component of a plugin, ready to be called.
    fn linked(&self, plugin: &Plugin) -> Result<Linked, PluginError> {
        // A panic elsewhere does not make a table of components wrong.
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = components.get(&plugin.digest) {
            return Ok(component.clone());
        }
        let load = || {
            let bytes = plugin.load()?;
            if bytes.len() > SLOW {
                (self.tell)(&plugin.name, bytes.len() as u64);
            }
            Ok(bytes)
        };
        let component = self.runtime()?.component(&self.store, &plugin.digest, load)?;
        components.insert(plugin.digest, component.clone());
        Ok(component)
    }

    /// Finds files of what is made for a plugin.
    fn look(
        &self,
        proposal: &Proposal,
        looks: Vec<(String, RelPath)>,
        world: &dyn World,
        shown: &mut Shown,
    ) -> Result<(), PluginError> {
        let made = world.make(proposal).ok_or(PluginError::NotMade)?;
        let mut trees: BTreeMap<String, Tree> = BTreeMap::new();
        for (of, path) in looks {
            let tree = match trees.entry(of.clone()) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    let digest = made.get(&of).ok_or(PluginError::NotMade)?;
                    new.insert(self.store.tree(digest)?)
                }
            };
            let found = match tree.get(&path) {
                Some(exflow_content::Entry::File { blob, size, .. }) => Some((*blob, *size)),
                _ => None,
            };
            shown.made.insert((of, path), found);
        }
        Ok(())
    }

    fn call(
        &self,
        plugin: &Plugin,
        project: &Subject<'_>,
        shown: &Shown,
        world: &dyn World,
    ) -> Result<Answer, PluginError> {
        let mut request = request(project, shown, world)?;
        for ((of, path), file) in &shown.made {
            let contents = match file {
                Some((blob, _)) => Some(self.store.read_blob(blob, MAX_SHOWN)?),
                None => None,
            };
            request.made.push(MadeFile { of: of.clone(), path: text(path), contents });
        }
        let component = self.linked(plugin)?;
        self.runtime()?.call(&component, &request, &self.limits)
    }
}

/// The key of the settings that a component declares.
///
/// # Encoding
/// Tag `exflow plugin settings 1`; digest of the component.
fn settings_key(component: &Digest) -> Digest {
    let mut encoder = Encoder::new("exflow plugin settings 1");
    encoder.digest(component);
    encoder.digest_of()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in its tag, and say so in the changelog.
    #[test]
    fn the_key_of_what_is_declared_is_pinned() {
        assert_eq!(
            settings_key(&Digest::of(b"component")).to_string(),
            "69f9feeb306a3dfcf116af3512c0399d48b821d5e7c14711ffeca982773dac03"
        );
    }
}
