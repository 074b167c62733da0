//! The nodes `fetch` and `git`, and `needs`, which asks for them.

use super::{Parser, arguments, nodes};
use crate::model::{Fetch, Fetched, GitVersion, Need, Spanned};
use exflow_content::{Sha256, is_git_object};
use kdl::{KdlNode, KdlValue};

/// Whether git allows this name of a branch or a tag (git-check-ref-format(1)), and takes it for nothing else.
fn is_git_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.strip_suffix(".lock").is_none()
            && !part.ends_with('.')
    };
    name.len() <= 200
        && !name.starts_with('-')
        && name != "@"
        && name.split('/').all(is_part)
        && !name.contains("..")
        && !name.contains("@{")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"~^:?*[\\".contains(&byte))
}

impl Parser<'_> {
    /// The address of something that is fetched. Who has access is nobody's business but the host's.
    fn address(&mut self, node: &KdlNode) -> Option<String> {
        let Some(url) = node.entry("url") else {
            self.missing(node, "`url`", "say where it is: `url=\"https://…\"`");
            return None;
        };
        let url = self.text(url)?;
        let (scheme, rest) = url.value.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        // Only ssh has users that are nothing secret: `git@`. What stands where a port should may be a password.
        let is_user = user.is_none_or(|user| scheme == "ssh" && !user.contains(':'));
        let port = host.rsplit_once(':').filter(|_| !host.ends_with(']'));
        let is_port = port.is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_user || !is_port {
            let help = "nothing that is secret belongs into a manifest; who you are, git finds in its credential helpers";
            self.check.wrong_value(&url.site, "`url`", "it says who asks", help);
            return None;
        }
        if url.value.is_empty() || !url.value.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.check.wrong_value(
                &url.site,
                "`url`",
                "not an address",
                "for example `https://example.org/tool-1.0`",
            );
            return None;
        }
        Some(url.value)
    }

    pub(super) fn fetch(&mut self, node: &KdlNode) -> Option<Fetch> {
        let url = self.address(node)?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            let site = node.entry("url").map(|entry| self.check.entry_site(entry));
            let site = site.unwrap_or_else(|| self.check.head_site(node));
            let help = "a file is fetched by `https://` or `http://`; a repository is a node `git`";
            self.check.wrong_value(&site, "`url`", "not an address of the web", help);
            return None;
        }
        let sha256 = match node.entry("sha256").and_then(|entry| self.text(entry)) {
            None => None,
            Some(text) => match text.value.parse::<Sha256>() {
                Ok(sha256) => Some(sha256),
                Err(error) => {
                    let help = "64 hexadecimal digits, as `sha256sum` prints them; left out, the lock says what it is";
                    self.check.wrong_value(&text.site, "`sha256`", &error.to_string(), help);
                    return None;
                }
            },
        };
        let is_executable = node.get("executable").and_then(KdlValue::as_bool).unwrap_or(false);
        let what = Fetched::File { url, sha256, is_executable };
        Some(Fetch { name: self.name(node)?, what, site: self.check.head_site(node) })
    }

    pub(super) fn git(&mut self, node: &KdlNode) -> Option<Fetch> {
        let url = self.address(node)?;
        let mut version = GitVersion::Default;
        let named = ["branch", "tag", "revision"].iter().filter_map(|name| node.entry(*name));
        for (number, entry) in named.enumerate() {
            let text = self.text(entry)?;
            if number > 0 {
                let help = "name one of `branch`, `tag` and `revision`";
                self.check.wrong_value(&text.site, "`git`", "a second version", help);
                return None;
            }
            let name = text.value.clone();
            version = match entry.name().map(kdl::KdlIdentifier::value) {
                Some("branch") => GitVersion::Branch(name),
                Some("tag") => GitVersion::Tag(name),
                _ => GitVersion::Revision(name),
            };
            let fits = match &version {
                GitVersion::Revision(revision) => is_git_object(revision),
                _ => is_git_name(&text.value),
            };
            if !fits {
                let help = "a branch or tag by its name, a revision by its whole digest: 40 or 64 of `0-9a-f`";
                self.check.wrong_value(&text.site, "`git`", "no version of a repository", help);
                return None;
            }
        }
        let folder = match node.entry("folder").and_then(|entry| self.text(entry)) {
            None => None,
            Some(folder) => Some(self.path(&folder)?.value).filter(|folder| !folder.is_root()),
        };
        let submodules = node.get("submodules").and_then(KdlValue::as_bool).unwrap_or(false);
        let what = Fetched::Git { url, version, folder, submodules };
        Some(Fetch { name: self.name(node)?, what, site: self.check.head_site(node) })
    }

    pub(super) fn needs(&mut self, node: &KdlNode) -> Vec<Need> {
        let mut needs = Vec::new();
        for child in nodes(node, "needs") {
            let names: Vec<Spanned<String>> =
                arguments(child).filter_map(|entry| self.text(entry)).collect();
            let at = child.entry("at").and_then(|entry| self.text(entry));
            let is_in_workspace = at.as_ref().is_some_and(|at| at.value.starts_with('/'));
            let at = at.and_then(|mut at| {
                if is_in_workspace {
                    at.value.remove(0);
                }
                self.path(&at)
            });
            if let (Some(_), Some(second)) = (&at, names.get(1)) {
                let help = "give each a node `needs` of its own";
                self.check.wrong_value(&second.site, "`needs`", "two at one place", help);
            }
            needs.extend(names.into_iter().map(|name| Need {
                name,
                at: at.clone(),
                is_in_workspace,
            }));
        }
        needs
    }
}
