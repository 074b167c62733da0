//! Asks the plugins of projects what is to be done.

use crate::cli::BuildOptions;
use crate::engine::execute;
use crate::events::Event;
use crate::files::read_at_most;
use crate::inputs::{self, platform};
use crate::locking::plugin_not_locked;
use crate::places::Places;
use crate::plugins::{self, Components};
use crate::prepare::{Prepared, executor};
use crate::report::Failure;
use crate::session::Session;
use exflow_content::{Digest, RelPath, Tree};
use exflow_diagnostics::{Diagnostic, Diagnostics, Site};
use exflow_fetch::Cancel;
use exflow_lock::{Lock, RequestedPlugin};
use exflow_manifest::{Unit, Workspace};
use exflow_plan::{Plan, Proposal};
use exflow_plugin_host::{
    Host, Limits, PluginBytes, PluginError, Project, Proposed, World, diagnose,
};
use exflow_store::Store;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

const NOT_MADE: &str = "exflow::plugin::not-made";

/// What plugins are asked about, and how what they have to see is made.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) lock: &'a Arc<Lock>,
    pub(crate) sources: &'a Tree,
    pub(crate) options: &'a BuildOptions,
    pub(crate) cancel: &'a Cancel,
    /// Whether anything is made for them. Where not, what depends on that isn't known.
    pub(crate) makes: bool,
}

/// Asks the plugins of `units`. All problems of all of them are shown at once.
pub(crate) fn propose(
    session: &mut Session,
    asking: &Asking<'_>,
    units: &[&Unit],
) -> Result<BTreeMap<String, Proposal>, Failure> {
    let store = session.store()?;
    let host = Host::new(store.clone(), Limits::default()).telling(session.ui.compiling());
    let wanted = inputs::wanted(asking.workspace);
    let root = session.root.clone();
    let mut problems = Diagnostics::new();
    let mut warnings = Diagnostics::new();
    let mut proposals = BTreeMap::new();
    let platform = platform();
    for unit in units {
        let Some(tool) = &unit.tool else { continue };
        let name = &tool.plugin.value;
        let site = Some(&tool.plugin.site);
        let requested = &wanted.plugins[name];
        let mut plugin = match plugins::plugin(&root, &store, name, requested, asking.lock) {
            Ok(plugin) => plugin,
            Err(_) if !matches!(requested, RequestedPlugin::Path(_)) => {
                problems.push(plugin_not_locked(asking.workspace, name));
                continue;
            }
            Err(source) => {
                let path = plugins::plugin_path(&root, name, requested);
                problems.push(diagnose(&PluginError::Read { path, source }, name, site));
                continue;
            }
        };
        let project = Project {
            name: &unit.name.value,
            folder: &unit.folder,
            platform: &platform,
            site,
            settings: &tool.settings,
            sources: asking.sources,
        };
        let maker = Maker {
            session: RefCell::new(session),
            asking,
            unit,
            root: root.clone(),
            store: store.clone(),
            failure: RefCell::default(),
        };
        let mut asked = host.propose(&plugin, &project, &maker);
        // Only now it is known that it is needed.
        if let Err(PluginError::Read { .. }) = &asked
            && let Some(locked) = asking.lock.plugin(name, requested)
        {
            let fetched = {
                let session = maker.session.borrow();
                let offline = asking.options.offline;
                let components = Components::new(
                    &session,
                    store.clone(),
                    asking.workspace,
                    offline,
                    asking.cancel,
                );
                components.fetch(name, locked, site)
            };
            match fetched {
                Some(Ok(path)) => {
                    plugin.bytes = PluginBytes::File(path);
                    asked = host.propose(&plugin, &project, &maker);
                }
                Some(Err(Failure::Problems(more))) => {
                    problems.extend(more);
                    continue;
                }
                Some(Err(failure)) => return Err(failure),
                None => {}
            }
        }
        let failure = maker.failure.into_inner();
        match asked {
            Ok(asked) => {
                let is_news = asked.calls > 0;
                if is_news {
                    session.ui.event(&Event::Plugin {
                        plugin: name,
                        project: &unit.name.value,
                        calls: asked.calls,
                    });
                }
                match asked.proposed {
                    Proposed::Ready(proposal) => {
                        // What is worth knowing is told when it is news, not in every build.
                        if is_news {
                            warnings.extend(proposal.warnings.iter().cloned());
                        }
                        proposals.insert(unit.name.value.clone(), *proposal);
                    }
                    Proposed::Refused(more) => problems.extend(more),
                }
            }
            Err(PluginError::NotMade) if !asking.makes => {
                warnings.push(not_made(&unit.name.value, name, site));
            }
            Err(error) => match (error, failure) {
                (PluginError::NotMade, Some(Failure::Problems(more))) => problems.extend(more),
                // What it was is told already, or it was stopped.
                (PluginError::NotMade, Some(failure)) => return Err(failure),
                // It is no other one for the next project.
                (error @ PluginError::Store(_), _) => {
                    problems.push(diagnose(&error, name, site));
                    break;
                }
                (error, _) => problems.push(diagnose(&error, name, site)),
            },
        }
    }
    if !warnings.is_empty() {
        session.warn(&warnings);
    }
    Ok(problems.into_result(proposals)?)
}

/// Plans `units`, each with what was proposed for it, if anything was.
pub(crate) fn planned(
    asking: &Asking<'_>,
    units: &[&Unit],
    proposals: &BTreeMap<String, Proposal>,
) -> Result<Plan, Diagnostics> {
    let proposed: Vec<(&Unit, Option<&Proposal>)> =
        units.iter().map(|unit| (*unit, proposals.get(&unit.name.value))).collect();
    let Asking { workspace, lock, sources, .. } = *asking;
    exflow_plan::plan(workspace, lock, &platform(), sources, &proposed)
}

/// Says that a plugin has to see what nobody has made.
pub(crate) fn not_made(project: &str, plugin: &str, site: Option<&Site>) -> Diagnostic {
    let message = format!("what `{project}` is made of isn't known before something was run");
    Diagnostic::warning(NOT_MADE, message)
        .help(format!("`exflow plan` and `exflow build` run what `{plugin}` has to see first"))
        .at_known(site, "for this")
}

/// Makes what the plugin of one project has to see.
struct Maker<'a> {
    session: RefCell<&'a mut Session>,
    asking: &'a Asking<'a>,
    unit: &'a Unit,
    root: PathBuf,
    store: Store,
    /// Why it could not be made.
    failure: RefCell<Option<Failure>>,
}

impl Maker<'_> {
    fn try_make(&self, proposal: &Proposal) -> Result<BTreeMap<String, Digest>, Failure> {
        let Asking { workspace, lock, sources, options, cancel, .. } = *self.asking;
        let units = [(self.unit, Some(proposal))];
        let mut plan = exflow_plan::plan(workspace, lock, &platform(), sources, &units)?;
        // Stages of the user's own are not what was asked for.
        plan.images.clear();
        let named = plan.proposed.remove(&self.unit.name.value).unwrap_or_default();
        let steps: BTreeSet<usize> = named.values().copied().collect();
        let prepared = Prepared {
            steps: steps.into_iter().collect(),
            images: Vec::new(),
            root: self.root.clone(),
            store: self.store.clone(),
            lock: lock.clone(),
            places: Places::of(workspace, &self.root),
            executor: executor(workspace),
            plan,
        };
        let mut session = self.session.borrow_mut();
        let executed = execute(&mut session, &prepared, options, cancel)?;
        if let Some(failure) = executed.failure {
            return Err(failure);
        }
        let made = named
            .into_iter()
            .filter_map(|(name, step)| Some((name, *executed.outputs.get(&step)?.first()?)));
        Ok(made.collect())
    }
}

impl World for Maker<'_> {
    fn read(&self, path: &RelPath, limit: u64) -> io::Result<Vec<u8>> {
        read_at_most(&self.root.join(path.as_path()), limit)
    }

    fn make(&self, proposal: &Proposal) -> Option<BTreeMap<String, Digest>> {
        if !self.asking.makes {
            return None;
        }
        match self.try_make(proposal) {
            Ok(made) => Some(made),
            Err(failure) => {
                self.failure.replace(Some(failure));
                None
            }
        }
    }
}
