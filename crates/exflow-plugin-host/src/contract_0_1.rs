//! Version 0.1.0 of the contract, as `schemas/wit/0.1.0` defines it, in the types of the newest.
//!
//! It had no fetches and no files of a plugin's own, and it could look at nothing that is made.

use crate::contract_0_2 as newest;

#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    reason = "generated from schemas/wit, where the documentation is"
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../schemas/wit/0.1.0",
        world: "release-tool",
    });
}

use bindings::exports::exflow::plugin::planner as old;
pub(crate) use bindings::{ReleaseTool, ReleaseToolPre};

/// What a plugin of this version is shown.
pub(crate) fn request(request: &newest::Request) -> old::Request {
    let settings = request.settings.iter().map(|setting| old::Setting {
        name: setting.name.clone(),
        value: match &setting.value {
            newest::Scalar::Text(text) => old::Scalar::Text(text.clone()),
            newest::Scalar::Number(number) => old::Scalar::Number(*number),
            newest::Scalar::Flag(flag) => old::Scalar::Flag(*flag),
        },
    });
    let files = request
        .files
        .iter()
        .map(|file| old::File { path: file.path.clone(), contents: file.contents.clone() });
    let entry =
        |entry: &newest::Entry| old::Entry { name: entry.name.clone(), is_folder: entry.is_folder };
    let folders = request.folders.iter().map(|folder| old::Folder {
        path: folder.path.clone(),
        entries: folder.entries.as_ref().map(|entries| entries.iter().map(entry).collect()),
    });
    old::Request {
        project: request.project.clone(),
        root: request.root.clone(),
        platform: request.platform.clone(),
        settings: settings.collect(),
        files: files.collect(),
        folders: folders.collect(),
    }
}

/// What a plugin of this version says.
pub(crate) fn answer(answer: old::Answer) -> newest::Answer {
    match answer {
        old::Answer::Need(needs) => newest::Answer::Need(newest::Needs {
            files: needs.files,
            folders: needs.folders,
            fetches: Vec::new(),
            steps: Vec::new(),
            looks: Vec::new(),
        }),
        old::Answer::Ready(proposal) => newest::Answer::Ready(newest::Proposal {
            fetches: Vec::new(),
            steps: proposal.steps.into_iter().map(step).collect(),
            image: proposal.image.map(image),
            warnings: proposal.warnings.into_iter().map(diagnostic).collect(),
        }),
        old::Answer::Refused(problems) => {
            newest::Answer::Refused(problems.into_iter().map(diagnostic).collect())
        }
    }
}

fn step(step: old::Step) -> newest::Step {
    let uses = step.uses.into_iter().map(|used| newest::Used {
        what: newest::UsedThing::Output(newest::StepOutput {
            step: used.step,
            output: used.output,
        }),
        at: used.at,
    });
    newest::Step {
        name: step.name,
        stage: step.stage,
        argv: step.argv,
        env: pairs(step.env),
        workdir: step.workdir,
        sources: step.sources,
        files: Vec::new(),
        uses: uses.collect(),
        outputs: step.outputs,
        together: false,
        place: newest::Place::Nowhere,
    }
}

fn image(image: old::Image) -> newest::Image {
    let layers = image.layers.into_iter();
    newest::Image {
        step: image.step,
        output: image.output,
        at: image.at,
        layers: layers
            .map(|layer| newest::Layer { name: layer.name, files: layer.files })
            .collect(),
        env: pairs(image.env),
        workdir: image.workdir,
        entrypoint: image.entrypoint,
        command: image.command,
        labels: pairs(image.labels),
    }
}

fn pairs(pairs: Vec<old::Pair>) -> Vec<newest::Pair> {
    pairs.into_iter().map(|pair| newest::Pair { name: pair.name, value: pair.value }).collect()
}

fn diagnostic(diagnostic: old::Diagnostic) -> newest::Diagnostic {
    newest::Diagnostic {
        code: diagnostic.code,
        message: diagnostic.message,
        place: match diagnostic.place {
            old::Place::InFile(span) => newest::Place::InFile(newest::Span {
                path: span.path,
                start: span.start,
                end: span.end,
            }),
            old::Place::InSetting(name) => newest::Place::InSetting(name),
            old::Place::Nowhere => newest::Place::Nowhere,
        },
        label: diagnostic.label,
        help: diagnostic.help,
    }
}
