use super::{inspect, json};
use crate::cli::PluginTestArgs;
use crate::files::{read_at_most, unreadable};
use crate::propose::not_made;
use crate::report::{Failure, PROBLEM, io_failed, store_failed};
use crate::session::Session;
use exflow_content::{Digest, RelPath};
use exflow_diagnostics::{Diagnostics, Style, printable, render};
use exflow_lock::Platform;
use exflow_manifest::MANIFEST;
use exflow_plan::Proposal;
use exflow_plugin_host::{Host, Limits, Plugin, PluginError, Proposed, Subject, World, diagnose};
use serde_json::Map;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What cases are built for, wherever they are tried.
const PLATFORM: Platform = Platform::LinuxAmd64;
/// The workspace of a case.
const IN: &str = "in";
/// What is expected to be proposed, and to be said.
const EXPECTED: [&str; 2] = ["proposals.json", "problems.txt"];

pub(crate) fn run(session: &mut Session, args: &PluginTestArgs) -> Result<ExitCode, Failure> {
    let (name, bytes, place) =
        inspect::read(&args.plugin.display().to_string(), args.plugin.clone())?;
    let plugin = Plugin { name, digest: Digest::of(&bytes), bytes: place };
    let host = Host::new(session.store()?, Limits::default()).telling(session.ui.compiling());
    host.inspect(&plugin).map_err(|error| diagnose(&error, &plugin.name, None))?;
    let top = fs::canonicalize(&args.cases).map_err(|source| unreadable(&args.cases, &source))?;
    let cases = cases(&top)?;
    if cases.is_empty() {
        let message = format!(
            "there are no cases in `{}`: a case is a folder with a workspace in its folder `{IN}`",
            args.cases.display()
        );
        return Err(Failure::Usage(message));
    }
    let mut different = 0;
    for case in &cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let said = ask(session, &host, &plugin, &case.join(IN))?;
        if said.iter().all(String::is_empty) {
            return Err(Failure::Usage(format!(
                "case `{name}` asks nothing: no project of it has a `release-tool`"
            )));
        }
        let mut differences = Vec::new();
        for (file, found) in EXPECTED.iter().zip(said) {
            let path = case.join(file);
            if args.bless {
                bless(&path, &found).map_err(|error| io_failed("write", &path, &error))?;
            } else {
                differences.extend(difference(&path, &found)?);
            }
        }
        if differences.is_empty() {
            session.ui.tell(if args.bless { "blessed" } else { "ok" }, &name);
        } else {
            different += 1;
            session.ui.tell("differs", &name);
            for difference in differences {
                session.ui.say(&difference);
            }
        }
    }
    let count = cases.len();
    let count = if count == 1 { "1 case".to_owned() } else { format!("{count} cases") };
    if different > 0 {
        session
            .ui
            .tell("failed", &format!("{different} of {count}; `--bless` takes what is said now"));
        return Err(Failure::Said(PROBLEM));
    }
    session.ui.tell("done", &count);
    Ok(ExitCode::SUCCESS)
}

/// The folders of the cases, by name.
fn cases(top: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(top).map_err(|source| unreadable(top, &source))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unreadable(top, &source))?.path();
        let workspace = path.join(IN);
        if !workspace.is_dir() {
            continue;
        }
        if !workspace.join(MANIFEST).is_file() {
            let message = format!("`{}` has no `{MANIFEST}`", workspace.display());
            return Err(Failure::Usage(message));
        }
        cases.push(path);
    }
    cases.sort();
    Ok(cases)
}

/// What is proposed for all projects of the workspace, and what is said; empty where nothing is.
fn ask(
    session: &mut Session,
    host: &Host,
    plugin: &Plugin,
    folder: &Path,
) -> Result<[String; 2], Failure> {
    let mut problems = Diagnostics::new();
    let mut proposals = Map::new();
    match session.workspace_at(folder) {
        Err(Failure::Problems(more)) => problems.extend(more),
        Err(failure) => return Err(failure),
        Ok(workspace) => {
            let store = session.store()?;
            let sources = store.sources(&session.root).map_err(store_failed)?;
            let world = Files { root: session.root.clone() };
            for project in &workspace.projects {
                let Some(tool) = &project.tool else { continue };
                let site = Some(&tool.plugin.site);
                let subject = Subject {
                    name: &project.name.value,
                    folder: &project.folder,
                    platform: &PLATFORM,
                    site,
                    settings: &tool.settings,
                    sources: &sources,
                };
                // As the manifest calls it: its problems have that in their codes.
                let plugin = Plugin { name: tool.plugin.value.clone(), ..plugin.clone() };
                match host.propose(&plugin, &subject, &world) {
                    Ok(asked) => match asked.proposed {
                        Proposed::Ready(proposal) => {
                            problems.extend(proposal.warnings.iter().cloned());
                            proposals.insert(project.name.value.clone(), json::of(&proposal));
                        }
                        Proposed::Refused(more) => problems.extend(more),
                    },
                    Err(PluginError::NotMade) => {
                        problems.push(not_made(&project.name.value, &plugin.name, site));
                    }
                    // Nothing that anyone expects.
                    Err(error) => return Err(diagnose(&error, &plugin.name, site).into()),
                }
            }
        }
    }
    // Nor is what its kit says where the plugin has failed.
    if problems.iter().any(|problem| problem.code.as_str().ends_with("::internal")) {
        return Err(problems.into());
    }
    session.show_sources_of(&problems);
    let said: Vec<String> = problems
        .iter()
        .map(|problem| {
            render(problem, &session.texts, Style::default()).trim_end().to_owned() + "\n"
        })
        .collect();
    let said = said.join("\n");
    // What one case was about is not what the next is about.
    session.texts = exflow_diagnostics::Sources::new();
    let proposed = if proposals.is_empty() { String::new() } else { json::text(&proposals.into()) };
    Ok([proposed, said])
}

/// The workspace of a case, in which nothing is made.
struct Files {
    root: PathBuf,
}

impl World for Files {
    fn read(&self, path: &RelPath, limit: u64) -> io::Result<Vec<u8>> {
        read_at_most(&self.root.join(path.as_path()), limit)
    }

    fn make(&self, _: &Proposal) -> Option<BTreeMap<String, Digest>> {
        None
    }
}

fn bless(path: &Path, found: &str) -> io::Result<()> {
    if !found.is_empty() {
        return fs::write(path, found);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How what is found differs from what a file says, in words; a file that isn't there expects nothing.
fn difference(path: &Path, found: &str) -> Result<Option<String>, Failure> {
    let expected = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(path, &error)),
    };
    if expected == found {
        return Ok(None);
    }
    // Not by `lines`, for which two kinds of line ends are the same.
    let lines = |text: &str| if text.is_empty() { 0 } else { text.split('\n').count() };
    let count = lines(&expected).max(lines(found));
    let of = |text| str::split(text, '\n').map(Some).chain(std::iter::repeat(None));
    let pairs = of(&expected).zip(of(found)).take(count);
    let first = pairs.enumerate().find(|(_, (expected, found))| expected != found);
    let (number, (expected, found)) = first.unwrap_or((0, (None, None)));
    let line = |line: Option<&str>| match line {
        None | Some("") => "nothing".to_owned(),
        Some(line) => printable(line),
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Some(format!(
        "  {file}, line {}\n    expected  {}\n    found     {}",
        number + 1,
        line(expected),
        line(found),
    )))
}
