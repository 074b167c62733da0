//! Bases, and what steps in them have of them.

use super::{DEFAULT_TIME_LIMIT, NOT_LOCKED, Planner};
use crate::graph::{Action, PlannedBase, PlannedRoot, Step, StepId};
use exflow_content::STEP_MTIME;
use exflow_diagnostics::Diagnostic;
use exflow_lock::{ImageDefaults, LockedRoot, RequestedBase, RequestedDebian};
use exflow_manifest::Stage;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The environment of every step, before all that is said of it.
fn environment() -> BTreeMap<String, String> {
    let epoch = STEP_MTIME.to_string();
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("SOURCE_DATE_EPOCH", &epoch),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

impl Planner<'_> {
    /// The step that makes the base of `stage`.
    pub(super) fn base(&mut self, stage: &Stage) -> Option<StepId> {
        let name = &stage.base.as_ref()?.value;
        if let Some(step) = self.bases.get(name) {
            return Some(*step);
        }
        let base = self.workspace.bases.get(name)?;
        let locked = self.lock.bases.get(name).and_then(|locked| locked.locked.get(self.platform));
        let Some(locked) = locked else {
            self.problems.push(
                Diagnostic::error(
                    NOT_LOCKED,
                    format!("base `{name}` is not in the lock for {}", self.platform),
                )
                .at(&base.site, "declared here")
                .help("run `exflow lock`"),
            );
            return None;
        };
        let root = match (locked, &self.lock.bases[name].requested) {
            (LockedRoot::Debian(debian), RequestedBase::Debian(RequestedDebian { slim, .. })) => {
                PlannedRoot::Debian { debian: Arc::new(debian.clone()), slim: *slim }
            }
            (LockedRoot::Image(image), RequestedBase::Image(requested)) => PlannedRoot::Image {
                image: Arc::new((**image).clone()),
                named: requested.packages.clone(),
                source: requested.source.clone(),
            },
            _ => unreachable!("a base is locked as what is requested"),
        };
        let action =
            Action::Base(PlannedBase { name: name.clone(), root, platform: self.platform.clone() });
        let step = self.push(Step {
            name: format!("base:{name}"),
            stages: Vec::new(),
            action,
            site: Some(base.site.clone()),
            time_limit: DEFAULT_TIME_LIMIT,
        });
        self.bases.insert(name.clone(), step);
        Some(step)
    }

    /// What the image that a base is says of its containers; nothing where it is none.
    pub(super) fn defaults(&self, base: StepId) -> ImageDefaults {
        match &self.plan.steps[base].action {
            Action::Base(PlannedBase { root: PlannedRoot::Image { image, .. }, .. }) => {
                image.defaults.clone()
            }
            _ => ImageDefaults::default(),
        }
    }

    /// The environment of a step in this base, before what its plugin and its stage add.
    pub(super) fn environment(&self, base: StepId) -> BTreeMap<String, String> {
        let mut env = environment();
        env.extend(self.defaults(base).env);
        env
    }
}
