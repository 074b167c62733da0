//! The nodes `project`: their release tools and stages.

use super::{Parser, arguments, nodes};
use crate::grammar::{BUILD_STAGE, OWN_STAGE, RUNTIME_STAGE};
use crate::model::{ProjectNode, ReleaseTool, Scalar, Setting, Spanned, Stage, StageKind, values};
use crate::problems::{DUPLICATE, TOO_LARGE};
use exflow_content::{PatternSet, RelPath};
use exflow_diagnostics::Diagnostic;
use kdl::{KdlNode, KdlValue};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most stages of a project.
const MAX_STAGES: usize = 512;

/// What is no name of a stage: events and progress call the image of a project so.
const RESERVED: &str = "image";

impl Parser<'_> {
    pub(super) fn project(&mut self, node: &KdlNode) -> Option<ProjectNode> {
        let tool = nodes(node, "release-tool").next().and_then(|node| self.tool(node));
        let mut stages: Vec<Stage> = Vec::new();
        for (number, child) in nodes(node, "stage").enumerate() {
            if number == MAX_STAGES {
                self.check.problems.push(
                    Diagnostic::error(
                        TOO_LARGE,
                        format!("this project has more than {MAX_STAGES} stages"),
                    )
                    .at(&self.check.head_site(child), "one too many")
                    .help("let one stage do more, or split the project"),
                );
                break;
            }
            let Some(stage) = self.stage(child) else { continue };
            if let Some(first) = stages.iter().find(|known| known.kind == stage.kind) {
                self.check.problems.push(
                    Diagnostic::error(
                        DUPLICATE,
                        format!("stage `{}` stands twice in one project", stage.kind.name()),
                    )
                    .at(&stage.site, "again here")
                    .at(&first.site, "first here")
                    .help("put them together, or give one another name"),
                );
            }
            stages.push(stage);
        }
        Some(ProjectNode { name: self.name(node)?, tool, stages })
    }

    fn tool(&mut self, node: &KdlNode) -> Option<ReleaseTool> {
        let mut settings = BTreeMap::new();
        for entry in node.entries() {
            let Some(name) = entry.name() else { continue };
            let site = self.check.entry_site(entry);
            let value = match entry.value() {
                KdlValue::String(text) => Scalar::Text(text.clone()),
                KdlValue::Bool(flag) => Scalar::Flag(*flag),
                KdlValue::Integer(number) => {
                    if let Ok(number) = i64::try_from(*number) {
                        Scalar::Number(number)
                    } else {
                        self.check.wrong_value(
                            &site,
                            "this setting",
                            "too large",
                            "64 bits are what fits",
                        );
                        continue;
                    }
                }
                KdlValue::Float(_) | KdlValue::Null => continue,
            };
            settings.insert(name.value().to_owned(), Setting { value, site });
        }
        Some(ReleaseTool { plugin: self.name(node)?, settings })
    }

    fn stage(&mut self, node: &KdlNode) -> Option<Stage> {
        let name = self.name(node)?;
        if name.value == RESERVED {
            self.check.wrong_value(
                &name.site,
                "`stage`",
                "taken",
                "this is what the image of the project is called: give your stage another name",
            );
        }
        let (kind, spec) = match name.value.as_str() {
            "deps" => (StageKind::Deps, &BUILD_STAGE),
            "release" => (StageKind::Release, &BUILD_STAGE),
            "runtime" => (StageKind::Runtime, &RUNTIME_STAGE),
            own => (StageKind::Own(own.to_owned()), &OWN_STAGE),
        };
        if let Some(children) = node.children() {
            self.check.children(children, &format!("stage `{}`", name.value), spec.children);
        }
        let input_texts = self.texts(node, "inputs");
        for input in &input_texts {
            // From the root of the workspace, with a `/`: all else is as in any pattern.
            let pattern = match input.value.strip_prefix("!/") {
                Some(body) => format!("!{body}"),
                None => input.value.strip_prefix('/').unwrap_or(&input.value).to_owned(),
            };
            if let Err(error) = PatternSet::new([pattern]) {
                self.check.wrong_value(
                    &input.site,
                    "`inputs`",
                    &error.to_string(),
                    "for example `assets/**`",
                );
            }
        }
        let inputs = input_texts.into_iter().map(|input| input.value).collect();
        let outputs: Vec<Spanned<RelPath>> =
            self.texts(node, "output").iter().filter_map(|output| self.path(output)).collect();
        for output in &outputs {
            if output.value.is_root() {
                self.check.wrong_value(
                    &output.site,
                    "`output`",
                    "the whole project",
                    "name a folder in it",
                );
            }
        }
        let run = self.only(node, "run");
        for name in ["run", "user", "command"] {
            for text in self.texts(node, name) {
                // Where programs are given texts, it ends them.
                if text.value.contains('\0') {
                    let of = format!("`{name}`");
                    self.check.wrong_value(
                        &text.site,
                        &of,
                        "not possible",
                        "no text has a NUL byte",
                    );
                }
            }
        }
        if let StageKind::Own(_) = kind {
            if nodes(node, "run").next().is_none() {
                self.missing(node, "`run`", "say what it does: `run \"npm run deploy\"`");
            }
            if nodes(node, "output").next().is_none() {
                self.missing(node, "`output`", "say what it makes: `output \"priv/static\"`");
            }
        }
        let command = nodes(node, "command").next().map(|command| {
            arguments(command)
                .filter_map(|entry| entry.value().as_string())
                .map(str::to_owned)
                .collect()
        });
        Some(Stage {
            kind,
            base: node.entry("base").and_then(|entry| self.text(entry)),
            env: self.pairs(node, "env", true),
            needs: self.needs(node),
            inputs,
            run,
            outputs,
            expose: self.ports(node),
            user: self.only(node, "user").map(|user| user.value),
            command,
            labels: values(&self.pairs(node, "label", false)),
            time_limit: self.time_limit(node),
            site: self.check.head_site(node),
        })
    }

    fn ports(&mut self, node: &KdlNode) -> Vec<String> {
        let mut ports = Vec::new();
        for entry in nodes(node, "expose").flat_map(arguments) {
            let text = match entry.value() {
                KdlValue::Integer(number) => number.to_string(),
                KdlValue::String(text) => text.clone(),
                _ => continue,
            };
            let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let number = number.parse::<u16>().ok().filter(|number| *number > 0);
            match number {
                Some(number) if ["tcp", "udp", "sctp"].contains(&protocol) => {
                    ports.push(format!("{number}/{protocol}"));
                }
                _ => {
                    let site = self.check.entry_site(entry);
                    self.check.wrong_value(
                        &site,
                        "`expose`",
                        "not a port",
                        "a number from 1 to 65535, or `\"4000/udp\"`",
                    );
                }
            }
        }
        ports.sort();
        ports.dedup();
        ports
    }

    fn time_limit(&mut self, node: &KdlNode) -> Option<Duration> {
        let text = self.only(node, "time-limit")?;
        let seconds = ["s", "m", "h"].iter().zip([1, 60, 3600]).find_map(|(unit, seconds)| {
            text.value
                .strip_suffix(unit)?
                .parse::<u32>()
                .ok()
                .map(|count| u64::from(count) * seconds)
        });
        if let Some(seconds @ 1..) = seconds {
            Some(Duration::from_secs(seconds))
        } else {
            self.check.wrong_value(
                &text.site,
                "`time-limit`",
                "not a duration",
                "for example `90s`, `30m` or `2h`",
            );
            None
        }
    }
}
