use super::json;
use crate::cli::PluginInspectArgs;
use crate::inputs;
use crate::plugins::{self, BUILTIN, Components};
use crate::report::Failure;
use crate::session::Session;
use crate::ui::size;
use crate::{interrupt, locking};
use exflow_content::Digest;
use exflow_diagnostics::{did_you_mean, printable};
use exflow_fetch::Cancel;
use exflow_lock::RequestedPlugin;
use exflow_manifest::Workspace;
use exflow_plugin_host::{
    Host, Inspected, Limits, Plugin, PluginBytes, PluginError, SettingKind, SettingSchema,
    diagnose, read_component,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &PluginInspectArgs) -> Result<ExitCode, Failure> {
    show(session, &args.plugin, args.json, None)
}

/// Shows the plugin that is named so, or that is in this file.
pub(super) fn show(
    session: &mut Session,
    named: &str,
    as_json: bool,
    file: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let (name, bytes, place) = match file {
        Some(path) => read(named, path.to_owned())?,
        None => find(session, named)?,
    };
    let digest = Digest::of(&bytes);
    let plugin = Plugin { name: name.clone(), digest, bytes: place };
    let host = Host::new(session.store()?, Limits::default()).telling(session.ui.compiling());
    let inspected = host.inspect(&plugin).map_err(|error| diagnose(&error, &name, None))?;
    let text = if as_json {
        json::text(&in_json(&name, &digest, bytes.len(), &inspected))
    } else {
        in_words(&name, &digest, bytes.len() as u64, &inspected)
    };
    session.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A plugin by its name, or by the path of its component: what it is called, and its bytes.
fn find(session: &mut Session, named: &str) -> Result<(String, Vec<u8>, PluginBytes), Failure> {
    if named.contains('/') || Path::new(named).extension().is_some() {
        return read(named, named.into());
    }
    let workspace = session.workspace();
    // What a manifest declares goes before what comes with exflow.
    let declared = workspace.as_ref().ok().and_then(|workspace| workspace.plugins.get(named));
    if let Some(plugin) = declared {
        let requested = inputs::requested_plugin(plugin);
        if let RequestedPlugin::Path(_) = requested {
            return read(named, plugins::plugin_path(&session.root, named, &requested));
        }
        let workspace = workspace?;
        return fetched(session, &workspace, named, &requested);
    }
    if let Some((name, bytes)) = BUILTIN.iter().find(|(name, _)| *name == named) {
        return Ok(((*name).to_owned(), bytes.to_vec(), PluginBytes::Embedded(bytes)));
    }
    let builtin = BUILTIN.iter().map(|(name, _)| *name);
    let workspace = match (workspace, did_you_mean(named, builtin)) {
        (Err(_), Some(near)) => return Err(unknown(named, &format!("did you mean `{near}`?"))),
        (workspace, _) => workspace?,
    };
    let known = workspace.plugins.keys().map(String::as_str);
    let known: Vec<&str> = known.chain(BUILTIN.iter().map(|(name, _)| *name)).collect();
    let help = match did_you_mean(named, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("there are: {}; a file is named by its path: `./{named}`", known.join(", "))
        }
    };
    Err(unknown(named, &help))
}

/// A plugin that is fetched, as it is locked.
fn fetched(
    session: &mut Session,
    workspace: &Workspace,
    named: &str,
    requested: &RequestedPlugin,
) -> Result<(String, Vec<u8>, PluginBytes), Failure> {
    let lock = locking::read(session)?;
    let Some(locked) = lock.plugin(named, requested) else {
        return Err(locking::plugin_not_locked(workspace, named).into());
    };
    let store = session.store()?;
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let components = Components::new(session, store, workspace, false, &cancel);
    match components.fetch(named, locked, None) {
        Some(fetched) => read(named, fetched?),
        None => Err(unknown(named, "the lock has it from a file")),
    }
}

fn unknown(named: &str, help: &str) -> Failure {
    Failure::Usage(format!("there is no plugin `{named}`: {help}"))
}

/// The plugin in a file, whatever it is called.
pub(super) fn read(name: &str, path: PathBuf) -> Result<(String, Vec<u8>, PluginBytes), Failure> {
    match read_component(&path) {
        Ok(bytes) => Ok((name.to_owned(), bytes, PluginBytes::File(path))),
        Err(source) => Err(diagnose(&PluginError::Read { path, source }, name, None).into()),
    }
}

fn in_json(name: &str, digest: &Digest, bytes: usize, inspected: &Inspected) -> Value {
    let setting = |setting: &SettingSchema| {
        let (kind, choices) = match &setting.kind {
            SettingKind::Text => ("text", None),
            SettingKind::Choice(choices) => ("choice", Some(choices)),
            SettingKind::Number => ("number", None),
            SettingKind::Flag => ("flag", None),
        };
        serde_json::json!({
            "name": setting.name,
            "kind": kind,
            "choices": choices,
            "required": setting.is_required,
            "help": setting.help,
        })
    };
    let settings = inspected.settings.as_ref();
    serde_json::json!({
        "name": name,
        "contract": inspected.contract,
        "blake3": digest.to_string(),
        "bytes": bytes,
        "imports": [],
        "settings": settings.map(|settings| settings.iter().map(setting).collect::<Vec<_>>()),
    })
}

fn in_words(name: &str, digest: &Digest, bytes: u64, inspected: &Inspected) -> String {
    let mut text = format!(
        "{}\n  contract  {}\n  blake3    {digest}\n  size      {}\n  imports   nothing\n",
        printable(name),
        printable(&inspected.contract),
        size(bytes),
    );
    let Some(settings) = &inspected.settings else {
        return text + "  settings  not declared: the contract has declarations from 0.2.1 on\n";
    };
    if settings.is_empty() {
        return text + "  settings  none\n";
    }
    text += "  settings\n";
    let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    for setting in settings {
        let must = if setting.is_required { ", has to be there" } else { "" };
        let line = format!("    {:width$}  {}{must}. {}", setting.name, setting.kind, setting.help);
        text += &format!("{}\n", printable(line.trim_end()).replace('\n', " "));
    }
    text
}
