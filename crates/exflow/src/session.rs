//! What every command has at hand: the terminal, the texts that problems point into, the user's store.

use crate::files::read_text;
use crate::report::{Failure, io_failed, say_all, store_failed};
use crate::ui::Ui;
use exflow_diagnostics::{Diagnostic, Diagnostics, Sources};
use exflow_store::Store;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

const NO_STORE: &str = "exflow::store::no-place";

/// Everything that a command has at hand.
pub(crate) struct Session {
    pub(crate) ui: Ui,
    /// The texts that problems point into.
    pub(crate) texts: Sources,
    /// The root of the workspace, once it has been found.
    pub(crate) root: PathBuf,
    store: Option<Store>,
}

impl Session {
    pub(crate) fn new(ui: Ui) -> Self {
        Self { ui, texts: Sources::new(), root: PathBuf::new(), store: None }
    }

    /// The user's store.
    pub(crate) fn store(&mut self) -> Result<Store, Failure> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let place = store_place(|name| std::env::var_os(name))?;
        let place = std::path::absolute(&place).unwrap_or(place);
        let store = Store::open(place).map_err(store_failed)?;
        self.store = Some(store.clone());
        Ok(store)
    }

    /// Reads the files that problems point into and that haven't been read yet.
    pub(crate) fn show_sources(&mut self, failure: &Failure) {
        if let Failure::Problems(problems) = failure {
            self.show_sources_of(problems);
        }
    }

    pub(crate) fn show_sources_of(&mut self, problems: &Diagnostics) {
        for site in problems.iter().flat_map(|problem| &problem.labels).map(|label| &label.site) {
            if !self.texts.contains(&site.source)
                && let Ok(text) = read_text(&self.root.join(site.source.as_str()))
            {
                self.texts.insert(site.source.clone(), text);
            }
        }
    }

    /// Prints what was asked for.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        match self.ui.print(text) {
            // A reader that has gone away has seen what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => {
                printed.map_err(|error| io_failed("write to", Path::new("standard output"), &error))
            }
        }
    }

    /// Says what is not wrong, but worth knowing.
    pub(crate) fn warn(&mut self, problems: &Diagnostics) {
        self.show_sources_of(problems);
        say_all(problems, &self.texts, &self.ui);
    }
}

/// The folder of the store, as the environment says.
fn store_place(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Diagnostic> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let place = named("EXFLOW_STORE")
        .or_else(|| Some(named("XDG_CACHE_HOME")?.join("exflow")))
        .or_else(|| Some(named("HOME")?.join(".cache/exflow")));
    place.ok_or_else(|| {
        Diagnostic::error(NO_STORE, "there is no place for the store: HOME is not set")
            .help("name one: `EXFLOW_STORE=DIR`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_a_place_wherever_there_is_a_home() {
        let place = |variables: &[(&str, &str)]| {
            store_place(|name| {
                let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
                Some(value.into())
            })
        };
        let place_of = |variables: &[(&str, &str)]| place(variables).unwrap();
        assert_eq!(place_of(&[("HOME", "/h"), ("EXFLOW_STORE", "/s")]), Path::new("/s"));
        assert_eq!(place_of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), Path::new("/c/exflow"));
        assert_eq!(place_of(&[("HOME", "/h")]), Path::new("/h/.cache/exflow"));
        let problem = place(&[("HOME", ""), ("EXFLOW_STORE", "")]).unwrap_err();
        assert_eq!(problem.code.as_str(), "exflow::store::no-place");
    }
}
