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
use exflow_lock::{Lock, LockedPlugin, RequestedPlugin};
use exflow_manifest::{Project, ReleaseTool, Workspace};
use exflow_plan::{Plan, Proposal};
use exflow_plugin_host::{
    Asked, Host, Limits, PluginBytes, PluginError, Proposed, Subject, World, diagnose,
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

/// Asks the plugins of `projects`. All problems of all of them are shown at once.
pub(crate) fn propose(
    session: &mut Session,
    asking: &Asking<'_>,
    projects: &[&Project],
) -> Result<BTreeMap<String, Proposal>, Failure> {
    let store = session.store()?;
    let host = Host::new(store, Limits::default()).telling(session.ui.compiling());
    let wanted = inputs::wanted(asking.workspace);
    let mut problems = Diagnostics::new();
    let mut warnings = Diagnostics::new();
    let mut proposals = BTreeMap::new();
    for project in projects {
        let Some(tool) = &project.tool else { continue };
        let requested = &wanted.plugins[&tool.plugin.value];
        let asked = match ask(session, asking, &host, project, tool, requested)? {
            Answer::Asked(asked) => asked,
            Answer::Failed(more) => {
                problems.extend(more);
                continue;
            }
            Answer::NotMade(more) => {
                warnings.extend(more);
                continue;
            }
            Answer::Nowhere(more) => {
                problems.extend(more);
                break;
            }
        };
        // What is worth knowing is told when it is news, not in every build.
        let is_news = asked.calls > 0;
        if is_news {
            session.ui.event(&Event::Plugin {
                plugin: &tool.plugin.value,
                project: &project.name.value,
                calls: asked.calls,
            });
        }
        match asked.proposed {
            Proposed::Ready(proposal) => {
                if is_news {
                    warnings.extend(proposal.warnings.iter().cloned());
                }
                proposals.insert(project.name.value.clone(), *proposal);
            }
            Proposed::Refused(more) => problems.extend(more),
        }
    }
    if !warnings.is_empty() {
        session.warn(&warnings);
    }
    Ok(problems.into_result(proposals)?)
}

/// What came of asking a plugin about a project.
enum Answer {
    Asked(Asked),
    /// There is no answer.
    Failed(Diagnostics),
    /// It depends on what would have to be made, and nothing is.
    NotMade(Diagnostics),
    /// There is no answer, nor will there be any for the next project.
    Nowhere(Diagnostics),
}

/// Asks the plugin of one project.
fn ask(
    session: &mut Session,
    asking: &Asking<'_>,
    host: &Host,
    project: &Project,
    tool: &ReleaseTool,
    requested: &RequestedPlugin,
) -> Result<Answer, Failure> {
    let store = session.store()?;
    let (name, site) = (&tool.plugin.value, Some(&tool.plugin.site));
    let root = session.root.clone();
    let mut plugin = match plugins::plugin(&root, &store, name, requested, asking.lock) {
        Ok(plugin) => plugin,
        Err(source) => {
            let problem = if matches!(requested, RequestedPlugin::Path(_)) {
                let path = plugins::plugin_path(&root, name, requested);
                diagnose(&PluginError::Read { path, source }, name, site)
            } else {
                plugin_not_locked(asking.workspace, name)
            };
            return Ok(Answer::Failed(problem.into()));
        }
    };
    let subject = Subject {
        name: &project.name.value,
        folder: &project.folder,
        platform: &platform(),
        site,
        settings: &tool.settings,
        sources: asking.sources,
    };
    let maker = Maker {
        session: RefCell::new(session),
        asking,
        project,
        root,
        store,
        failure: RefCell::default(),
    };
    let mut asked = host.propose(&plugin, &subject, &maker);
    // Only now it is known that it is needed.
    if let Err(PluginError::Absent) = &asked
        && let Some(locked) = asking.lock.plugin(name, requested)
        && let Some(fetched) = maker.fetch(name, locked, site)
    {
        plugin.bytes = match fetched {
            Ok(path) => PluginBytes::File(path),
            Err(Failure::Problems(more)) => return Ok(Answer::Failed(more)),
            Err(failure) => return Err(failure),
        };
        asked = host.propose(&plugin, &subject, &maker);
    }
    match (asked, maker.failure.into_inner()) {
        (Ok(asked), _) => Ok(Answer::Asked(asked)),
        (Err(PluginError::NotMade), _) if !asking.makes => {
            Ok(Answer::NotMade(not_made(&project.name.value, name, site).into()))
        }
        (Err(PluginError::NotMade), Some(Failure::Problems(more))) => Ok(Answer::Failed(more)),
        // What it was is told already, or it was stopped.
        (Err(PluginError::NotMade), Some(failure)) => Err(failure),
        (Err(error @ PluginError::Store(_)), _) => {
            Ok(Answer::Nowhere(diagnose(&error, name, site).into()))
        }
        (Err(error), _) => Ok(Answer::Failed(diagnose(&error, name, site).into())),
    }
}

/// Plans `projects`, each with what was proposed for it, if anything was.
pub(crate) fn planned(
    asking: &Asking<'_>,
    projects: &[&Project],
    proposals: &BTreeMap<String, Proposal>,
) -> Result<Plan, Diagnostics> {
    let proposed: Vec<(&Project, Option<&Proposal>)> =
        projects.iter().map(|project| (*project, proposals.get(&project.name.value))).collect();
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
    project: &'a Project,
    root: PathBuf,
    store: Store,
    /// Why it could not be made.
    failure: RefCell<Option<Failure>>,
}

impl Maker<'_> {
    fn try_make(&self, proposal: &Proposal) -> Result<BTreeMap<String, Digest>, Failure> {
        let Asking { workspace, lock, sources, options, cancel, .. } = *self.asking;
        let projects = [(self.project, Some(proposal))];
        let mut plan = exflow_plan::plan(workspace, lock, &platform(), sources, &projects)?;
        // Stages of the user's own are not what was asked for.
        plan.images.clear();
        let named = plan.proposed.remove(&self.project.name.value).unwrap_or_default();
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

    /// Fetches a plugin that was locked; none where it isn't one that is fetched.
    fn fetch(
        &self,
        name: &str,
        locked: &LockedPlugin,
        site: Option<&Site>,
    ) -> Option<Result<PathBuf, Failure>> {
        let Asking { workspace, options, cancel, .. } = self.asking;
        let session = self.session.borrow();
        let components =
            Components::new(&session, self.store.clone(), workspace, options.offline, cancel);
        components.fetch(name, locked, site)
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
