use crate::cli::LockWhyArgs;
use crate::locking;
use crate::report::Failure;
use crate::session::Session;
use exflow_diagnostics::{did_you_mean, printable};
use exflow_lock::{
    InputKind, InputName, Lock, LockedRoot, Platform, RequestedBase, RequestedDebian,
    RequestedImage,
};
use exflow_manifest::{Stage, Workspace};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Where a package is locked.
struct Locked<'a> {
    base: &'a str,
    platform: &'a Platform,
    version: &'a str,
    /// Whether the manifest names it, or it came with others.
    is_named: bool,
}

pub(crate) fn run(session: &mut Session, args: &LockWhyArgs) -> Result<ExitCode, Failure> {
    let workspace = session.workspace()?;
    let lock = locking::read(session)?;
    let package = args.input.strip_prefix("package:");
    let (kind, name) = match package {
        Some(name) => (None, name),
        None => InputKind::split(&args.input),
    };
    let mut text = String::new();
    for input in InputKind::ALL.map(|kind| kind.named(name)) {
        let is_asked_for = package.is_none() && kind.is_none_or(|kind| kind == input.kind);
        if is_asked_for && lock.contains(&input) {
            text += &format!("{input}\n{}", who_needs(&workspace, &input));
        }
    }
    for found in packages(&lock, name).into_iter().filter(|_| kind.is_none()) {
        let Locked { base, platform, version, is_named } = found;
        let why = if is_named { "named in the manifest" } else { "needed by others" };
        let version = printable(version);
        text += &format!("package `{name}` {version} of base `{base}` on {platform}, {why}\n");
        text += &stages_on(&workspace, base);
    }
    if text.is_empty() {
        return Err(unknown(&lock, &args.input, name));
    }
    session.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn who_needs(workspace: &Workspace, input: &InputName) -> String {
    let name = &input.name;
    match input.kind {
        InputKind::Base => stages_on(workspace, name),
        InputKind::Plugin => projects_with(workspace, name),
        InputKind::Fetch => {
            stages_that(workspace, |stage| stage.needs.iter().any(|need| need.name.value == *name))
        }
    }
}

fn stages_on(workspace: &Workspace, base: &str) -> String {
    stages_that(workspace, |stage| stage.base.as_ref().is_some_and(|found| found.value == base))
}

fn stages_that(workspace: &Workspace, need: impl Fn(&Stage) -> bool) -> String {
    let mut text = String::new();
    for project in &workspace.projects {
        for (name, stage) in &project.stages {
            if need(stage) {
                text += &format!("  stage `{name}` of project `{}`\n", project.name.value);
            }
        }
    }
    or_nothing(text)
}

fn projects_with(workspace: &Workspace, plugin: &str) -> String {
    let mut text = String::new();
    for project in &workspace.projects {
        if project.tool.as_ref().is_some_and(|tool| tool.plugin.value == plugin) {
            text += &format!("  project `{}`\n", project.name.value);
        }
    }
    or_nothing(text)
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { "  nothing any more: `exflow lock` drops it\n".to_owned() } else { text }
}

/// Every place where a package is locked.
fn packages<'a>(lock: &'a Lock, name: &str) -> Vec<Locked<'a>> {
    let mut found = Vec::new();
    for (base, entry) in &lock.bases {
        let (RequestedBase::Debian(RequestedDebian { packages: named, .. })
        | RequestedBase::Image(RequestedImage { packages: named, .. })) = &entry.requested;
        for (platform, root) in &entry.locked {
            let package = root.packages().into_iter().find(|(found, ..)| *found == name);
            if let Some((_, version, _)) = package {
                let is_named = named.iter().any(|named| named == name);
                found.push(Locked { base, platform, version, is_named });
            }
        }
    }
    found
}

fn unknown(lock: &Lock, input: &str, name: &str) -> Failure {
    let inputs: Vec<InputName> = lock.inputs().collect();
    let mut known: BTreeSet<&str> = inputs.iter().map(|input| &*input.name).collect();
    let roots = lock.bases.values().flat_map(|base| base.locked.values());
    known.extend(roots.flat_map(LockedRoot::packages).map(|(name, ..)| name));
    let help = match did_you_mean(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "it has bases, plugins, what is fetched, and the packages of bases".to_owned(),
    };
    Failure::Usage(format!("nothing in the lock is called `{input}`: {help}"))
}
