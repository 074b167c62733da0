/// What describes a package: its `.PKGINFO` (apk-v2(5), "THE CONTROL SECTION"; apk-package(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PkgInfo(String);

impl PkgInfo {
    /// The description with this text: lines of `key = value`, and comments.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of a key that stands there once; the first where it stands there more often.
    pub fn field<'a>(&'a self, key: &str) -> Option<&'a str> {
        self.fields(key).next()
    }

    /// The values of a key that may stand there more than once: `depend`.
    pub fn fields<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.lines().filter_map(move |line| {
            let (found, value) = line.split_once(" = ")?;
            (found == key && !value.is_empty()).then_some(value)
        })
    }

    /// The values of such a key as one text, as indexes and the installed database have it.
    pub fn list(&self, key: &str) -> String {
        self.fields(key).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_description() {
        let text =
            "# by abuild\npkgname = aa\ndepend = b>=1\nurl = \ndepend = so:c = d\n#depend = e\n";
        let info = PkgInfo::new(text.into());
        assert_eq!(info.field("pkgname"), Some("aa"));
        assert_eq!(info.field("url"), None);
        assert_eq!(info.list("depend"), "b>=1 so:c = d");
        assert_eq!(info.field("pkg"), None);
    }
}
