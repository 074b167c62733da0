//! The `exflow` command: arguments, composition, rendering and exit codes. The only crate that
//! talks to the terminal.

mod artifact;
mod cli;
mod commands;
mod discovery;
mod engine;
mod events;
mod executors;
mod files;
mod images;
mod inputs;
mod interrupt;
mod locking;
mod outputs;
mod pack;
mod places;
mod plugins;
mod preflight;
mod prepare;
mod propose;
mod report;
mod session;
#[cfg(test)]
mod single_changes;
mod statements;
mod ui;
mod verify;

use clap::Parser;
use cli::{Cli, ColorChoice, Command, ExportCommand, PluginCommand};
use report::{Failure, report};
use session::Session;
use std::process::ExitCode;
use ui::Ui;

fn main() -> ExitCode {
    // This program is its own sandbox's helper.
    if let Some(code) = exflow_exec::sandbox_main() {
        return code;
    }
    let cli = Cli::parse();
    let color = match cli.color {
        ColorChoice::Auto => None,
        ColorChoice::Always => Some(true),
        ColorChoice::Never => Some(false),
    };
    let json = match &cli.command {
        Command::Build(args) => args.json,
        Command::Verify(args) => args.json,
        _ => false,
    };
    let ui = Ui::new(color, json);
    let mut session = Session::new(ui);
    // Before anything is read or written, so that every path means what it would mean there.
    if let Some(folder) = &cli.directory
        && let Err(error) = std::env::set_current_dir(folder)
    {
        let message = format!("can't go to `{}`: {error}", folder.display());
        return report(Failure::Usage(message), &session.texts, &session.ui);
    }
    let result = match &cli.command {
        Command::Build(args) => commands::build::run(&mut session, args),
        Command::Lock(args) => commands::lock::run(&mut session, args),
        Command::Update(args) => commands::update::run(&mut session, args),
        Command::Fetch(args) => commands::fetch::run(&mut session, args),
        Command::Check => commands::check::run(&mut session),
        Command::Plan(args) => commands::plan::run(&mut session, args),
        Command::Fmt(args) => commands::fmt::run(&mut session, args),
        Command::Run(args) => commands::run::run(&mut session, args),
        Command::Verify(args) => commands::verify::run(&mut session, args),
        Command::Sbom(args) => commands::statements::sbom(&mut session, args),
        Command::Provenance(args) => commands::statements::provenance(&mut session, args),
        Command::Export(ExportCommand::Dockerfile(args)) => {
            commands::export::run(&mut session, args)
        }
        Command::Plugin(PluginCommand::New(args)) => commands::plugin::new::run(&session, args),
        Command::Plugin(PluginCommand::Build(args)) => {
            commands::plugin::build::run(&mut session, args)
        }
        Command::Plugin(PluginCommand::Inspect(args)) => {
            commands::plugin::inspect::run(&mut session, args)
        }
        Command::Plugin(PluginCommand::Run(args)) => commands::plugin::run::run(&mut session, args),
        Command::Plugin(PluginCommand::Push(args)) => {
            commands::plugin::push::run(&mut session, args)
        }
        Command::Plugin(PluginCommand::Test(args)) => {
            commands::plugin::test::run(&mut session, args)
        }
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            session.show_sources(&failure);
            report(failure, &session.texts, &session.ui)
        }
    }
}
