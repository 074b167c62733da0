use crate::cli::RunArgs;
use crate::engine::execute_one;
use crate::executors::sandbox;
use crate::prepare::prepare;
use crate::report::{Failure, INTERRUPTED, store_failed};
use crate::session::Session;
use exflow_content::Tree;
use exflow_diagnostics::Diagnostics;
use exflow_exec::{Exit, Interactive};
use exflow_fetch::Cancel;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::env::VarError;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &RunArgs) -> Result<ExitCode, Failure> {
    let targets: Vec<String> = args.project.iter().cloned().collect();
    let cancel = Cancel::new();
    // From before the build: a signal that comes while it is under way stops it.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]).ok();
    let child = std::sync::Arc::new(std::sync::OnceLock::<Pid>::new());
    if let Some(signals) = signals {
        pass_on(signals, cancel.clone(), child.clone());
    }
    let prepared = prepare(session, &targets, &args.options, &cancel)?;
    let built = execute_one(session, &prepared, &args.options, &cancel, "run")?;
    let settings = &prepared.plan.images[built.image].settings;
    let whole = built.files(&prepared).map_err(store_failed)?;
    // What the release adds to the base, with the modes that folders have in the image.
    let mut top = Tree::new();
    for (path, entry) in whole.within(&settings.at) {
        top.insert(path.clone(), entry.clone()).expect("a part of a tree is a tree");
    }
    for folder in settings.at.parents() {
        if let Some(entry) = whole.get(&folder) {
            top.insert(folder, entry.clone()).expect("the folders above a tree are folders");
        }
    }
    let top = prepared.store.put_tree(&top).map_err(store_failed)?;
    let mut argv = settings.entrypoint.clone();
    if args.args.is_empty() {
        argv.extend(settings.command.clone());
    } else {
        for argument in &args.args {
            let argument = argument.to_str().ok_or_else(|| {
                Failure::Usage("an argument of the image is not UTF-8".to_owned())
            })?;
            argv.push(argument.to_owned());
        }
    }
    // What a container's runtime sets besides; whoever runs it may override what the image says.
    let mut env = settings.env.clone();
    env.entry("HOME".to_owned()).or_insert_with(|| "/tmp".to_owned());
    if let Ok(term) = std::env::var("TERM") {
        env.insert("TERM".to_owned(), term);
    }
    for wanted in &args.env {
        match wanted.split_once('=') {
            _ if wanted.is_empty() => {
                return Err(Failure::Usage("`--env` needs a name".to_owned()));
            }
            Some(("", _)) => return Err(Failure::Usage("`--env` needs a name".to_owned())),
            Some((name, value)) => drop(env.insert(name.to_owned(), value.to_owned())),
            None => match std::env::var(wanted) {
                Ok(value) => drop(env.insert(wanted.clone(), value)),
                Err(VarError::NotPresent) => {
                    session.ui.tell("note", &format!("`{wanted}` is not set here"));
                }
                Err(VarError::NotUnicode(_)) => {
                    return Err(Failure::Usage(format!(
                        "`{wanted}` is no UTF-8, which `--env` needs"
                    )));
                }
            },
        }
    }
    let program =
        Interactive { layers: vec![built.base, top], argv, env, workdir: settings.workdir.clone() };
    let executor = sandbox(&prepared.store);
    if cancel.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    let exit = executor.run_interactive(&program, |pid| {
        let _ = child.set(pid);
        // It came between.
        if cancel.is_cancelled() {
            let _ = kill_process(pid, Signal::TERM);
        }
    });
    let name = format!("{}:run", built.project);
    let exit =
        exit.map_err(|error| Diagnostics::from(exflow_exec::diagnose(&error, &name, None)))?;
    Ok(match exit {
        Exit::Code(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Exit::Signal(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
        Exit::TimedOut | Exit::Cancelled => return Err(Failure::Interrupted),
    })
}

/// Passes signals on to the program, or stops the build where it isn't running yet.
fn pass_on(mut signals: Signals, cancel: Cancel, child: std::sync::Arc<std::sync::OnceLock<Pid>>) {
    std::thread::spawn(move || {
        for number in signals.forever() {
            match (child.get(), Signal::from_named_raw(number)) {
                (Some(pid), Some(signal)) => {
                    let _ = kill_process(*pid, signal);
                }
                _ if cancel.is_cancelled() => std::process::exit(INTERRUPTED.into()),
                _ => cancel.cancel(),
            }
        }
    });
}
