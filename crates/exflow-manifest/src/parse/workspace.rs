//! The nodes `workspace`: members, mirrors and registries.

use super::{Parser, arguments, nodes};
use crate::members;
use crate::model::{ExecutorName, RegistryNode, Spanned, WorkspaceNode};
use crate::problems::{DUPLICATE, TOO_LARGE};
use exflow_diagnostics::{Diagnostic, did_you_mean};
use kdl::{KdlNode, KdlValue};

/// The most patterns of members: for each of them, folders are searched.
const MAX_MEMBERS: usize = 512;

impl Parser<'_> {
    pub(super) fn workspace(&mut self, node: &KdlNode) -> Option<WorkspaceNode> {
        let mut members = self.texts(node, "members");
        if let Some(member) = members.get(MAX_MEMBERS) {
            self.check.problems.push(
                Diagnostic::error(
                    TOO_LARGE,
                    format!("`members` has more than {MAX_MEMBERS} patterns"),
                )
                .at(&member.site, "one too many")
                .help("name many folders by one pattern: `services/*`"),
            );
            members.truncate(MAX_MEMBERS);
        }
        for member in &members {
            if let Err(error) = members::check(&member.value) {
                self.check.wrong_value(
                    &member.site,
                    "`members`",
                    &error.to_string(),
                    "for example `services/*`",
                );
            }
        }
        let debian_mirror = self.mirror(node, "debian-mirror");
        let security_mirror = self.mirror(node, "debian-security-mirror");
        let executor = self.executor(node);
        let name = self.name(node)?;
        let alpine_mirror = self.mirror(node, "alpine-mirror");
        let registries = self.registries(node);
        Some(WorkspaceNode {
            name,
            members,
            executor,
            debian_mirror,
            security_mirror,
            alpine_mirror,
            registries,
        })
    }

    fn executor(&mut self, node: &KdlNode) -> Option<ExecutorName> {
        let named = self.only(node, "executor")?;
        match named.value.as_str() {
            "auto" => Some(ExecutorName::Auto),
            "docker" => Some(ExecutorName::Docker),
            "sandbox" => Some(ExecutorName::Sandbox),
            other => {
                let help = match did_you_mean(other, ["auto", "docker", "sandbox"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "it is `auto`, `docker` or `sandbox`".to_owned(),
                };
                self.check.wrong_value(&named.site, "`executor`", "there is none such", &help);
                None
            }
        }
    }

    fn mirror(&mut self, node: &KdlNode, name: &'static str) -> Option<Spanned<String>> {
        let mirror = self.only(node, name)?;
        let holds = if name == "alpine-mirror" { "`v3.21`" } else { "`dists` and `pool`" };
        if !mirror.value.starts_with("http://") && !mirror.value.starts_with("https://") {
            self.check.wrong_value(
                &mirror.site,
                &format!("`{name}`"),
                "not an address",
                &format!("write the address of the folder that holds {holds}, with `http://` or `https://`"),
            );
        }
        Some(mirror)
    }

    fn registries(&mut self, workspace: &KdlNode) -> Vec<RegistryNode> {
        let mut registries: Vec<RegistryNode> = Vec::new();
        for node in nodes(workspace, "registry") {
            let Some(host) = arguments(node).next().and_then(|entry| self.text(entry)) else {
                continue;
            };
            self.host(&host);
            if let Some(first) = registries.iter().find(|known| known.host.value == host.value) {
                let problem = Diagnostic::error(
                    DUPLICATE,
                    format!("registry `{}` is declared twice", host.value),
                );
                self.check.problems.push(
                    problem
                        .at(&host.site, "again here")
                        .at(&first.host.site, "first here")
                        .help("keep one of them"),
                );
                continue;
            }
            let mirror = node.entry("mirror").and_then(|entry| self.text(entry));
            if let Some(mirror) = &mirror {
                self.host(mirror);
            }
            let plain_http = node.get("plain-http").and_then(KdlValue::as_bool).unwrap_or(false);
            let mirror = mirror.map(|mirror| mirror.value);
            registries.push(RegistryNode { host, mirror, plain_http });
        }
        registries
    }

    fn host(&mut self, host: &Spanned<String>) {
        let fits = !host.value.is_empty()
            && host
                .value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
        if !fits {
            self.check.wrong_value(
                &host.site,
                "`registry`",
                "not the name of a host",
                "for example `docker.io` or `localhost:5000`, without `http://`",
            );
        }
    }
}
