//! Draws diagnostics with their places, by miette.

use crate::{Diagnostic, Severity, SourceName, printable};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, SourceCode, SourceSpan,
    SpanContents,
};
use std::collections::BTreeMap;
use std::fmt;

/// The texts that diagnostics point into, by name.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<SourceName, String>);

impl Sources {
    /// No texts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    pub fn insert(&mut self, name: SourceName, text: impl Into<String>) {
        self.0.insert(name, text.into());
    }

    /// The text with this name.
    pub fn get(&self, name: &SourceName) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the text with this name is there.
    pub fn contains(&self, name: &SourceName) -> bool {
        self.0.contains_key(name)
    }
}

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub color: bool,
    /// With box-drawing characters rather than ASCII.
    pub unicode: bool,
    /// In at most so many columns.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, unicode: true, width: 100 }
    }
}

/// Draws `diagnostic` as text that ends with a newline.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let theme = match (style.unicode, style.color) {
        (true, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::unicode_nocolor(),
        (false, true) => GraphicalTheme::ascii(),
        (false, false) => GraphicalTheme::none(),
    };
    let diagnostic = &cleaned(diagnostic);
    let mut text = String::new();
    let drawn = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(style.width.max(40))
        // Only at spaces: a path or a digest in two pieces can't be copied.
        .with_word_separator(textwrap::WordSeparator::AsciiSpace)
        .with_word_splitter(textwrap::WordSplitter::NoHyphenation)
        .with_break_words(false)
        .render_report(&mut text, &Drawn::new(diagnostic, sources));
    if drawn.is_err() {
        text = format!("{}: {}\n", diagnostic.code, diagnostic.message);
    }
    text
}

/// What it says, with nothing in it that steers the terminal.
fn cleaned(diagnostic: &Diagnostic) -> Diagnostic {
    let mut diagnostic = diagnostic.clone();
    diagnostic.message = printable(&diagnostic.message);
    diagnostic.help = diagnostic.help.as_deref().map(printable);
    for label in &mut diagnostic.labels {
        label.text = printable(&label.text);
    }
    diagnostic
}

/// A diagnostic beside the text of its first label. Labels in other texts are drawn as related
/// diagnostics of their own, because miette draws one text per report.
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedText>,
    labels: Vec<LabeledSpan>,
    related: Vec<Related>,
}

struct Related {
    message: String,
    source: NamedText,
    labels: Vec<LabeledSpan>,
}

struct NamedText {
    name: String,
    text: String,
}

impl<'a> Drawn<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &Sources) -> Self {
        let mut drawn = Self { diagnostic, source: None, labels: Vec::new(), related: Vec::new() };
        let main = diagnostic.labels.first().map(|label| &label.site.source);
        for label in &diagnostic.labels {
            let Some(text) = sources.0.get(&label.site.source) else { continue };
            let name = printable(label.site.source.as_str());
            let source = NamedText { name, text: printable(text) };
            // A text that has changed since must not make a span that miette can't draw.
            let start = floor_char(text, label.site.start);
            let end = floor_char(text, label.site.end.max(start));
            let say = (!label.text.is_empty()).then(|| label.text.clone());
            let span = LabeledSpan::new(say, start, end - start);
            if Some(&label.site.source) == main {
                drawn.source = Some(source);
                drawn.labels.push(span);
            } else {
                let message = format!("see also `{}`", label.site.source);
                drawn.related.push(Related { message, source, labels: vec![span] });
            }
        }
        drawn
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl SourceCode for NamedText {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

macro_rules! shown_as {
    ($name:ty, $message:expr) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let message: fn(&Self) -> &str = $message;
                f.write_str(message(self))
            }
        }

        impl std::error::Error for $name {}
    };
}

shown_as!(Drawn<'_>, |drawn| &drawn.diagnostic.message);
shown_as!(Related, |related| &related.message);

impl miette::Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(self.related.iter().map(|related| related as &dyn miette::Diagnostic)))
    }
}

impl miette::Diagnostic for Related {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Site;

    #[test]
    fn shows_the_place_and_the_help() {
        let name = SourceName::new("exflow.kdl");
        let mut sources = Sources::new();
        sources.insert(name.clone(), "project \"a\" {\n    stagee \"deps\"\n}\n");
        let diagnostic =
            Diagnostic::error("exflow::manifest::unknown-node", "unknown node `stagee`")
                .at(&Site::new(&name, 18..24), "not a node of `project`")
                .help("did you mean `stage`?");
        insta::assert_snapshot!(render(&diagnostic, &sources, Style::default()));
    }

    #[test]
    fn a_place_beyond_the_text_is_no_panic() {
        let name = SourceName::new("x");
        let mut sources = Sources::new();
        sources.insert(name.clone(), "é");
        let diagnostic = Diagnostic::error("a::b::c", "m").at(&Site::new(&name, 1..99), "there");
        assert!(render(&diagnostic, &sources, Style::default()).contains("there"));
    }
}
