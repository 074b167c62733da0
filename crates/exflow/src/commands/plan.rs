use crate::cli::{BuildOptions, PlanArgs};
use crate::engine::{Forecast, Foreseen, forecast};
use crate::interrupt;
use crate::prepare::prepare;
use crate::report::Failure;
use crate::session::Session;
use exflow_diagnostics::printable;
use exflow_fetch::Cancel;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn run(session: &mut Session, args: &PlanArgs) -> Result<ExitCode, Failure> {
    // What isn't locked can't be planned. What plugins have to see for that is made.
    let cancel = Cancel::new();
    interrupt::listen(&cancel);
    let options = BuildOptions { locked: true, ..BuildOptions::default() };
    let prepared = prepare(session, &args.targets, &options, &cancel)?;
    let steps = forecast(session, &prepared)?;
    let mut text = String::new();
    let width = steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    for Foreseen { name, needs, forecast } in &steps {
        let (state, reason) = match forecast {
            Forecast::Cached => ("known", None),
            Forecast::Runs(reason) => ("runs", reason.as_deref()),
            Forecast::Unknown => ("depends", Some("on what comes out of the steps before it")),
        };
        if args.json {
            let step = json!({ "step": name, "needs": needs, "state": state, "reason": reason });
            text += &format!("{step}\n");
        } else {
            let line = format!("{name:width$}  {state:7}  {}", reason.unwrap_or_default());
            text += &format!("{}\n", printable(line.trim_end()).replace('\n', "?"));
        }
    }
    session.print(&text)?;
    Ok(ExitCode::SUCCESS)
}
