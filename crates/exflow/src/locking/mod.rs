//! The lock of a workspace: whether it fits, what it lacks, and what is there today.

mod bases;
mod fetches;
mod file;
mod plugins;

pub(crate) use file::read;

use crate::cli::BuildOptions;
use crate::inputs::{site, wanted};
use crate::report::Failure;
use crate::session::Session;
use exflow_diagnostics::{Diagnostic, Diagnostics, Severity, printable};
use exflow_fetch::Cancel;
use exflow_lock::{
    Difference, ImageSource, InputKind, InputName, Lock, Platform, RequestedBase, Stale, Staleness,
    Wanted, moved, stale,
};
use exflow_manifest::Workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const STALE: &str = "exflow::lock::stale";
const WOULD_MOVE: &str = "exflow::lock::would-move";
const DROPPED: &str = "exflow::lock::dropped-platform";

/// The lock, with what it lacks added to it, unless these options refuse that. What is locked never moves.
pub(crate) fn complete(
    session: &mut Session,
    workspace: &Workspace,
    options: &BuildOptions,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let lock = read(session)?;
    let missing: Vec<Stale> =
        stale(&lock, &wanted(workspace)).into_iter().filter(Stale::is_needed).collect();
    if missing.is_empty() {
        return Ok(lock);
    }
    if options.locked || options.offline {
        let problems = missing.iter().map(|stale| stale_problem(workspace, stale));
        return Err(problems.collect::<Diagnostics>().into());
    }
    for stale in &missing {
        session.ui.tell("locking", &stale.to_string());
    }
    Ok(adjust(session, workspace, false, cancel)?.0)
}

fn stale_problem(workspace: &Workspace, stale: &Stale) -> Diagnostic {
    Diagnostic::error(STALE, format!("the lock does not fit: {stale}"))
        .help("run `exflow lock`, and commit `exflow.lock`")
        .at_known(site(workspace, &stale.input), place_of(stale.input.kind))
}

/// What the place is where an input is asked for.
fn place_of(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Base | InputKind::Fetch => "declared here",
        InputKind::Plugin => "asked for here",
    }
}

/// Says that a plugin has to be locked before anything can be done with it.
pub(crate) fn plugin_not_locked(workspace: &Workspace, name: &str) -> Diagnostic {
    let stale = Stale { input: InputKind::Plugin.named(name), how: Staleness::Missing };
    stale_problem(workspace, &stale)
}

/// Every way in which the lock doesn't fit, as problems: what [`adjust`] would change, and what it leaves to [`update`].
pub(crate) fn problems(root: &Path, workspace: &Workspace, lock: &Lock) -> Diagnostics {
    let wanted = wanted(workspace);
    let mut problems: Diagnostics =
        stale(lock, &wanted).iter().map(|stale| stale_problem(workspace, stale)).collect();
    problems.extend(plugins::changed(root, workspace, &wanted, lock));
    problems
}

/// The same, where it is no mistake yet.
pub(crate) fn warnings(root: &Path, workspace: &Workspace, lock: &Lock) -> Diagnostics {
    as_warnings(problems(root, workspace, lock))
}

fn as_warnings(problems: Diagnostics) -> Diagnostics {
    let warning = |problem| Diagnostic { severity: Severity::Warning, ..problem };
    problems.into_iter().map(warning).collect()
}

/// Adds what the lock lacks, and writes it where that changes it, which is the second value. It also
/// takes out what nothing asks for, where it `drops` that. What is locked never moves.
pub(crate) fn adjust(
    session: &mut Session,
    workspace: &Workspace,
    drops: bool,
    cancel: &Cancel,
) -> Result<(Lock, bool), Failure> {
    let (_, lock, is_changed) =
        file::change(session, |session, old| adjusted(session, workspace, old, drops, cancel))?;
    Ok((lock, is_changed))
}

fn adjusted(
    session: &mut Session,
    workspace: &Workspace,
    old: &Lock,
    drops: bool,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let wanted = wanted(workspace);
    let mut lock = old.clone();
    let mut anew = Anew { may_drop: true, ..Anew::default() };
    for stale in stale(old, &wanted) {
        if stale.is_needed() {
            let platforms = match stale.how {
                // What is locked for others is as it should be.
                Staleness::MissingFor(platform) => BTreeSet::from([platform]),
                _ => platforms(&wanted, old, &stale.input),
            };
            anew.add(stale.input, platforms);
        } else if drops {
            lock.remove(&stale.input);
        }
    }
    let mut problems = anew.lock(session, workspace, &wanted, &mut lock, cancel)?;
    let moved = moved(old, &lock);
    problems.extend(moved.iter().map(|difference| would_move(workspace, difference)));
    let lock = problems.into_result(lock)?;
    session.warn(&dropped(workspace, old, &lock));
    Ok(lock)
}

/// Says which bases are locked for fewer platforms than before, although something of them was held.
fn dropped(workspace: &Workspace, old: &Lock, new: &Lock) -> Diagnostics {
    let mut dropped = Diagnostics::new();
    for (name, new) in &new.bases {
        let Some(old) = old.bases.get(name).filter(|old| old.requested.holds_for(&new.requested))
        else {
            continue;
        };
        for platform in old.locked.keys().filter(|platform| !new.locked.contains_key(platform)) {
            let input = InputKind::Base.named(name);
            let message = format!("{input} is no longer locked for {platform}");
            let problem = Diagnostic::warning(DROPPED, message)
                .help("what was locked for it is of another request: `exflow lock` there locks what there is then");
            dropped.push(problem.at_known(site(workspace, &input), place_of(input.kind)));
        }
    }
    dropped
}

/// Says that something which is locked would have to move.
fn would_move(workspace: &Workspace, difference: &Difference) -> Diagnostic {
    let input = &difference.input;
    let changes: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
    let message = format!(
        "{} can't be locked without moving what is locked: {}",
        difference.subject(),
        printable(&changes.join(", "))
    );
    Diagnostic::error(WOULD_MOVE, message)
        .help(format!(
            "nothing that is locked moves by itself: `exflow update {}` moves it",
            input.argument()
        ))
        .at_known(site(workspace, input), place_of(input.kind))
}

/// The platforms for which an input is locked anew: the one that is wanted, and those of a base that was locked for others,
/// too, and of which something is held. Without that they would lose it.
fn platforms(wanted: &Wanted, old: &Lock, input: &InputName) -> BTreeSet<Platform> {
    let mut platforms = BTreeSet::from([wanted.platform.clone()]);
    if input.kind == InputKind::Base
        && let requested = &wanted.bases[&input.name]
        && let Some(old) = old.bases.get(&input.name)
        && old.requested.holds_for(requested)
        && !needs_a_daemon(requested, &old.requested)
    {
        platforms.extend(old.locked.keys().cloned());
    }
    platforms
}

/// What is to be locked as it is today.
#[derive(Default)]
struct Anew {
    bases: BTreeMap<Platform, BTreeSet<String>>,
    plugins: BTreeSet<String>,
    fetches: BTreeSet<String>,
    /// Whether a base may be locked for fewer platforms then: for what was asked for before, it was locked for them.
    may_drop: bool,
}

impl Anew {
    /// Adds an input; the platforms matter where it differs by them.
    fn add(&mut self, input: InputName, platforms: BTreeSet<Platform>) {
        match input.kind {
            InputKind::Base => {
                for platform in platforms {
                    self.bases.entry(platform).or_default().insert(input.name.clone());
                }
            }
            InputKind::Plugin => drop(self.plugins.insert(input.name)),
            InputKind::Fetch => drop(self.fetches.insert(input.name)),
        }
    }

    /// Locks all of it. What `lock` holds on to is taken, where that can be had; what can't be locked is a problem.
    fn lock(
        &self,
        session: &mut Session,
        workspace: &Workspace,
        wanted: &Wanted,
        lock: &mut Lock,
        cancel: &Cancel,
    ) -> Result<Diagnostics, Failure> {
        let mut problems = Diagnostics::new();
        let held = &lock.clone();
        let mut locking =
            Locking { session, workspace, held, lock, problems: &mut problems, cancel };
        let done = self.each(&mut locking, wanted);
        match done {
            // What was found before is worth knowing, too.
            Err(Failure::Problems(more)) => problems.extend(more),
            other => other?,
        }
        Ok(problems)
    }

    fn each(&self, locking: &mut Locking<'_>, wanted: &Wanted) -> Result<(), Failure> {
        plugins::lock(locking, wanted, &self.plugins)?;
        fetches::lock(locking, wanted, &self.fetches)?;
        if let Some(names) = self.bases.get(&wanted.platform) {
            bases::lock(locking, wanted.clone(), names)?;
        }
        // What is wrong here is wrong there, too, and is said once.
        if locking.problems.has_errors() {
            return Ok(());
        }
        for (platform, names) in self.bases.iter().filter(|(it, _)| **it != wanted.platform) {
            let wanted = Wanted { platform: platform.clone(), ..wanted.clone() };
            for name in names {
                elsewhere(locking, wanted.clone(), name, self.may_drop)?;
            }
        }
        Ok(())
    }
}

/// Locks a base for another platform than this one. What it has no packages for, it isn't locked for any more: nobody
/// could build it there. Whatever else goes wrong may be otherwise tomorrow.
fn elsewhere(
    locking: &mut Locking<'_>,
    wanted: Wanted,
    name: &str,
    may_drop: bool,
) -> Result<(), Failure> {
    let mut found = Diagnostics::new();
    let done = {
        let Locking { session, workspace, held, lock, cancel, .. } = locking;
        let mut there = Locking { session, workspace, held, lock, problems: &mut found, cancel };
        bases::lock(&mut there, wanted, &BTreeSet::from([name.to_owned()]))
    };
    match done {
        Err(Failure::Problems(more)) => found.extend(more),
        other => other?,
    }
    if may_drop && found.iter().all(|problem| problem.code.stage() == PACKAGES) {
        locking.session.warn(&as_warnings(found));
    } else {
        locking.problems.extend(found);
    }
    Ok(())
}

/// What problems are about that say of packages that they aren't there or don't go together.
const PACKAGES: &str = "packages";

/// A lock that is being completed.
struct Locking<'a> {
    session: &'a mut Session,
    workspace: &'a Workspace,
    /// As it was before.
    held: &'a Lock,
    lock: &'a mut Lock,
    /// What can't be locked, and why.
    problems: &'a mut Diagnostics,
    cancel: &'a Cancel,
}

/// A lock before and after some of it was updated.
pub(crate) struct Updated {
    pub(crate) old: Lock,
    pub(crate) new: Lock,
}

/// Locks `inputs` as they are today, whatever they were, on every platform that they are locked for; writes that
/// unless it is only to be known. Nothing else moves, and nothing that is missing is added.
pub(crate) fn update(
    session: &mut Session,
    workspace: &Workspace,
    inputs: &BTreeSet<InputName>,
    dry_run: bool,
    cancel: &Cancel,
) -> Result<Updated, Failure> {
    let changed =
        |session: &mut Session, old: &Lock| updated(session, workspace, old, inputs, cancel);
    if dry_run {
        let old = read(session)?;
        let new = changed(session, &old)?;
        return Ok(Updated { old, new });
    }
    let (old, new, _) = file::change(session, changed)?;
    Ok(Updated { old, new })
}

fn updated(
    session: &mut Session,
    workspace: &Workspace,
    old: &Lock,
    inputs: &BTreeSet<InputName>,
    cancel: &Cancel,
) -> Result<Lock, Failure> {
    let wanted = wanted(workspace);
    let mut lock = old.clone();
    let mut anew = Anew::default();
    for input in inputs {
        anew.add(input.clone(), platforms(&wanted, old, input));
        // What isn't there any more can't be held on to, neither here nor by what is locked for another platform.
        lock.remove(input);
    }
    Ok(anew.lock(session, workspace, &wanted, &mut lock, cancel)?.into_result(lock)?)
}

/// Whether a daemon has to be asked, which has images of its own platform only: an image that is held is known, unless
/// packages are to be added to it.
fn needs_a_daemon(requested: &RequestedBase, old: &RequestedBase) -> bool {
    let RequestedBase::Image(image) = requested else { return false };
    let is_known = requested != old && image.packages.is_empty();
    matches!(image.source, ImageSource::Daemon(_)) && !is_known
}

#[cfg(test)]
mod tests {
    use super::file::LOCK;
    use super::*;
    use crate::plugins::plugin_bytes;
    use crate::ui::Ui;
    use exflow_content::{Digest, RelPath};
    use exflow_diagnostics::SourceName;
    use exflow_image::ASSEMBLY_VERSION;
    use exflow_lock::{LockedBase, LockedDebian, LockedPlugin, LockedRoot, RequestedPlugin, print};
    use exflow_manifest::assemble;

    const MANIFEST: &str = "base \"builder\" { debian \"made-up\" }
        base \"runner\" { debian \"made-up\" }
        plugin \"mine\" path=\"mine.wasm\"
        workspace \"w\" { members \"*\" }
        project \"a\" { release-tool \"mix-release\" }";

    /// A workspace with a plugin of each kind, which are locked with what they aren't.
    struct Bench {
        session: Session,
        workspace: Workspace,
        folder: exflow_testkit::Workspace,
    }

    impl Bench {
        fn new() -> Self {
            let source = SourceName::new("exflow.kdl");
            let root = exflow_manifest::parse(&source, MANIFEST).unwrap();
            let member = "project \"b\" { release-tool \"mine\" }";
            let member = exflow_manifest::parse(&SourceName::new("b/exflow.kdl"), member).unwrap();
            let members = vec![(RelPath::new("b").unwrap(), member)];
            let workspace = assemble(&source, root, members, &["mix-release"]).unwrap();
            let folder = exflow_testkit::Workspace::new("").with("mine.wasm", "new");
            let mut session = Session::new(Ui::new(None, false));
            session.root = folder.root();
            let bench = Self { session, workspace, folder };
            bench.lock(&wanted(&bench.workspace).plugins);
            bench
        }

        /// Locks what is asked for: without packages, and plugins with what they aren't.
        fn lock(&self, plugins: &BTreeMap<String, RequestedPlugin>) {
            let debian = LockedDebian { snapshot: "20261101T000000Z".into(), packages: Vec::new() };
            let platforms = [Platform::LinuxAmd64, Platform::LinuxArm64];
            let debian = LockedRoot::Debian(debian);
            let locked: BTreeMap<Platform, LockedRoot> =
                platforms.map(|platform| (platform, debian.clone())).into();
            let bases = wanted(&self.workspace)
                .bases
                .into_iter()
                .map(|(name, requested)| (name, LockedBase { requested, locked: locked.clone() }));
            let plugins = plugins.iter().map(|(name, requested)| {
                let blake3 = Digest::of(b"old");
                (
                    name.clone(),
                    LockedPlugin { requested: requested.clone(), blake3, size: 3, sha256: None },
                )
            });
            let lock = Lock {
                image_assembly: ASSEMBLY_VERSION,
                bases: bases.collect(),
                plugins: plugins.collect(),
                ..Lock::default()
            };
            self.folder.write(LOCK, &print(&lock));
        }

        fn problems(&mut self) -> Vec<String> {
            let lock = read(&mut self.session).unwrap();
            let problems = problems(&self.session.root, &self.workspace, &lock);
            problems.iter().map(|problem| problem.code.to_string()).collect()
        }

        fn adjust(&mut self, drops: bool) -> Result<(Lock, bool), Failure> {
            adjust(&mut self.session, &self.workspace, drops, &Cancel::new())
        }

        fn update(&mut self, plugin: &str) -> Result<Updated, Failure> {
            let inputs = [InputKind::Plugin.named(plugin)].into();
            update(&mut self.session, &self.workspace, &inputs, false, &Cancel::new())
        }
    }

    /// What is locked stays, also where `lock --check` finds that it is another now.
    #[test]
    fn a_plugin_moves_by_update_only() {
        let mut bench = Bench::new();
        assert_eq!(bench.problems(), ["exflow::plugin::changed"; 2]);
        for drops in [false, true] {
            let (lock, is_changed) = bench.adjust(drops).unwrap();
            assert!(!is_changed);
            assert_eq!(lock.plugins["mine"].blake3, Digest::of(b"old"));
        }
        let updated = bench.update("mine").unwrap();
        assert_eq!(updated.old.plugins["mine"].blake3, Digest::of(b"old"));
        assert_eq!(updated.new.plugins["mine"].blake3, Digest::of(b"new"));
        assert_eq!(bench.problems(), ["exflow::plugin::changed"]);
        let updated = bench.update("mix-release").unwrap();
        let builtin = plugin_bytes(Path::new(""), "mix-release", &RequestedPlugin::Builtin);
        assert_eq!(updated.new.plugins["mix-release"].blake3, Digest::of(&builtin.unwrap()));
        assert!(bench.problems().is_empty());
        std::fs::remove_file(bench.folder.root().join("mine.wasm")).unwrap();
        assert_eq!(bench.problems(), ["exflow::plugin::unreadable"]);
        assert!(bench.update("mine").is_err());
    }

    #[test]
    fn a_plugin_from_elsewhere_moves_by_update_only() {
        let mut bench = Bench::new();
        let plugins = [
            ("mine".to_owned(), RequestedPlugin::Path("other.wasm".into())),
            ("mix-release".to_owned(), RequestedPlugin::Builtin),
        ];
        bench.lock(&plugins.into());
        assert_eq!(bench.problems(), ["exflow::lock::stale", "exflow::plugin::changed"]);
        let Err(Failure::Problems(problems)) = bench.adjust(false) else { panic!("it moved") };
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["exflow::lock::would-move"]);
        // The same bytes from elsewhere are what is locked.
        bench.folder.write("mine.wasm", "old");
        let (lock, _) = bench.adjust(false).unwrap();
        assert_eq!(lock.plugins["mine"].requested, RequestedPlugin::Path("mine.wasm".into()));
        bench.folder.write("mine.wasm", "new");
        let updated = bench.update("mine").unwrap();
        assert_eq!(updated.new.plugins["mine"].blake3, Digest::of(b"new"));
    }
}
