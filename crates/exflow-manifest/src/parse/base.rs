//! The nodes `base`: of a distribution's packages, or an image.

use super::{Parser, arguments, nodes};
use crate::model::{Base, BaseImage, BaseSource, ImageOrigin};
use crate::problems::DUPLICATE;
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, did_you_mean};
use kdl::{KdlNode, KdlValue};

/// Whether Debian allows this name of a package (Debian Policy, section 5.6.1).
fn is_debian_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

/// Whether some distribution may allow this name of a package. Which one it is, only the image tells.
fn is_package(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

impl Parser<'_> {
    pub(super) fn base(&mut self, node: &KdlNode) -> Option<Base> {
        let debian = nodes(node, "debian").next();
        let image = nodes(node, "image").next();
        if let (Some(debian), Some(image)) = (debian, image) {
            let problem = Diagnostic::error(DUPLICATE, "a base is made of one thing, not of two");
            let (first, second) = (self.check.head_site(debian), self.check.head_site(image));
            self.check.problems.push(
                problem
                    .at(&second, "an image")
                    .at(&first, "and Debian packages")
                    .help("keep one of them; `packages` are added to either"),
            );
        }
        if debian.is_none() && image.is_none() {
            self.missing(
                node,
                "`debian` or `image`",
                "say what it is made of: `debian \"bookworm\"`, or `image \"alpine:3.21\"`",
            );
        }
        let packages = self.texts(node, "packages");
        for package in &packages {
            let fits = if image.is_some() { is_package } else { is_debian_package };
            if !fits(&package.value) {
                self.check.wrong_value(
                    &package.site,
                    "`packages`",
                    "not the name of a package",
                    "lower-case letters, digits, `+`, `-` and `.`; the lock decides on versions",
                );
            }
        }
        let name = self.name(node)?;
        let source = match (debian, image) {
            (Some(debian), _) => self.debian(debian)?,
            (None, image) => self.image(image?)?,
        };
        Some(Base { name, source, packages, site: self.check.head_site(node) })
    }

    fn debian(&mut self, node: &KdlNode) -> Option<BaseSource> {
        let suite = arguments(node).next().and_then(|entry| self.text(entry))?;
        let fits = suite
            .value
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits || suite.value.is_empty() {
            self.check.wrong_value(
                &suite.site,
                "`debian`",
                "not a suite",
                "for example `bookworm`",
            );
        }
        let slim = node.get("slim").and_then(KdlValue::as_bool).unwrap_or(false);
        Some(BaseSource::Debian { suite, slim })
    }

    fn image(&mut self, node: &KdlNode) -> Option<BaseSource> {
        let mut place = arguments(node).next().and_then(|entry| self.text(entry))?;
        let name = node.entry("name").and_then(|entry| self.text(entry));
        let from = match node.entry("from").and_then(|entry| self.text(entry)) {
            None => ImageOrigin::Registry,
            Some(from) => match &*from.value {
                "registry" => ImageOrigin::Registry,
                "layout" => ImageOrigin::Layout,
                "archive" => ImageOrigin::Archive,
                "docker" => ImageOrigin::Docker,
                other => {
                    let known = ["registry", "layout", "archive", "docker"];
                    let help = match did_you_mean(other, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "it is `registry`, `layout`, `archive` or `docker`".to_owned(),
                    };
                    self.check.wrong_value(
                        &from.site,
                        "`from`",
                        "images don't come from there",
                        &help,
                    );
                    return None;
                }
            },
        };
        match from {
            ImageOrigin::Layout | ImageOrigin::Archive => match RelPath::clean(&place.value) {
                Ok(path) if !path.is_root() && !place.value.starts_with('/') => {
                    place.value = path.to_string();
                }
                _ => self.check.wrong_value(
                    &place.site,
                    "`image`",
                    "not a path in the workspace",
                    "write it relative to the workspace's folder, without `..`",
                ),
            },
            ImageOrigin::Registry | ImageOrigin::Docker => {
                if let Some(name) = &name {
                    self.check.wrong_value(
                        &name.site,
                        "`name`",
                        "there is only one image of this name",
                        "`name` is for layouts and archives, which may hold several",
                    );
                }
                let is_plain = !place.value.is_empty()
                    && place.value.bytes().all(|byte| byte.is_ascii_graphic());
                if !is_plain || place.value.contains("://") {
                    self.check.wrong_value(
                        &place.site,
                        "`image`",
                        "not the name of an image",
                        "for example `debian:bookworm-slim` or `registry.example/team/base:1.2`",
                    );
                }
            }
        }
        let name = name.map(|name| name.value);
        Some(BaseSource::Image(BaseImage { from, place, name }))
    }
}
