//! From the contract's types to the engine's own. Everything that a plugin says is checked here, as
//! strictly as a manifest.

use crate::PluginError;
use crate::contract_0_2::{
    Answer, Diagnostic, Fetch, Image, Needs, Origin, Pair, Place, Proposal, Step, UsedThing,
};
use crate::{Plugin, Subject};
use exflow_content::{PatternSet, RelPath, Sha256, is_git_object};
use exflow_diagnostics::{Diagnostics, Site, SourceName};
use exflow_packages::RemoteFile;
use exflow_packages::git::GitSource;
use exflow_packages::hex::HexPackage;
use exflow_plan as plan;
use std::collections::{BTreeMap, BTreeSet};

/// The most steps that a plugin may propose for one project.
const MAX_STEPS: usize = 4096;
/// The most that it may have fetched for one project.
const MAX_FETCHES: usize = 4096;
/// The most bytes of files that it may bring along for one project.
const MAX_WRITTEN: usize = 16 << 20;
/// The most files and folders that it may ask for at once.
const MAX_NEEDS: usize = 10_000;
/// The most layers that it may cut a release into: an image holds 127, with those of its base.
const MAX_LAYERS: usize = 64;
/// The most patterns in one proposal.
const MAX_PATTERNS: usize = 100_000;
/// The most of them that have a wildcard: an automaton is built of each.
const MAX_WILDCARDS: usize = 10_000;
/// The most problems that it may report at once.
const MAX_PROBLEMS: usize = 1000;
/// The most of all else that a step or an image is a list of: arguments, variables, labels, outputs.
const MAX_LIST: usize = 4096;
/// The longest name of a step or a layer, in bytes.
const MAX_NAME: usize = 64;
/// What is no name of a step: events and progress call the image of a project so.
const RESERVED: &str = "image";
/// The stages that a plugin's steps are in.
const STAGES: [&str; 2] = ["deps", "release"];
/// The folder of the workspace that is the plugins' own.
const OWN_FOLDER: &str = "_exflow";

fn invalid<T>(reason: impl Into<String>) -> Result<T, PluginError> {
    Err(PluginError::Invalid { reason: reason.into() })
}

/// Refuses more than `limit` of anything: whatever is done for each would take too long.
fn at_most(limit: usize, found: usize, what: &str) -> Result<(), PluginError> {
    if found > limit {
        return Err(PluginError::Limit { limit: format!("{limit} {what}") });
    }
    Ok(())
}

/// Whether an answer can be used.
pub(crate) fn check(answer: &Answer, root: &RelPath) -> Result<(), PluginError> {
    match answer {
        Answer::Need(needs) => {
            let asked = needs.files.len() + needs.folders.len() + needs.looks.len();
            at_most(MAX_NEEDS, asked, "files in one answer")?;
            let (_, steps) = made(&needs.fetches, &needs.steps, root)?;
            for look in &needs.looks {
                path(&look.path, "a file")?;
                let of_step = steps.iter().find(|step| step.name == look.of);
                let is_fetch = needs.fetches.iter().any(|fetch| fetch.name == look.of);
                if !is_fetch && of_step.is_none_or(|step| step.outputs.len() != 1) {
                    let of = look.of.escape_debug();
                    return invalid(format!("it looks into `{of}`, which is not one folder"));
                }
            }
            Ok(())
        }
        Answer::Refused(problems) if problems.is_empty() => {
            invalid("it refuses, and doesn't say why")
        }
        Answer::Refused(problems) => at_most(MAX_PROBLEMS, problems.len(), "problems"),
        Answer::Ready(proposal) => checked(proposal, root).map(drop),
    }
}

type Made = (Vec<plan::ProposedFetch>, Vec<plan::ProposedStep>);
type Checked = (Vec<plan::ProposedFetch>, Vec<plan::ProposedStep>, Option<plan::ProposedImage>);

/// What a plugin wants to see before it can say more: what is to be made, and files of that.
pub(crate) fn looks(
    needs: Needs,
    project: &Subject<'_>,
) -> Result<(plan::Proposal, Vec<(String, RelPath)>), PluginError> {
    let (fetches, steps) = made(&needs.fetches, &needs.steps, project.folder)?;
    let mut proposal = plan::Proposal { fetches, steps, ..plan::Proposal::default() };
    put_sites(&mut proposal, &needs.fetches, &needs.steps, project);
    let looks = needs.looks.into_iter().map(|look| Ok((look.of, path(&look.path, "a file")?)));
    Ok((proposal, looks.collect::<Result<_, PluginError>>()?))
}

/// Where fetches and steps are asked for.
fn put_sites(
    proposal: &mut plan::Proposal,
    fetches: &[Fetch],
    steps: &[Step],
    project: &Subject<'_>,
) {
    for (fetch, proposed) in proposal.fetches.iter_mut().zip(fetches) {
        fetch.site = site(&proposed.place, project);
    }
    for (step, proposed) in proposal.steps.iter_mut().zip(steps) {
        step.site = site(&proposed.place, project);
    }
}

fn checked(proposal: &Proposal, root: &RelPath) -> Result<Checked, PluginError> {
    at_most(MAX_PROBLEMS, proposal.warnings.len(), "warnings")?;
    let layers = proposal.image.iter().flat_map(|image| &image.layers);
    few_patterns(patterns_of(&proposal.steps).chain(layers.flat_map(|layer| &layer.files)))?;
    let (fetches, steps) = made(&proposal.fetches, &proposal.steps, root)?;
    let image = proposal.image.as_ref().map(|found| image(found, &steps)).transpose()?;
    Ok((fetches, steps, image))
}

fn patterns_of(steps: &[Step]) -> impl Iterator<Item = &String> + Clone {
    steps.iter().flat_map(|step| &step.sources)
}

fn few_patterns<'a>(patterns: impl Iterator<Item = &'a String> + Clone) -> Result<(), PluginError> {
    at_most(MAX_PATTERNS, patterns.clone().count(), "patterns")?;
    let wild = patterns.filter(|pattern| PatternSet::has_wildcard(pattern));
    at_most(MAX_WILDCARDS, wild.count(), "patterns with wildcards")
}

fn made(fetches: &[Fetch], steps: &[Step], root: &RelPath) -> Result<Made, PluginError> {
    at_most(MAX_FETCHES, fetches.len(), "fetches")?;
    at_most(MAX_STEPS, steps.len(), "steps")?;
    few_patterns(patterns_of(steps))?;
    let written = steps.iter().flat_map(|step| &step.files);
    let written = written.map(|file| file.contents.len()).sum();
    at_most(MAX_WRITTEN, written, "bytes of files of its own")?;
    let mut names = BTreeSet::new();
    let fetches: Vec<_> = fetches.iter().map(fetch).collect::<Result<_, PluginError>>()?;
    for fetch in &fetches {
        if !names.insert(fetch.name.clone()) {
            return invalid(format!("two fetches `{}`", fetch.name));
        }
    }
    let mut done: Vec<plan::ProposedStep> = Vec::new();
    let mut outputs: Vec<BTreeSet<RelPath>> = Vec::new();
    for proposed in steps {
        let step = step(proposed, &outputs, fetches.len(), root)?;
        outputs.push(step.outputs.iter().cloned().collect());
        if !names.insert(step.name.clone()) {
            return invalid(format!("two steps `{}`", step.name));
        }
        done.push(step);
    }
    Ok((fetches, done))
}

/// Something from outside, known by its content, or it is refused.
fn fetch(fetch: &Fetch) -> Result<plan::ProposedFetch, PluginError> {
    let name = name(&fetch.name, "a fetch")?;
    let checksum = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match text.parse::<Sha256>() {
            Ok(digest) => Ok(Some(digest)),
            Err(_) => invalid(format!("`{}` as a checksum of `{name}`", text.escape_debug())),
        },
    };
    let origin = match &fetch.origin {
        Origin::Hex(package) => {
            let found = HexPackage {
                repo: package.repo.clone(),
                name: package.name.clone(),
                version: package.version.clone(),
                inner: checksum(&package.inner_checksum)?,
                outer: checksum(&package.outer_checksum)?,
                managers: package.managers.clone(),
            };
            if found.inner.is_none() && found.outer.is_none() {
                return invalid(format!("`{name}` without a checksum"));
            }
            plan::Origin::Hex(found)
        }
        Origin::Git(source) => {
            if !is_git_object(&source.revision) {
                return invalid(format!("`{name}` without the whole digest of a revision"));
            }
            plan::Origin::Git(GitSource {
                url: source.url.clone(),
                revision: source.revision.clone(),
                submodules: source.submodules,
                sparse: source.sparse.clone(),
                tree: None,
            })
        }
        Origin::File(file) => {
            if !RemoteFile::is_address(&file.url) {
                return invalid(format!("`{name}` without an address of http or https"));
            }
            let Ok(sha256) = file.sha256.parse::<Sha256>() else {
                return invalid(format!("`{name}` without a sha256"));
            };
            let called = path(&file.name, "a file")?;
            if called.names().count() != 1 {
                return invalid(format!("`{name}` is called `{called}`, which is not one name"));
            }
            plan::Origin::File(RemoteFile {
                url: file.url.clone(),
                sha256,
                name: called,
                is_executable: file.is_executable,
            })
        }
    };
    Ok(plan::ProposedFetch { name, origin, site: None })
}

pub(crate) fn name(name: &str, what: &str) -> Result<String, PluginError> {
    let fits = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !fits {
        return invalid(format!("{what} named `{}`", name.escape_debug()));
    }
    if name == RESERVED {
        return invalid(format!("{what} named `{name}`, which is what the image is called"));
    }
    Ok(name.to_owned())
}

pub(crate) fn path(text: &str, what: &str) -> Result<RelPath, PluginError> {
    match RelPath::new(text) {
        Ok(path) => Ok(path),
        Err(error) => invalid(format!("{what} at `{}`: {error}", text.escape_debug())),
    }
}

pub(crate) fn proposal(
    proposal: Proposal,
    plugin: &Plugin,
    project: &Subject<'_>,
) -> Result<plan::Proposal, PluginError> {
    let (fetches, steps, image) = checked(&proposal, project.folder)?;
    let mut made = plan::Proposal { fetches, steps, image, warnings: Vec::new() };
    put_sites(&mut made, &proposal.fetches, &proposal.steps, project);
    let mut warnings: Vec<_> = problems(proposal.warnings, plugin, project).into_iter().collect();
    for warning in &mut warnings {
        warning.severity = exflow_diagnostics::Severity::Warning;
    }
    Ok(plan::Proposal { warnings, ..made })
}

fn step(
    step: &Step,
    earlier: &[BTreeSet<RelPath>],
    fetches: usize,
    root: &RelPath,
) -> Result<plan::ProposedStep, PluginError> {
    let name = name(&step.name, "a step")?;
    if !STAGES.contains(&step.stage.as_str()) {
        return invalid(format!("step `{name}` in stage `{}`", step.stage.escape_debug()));
    }
    let inside = |text: &str, what: &str| {
        let path = path(text, what)?;
        let own = path.names().next() == Some(OWN_FOLDER.as_bytes());
        if own || path.is_within(root) {
            Ok(path)
        } else {
            invalid(format!("{what} `{path}` of step `{name}` is outside of the project"))
        }
    };
    at_most(MAX_LIST, step.uses.len(), "outputs that one step uses")?;
    at_most(MAX_LIST, step.outputs.len(), "outputs of one step")?;
    let mut uses = Vec::new();
    for used in &step.uses {
        let what = match &used.what {
            UsedThing::Output(used) => {
                let output = path(&used.output, "an output")?;
                let step = used.step as usize;
                if !earlier.get(step).is_some_and(|outputs| outputs.contains(&output)) {
                    let reason =
                        format!("step `{name}` uses `{output}`, which no earlier step makes");
                    return invalid(reason);
                }
                plan::UsedThing::Output { step, output }
            }
            UsedThing::Fetched(index) if (*index as usize) < fetches => {
                plan::UsedThing::Fetched(*index as usize)
            }
            UsedThing::Fetched(index) => {
                return invalid(format!("step `{name}` uses fetch {index}, and there is none"));
            }
        };
        let at = inside(&used.at, "the input")?;
        if at == *root {
            return invalid(format!("step `{name}` has an input in place of the whole project"));
        }
        uses.push(plan::ProposedUse { what, at });
    }
    let mut files = BTreeMap::new();
    for file in &step.files {
        let at = inside(&file.path, "the file")?;
        if files.insert(at.clone(), file.contents.clone()).is_some() {
            return invalid(format!("step `{name}` brings along `{at}` twice"));
        }
    }
    if plan::InlineFiles::new(&files).is_err() {
        return invalid(format!("step `{name}` brings along a file in a file"));
    }
    let outputs: Vec<RelPath> =
        step.outputs.iter().map(|output| inside(output, "the output")).collect::<Result<_, _>>()?;
    if outputs.iter().any(|output| output == root) {
        return invalid(format!("step `{name}` has the whole project as an output"));
    }
    if step.together && step.argv.len() < 2 {
        return invalid(format!("step `{name}` has no last argument that others differ in"));
    }
    Ok(plan::ProposedStep {
        name: name.clone(),
        stage: step.stage.clone(),
        argv: program(&step.argv, "a step without a program")?,
        env: pairs(&step.env)?,
        workdir: inside(&step.workdir, "the working folder")?,
        sources: patterns(&step.sources)?,
        files,
        uses,
        outputs,
        together: step.together,
        site: None,
    })
}

fn image(image: &Image, steps: &[plan::ProposedStep]) -> Result<plan::ProposedImage, PluginError> {
    let output = path(&image.output, "an output")?;
    let step = image.step as usize;
    if !steps.get(step).is_some_and(|step| step.outputs.contains(&output)) {
        return invalid(format!("the image is made of `{output}`, which no step makes"));
    }
    let at = path(&image.at, "the release")?;
    if at.is_root() {
        return invalid("a release at the root of the image");
    }
    at_most(MAX_LAYERS, image.layers.len(), "layers")?;
    let layers = image.layers.iter().map(|layer| {
        let name = &layer.name;
        // It is shown to people, and stands in the image's history.
        if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
            return invalid(format!("a layer named `{}`", name.escape_debug()));
        }
        Ok(plan::ProposedLayer { name: name.clone(), files: patterns(&layer.files)? })
    });
    Ok(plan::ProposedImage {
        step,
        output,
        at,
        layers: layers.collect::<Result<_, PluginError>>()?,
        env: pairs(&image.env)?,
        workdir: path(&image.workdir, "the working folder")?,
        entrypoint: program(&image.entrypoint, "an image without a program")?,
        command: arguments(&image.command)?,
        labels: pairs(&image.labels)?,
    })
}

fn program(texts: &[String], missing: &str) -> Result<Vec<String>, PluginError> {
    if texts.first().is_none_or(String::is_empty) {
        return invalid(missing);
    }
    arguments(texts)
}

fn arguments(texts: &[String]) -> Result<Vec<String>, PluginError> {
    at_most(MAX_LIST, texts.len(), "arguments")?;
    if texts.iter().any(|text| text.contains('\0')) {
        return invalid("an argument with a NUL byte");
    }
    Ok(texts.to_vec())
}

fn pairs(pairs: &[Pair]) -> Result<BTreeMap<String, String>, PluginError> {
    at_most(MAX_LIST, pairs.len(), "variables or labels")?;
    let mut found = BTreeMap::new();
    for pair in pairs {
        if pair.name.is_empty() || pair.name.contains(['=', '\0']) || pair.value.contains('\0') {
            return invalid(format!("a variable `{}`", pair.name.escape_debug()));
        }
        if found.insert(pair.name.clone(), pair.value.clone()).is_some() {
            return invalid(format!("`{}` twice", pair.name));
        }
    }
    Ok(found)
}

fn patterns(texts: &[String]) -> Result<PatternSet, PluginError> {
    match PatternSet::new(texts) {
        Ok(patterns) => Ok(patterns),
        Err(error) => invalid(error.to_string()),
    }
}

pub(crate) fn problems(
    problems: Vec<Diagnostic>,
    plugin: &Plugin,
    project: &Subject<'_>,
) -> Diagnostics {
    problems.into_iter().map(|problem| problem_at(problem, plugin, project)).collect()
}

fn problem_at(
    problem: Diagnostic,
    plugin: &Plugin,
    project: &Subject<'_>,
) -> exflow_diagnostics::Diagnostic {
    let code: String = problem
        .code
        .chars()
        .filter(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == '-')
        .take(64)
        .collect();
    let diagnostic = exflow_diagnostics::Diagnostic::error(
        format!("exflow::{}::{code}", plugin.name).as_str(),
        problem.message,
    );
    let diagnostic =
        if problem.help.is_empty() { diagnostic } else { diagnostic.help(problem.help) };
    match site(&problem.place, project) {
        Some(site) => diagnostic.at(&site, problem.label),
        None => diagnostic.at_known(project.site, "for this project"),
    }
}

/// A place, as far as it is one.
fn site(place: &Place, project: &Subject<'_>) -> Option<Site> {
    match place {
        Place::Nowhere => None,
        Place::InSetting(name) => Some(project.settings.get(name)?.site.clone()),
        Place::InFile(span) => {
            let path = RelPath::new(&span.path).ok()?;
            let Some(exflow_content::Entry::File { size, .. }) = project.sources.get(&path) else {
                return None;
            };
            let size = usize::try_from(*size).ok()?;
            let start = (span.start as usize).min(size);
            let end = (span.end as usize).clamp(start, size);
            Some(Site::new(&SourceName::new(span.path.as_str()), start..end))
        }
    }
}

#[cfg(test)]
mod any;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract_0_2::{Layer, StepOutput, Used};

    fn good() -> Proposal {
        Proposal {
            fetches: Vec::new(),
            steps: vec![Step {
                name: "release".into(),
                stage: "release".into(),
                argv: vec!["mix".into()],
                env: Vec::new(),
                workdir: "app".into(),
                sources: vec!["app/lib".into()],
                files: Vec::new(),
                uses: Vec::new(),
                outputs: vec!["app/rel".into()],
                together: false,
                place: Place::Nowhere,
            }],
            image: Some(Image {
                step: 0,
                output: "app/rel".into(),
                at: "app".into(),
                layers: Vec::new(),
                env: Vec::new(),
                workdir: "app".into(),
                entrypoint: vec!["/app/bin/a".into()],
                command: Vec::new(),
                labels: Vec::new(),
            }),
            warnings: Vec::new(),
        }
    }

    type Change<'a> = &'a dyn Fn(&mut Proposal);
    type Filled<'a> = &'a dyn Fn(&mut Proposal, usize);

    fn layer(name: &str, patterns: usize) -> Layer {
        Layer { name: name.into(), files: vec!["lib".into(); patterns] }
    }

    /// Another step, which sees at this place what the first one makes.
    fn second_step_sees_it(proposal: &mut Proposal, at: &str) {
        let mut step = proposal.steps[0].clone();
        step.name = "second".into();
        step.uses.push(Used {
            what: UsedThing::Output(StepOutput { step: 0, output: "app/rel".into() }),
            at: at.into(),
        });
        proposal.steps.push(step);
    }

    fn layers(proposal: &mut Proposal, layers: Vec<Layer>) {
        proposal.image.as_mut().unwrap().layers = layers;
    }

    fn problem() -> Diagnostic {
        Diagnostic {
            code: "x".into(),
            message: "x".into(),
            place: Place::Nowhere,
            label: String::new(),
            help: String::new(),
        }
    }

    /// As much as there may be is taken, and one more is not.
    #[test]
    fn an_answer_has_limits() {
        let root = RelPath::new("app").unwrap();
        let said = |answer: &Answer| check(answer, &root).map_err(|error| error.to_string());
        let pair = |number: usize| Pair { name: format!("A{number}"), value: String::new() };
        let limits: &[(usize, &str, Filled<'_>)] = &[
            (64, "64 layers", &|proposal, count| layers(proposal, vec![layer("a", 1); count])),
            (99_999, "100000 patterns", &|proposal, count| {
                layers(proposal, vec![layer("a", count)]);
            }),
            (100_000, "100000 patterns", &|proposal, count| {
                proposal.steps[0].sources = vec!["app/lib".into(); count];
            }),
            (10_000, "10000 patterns with wildcards", &|proposal, count| {
                proposal.steps[0].sources = vec!["app/*".into(); count];
            }),
            (1000, "1000 warnings", &|proposal, count| {
                proposal.warnings = vec![problem(); count];
            }),
            (4096, "4096 steps", &|proposal, count| {
                let step = proposal.steps[0].clone();
                let named = |number: usize| Step { name: format!("s{number}"), ..step.clone() };
                proposal.steps = (0..count).map(named).collect();
            }),
            (4096, "4096 arguments", &|proposal, count| {
                proposal.steps[0].argv = vec!["a".into(); count];
            }),
            (4096, "4096 arguments", &|proposal, count| {
                proposal.image.as_mut().unwrap().command = vec!["a".into(); count];
            }),
            (4096, "4096 variables", &|proposal, count| {
                proposal.steps[0].env = (0..count).map(pair).collect();
            }),
            (4096, "4096 variables or labels", &|proposal, count| {
                proposal.image.as_mut().unwrap().labels = (0..count).map(pair).collect();
            }),
            (4096, "4096 outputs", &|proposal, count| {
                proposal.steps[0].outputs = vec!["app/rel".into(); count];
            }),
        ];
        for (limit, expected, fill) in limits {
            let mut proposal = good();
            fill(&mut proposal, *limit);
            assert_eq!(said(&Answer::Ready(proposal)), Ok(()), "{expected}");
            let mut proposal = good();
            fill(&mut proposal, *limit + 1);
            let reason = said(&Answer::Ready(proposal)).expect_err(expected);
            assert!(reason.contains("exceeded its limit"), "{reason}");
            assert!(reason.contains(expected), "{expected}: {reason}");
        }
        assert_eq!(said(&Answer::Refused(vec![problem(); 1000])), Ok(()));
        let reason = said(&Answer::Refused(vec![problem(); 1001])).unwrap_err();
        assert!(reason.contains("limit of 1000 problems"), "{reason}");
        let needs = |count: usize| Needs {
            files: vec!["a".into(); count],
            folders: Vec::new(),
            fetches: Vec::new(),
            steps: Vec::new(),
            looks: Vec::new(),
        };
        assert_eq!(said(&Answer::Need(needs(10_000))), Ok(()));
        let reason = said(&Answer::Need(needs(10_001))).unwrap_err();
        assert!(reason.contains("limit of 10000 files"), "{reason}");
    }

    #[test]
    fn a_proposal_is_checked_as_strictly_as_a_manifest() {
        let root = RelPath::new("app").unwrap();
        let said = |change: &dyn Fn(&mut Proposal)| {
            let mut proposal = good();
            change(&mut proposal);
            check(&Answer::Ready(proposal), &root).map_err(|error| {
                let said = crate::diagnose(&error, "mine", None);
                assert_eq!(said.code.as_str(), "exflow::plugin::invalid-proposal");
                error.to_string()
            })
        };
        assert_eq!(said(&|_| {}), Ok(()));
        for at in ["app/rel", "app/x", "_exflow/x"] {
            assert_eq!(said(&|proposal| second_step_sees_it(proposal, at)), Ok(()), "{at}");
        }
        let bad: &[(&str, Change<'_>)] = &[
            ("outside", &|proposal| proposal.steps[0].outputs.push("../x".into())),
            ("outside", &|proposal| proposal.steps[0].outputs.push("other/x".into())),
            ("absolute", &|proposal| proposal.steps[0].workdir = "/etc".into()),
            ("whole project", &|proposal| proposal.steps[0].outputs.push("app".into())),
            ("stage", &|proposal| proposal.steps[0].stage = "runtime".into()),
            ("named", &|proposal| proposal.steps[0].name = "Über".into()),
            ("two steps", &|proposal| {
                let step = proposal.steps[0].clone();
                proposal.steps.push(step);
            }),
            ("outside", &|proposal| second_step_sees_it(proposal, "other/x")),
            ("whole project", &|proposal| second_step_sees_it(proposal, "app")),
            ("program", &|proposal| proposal.steps[0].argv.clear()),
            ("NUL", &|proposal| proposal.steps[0].argv.push("a\0b".into())),
            ("variable", &|proposal| {
                proposal.steps[0].env.push(Pair { name: "A=B".into(), value: "c".into() });
            }),
            ("pattern", &|proposal| proposal.steps[0].sources.push("[".into())),
            ("earlier step", &|proposal| {
                proposal.steps[0].uses.push(Used {
                    what: UsedThing::Output(StepOutput { step: 0, output: "app/rel".into() }),
                    at: "x".into(),
                });
            }),
            ("no step makes", &|proposal| {
                proposal.image.as_mut().unwrap().output = "app/other".into();
            }),
            ("no step makes", &|proposal| proposal.image.as_mut().unwrap().step = 9),
            ("root", &|proposal| proposal.image.as_mut().unwrap().at = String::new()),
            ("what the image is called", &|proposal| proposal.steps[0].name = "image".into()),
            ("NUL", &|proposal| proposal.image.as_mut().unwrap().command = vec!["a\0".into()]),
            ("a layer named", &|proposal| layers(proposal, vec![layer("a\0b", 1)])),
            ("a layer named", &|proposal| layers(proposal, vec![layer("", 1)])),
            ("a layer named", &|proposal| layers(proposal, vec![layer(&"a".repeat(65), 1)])),
        ];
        for (expected, change) in bad {
            let reason = said(*change).expect_err(expected);
            assert!(
                reason.contains(expected) || (*expected == "outside" && reason.contains("..")),
                "{expected}: {reason}"
            );
        }
    }
}
