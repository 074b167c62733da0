use exflow_diagnostics::{Diagnostic, Site};

const UNKNOWN: &str = "exflow::packages::unknown-package";
const UNSOLVABLE: &str = "exflow::packages::unsolvable";

/// Why packages can't be had together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsolvable {
    /// Packages that no index has, and what they were probably meant to be.
    Unknown(Vec<(String, Option<String>)>),
    /// The packages exclude one another, or need what isn't there.
    Conflict(String),
}

/// What a distribution calls things.
pub(crate) struct Words {
    /// Said of a package that is unknown.
    pub(crate) unlisted: &'static str,
    /// How packages are named.
    pub(crate) naming: &'static str,
}

impl Unsolvable {
    /// Turns it into diagnostics. `release` is what has the packages: a suite, or an image. `site`
    /// gives the place where a package is named in the manifest, or that of the whole base for none.
    pub(crate) fn diagnose(
        &self,
        release: &str,
        words: &Words,
        site: impl Fn(Option<&str>) -> Option<Site>,
    ) -> Vec<Diagnostic> {
        let at = |diagnostic: Diagnostic, name: Option<&str>, label: &str| {
            diagnostic.at_known(site(name).as_ref(), label)
        };
        match self {
            Self::Unknown(names) => names
                .iter()
                .map(|(name, meant)| {
                    let message = format!("`{release}` has no package `{name}`");
                    let diagnostic = Diagnostic::error(UNKNOWN, message);
                    let diagnostic = at(diagnostic, Some(name), words.unlisted);
                    diagnostic.help(match meant {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => words.naming.to_owned(),
                    })
                })
                .collect(),
            Self::Conflict(explanation) => {
                let message = format!("these packages can't be together in `{release}`");
                let help = format!("the solver says:\n{}", explanation.trim_end());
                vec![at(Diagnostic::error(UNSOLVABLE, message), None, "this base").help(help)]
            }
        }
    }
}
