//! The nodes `plugin`.

use super::Parser;
use crate::model::{Plugin, PluginSource, Spanned};
use kdl::KdlNode;

/// Whether this can name an artifact (OCI distribution specification 1.1, "Pulling manifests"): a registry, a repository
/// in it, and a tag or a digest of sha256, or neither.
fn is_artifact(reference: &str) -> bool {
    let (path, digest) = match reference.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (reference, None),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    };
    let is_digest = |digest: &str| {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && !tag.starts_with(['.', '-'])
    };
    let is_name = |name: &str| {
        let ends = |at: Option<char>| at.is_some_and(|letter| letter.is_ascii_alphanumeric());
        ends(name.chars().next())
            && ends(name.chars().next_back())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)
            })
    };
    let Some((host, repository)) = path.split_once('/') else { return false };
    let is_host = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    is_host
        && repository.split('/').all(is_name)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

impl Parser<'_> {
    pub(super) fn plugin(&mut self, node: &KdlNode) -> Option<Plugin> {
        let text = |parser: &mut Self, name: &str| node.entry(name).map(|entry| parser.text(entry));
        let source = match (text(self, "path"), text(self, "source")) {
            (Some(path), None) => PluginSource::Path(self.path(&path?)?),
            (None, Some(source)) => self.plugin_source(source?)?,
            (None, None) => {
                let help = "say where its component is: `path=\"plugins/mine.wasm\"`, or where it is fetched from: \
                            `source=\"oci://registry.example/team/mine:1.0\"`";
                self.missing(node, "`path` or `source`", help);
                return None;
            }
            (Some(_), Some(source)) => {
                let site = source.map_or_else(|| self.check.head_site(node), |source| source.site);
                self.check.wrong_value(
                    &site,
                    "`source`",
                    "there is a `path`, too",
                    "leave one of them out",
                );
                return None;
            }
        };
        Some(Plugin { name: self.name(node)?, source })
    }

    /// An address, or a reference to an artifact.
    fn plugin_source(&mut self, source: Spanned<String>) -> Option<PluginSource> {
        let Spanned { value, site } = &source;
        let rest = value.split_once("://").map_or("", |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic()) && !host.is_empty();
        if host.contains('@') {
            let help = "nothing that is secret belongs into a manifest";
            self.check.wrong_value(site, "`source`", "it has credentials", help);
            return None;
        }
        if is_plain && (value.starts_with("https://") || value.starts_with("http://")) {
            return Some(PluginSource::Url(source));
        }
        if value.starts_with("oci://") && is_artifact(rest) {
            let value = rest.to_owned();
            return Some(PluginSource::Oci(Spanned { value, site: source.site }));
        }
        self.check.wrong_value(
            site,
            "`source`",
            "not an address of a component",
            "for example `https://example.org/mine-1.0.wasm` or `oci://registry.example/team/mine:1.0`",
        );
        None
    }
}
