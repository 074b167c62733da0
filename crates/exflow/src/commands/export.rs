use crate::cli::ExportArgs;
use crate::engine::execute;
use crate::files::{read_text, unreadable};
use crate::interrupt;
use crate::outputs::write_whole;
use crate::prepare::{Prepared, prepare};
use crate::report::{Failure, io_failed, store_failed};
use crate::session::Session;
use exflow_content::{RelPath, Tree};
use exflow_diagnostics::Diagnostic;
use exflow_fetch::Cancel;
use exflow_image::write_tar;
use exflow_manifest::MAX_BYTES;
use exflow_plan::{BaseArchive, BuildContext, DockerfileError, dockerfile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const NO_REGISTRY: &str = "exflow::export::no-registry";
const UNWRITABLE: &str = "exflow::export::not-for-docker";

pub(crate) fn run(session: &mut Session, args: &ExportArgs) -> Result<ExitCode, Failure> {
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let targets: Vec<String> = args.project.iter().cloned().collect();
    let prepared = prepare(session, &targets, &args.options, &cancel)?;
    let image = &prepared.plan.images[prepared.one_image("export")?];
    let sources = prepared.store.sources(&prepared.root).map_err(store_failed)?;
    let archives = args.bases.as_deref().map(RelPath::clean).transpose().map_err(|error| {
        Failure::Usage(format!(
            "`--bases` is a folder of the workspace, by its path there: {error}"
        ))
    })?;
    let ignore_files = ignore_files(&prepared.root, &sources)?;
    let context = BuildContext {
        sources: &sources,
        archives: archives.as_ref(),
        ignore_files: &ignore_files,
    };
    let exported = dockerfile(&prepared.plan, image, &context).map_err(|error| {
        let (code, help) = match &error {
            DockerfileError::NoRegistry { .. } => (
                NO_REGISTRY,
                "have them written as archives, which the Dockerfile then begins with: \
                 `--bases exflow-bases`",
            ),
            DockerfileError::NotASource { .. } => {
                (UNWRITABLE, "it was changed while this ran: export it again")
            }
            _ => (UNWRITABLE, "a Dockerfile has no way to say it: give it another name or value"),
        };
        Diagnostic::error(code, error.to_string())
            .help(help)
            .at_known(image.site.as_ref(), "asked for here")
    })?;
    write_archives(session, &prepared, args, &exported.archives, &cancel)?;
    let Some(file) = &args.output else {
        session.print(&exported.text)?;
        return Ok(ExitCode::SUCCESS);
    };
    for (path, text) in [(file.clone(), &exported.text), (beside(file), &exported.ignore)] {
        write_whole(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|error| io_failed("write", &path, &error))?;
        session.ui.tell("written", &path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// Where BuildKit looks for what it is to ignore.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".dockerignore");
    file.with_file_name(name)
}

/// The files that say what is no source.
fn ignore_files(root: &Path, sources: &Tree) -> Result<BTreeMap<RelPath, String>, Failure> {
    let files = sources
        .entries()
        .map(|(path, _)| path)
        .filter(|path| matches!(path.name(), Some(b".gitignore" | b".exflowignore")));
    let read = |path: &RelPath| {
        let file = root.join(path.as_path());
        let text = read_text(&file)?;
        // Half of it would leave out less than all of it.
        if text.len() > MAX_BYTES {
            let reason = format!("it is longer than {} MiB", MAX_BYTES >> 20);
            return Err(unreadable(&file, &io::Error::new(io::ErrorKind::FileTooLarge, reason)));
        }
        Ok((path.clone(), text))
    };
    files.map(read).collect()
}

/// Writes the bases that no registry has, and what comes from elsewhere, for `ADD`. They are fetched where
/// the store lacks them.
fn write_archives(
    session: &mut Session,
    prepared: &Prepared,
    args: &ExportArgs,
    archives: &[BaseArchive],
    cancel: &Cancel,
) -> Result<(), Failure> {
    if archives.is_empty() {
        return Ok(());
    }
    let bases = Prepared {
        steps: archives.iter().map(|archive| archive.step).collect(),
        images: Vec::new(),
        ..prepared.clone()
    };
    let made = execute(session, &bases, &args.options, cancel)?;
    if let Some(failure) = made.failure {
        return Err(failure);
    }
    for BaseArchive { step, path } in archives {
        let tree = made.outputs.get(step).and_then(|outputs| outputs.first());
        let tree = tree.expect("what was made has an output");
        let tree = prepared.store.tree(tree).map_err(store_failed)?;
        let file = prepared.root.join(path.as_path());
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(file.parent().unwrap_or(&prepared.root))?;
            write_whole(&file, |out| {
                let open = |blob: &_| prepared.store.open_checked(blob).map_err(io::Error::other);
                write_tar(&tree, 0, open, out).map(drop)
            })
        };
        write().map_err(|error| io_failed("write", &file, &error))?;
        session.ui.tell("written", &path.to_string());
    }
    Ok(())
}
